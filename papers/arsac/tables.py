"""Table 1 of the paper with every setting that it leaves out, and what the trained flow does."""

import pandas as pd

from common.lab.report import tabular
from common.lab.report.measures import last, of_curves
from common.lab.report.stats import magnitude

BOTH = ("ARSAC", "SAC")
# What is built into the algorithms and no setting: (what, columns, how, source).
BUILT_IN = (
    ("non-linearity of all networks", BOTH, "ReLU", "Table 1"),
    ("base distribution", BOTH, "diagonal Gaussian", "Section 3.2"),
    ("bounds of the action", BOTH, "tanh", "Section 3.2"),
    ("scale beta", ("ARSAC",), "exponential of the network's output", "authors' code"),
    ("past actions", ("ARSAC",), "executed, after tanh, oldest first, zeros at an episode's start", "authors' code"),
    ("critics", BOTH, "two, with target networks; no value network", "authors' code"),
    ("optimisers", ("ARSAC",), "Adam: one for base and flow, one for both critics", "authors' code"),
    ("optimisers", ("SAC",), "Adam: one each", "authors' code"),
    ("initial weights", ("ARSAC",), "Xavier uniform, biases 0, the flow's too", "authors' code"),
    ("initial weights", ("SAC",), "Xavier uniform, biases 0", "authors' code"),
    ("updates", BOTH, "one per environment step", "authors' code"),
    ("order of an update", BOTH, "critics, policy, targets", "our choice: the authors mix weights of two steps"),
    ("end of an episode by time limit", BOTH, "bootstrapped", "authors' code"),
    ("evaluation", BOTH, "deterministic, separate environments", "our choice: the authors' environment is the training one"),
)


def table1_arsac_hyperparameters():
    """Hyperparameters of ARSAC and of SAC, its baseline, as they are run at scale `paper`: those of the paper's Table 1,
    those in its text or its authors' code, and our own choices."""
    return tabular.hyperparameters("arsac", {"ARSAC": ("arsac",), "SAC": ("sac",)}, BUILT_IN)


def table_arsac_reliance(arsac="env=HalfCheetah-v4"):
    """What the trained flow does on HalfCheetah, by size of the base network and seed: ln beta, which the paper reads as
    reliance (lower: more), ln beta + ln sigma and the shift's share of the variance, means of the last ten evaluations; and
    the share of the last evaluation's return that is lost without the flow."""
    rows = []
    for base in arsac.setting("base"):
        ends = {
            metric: of_curves(arsac, metric, last(), base=base) for metric in ("log_scale", "log_scale_std", "shift_share")
        }
        whole, without = (of_curves(arsac, name, last(1), base=base) for name in ("return", "return_without_flow"))
        for seed in whole.index:
            lost = (whole[seed] - without[seed]) / magnitude(whole[[seed]])
            rows.append([base, seed, *(f"{ends[m][seed]:.2f}" for m in ("log_scale", "log_scale_std")),
                         f"{ends['shift_share'][seed]:.3f}", f"{lost:.2f}"])  # fmt: skip
    columns = ["base", "seed", "ln beta", "ln beta + ln sigma", "Var delta / Var x", "return lost without the flow"]
    return pd.DataFrame(rows, columns=columns, dtype=object)
