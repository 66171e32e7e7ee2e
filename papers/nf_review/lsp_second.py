"""The second level of a latent-space policy, on top of a first one that is trained and stays as it is (Section 3.1.3).

    h_1 = f_1(h_2; s),  h_2 ~ N(0, I),   a = tanh(f_0(h_1; s))        f_0 frozen

For the second level the first is a part of the environment: its action is h_1, whose prior is N(0, I), and the entropy that
it is rewarded for is relative to this prior,

    J_pi = E[alpha (ln pi(h_1 | s) - ln N(h_1; 0, I)) - min_j Q_j(s, a)]
    ln pi(h_1 | s) = ln N(h_2; 0, I) - ln |det df_1/dh_2|

as in the original, where a latent is not squashed and an entropy without a prior would have no end. The Jacobian of f_0
cancels: what is weighed is KL(pi(a | s) || pi_0(a | s)), how far two levels act from the first one alone.

The critics see the action that the first level makes of h_1. As f_0 is invertible and deterministic this is as good as
Q(s, h_1), and transitions need no latent; gradients pass through f_0. Critics and replay begin anew, as in the original. A
member stands on the first level of the same seed.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from common.errors import UserError
from common.flows.transforms import Compose, Tanh
from papers.nf_review import lsp
from papers.nf_review.mnf import LOG_TAU


class Given(nn.Module):
    """A map that belongs to the environment. In the place of its log-determinant stands ln N(x; 0, I), so that what counts
    as a density behind it is that of x relative to the prior."""

    def __init__(self, *transforms):
        super().__init__()
        self.whole = Compose(*transforms)

    def forward(self, x, context=None):
        return self.whole(x, context)[0], prior(x)

    def inverse(self, y, context=None):
        x = self.whole.inverse(y, context)[0]
        return x, -prior(x)


def prior(h):
    """ln N(h; 0, I)."""
    return -(h.square() + LOG_TAU).sum(-1) / 2


class Learner(lsp.Learner):
    """A fleet of second levels, one member per seed."""

    def build_below(self, inputs, device):
        known = {run.settings["seed"]: run for run in inputs.get("first", ())}
        lacking = [seed for seed in self.seeds if seed not in known]
        if lacking:
            raise UserError(f"seed {lacking[0]} has no first level; there are those of {sorted(known)}")
        weights = [known[seed].tensors("policy") for seed in self.seeds]
        first = known[self.seeds[0]].settings
        rngs = [np.random.default_rng(0) for _ in self.seeds]
        shape = replace(self.config, base=first["base"], couplings=first["couplings"])
        below = lsp.Level(rngs, self.observations, self.actions, shape)
        below.load_state_dict({name: torch.cat([member[name] for member in weights]) for name in weights[0]})
        return below.to(device).requires_grad_(False)

    def stacked(self, policy, below):
        return Compose(policy, Given(below, Tanh()))

    def unsquashed(self):
        return Compose(self.policy, self.below)
