"""Tables 1 to 3 of the paper beside ours, the data sets, and what the choice of the best of a grid is worth."""

import numpy as np
import pandas as pd

from common.lab.report import tabular
from common.rl.references import references, score
from papers.cnf_offline.comparisons import cells, final, mean_sd, named, reported, weak

METHODS = {"AWAC": "awac", "IQL": "iql", "PLAS": "plas", "LAPO": "lapo", "CNF": "cnf"}


def table1_d4rl(behaviour, awac, iql, plas, lapo, cnf, no_flow, mazes_cnf, mazes_awac, mazes_iql, mazes_plas, mazes_lapo):
    """Normalised score at the end of training: the paper's Table 1 and ours, mean ± standard deviation over seeds of the
    last ten evaluations with sampled actions (AWAC and IQL: with the mean, as CORL's code and IQL's authors evaluate). 0 is
    D4RL's random policy, 100 its expert. Ours learn from data that this repository made; a data set whose policies ended
    outside D4RL's levels is called weak, and its scores do not compare with the paper's. "No flow" is CNF's loss without an
    encoder, which the paper lacks."""
    rows = []
    robots = {"AWAC": awac, "IQL": iql, "PLAS": plas, "LAPO": lapo, "CNF": cnf}
    mazes = {"AWAC": mazes_awac, "IQL": mazes_iql, "PLAS": mazes_plas, "LAPO": mazes_lapo, "CNF": mazes_cnf}
    for env, quality in cells(cnf) + cells(mazes_cnf):
        row = {"data": named(behaviour, env, quality)}
        for name, results in (mazes if quality == "maze" else robots).items():
            row[f"{name}, paper"] = reported(METHODS[name], env, quality)
            metric = "return_mode" if name in ("AWAC", "IQL") else "return"
            row[f"{name}, ours"] = mean_sd(final(results, env, quality, metric))
        alone = "" if quality == "maze" else mean_sd(final(no_flow, env, quality))
        rows.append(row | {"no flow, ours": alone})
    return pd.DataFrame(rows)


def table_datasets(behaviour, data):
    """The data sets: rows, episodes, quantiles of the returns of whole episodes, their mean as a score, the share of action
    entries at a bound, and the policies that they are of. D4RL's medium policies return 4500 to 5200 (HalfCheetah), 1400
    to 1800 (Hopper), 2800 to 3500 (Walker2d); a weak one is not such."""
    rows = []
    returns = data.table("returns")
    for env, quality in cells(data):
        where = {"env": env, "quality": quality}
        facts = {name: float(data.final(name, 1, **where)[0]) for name in ("rows", "episodes", "return", "saturated")}
        here = returns[(returns["env"] == env) & (returns["quality"] == quality)].set_index("quantile")["return"]
        random, expert = references(env)
        rows.append({
            "data": named(behaviour, env, quality),
            "rows": int(facts["rows"]),
            "episodes": int(facts["episodes"]),
            "least": here[0.0], "lower quartile": here[0.25], "median": here[0.5], "upper quartile": here[0.75],
            "most": here[1.0],
            "mean return": facts["return"],
            "score": float(score(env, facts["return"])),
            "saturated": facts["saturated"],
            "weak": ", ".join(sorted(weak(behaviour, env))) or "no",
            "D4RL random": random,
            "D4RL expert": expert,
        })  # fmt: skip
    return pd.DataFrame(rows)


def table_maze_references(mazes):
    """What random actions and the waypoint controller return in our mazes, mean ± standard error over episodes, beside
    D4RL's references: its 0 is random, its 100 the controller that keeps the plan of its first episode (stale). Apart: the
    difference in standard errors of D4RL's mean of 100 episodes and ours together, below 2 by chance in 95 of 100. One that
    plans anew in each episode has no reference; its score is what a proper planner reaches."""
    rows = []
    for env in dict.fromkeys(source.cell.config.env for source in mazes.cells):
        returns = mazes.table("returns", env=env)
        for behaviour, place in (("random", 0), ("stale", 1), ("replanning", None)):
            values = returns[returns["behaviour"] == behaviour]["return"]
            mean, error = values.mean(), values.sem()
            known = np.nan if place is None else references(env)[place]
            spread = np.hypot(error, values.std() / 10)
            rows.append({
                "maze": env,
                "behaviour": behaviour,
                "episodes": len(values),
                "return": f"{mean:.1f} ± {error:.1f}",
                "D4RL": known,
                "apart": abs(mean - known) / spread if spread > 0 else np.nan,
                "score": float(score(env, mean)),
            })  # fmt: skip
    return pd.DataFrame(rows)


def table2_cnf_policy():
    """Every setting of the agents as they are run at scale `paper`, with where it stands (Table 2 of the paper, the
    authors' code, the peers' code)."""
    columns = {"CNF": ("cnf",), "AWAC": ("awac",), "IQL": ("iql",), "PLAS": ("plas",), "LAPO": ("lapo",)}
    return tabular.hyperparameters("cnf_offline", columns)


def table3_cnf_flow():
    """Every setting of the encoders of actions and of the data as they are run at scale `paper`, with where it stands
    (Table 3 of the paper, the authors' code, the peers' code). Steps and widths of a flow are those of Table 3 where
    `layers` is 0."""
    columns = {
        "flow": ("flows",),
        "search": ("flows_search",),
        "VAE": ("vaes",),
        "data": ("data",),
        "policies": ("behaviour",),
    }
    return tabular.hyperparameters("cnf_offline", columns)


def table_cnf_grid(behaviour, cnf_grid, awac_grid):
    """What the choice of the best setting by test return is worth: over the grid of Table 2 (depth times batch size), the
    mean score of all cells and that of the best one, mean over seeds; what lies between is what a method gains that is
    searched and one loses that is not."""
    rows = []
    for env, quality in cells(cnf_grid):
        for name, results in (("CNF", cnf_grid), ("AWAC", awac_grid)):
            grid = _grid(results, env, quality)
            if not grid:
                continue
            best = max(grid, key=lambda key: grid[key])
            rows.append({
                "data": named(behaviour, env, quality),
                "method": name,
                "mean of the grid": float(np.mean(list(grid.values()))),
                "least": min(grid.values()),
                "best": grid[best],
                "best at": f"{best[0]}, batch {best[1]}",
                "cells": len(grid),
            })  # fmt: skip
    return pd.DataFrame(rows)


def _grid(results, env, quality):
    """{(depth x width, batch size): mean score over seeds} of a data set's cells."""
    configs = [source.cell.config for source in results.cells]
    return {
        (c.hidden, c.batch_size): float(np.mean(final(results, env, quality, hidden=c.hidden, batch_size=c.batch_size)))
        for c in configs
        if (c.env, c.quality) == (env, quality)
    }
