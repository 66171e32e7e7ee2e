"""Deep Q-learning for fleets, with epsilon-greedy exploration (DQN; Mnih et al. 2015; double, van Hasselt et al. 2016).

Action values Q with target network Q'. One update on a batch of transitions, delta a Huber loss of threshold 1:

    y   = r + gamma (1 - terminated) Q'(s', argmax_a Q(s', a))
    J_Q = mean_batch delta(Q(s, a) - y)
    Q' <- Q every `target_every` environment steps

It acts with argmax_a Q(s, a) or, with probability epsilon, at random; epsilon falls linearly over the first episodes. The
other algorithms of Section 3.2 replace what stands in `build_layer`, `epsilon` and `choose`: their layers have noise, and an
episode is played with one draw of it (Thompson sampling), so that exploration is consistent over time; `redraws`: a draw for
every step instead. An evaluation has no noise, nor has the target network unless it is `noisy_target`.

Details that matter (those of the code of Touati et al. 2018): every entry of the gradient is clamped to [-1, 1]; Adam's
epsilon is 1.5e-4; weights start as N(0, 4 / (in + out)), biases at 0; the time limit of the n-chain is a termination
(`timeouts`), though no observation tells the time.
"""

from copy import deepcopy

import numpy as np
import torch
from torch.nn import functional as F

from common.flows.networks import widths
from common.rl.learner import EpisodicLearner
from common.rl.optimisers import Adam, give_gradients
from common.rl.randomness import generator
from papers.nf_review.mnf import normal_init
from papers.nf_review.stochastic import Network, Plain

TARGET = "target."  # before the names of what the target network draws


