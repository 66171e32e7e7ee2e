"""Langevin policies on DDPG: those of `papers/mcmc_po/langevin.py` without TD3's three additions, which are settings here as
in `common/rl/ddpg.py`: one critic, no delay, no smoothing of the target policy."""

from papers.mcmc_po import langevin


class Learner(langevin.Learner):
    """A fleet of DDPG learners whose actions are moved on the critic, one member a seed."""
