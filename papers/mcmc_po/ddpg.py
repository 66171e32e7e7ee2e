"""The other baseline of the Langevin policies: DDPG (`common/rl/ddpg.py`) that also records how widely its states are
spread."""

from common.rl import ddpg
from papers.mcmc_po.visited import Visited


class Learner(Visited, ddpg.Learner):
    """A fleet of DDPG learners, one member a seed."""
