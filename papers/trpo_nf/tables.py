"""The hyperparameters, from the declarations that validate and describe them."""

from common.lab.report import tabular

COLUMNS = {
    "TRPO": ("trpo", "trpo_small"),
    "ACKTR": ("acktr",),
    "PPO": ("ppo",),
    "toys": ("kl_ball", "kl_ball_gaussian", "entropy", "entropy_gaussian", "bandits"),
}


def table_trpo_nf_hyperparameters():
    """Settings of TRPO, ACKTR, PPO and the toys as they are run at scale `paper`, and where each value stands (Appendices A
    and B, the authors' code, or our choice). What the preset "released" changes is listed under preset."""
    return tabular.hyperparameters("trpo_nf", COLUMNS)
