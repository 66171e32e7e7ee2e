"""SAC with a coupling flow: a policy that is as rich as its networks allow, and is told nothing of the critic.

    u ~ N(mu(s), sigma(s)),   x = f_L o ... o f_1(u; s),   a = tanh(x)

with affine couplings f_l (`common/flows/coupling.py`) that see the state, each half kept in turn. Section 1 asks whether a
flow's gain is inference or over-parametrisation; at two couplings of 16 units the policy has about as many parameters as the
Hamiltonian one. The last layers start at 0, so that the policy starts as SAC's. The couplings' log-scales are not bounded.
It needs two action dimensions or more.
"""

from common.flows.coupling import Coupling
from common.flows.networks import widths
from common.flows.transforms import Compose, Tanh
from common.rl import sac
from common.rl.policies import FlowPolicy
from papers.mcmc_po.leapfrog import constant


class Learner(sac.Learner):
    """A fleet of SAC learners with flow policies, one member per seed."""

    def build_policy(self, rngs):
        c, shown = self.config, self.observations
        base = self.build_base(rngs, shown)
        couplings = [
            Coupling(rngs, self.actions, layer % 2 == 0, widths(c.coupling_units), shown, last_init=constant())
            for layer in range(c.couplings)
        ]
        return FlowPolicy(base, Compose(*couplings, Tanh()))

    def distribution(self, obs):
        return self.policy(obs, obs)
