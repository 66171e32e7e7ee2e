"""The baseline with a learned temperature (`common/rl/sac_auto.py`) that also records how widely its states are spread."""

from common.rl import sac_auto
from papers.mcmc_po.visited import Visited


class Learner(Visited, sac_auto.Learner):
    """A fleet of SAC learners, one member a seed."""
