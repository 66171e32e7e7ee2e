"""The baseline: soft actor-critic (`common/rl/sac.py`) that also records how widely its states are spread."""

from common.rl import sac
from papers.mcmc_po.visited import Visited


class Learner(Visited, sac.Learner):
    """A fleet of SAC learners, one member a seed."""
