"""PPO with an implicit policy, a normalizing flow (NFP; Tang & Agrawal 2018; Section 3.1.1).

The policy is that of TRPO with flows, a = g_K o ... o g_2 o (L(s) + g_1(e)), e ~ N(0, I): couplings with alternating halves
kept, which do not see the state, and a network L of the state added behind the first. The loss is that of `common/rl/ppo.py`
with the entropy's gradient along the samples,

    H = -mean ln pi(f(e; s) | s)      `entropy_samples` draws of e for every state,

which reaches the parameters through f as well. A Gaussian (`policy = gaussian`) is trained with the same loss. Draws of e
are new in every update, and serve all its minibatches.
"""

from common.flows.coupling import Shift
from common.flows.networks import MLP, small_uniform, xavier_uniform
from common.flows.transforms import Compose
from common.rl import ppo
from common.rl.flow_policies import CouplingFlow
from common.rl.randomness import normal
from papers.nf_review import policies


class Learner(ppo.Learner):
    """A fleet of PPO learners with a flow or a Gaussian."""

    def build_policy(self, rngs):
        if self.config.policy == "gaussian":
            return super().build_policy(rngs)
        c = self.config
        first, *rest = policies.layers(c, rngs, self.actions)
        sizes = [self.observations, c.embedding_units, c.embedding_units, self.actions]
        embedding = MLP(rngs, sizes, "relu", xavier_uniform(), small_uniform())
        flow = Compose(first, Shift(embedding), *rest)
        return ppo.contiguous(CouplingFlow(flow, self.actions, constant=True))

    def update_draws(self, rng):
        c = self.config
        drawn = normal(rng, c.minibatch * c.entropy_samples, self.actions, names=("entropy",))
        return super().update_draws(rng) | drawn

    def update(self, rollout, draws):
        self.entropy_noise = self.tensor(draws["entropy"])
        return super().update(rollout, draws)

    def loss(self, obs, *rest):
        """PPO's, with the entropy along the samples; its own weight of the entropy is `entropy_weight` = 0."""
        if not self.config.path_entropy_weight:
            return super().loss(obs, *rest)
        noise = self.entropy_noise[:, : obs.shape[1] * self.config.entropy_samples]
        log_prob = self.policy(obs.repeat_interleave(self.config.entropy_samples, 1)).rsample_and_log_prob(noise)[1]
        return super().loss(obs, *rest) + self.config.path_entropy_weight * log_prob.mean(-1)
