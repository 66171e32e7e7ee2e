"""Latent-space policies trained by soft actor-critic (SAC-LSP; Haarnoja et al. 2018, arXiv 1804.02808; Section 3.1.3).

A level of the hierarchy is an invertible map of a latent, which sees the state. With one level

    a = tanh(f(h; s)),   h ~ N(0, I),   ln pi(a | s) = ln N(h; 0, I) - ln |det df/dh| - sum_i ln(1 - a_i^2)

f is a flow of affine couplings, the two parts of h kept in turn: the first D // 2 entries, and the others. s and t, with one
hidden layer of as many tanh units as there are actions, see what is kept beside an embedding of the state, a network whose
output, twice as wide as the action, is rectified too. Their biases start as N(0, 1) numbers, so that f is far from the
identity at first; s is not bounded. A second level is in `lsp_second.py`.

The learner is that of `common/rl/sac.py`, for this policy and for a Gaussian alike (`policy`). The original's is soft
actor-critic's first version, with a value network and rewards times 5 where here the targets come from slow critics and the
temperature is 1/5: both policies are compared under what is used everywhere else. Evaluations take h = 0, where the original
draws one h and keeps it, so that both policies are deterministic in the same way.

Of the trained map every evaluation records, on some of the states that it saw, with latents drawn once: `inversion_error`,
the largest |f^-1(f(h)) - h|, `log_prob_error`, the largest difference between the log-determinant that the formula adds and
that of the Jacobian by automatic differentiation, and `repeat_error`, the largest difference between two evaluations of the
same state and latent among others, all in float64; `latent_error`, the median over states of the largest error of an h that
is computed back from the action in float32, which saturation makes large, and `saturated`, the share of entries of actions
within 1 % of a bound.
"""

from copy import deepcopy

import numpy as np
import torch
from torch import nn

from common.flows.coupling import Coupling, Halves
from common.flows.distributions import DiagonalGaussian, FlowDistribution
from common.flows.networks import MLP, widths, xavier_uniform
from common.flows.transforms import Compose, Tanh
from common.rl import sac

PROBED = 64  # states of an evaluation


def uneven(deviation):
    """Xavier's weights (Glorot & Bengio 2010), and biases N(0, deviation^2)."""
    weights = xavier_uniform()

    def draw(rng, fan_in, fan_out):
        return weights(rng, fan_in, fan_out)[0], deviation * rng.standard_normal(fan_out)

    return draw


class LatentCoupling(Coupling):
    """An affine coupling that keeps the first event // 2 entries (`leading`) or the others, which is one more of an odd
    number."""

    def __init__(self, rngs, event, leading, context, init):
        Halves.__init__(self, event, leading, context)
        self.kept = event // 2 if leading else event - event // 2
        sizes = [self.kept + context, event, event - self.kept]
        self.network = MLP([rng for rng in rngs for _ in range(2)], sizes, "tanh", init)


class Level(nn.Module):
    """h = f(h'; s), a transform whose context is the state, [members, batch, observations]."""

    def __init__(self, rngs, observations, actions, config):
        super().__init__()
        self.embedding = MLP(rngs, [observations, *widths(config.base), 2 * actions], init=xavier_uniform())
        init = uneven(config.bias_deviation)
        self.flow = Compose(*(LatentCoupling(rngs, actions, i % 2 == 0, 2 * actions, init) for i in range(config.couplings)))

    def embedded(self, obs):
        return torch.relu(self.embedding(obs))

    def forward(self, h, obs):
        return self.flow(h, self.embedded(obs))

    def inverse(self, x, obs):
        return self.flow.inverse(x, self.embedded(obs))


class Learner(sac.Learner):
    """A fleet of soft actor-critics with latent-space policies, or Gaussians."""

    def __init__(self, config, seeds, observations, actions, device="cpu", inputs=None):
        self.seeds = list(seeds)
        super().__init__(config, seeds, observations, actions, device)
        self.below = self.build_below(inputs or {}, device)
        if config.policy == "flow":
            self.transform = self.stacked(self.policy, self.below)

    def build_policy(self, rngs):
        if self.config.policy == "gaussian":
            return super().build_policy(rngs)
        return Level(rngs, self.observations, self.actions, self.config)

    def build_below(self, inputs, device):
        """The frozen level between the policy's and the action, or None."""
        return None

    def stacked(self, policy, below):
        """The map from h to the action."""
        return Compose(policy, Tanh())

    def distribution(self, obs):
        if self.config.policy == "gaussian":
            return super().distribution(obs)
        zeros = obs.new_zeros(*obs.shape[:-1], self.actions)
        return FlowDistribution(DiagonalGaussian(zeros, zeros), self.transform, obs)

    def files(self):
        """The policy's weights, of members as fleets of one."""
        if self.config.policy == "gaussian":
            return {}
        return {"policy": [member_of(self.policy, m, len(self.seeds)) for m in range(len(self.seeds))]}

    # What is recorded of the trained map

    @torch.no_grad()
    def inspect(self, obs):
        return super().inspect(obs) if self.config.policy == "gaussian" else {"obs": obs}

    def summarise(self, trace):
        if self.config.policy == "gaussian":
            return super().summarise(trace)
        places = [np.linspace(0, len(x) - 1, PROBED).astype(int) for x in trace["obs"]]
        obs = torch.from_numpy(np.stack([x[place] for x, place in zip(trace["obs"], places, strict=True)]))
        return {name: x.tolist() for name, x in self.properties(obs).items()}

    def properties(self, obs):
        """{metric: [members]} of the map at some states, [members, states, observations]."""
        h = torch.randn(obs.shape[1], self.actions, generator=torch.Generator().manual_seed(0))
        h = h.expand(len(obs), -1, -1)
        device = next(self.policy.parameters()).device
        with torch.no_grad():
            saw, took = obs.to(device), h.to(device)
            action, _ = self.transform(took, saw)
            error = (self.unsquashed().inverse(Tanh().inverse(action)[0], saw)[0] - took).abs().amax(-1)
            rough = {
                "latent_error": error.nan_to_num(nan=1e9, posinf=1e9).median(1)[0],
                "saturated": (action.abs() > 0.99).float().mean((1, 2)),
            }
        exact = deepcopy(self.unsquashed()).double().requires_grad_(False).cpu()
        obs, h = obs.double(), h.double().requires_grad_()
        x, log_det = exact(h, obs)
        rows = [torch.autograd.grad(x[..., i].sum(), h, retain_graph=True)[0] for i in range(self.actions)]
        with torch.no_grad():
            jacobian = torch.linalg.slogdet(torch.stack(rows, -2))[1]
            again = exact(h.flip(1), obs.flip(1))[0].flip(1)
            errors = {
                "inversion_error": (exact.inverse(x, obs)[0] - h).abs().amax((1, 2)),
                "log_prob_error": (jacobian - log_det).abs().amax(1),
                "repeat_error": (again - x).abs().amax((1, 2)),
            }
        return errors | rough

    def unsquashed(self):
        """The map from h to the action before tanh."""
        return self.policy


def member_of(module, member, members):
    """{name: array} of one member of a module whose tensors count `members`, or a multiple of them, along their first
    axis."""
    arrays = {}
    for name, tensor in module.state_dict().items():
        rows = len(tensor) // members
        arrays[name] = tensor[member * rows : (member + 1) * rows].cpu().numpy()
    return arrays
