"""Mixtures of Gaussians, under the contract of `common.flows.distributions`."""

import math

import torch
from torch import Tensor

from .distributions import DiagonalGaussian, Distribution


class GaussianMixture(Distribution):
    """p(x) = (1 / K) sum_k N(x; mean_k, diag(exp(log_std_k))^2). mean, log_std: [..., components, event].

    Its noise is (component [...], an integer, and a standard normal vector [..., event]). Sampling is reparameterised within
    a component; the weights are fixed, so that the choice of the component carries no gradient.
    """

    def __init__(self, mean: Tensor, log_std: Tensor):
        self.mean = mean
        self.log_std = log_std
        self.components = DiagonalGaussian(mean, log_std)

    def noise(self) -> tuple[Tensor, Tensor]:
        *shape, count, _ = self.mean.shape
        return torch.randint(count, shape, device=self.mean.device), torch.randn_like(self.mean[..., 0, :])

    def _rsample(self, noise=None):
        component, standard = self.noise() if noise is None else noise
        index = component.unsqueeze(-1).unsqueeze(-1).expand(*component.shape, 1, self.mean.shape[-1])
        mean, log_std = (torch.gather(x.expand_as(self.mean), -2, index).squeeze(-2) for x in (self.mean, self.log_std))
        return mean + log_std.exp() * standard

    def rsample_and_log_prob(self, noise: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        x = self._rsample(noise)
        return x, self.log_prob(x)

    def log_prob(self, x: Tensor) -> Tensor:
        return torch.logsumexp(self.components.log_prob(x.unsqueeze(-2)), -1) - math.log(self.mean.shape[-2])

    def sample(self, noise: tuple[Tensor, Tensor] | None = None) -> Tensor:
        with torch.no_grad():
            return self._rsample(noise)

    def mode(self) -> Tensor:
        """The mean of the component at whose mean the density is highest."""
        densities = torch.stack([self.log_prob(mean) for mean in self.mean.unbind(-2)], -1)
        index = densities.argmax(-1, keepdim=True).unsqueeze(-1)
        return torch.gather(self.mean, -2, index.expand(*index.shape[:-1], self.mean.shape[-1])).squeeze(-2)
