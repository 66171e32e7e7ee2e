"""The baseline of the Langevin policies: TD3 (`common/rl/td3.py`) that also records how widely its states are spread."""

from common.rl import td3
from papers.mcmc_po.visited import Visited


class Learner(Visited, td3.Learner):
    """A fleet of TD3 learners, one member a seed."""