class Learner(EpisodicLearner):
    """A fleet of Q-learners, one member per seed. A member has `heads` networks, side by side on their first axis."""

    stored = ("network", "target", "optimiser")
    heads = 1
    redraws = False  # noise is drawn for every step, not once for an episode
    noisy_target = False  # the target network has noise of its own in every update

    def __init__(self, config, seeds, observations, actions, device="cpu"):
        self.config, self.actions, self.device = config, actions, device
        rngs = [rng for seed in seeds for rng in [generator(seed, "init")] * self.heads]
        self.network = Network(self.build_layers(rngs, observations)).to(device)
        self.target = deepcopy(self.network).requires_grad_(False)
        self.optimiser = Adam(self.network.parameters(), lr=config.learning_rate, eps=config.adam_epsilon)
        self.noise, self.explorations = [{} for _ in seeds], [{} for _ in seeds]
        self.drawn = self.means = None  # weights in NumPy of now, with the episodes' noise and without

    def build_layers(self, rngs, observations):
        """Layers from observations to values."""
        sizes = [observations, *widths(self.config.hidden), self.actions]
        return [self.build_layer(rngs, a, b) for a, b in zip(sizes, sizes[1:], strict=False)]

    def build_layer(self, rngs, fan_in, fan_out):
        """A dense layer of `stochastic.Network`."""
        return Plain(rngs, fan_in, fan_out, normal_init)

    def epsilon(self, episode):
        """The probability of a random action, [members]."""
        c = self.config
        share = np.minimum(episode / c.epsilon_episodes, 1)
        return c.epsilon_start + share * (c.epsilon_end - c.epsilon_start)

    def choose(self, values):
        """Actions [members] by the values of an episode, [members, heads, actions]."""
        return values[:, 0].argmax(-1)

    def elect(self, values):
        """Actions [members] by the values of an evaluation, [members, heads, actions]."""
        return values[:, 0].argmax(-1)

    # Acting

    def episode_draws(self, rng, steps):
        exploration = {"uniform": rng.random(steps), "random": rng.integers(self.actions, size=steps)}
        return exploration | self.network.weight_draws(rng, *[steps] * self.redraws)

    def begin(self, member, draws):
        self.explorations[member] = {name: draws[name] for name in ("uniform", "random")}
        self.noise[member] = {name: x for name, x in draws.items() if name not in ("uniform", "random")}
        self.drawn = None

    @torch.no_grad()
    def act(self, obs, age, episode):
        if self.drawn is None or self.redraws:
            self.drawn = in_numpy(self.network.weights(self.noise_at(age)))
        values = self.values(obs, self.drawn)
        chosen, random = self.choose(values), self.epsilon(episode)
        for m, x in enumerate(self.explorations):
            if x["uniform"][age[m]] < random[m]:
                chosen[m] = x["random"][age[m]]
        return np.where(np.isfinite(values).all((1, 2)), chosen, -1)

    def noise_at(self, age):
        """Of `network.weights`, `age` [members] steps into the episode: {name: [members, ...]}."""
        at = age if self.redraws else [...] * len(age)
        drawn = {name: np.stack([n[name][t] for n, t in zip(self.noise, at, strict=True)]) for name in self.noise[0]}
        return {name: torch.from_numpy(x).to(self.device) for name, x in drawn.items()}

    @torch.no_grad()
    def greedy(self, obs):
        if self.means is None:
            self.means = in_numpy(self.network.weights())
        values = self.values(obs, self.means)
        return np.where(np.isfinite(values).all((1, 2)), self.elect(values), -1)

    def values(self, obs, weights):
        """Q(s, .) [members, heads, actions] for obs [members, observations], in NumPy: dispatch would be torch's cost."""
        x = obs.repeat(self.heads, 0)[:, None]
        for i, (weight, bias) in enumerate(weights):
            x = np.matmul(x, weight) + bias
            x = x if i == len(weights) - 1 else np.maximum(x, 0)
        return x.reshape(len(obs), self.heads, self.actions)

    # Learning

    def update_draws(self, rng, size):
        """Of both states of a transition, of the divergence, and of the target network where it has noise."""
        batch = self.config.batch_size
        drawn = self.network.draws(rng, size, 2 * batch) | self.network.divergence_draws(rng, size)
        if self.noisy_target:
            drawn |= {f"{TARGET}{name}": x for name, x in self.target.draws(rng, size, batch).items()}
        return drawn

    def update(self, batch, draws):
        """One step of Adam on J_Q, and on the divergence from the prior where there is one."""
        parameters = list(self.network.parameters())
        gradients = torch.autograd.grad(self.loss(batch, draws).sum(), parameters)
        give_gradients(parameters, [gradient.clamp(-1, 1) for gradient in gradients])
        self.optimiser.step()
        self.drawn = self.means = None

    def loss(self, batch, draws):
        """J_Q of every member, [members]."""
        values, following = self.by_head(self.network, torch.cat([batch.obs, batch.next_obs], 1), draws).chunk(2, 1)
        with torch.no_grad():
            best = following.argmax(-1, keepdim=True)
            drawn = {name.removeprefix(TARGET): x for name, x in draws.items() if name.startswith(TARGET)}
            future = self.by_head(self.target, batch.next_obs, drawn or None)
            bootstrap = future.gather(-1, best).squeeze(-1)
            going = (1 - batch.terminated).unsqueeze(-1)
            target = batch.reward.unsqueeze(-1) + self.config.discount * going * bootstrap
        index = batch.action.long().unsqueeze(2).expand(-1, -1, self.heads, 1)
        taken = values.gather(-1, index).squeeze(-1)
        return F.smooth_l1_loss(taken, target, reduction="none").mean(1).sum(-1)

    def by_head(self, network, x, draws=None):
        """Values [members, batch, heads, actions] of x [members, batch, observations]."""
        values = network(x.repeat_interleave(self.heads, 0), draws)
        return values.unflatten(0, (len(x), self.heads)).transpose(1, 2)

    def copy_target(self):
        with torch.no_grad():
            torch._foreach_copy_(list(self.target.parameters()), list(self.network.parameters()))

    def load_state_dict(self, arrays):
        super().load_state_dict(arrays)
        self.drawn = self.means = None


def in_numpy(weights):
    """[(weight [members, in, out], bias [members, 1, out])] in NumPy."""
    return [(weight.cpu().numpy().copy(), bias.cpu().numpy()[:, None].copy()) for weight, bias in weights]


class Regularised(Learner):
    """A learner whose weights have a posterior. It adds the divergence from the prior to the loss, and acts by draws alone:

    J = J_Q + (alpha / D) KL(q(W) || N(0, I))        D: the capacity of the replay buffer
    """

    def epsilon(self, episode):
        return np.zeros(len(episode))

    def loss(self, batch, draws):
        c = self.config
        return super().loss(batch, draws) + c.divergence_weight / c.buffer_size * self.network.divergence(draws)
