"""DDPG as the review's comparison has it (Lillicrap et al. 2016; Touati et al. 2018, Appendix C; Section 3.2), for fleets.

Critic Q with target Q', deterministic actor pi with target pi'. One update on a batch of transitions:

    y    = r + gamma (1 - terminated) Q'(s', pi'(s'))
    J_Q  = mean_batch (Q(s, a) - y)^2
    J_pi = -mean_batch Q(s, pi(s))
    Q' <- (1 - tau) Q' + tau Q,   pi' <- (1 - tau) pi' + tau pi

which is `common/rl/ddpg.py` on other networks: every hidden layer is normalised before its ReLU, and the action enters the
critic's second layer. It explores with the noise of an Ornstein-Uhlenbeck process, x' = (1 - theta) x + sigma n, added to
pi(s) and clipped.

The other algorithms of Section 3.2 replace the critic's layers (`build_layer`) by random ones. There only the critic is
random, and no noise is added to actions (`noise_deviation` is 0). Where exploration comes from is then said nowhere; here
from the actor's ascent: every step of it climbs one draw of the critic's weights, the same for the whole batch, so that the
actor keeps turning to what one plausible value function or another prefers: Thompson sampling, as far as a step of the actor
is a maximisation. In J_Q every transition has a draw of its own; targets and evaluations have none.

Details that matter: the process starts anew, from its stationary distribution, every 256 steps, not with episodes, so that
noise is a function of the step; last layers without a posterior start within 3e-3 of 0; a time limit is no termination.
"""

import math
from copy import deepcopy

import numpy as np
import torch
from torch import nn

from common.flows.networks import MLP, LayerNorm, small_uniform, widths
from common.rl import ddpg
from common.rl.critics import critic_loss
from common.rl.optimisers import Adam, descend
from common.rl.randomness import generator
from papers.nf_review.mnf import normals
from papers.nf_review.stochastic import Network, Plain


class Actor(nn.Module):
    """pi(s) = tanh(network(s)), its layers normalised. obs: [members, batch, observations] -> [members, batch, actions]."""

    def __init__(self, rngs, observations, hidden, actions):
        super().__init__()
        self.network = MLP(rngs, [observations, *hidden, actions], last_init=small_uniform(), layer_norm=True)

    def forward(self, obs):
        return torch.tanh(self.network(obs))


class Critic(Network):
    """Q(s, a): three layers of `stochastic.Network`, the first two normalised before their ReLU; the second sees the action.

    obs: [members, batch, observations], action: [members, batch, actions] -> [members, batch].
    """

    def __init__(self, layers, members, hidden):
        super().__init__(layers)
        self.norms = nn.ModuleList(LayerNorm(members, units) for units in hidden)

    def forward(self, obs, action, draws=None):
        """With a draw of the weights for each row; without `draws` the weights are their means."""
        noise = [None if draws is None else self._of(f"{i}.", draws) for i in range(len(self.layers))]
        return self._through(obs, action, [lambda x, f=f, n=n: f(x, n) for f, n in zip(self.layers, noise, strict=True)])

    def drawn(self, obs, action, draws):
        """With one draw of the weights for all rows; draws: `weight_draws`, stacked over members."""
        pairs = self.weights(draws)
        return self._through(obs, action, [lambda x, w=w, b=b: torch.bmm(x, w) + b.unsqueeze(1) for w, b in pairs])

    def _through(self, obs, action, layers):
        enter, join, leave = layers
        first, second = self.norms
        x = torch.relu(first(enter(obs)))
        x = torch.relu(second(join(torch.cat([x, action], -1))))
        return leave(x).squeeze(-1)


class Learner(ddpg.Learner):
    """A fleet of DDPG learners, one member per seed."""

    def __init__(self, config, seeds, observations, actions, device="cpu"):
        self.config, self.observations, self.actions = config, observations, actions
        rngs = [generator(seed, "init") for seed in seeds]
        self.policy = Actor(rngs, observations, widths(config.base), actions).to(device)
        hidden = widths(config.critic)
        sizes = [(observations, hidden[0]), (hidden[0] + actions, hidden[1]), (hidden[1], 1)]
        layers = [self.build_layer(rngs, *size) for size in sizes]
        self.critics = Critic(layers, len(seeds), hidden).to(device)
        self.policy_target = deepcopy(self.policy).requires_grad_(False)
        self.targets = deepcopy(self.critics).requires_grad_(False)
        self.policy_optimiser = Adam(self.policy.parameters(), lr=config.learning_rate)
        self.critic_optimiser = Adam(self.critics.parameters(), lr=config.critic_learning_rate)
        self.updates = 0

    def build_layer(self, rngs, fan_in, fan_out):
        """A layer of `stochastic.Network`."""
        return Plain(rngs, fan_in, fan_out, small_uniform() if fan_out == 1 else None)

    # Acting

    def acting_draws(self, rng, size):
        """A stretch of the process, {"noise": [size, actions]}."""
        c = self.config
        kept = 1 - c.noise_rate
        path = c.noise_deviation * normals(rng, size, self.actions)
        path[0] /= math.sqrt(1 - kept**2)  # where the process has been going on for long
        for step in range(1, size):
            path[step] += np.float32(kept) * path[step - 1]
        return {"noise": path}

    def explore(self, action, draws):
        return (action + draws["noise"]).clamp(-1, 1)

    # Learning

    def update_draws(self, rng, size):
        """Of every transition, of the divergence, and of the one critic that the actor climbs ("actor.")."""
        critics = self.critics
        drawn = critics.draws(rng, size, self.config.batch_size) | critics.divergence_draws(rng, size)
        return drawn | {f"actor.{name}": x for name, x in critics.weight_draws(rng, size).items()}

    def critic_loss(self, batch, draws):
        """J_Q of every member, [members]."""
        with torch.no_grad():
            following = self.targets(batch.next_obs, self.policy_target(batch.next_obs))
        values = self.critics(batch.obs, batch.action, draws)
        return critic_loss(values.unsqueeze(1), batch, self.config.discount, following)

    def improve(self, batch, draws):
        descend(self.policy_optimiser, self.policy_loss(batch, draws))

    def policy_loss(self, batch, draws):
        """J_pi of every member, [members]."""
        climbed = {name.removeprefix("actor."): x for name, x in draws.items() if name.startswith("actor.")}
        return -self.critics.drawn(batch.obs, self.policy(batch.obs), climbed).mean(-1)


class Regularised(Learner):
    """A learner whose critic's weights have a posterior. It adds the divergence from the prior to the critic's loss:

    J = J_Q + (alpha / D) KL(q(W) || N(0, I))        D: the capacity of the replay buffer
    """

    def critic_loss(self, batch, draws):
        c = self.config
        return super().critic_loss(batch, draws) + c.divergence_weight / c.buffer_size * self.critics.divergence(draws)
