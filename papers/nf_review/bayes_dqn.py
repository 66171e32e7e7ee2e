"""DQN with Bayes by backprop (Blundell et al. 2015; BBQN, Lipton et al. 2018; the mean field of Section 3.2).

Every weight and bias has a posterior N(mu, sigma^2), sigma = softplus(rho), whose divergence from N(0, I) is in closed form:

    J = J_Q + (alpha / D) sum [(sigma^2 + mu^2 - 1) / 2 - ln sigma]

mu ~ U(-sqrt(3/in), sqrt(3/in)) at the start. One draw of the weights serves a whole batch; on the n-chain the target network
has one of its own (`noisy_target`). An episode is played with one draw; there is no other exploration.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from papers.nf_review import dqn
from papers.nf_review.mnf import gaussian_divergence, normals
from papers.nf_review.stochastic import Sampled


class BayesLinear(Sampled):
    """A layer of `stochastic.Network` with that posterior."""

    def __init__(self, rngs, fan_in, fan_out, rho):
        super().__init__(rngs, fan_in, fan_out, math.sqrt(3 / fan_in))
        self.rho = nn.Parameter(torch.full_like(self.mean, rho))

    def weight_draws(self, rng, *lead):
        fan_in, fan_out = self.sizes
        return {"weight": normals(rng, *lead, fan_in + 1, fan_out)}

    def spread(self, noise):
        return F.softplus(self.rho) * noise["weight"]

    def divergence(self, noise):
        return gaussian_divergence(self.mean, F.softplus(self.rho).square()).sum((-2, -1))


class Learner(dqn.Regularised):
    """A fleet of BBQN learners."""

    noisy_target = True

    def build_layer(self, rngs, fan_in, fan_out):
        return BayesLinear(rngs, fan_in, fan_out, self.config.rho)
