"""What the claims, figures and tables on agents compare: normalised scores per seed; and the paper's budget."""

from functools import partial

import numpy as np
import pandas as pd

from common.lab.report import verdicts
from common.lab.results import records
from common.rl.references import score

LAST = 10  # evaluations that a final score averages (Table 1's caption)
QUALITIES = ("medium", "medium-replay", "medium-expert")
ROBOTS = ("HalfCheetah-v4", "Hopper-v4", "Walker2d-v4")
BANDS = {"HalfCheetah-v4": (4500, 5200), "Hopper-v4": (1400, 1800), "Walker2d-v4": (2800, 3500)}  # of medium policies
EXPERT = {"HalfCheetah-v4": 10_500, "Hopper-v4": 3_200, "Walker2d-v4": 4_600}  # least return of an expert
PAPER_NAMES = {
    "HalfCheetah-v4": "HalfCheetah-v2",
    "Hopper-v4": "Hopper-v2",
    "Walker2d-v4": "Walker2d-v2",
    "Maze2dUmaze-v0": "maze2d-umaze-v1",
    "Maze2dMedium-v0": "maze2d-medium-v1",
    "Maze2dLarge-v0": "maze2d-large-v1",
}

judged = partial(verdicts.judged, steps=200_000, seeds=3)


def final(results, env, quality, metric="return", **where):
    """Each seed's mean score over its last evaluations, [seeds]; empty if the cell was not run."""
    if not len(results.frame) or not len(results.curve(metric, env=env, quality=quality, **where)):
        return np.array([])
    return score(env, results.final(metric, LAST, env=env, quality=quality, **where))


def curve(results, env, quality, metric="return", **where):
    """The scores' curve, as a DataFrame with the columns of `Results.curve`."""
    frame = results.curve(metric, env=env, quality=quality, **where)
    return frame.assign(value=score(env, frame["value"]))


def cells(results):
    """The (environment, quality) pairs that were run, in the order of the grid."""
    return list(dict.fromkeys((source.cell.config.env, source.cell.config.quality) for source in results.cells))


def reported(algorithm, env, quality):
    """The paper's score, or NaN."""
    rows = records.reported("cnf_offline")
    kept = rows[(rows["algorithm"] == algorithm) & (rows["env"] == PAPER_NAMES[env]) & (rows["quality"] == quality)]
    return float(kept["mean"].iloc[0]) if len(kept) else np.nan


def weak(behaviour, env):
    """Which of the policies that made an environment's data ended outside what D4RL's had: {'medium', 'expert'}, or
    fewer."""
    rows = behaviour.frame[behaviour.frame["env"] == env]
    if not len(rows) or env not in BANDS:
        return set()
    curve = rows[rows["metric"] == "return"].sort_values("step")
    kept = float(rows[rows["metric"] == "step_medium"]["value"].iloc[0])
    medium = float(
        curve["value"].iloc[np.abs(curve["step"] - kept).argmin()]
    )  # of the policy that was kept, no mean of three
    expert = float(curve["value"].tail(3).mean())
    low, high = BANDS[env]
    return ({"medium"} if not low <= medium <= high else set()) | ({"expert"} if expert < EXPERT[env] else set())


def strong(behaviour, results):
    """(data sets of `results` whose policies are as good as D4RL's, the names of the others)."""
    pairs = cells(results)
    kept = [(env, quality) for env, quality in pairs if not named(behaviour, env, quality).endswith("-weak")]
    return kept, [named(behaviour, *pair) for pair in pairs if pair not in kept]


def named(behaviour, env, quality):
    """`HalfCheetah medium-expert-weak`: the name of a data set, which says if a policy of it is no D4RL-like one."""
    ended = weak(behaviour, env)
    if quality == "maze":
        return env.removesuffix("-v0")
    suffix = "-weak" if ended & set(quality.replace("replay", "medium").split("-")) else ""
    return f"{env.removesuffix('-v4')} {quality}{suffix}"


def overestimation(results, **where):
    """The critics' value of first states less the discounted return from there, per seed."""
    promised, earned = (results.final(metric, 1, **where) for metric in ("q_start", "return_discounted"))
    return promised - earned


def mean_sd(values):
    """Mean ± standard deviation over seeds, as text."""
    finite = pd.Series(values, dtype=float).dropna()
    if not len(finite):
        return ""
    return f"{finite.mean():.1f} ± {finite.std(ddof=1):.1f}" if len(finite) > 1 else f"{finite.mean():.1f}"
