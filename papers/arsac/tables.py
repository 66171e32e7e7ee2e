"""Table 1 of the paper, and every setting that it leaves out."""

import pandas as pd

from common.rl.config import SAC
from common.settings import fields
from papers.arsac.config import ARSAC

# What is built into the algorithms and no setting: (what, ARSAC's, SAC's, source).
SAME = object()
BUILT_IN = (
    ("non-linearity of all networks", "ReLU", SAME, "Table 1"),
    ("base distribution", "diagonal Gaussian", SAME, "Section 3.2"),
    ("bounds of the action", "tanh", SAME, "Section 3.2"),
    ("scale beta", "exponential of the network's output", "", "authors' code"),
    ("past actions", "executed, after tanh, oldest first, zeros at an episode's start", "", "authors' code"),
    ("critics", "two, with target networks; no value network", SAME, "authors' code"),
    ("optimisers", "Adam: one for base and flow, one for both critics", "Adam: one each", "authors' code"),
    ("initial weights", "Xavier uniform, biases 0, the flow's too", "Xavier uniform, biases 0", "authors' code"),
    ("updates", "one an environment step", SAME, "authors' code"),
    ("order of an update", "critics, policy, targets", SAME, "our choice: the authors mix weights of two steps"),
    ("end of an episode by time limit", "bootstrapped", SAME, "authors' code"),
    ("evaluation", "deterministic, separate environments", SAME, "our choice: the authors' environment is the training one"),
)
# Settings that the experiments `arsac` and `sac` cross.
GRID = {"env": "HalfCheetah-v4, Hopper-v4, Walker2d-v4, Ant-v4", "base": "1x32, 1x128, 2x256"}
ORIGINS = {"Table": "paper, Table 1", "Section": "paper, text", "paper": "paper, text", "authors' code": "authors' code"}


def table1_arsac_hyperparameters():
    """Hyperparameters of ARSAC and of SAC, its baseline, as they are run at scale `paper`: those of the paper's Table 1,
    those that its text or its authors' code tells, and our own choices."""
    plain = fields(SAC)
    rows = [_row(name, field, plain.get(name)) for name, field in fields(ARSAC).items()]
    for what, ours, theirs, source in BUILT_IN:
        rows.append(
            {
                "setting": "(built in)",
                "meaning": what,
                "ARSAC": ours,
                "SAC": ours if theirs is SAME else theirs,
                "unit": "",
                "allowed": "",
                "origin": _origin(source),
                "source": source,
            }
        )
    return pd.DataFrame(rows)


def _row(name, field, plain):
    facts = field.metadata
    return {
        "setting": name,
        "meaning": facts["meaning"],
        "ARSAC": GRID.get(name) or _text(field.default),
        "SAC": "" if plain is None else GRID.get(name) or _text(plain.default),
        "unit": facts["unit"],
        "allowed": _allowed(facts, field.default),
        "origin": _origin(facts["source"]),
        "source": facts["source"],
    }


def _allowed(facts, default):
    """The range or the choices of a setting, in words."""
    if facts["choices"] is not None:
        return ", ".join(facts["choices"])
    low, high = facts["low"], facts["high"]
    if low is None and high is None:
        return "true, false" if isinstance(default, bool) else "any"
    if high is None:
        return f"at least {_text(low)}"
    return f"{_text(low)} to {_text(high)}" if low is not None else f"at most {_text(high)}"


def _origin(source):
    return next((origin for start, origin in ORIGINS.items() if source.startswith(start)), "our choice")


def _text(value):
    """1,000,000; 0.0003; true; 2x256."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else value
