"""Table 1 of the paper, and every setting that it leaves out."""

from common.lab.report import tabular

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
