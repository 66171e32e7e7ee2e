"""Policies that are mixtures of Gaussians, under the contract of `flow_policies`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..flows.mixtures import GaussianMixture
from . import acting
from .flow_policies import Trained


class Mixture(Trained):
    """Equally weighted Gaussians N(mu_k(s), diag(sigma_k)^2). log_std: [members, 1, components, actions], at the start.

    `mean` maps obs to all means of a member, [members, batch, components * actions], if they are `shared`; else it holds
    networks of one component each, member by member: [members * components, batch, actions]. `geometric`: the density is
    `GeometricMixture`'s, as released.
    """

    def __init__(self, mean: nn.Sequential, log_std: Tensor, shared: bool, geometric: bool):
        super().__init__()
        self.mean, self.log_std = mean, nn.Parameter(log_std)
        self.shared, self.kinds = shared, (GeometricMixture if geometric else GaussianMixture, GaussianMixture)
        self.components, self.actions = log_std.shape[2:]

    def means(self, obs: Tensor) -> Tensor:
        """mu_k(s), [members, batch, components, actions]."""
        members, batch, features = obs.shape
        if self.shared:
            return self.mean(obs).view(members, batch, self.components, self.actions)
        rows = obs.unsqueeze(1).expand(members, self.components, batch, features).reshape(-1, batch, features)
        return self.mean(rows).view(members, self.components, batch, self.actions).transpose(1, 2)

    def distribution(self, obs: Tensor, kind: Any) -> Any:
        mean = self.means(obs)
        return kind(mean, self.log_std.expand_as(mean))

    def draws(self, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        return {"component": rng.integers(self.components, size=size)} | super().draws(rng, size)

    def noise(self, draws: dict[str, Tensor]) -> Any:
        return draws["component"], draws["noise"]

    def actor(self, draws: dict[str, np.ndarray]) -> Callable[[int, np.ndarray], np.ndarray]:
        """A function (step, obs [members, observations]) -> action [members, actions], with row `step` of `draws`."""
        mean, std, chosen = acting.network(self.mean), np.exp(acting.array(self.log_std))[:, 0], draws["component"]
        members = np.arange(len(std))
        noise = draws["noise"] * std[members[:, None], chosen]
        copies = 1 if self.shared else self.components

        def act(step, obs):
            means = mean(np.repeat(obs, copies, 0)[:, None]).reshape(len(members), self.components, self.actions)
            return means[members, chosen[:, step]] + noise[:, step]

        return act


class GeometricMixture(GaussianMixture):
    """What the code of Tang & Agrawal 2018 takes for the log-density of a mixture: the mean of the components'
    log-densities, that of a product of Gaussians. It does not integrate to 1, and is not the density of what is sampled:
    that is the mixture."""

    def log_prob(self, x: Tensor) -> Tensor:
        return self.components.log_prob(x.unsqueeze(-2)).mean(-1)
