"""ACKTR for fleets (Wu et al. 2017): the natural gradient by Kronecker factors, of any policy made of `Linear` layers.

One update on a batch of steps:

    policy:  one step of Kfac down -mean A ln pi(a|s), factors from the scores of the actions that were taken
    V:       `value_updates` steps of Kfac on the whole batch, min mean (V - G)^2 + decay |w|^2, G discounted returns; its
             factors come from noise about V, as of a Gaussian with mean V
    rate:    times 1.5 where the step's KL was below half of `kl_radius`, divided by 1.5 where above twice, in [1e-8, 1]

Details that matter, read off the code of Tang & Agrawal 2018: what is observed is the present observation and the one
before; actions in [-1, 1] are scaled to the simulator's bounds and clipped; V also sees the time within the episode. V's
weights decay. The Gaussian's do not: baselines collect a decay for them and leave it out of the loss, but add its weight to
the damping of their factors, and so does this; other policies have neither.

In that code V also sees the policy's output (`value_sees = "policy"`): mean and deviation of a Gaussian, which are
functions of the state, but of the other classes the log-density of the action taken. A baseline may depend on the state
alone. One with slope c in the log-density adds an entropy bonus of weight c, for E[-c ln pi grad ln pi] = c grad H(pi): a
bonus where unusual actions return less, a penalty where they return more. By default V sees no action.

Departures: factors and eigenvectors are computed in turn, where the released optimiser does so in the background and is not
deterministic; blocks of layer normalisations, which it passes over, are diagonal; one batch is exactly `batch_steps` steps,
where released code gathers whole episodes and, with the flow, throws the excess away; the normaliser takes in a batch at a
time, so that the first is not normalised and old log-densities are taken under the new one, where the released filter takes
in every observation as it comes; V's state is bootstrapped at a batch's
end; the observation before the first is zero before normalising, where the released filter puts zeros after it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..flows.distributions import DiagonalGaussian, kl_divergence
from ..flows.networks import Linear, normc, widths
from .actorcritic import ActorCritic
from .config import ACKTR
from .kfac import Kfac
from .learner import Arrays, Rollout
from .policies import FactorisedGaussian
from .returns import advantages, borders, discounted, explained_variance, standardised


class Learner(ActorCritic):
    """A fleet of ACKTR learners, with a factorised Gaussian unless `build_policy` says otherwise. `kl_radius` may differ
    between members."""

    stored = ("policy", "value", "normaliser", "policy_kfac", "value_kfac", "rate")
    least_std = 1e-8  # the filter of baselines' ACKTR has no other floor

    def __init__(self, config: ACKTR, seeds: Sequence[int], observations: int, actions: int, device: str = "cpu"):
        super().__init__(config, seeds, observations, actions, device)
        self.radius = self.tensor(config.kl_radius)
        self.rate = torch.full((len(seeds),), config.first_rate, device=device)

    def build_policy(self, rngs: list[np.random.Generator]) -> nn.Module:
        hidden = widths(self.config.hidden)
        return FactorisedGaussian(rngs, self.observations, self.actions, hidden, last_init=normc(0.1))

    @property
    def gaussian(self) -> bool:
        """Whether the policy is the factorised Gaussian."""
        return isinstance(self.policy, FactorisedGaussian)

    def build_value(self, rngs: list[np.random.Generator]) -> nn.Module:
        """V of (observation, features of the policy if it sees them, time / 10, 1), with ELU between the layers."""
        features = 0 if self.config.value_sees == "state" else 2 * self.actions if self.gaussian else 1
        sizes = [self.observations + features + 2, *widths(self.config.value_hidden), 1]
        layers: list[nn.Module] = []
        for fan_in, fan_out in zip(sizes, sizes[1:], strict=False):
            layers += [Linear(rngs, fan_in, fan_out, normc(1.0)), nn.ELU()]
        return nn.Sequential(*layers[:-1])

    def build_optimisers(self) -> None:
        c, members = self.config, self.members
        damping = c.damping + (c.weight_decay if self.gaussian else 0.0)
        self.policy_kfac = Kfac(self.policy, members, 0.9, 0.99, damping, c.clip_kl, interval=2, cold=1)
        self.value_kfac = Kfac(self.value, members, 0.9, 0.95, 0.1, 0.3, interval=2, cold=50)

    def update_draws(self, rng: np.random.Generator) -> Arrays:
        c = self.config
        return {"value_noise": rng.standard_normal((c.value_updates, c.batch_steps), dtype=np.float32)}

    def update(self, rollout: Rollout, draws: Arrays) -> Arrays:
        c = self.config
        raw, action = self.tensor(rollout.obs), self.tensor(rollout.action)
        with torch.no_grad():
            seen = self.value_inputs(self.normaliser(raw), action, rollout.age)
            value = self.value(seen).squeeze(-1).cpu().numpy()
        target, advantage = self.estimates(rollout, value)
        metrics = {"explained_variance": explained_variance(value, target)}
        self.normaliser.update(raw)
        obs = self.normaliser(raw)
        with torch.no_grad():
            seen = self.value_inputs(obs, action, rollout.age)
        step = self.improve(obs, action, self.tensor(advantage))
        self.fit(seen, self.tensor(target), self.tensor(draws["value_noise"]))
        metrics["counted_share"] = rollout.completed / c.batch_steps
        return metrics | {name: x.cpu().numpy() for name, x in step.items()}

    def value_inputs(self, obs: Tensor, action: Tensor, age: np.ndarray) -> Tensor:
        """What V sees, [members, steps, features]."""
        time = self.tensor(age.astype(np.float32)).unsqueeze(-1) / 10
        return torch.cat([obs, *self.policy_features(obs, action), time, torch.ones_like(time)], -1)

    def policy_features(self, obs: Tensor, action: Tensor) -> list[Tensor]:
        """What V sees of the policy: a list of none or one tensor [members, steps, features]."""
        if self.config.value_sees == "state":
            return []
        distribution = self.policy(obs)
        if self.gaussian:
            return [torch.cat([distribution.mean, distribution.log_std.exp()], -1)]
        return [distribution.log_prob(action).unsqueeze(-1)]

    def estimates(self, rollout: Rollout, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(discounted returns, standardised advantages), [members, steps]. The value of a step's successor is the next
        step's; after the batch's last step it is that step's own, the nearest that is known."""
        c = self.config
        following = np.concatenate([value[:, 1:], value[:, -1:]], 1)
        bootstrap, goes_on = borders(rollout.terminated, rollout.truncated, bootstrap_timeouts=False)
        advantage = advantages(rollout.reward, value, following, bootstrap, goes_on, c.discount, c.trace)
        target = discounted(rollout.reward, following, bootstrap, goes_on, c.discount)
        return target, standardised(advantage)

    def improve(self, obs: Tensor, action: Tensor, advantage: Tensor) -> dict[str, Tensor]:
        """One natural gradient step of every member, and its new rate. Returns {metric: [members]}."""
        with self.policy_kfac.watch():
            old = self.policy(obs)
            log_prob = old.log_prob(action)
        gaussian = isinstance(old, DiagonalGaussian)
        self.policy_kfac.learn(log_prob, getattr(old, "log_std", None))
        parameters = self.policy_kfac.parameters()
        loss = -(advantage * log_prob).mean(-1).sum()
        old_log_prob = log_prob.detach()
        before = DiagonalGaussian(old.mean.detach().clone(), old.log_std.detach().clone()) if gaussian else None
        self.policy_kfac.step(torch.autograd.grad(loss, parameters), self.rate)
        with torch.no_grad():
            new = self.policy(obs)
            kl = kl_divergence(before, new) if before is not None else old_log_prob - new.log_prob(action)
        kl = kl.mean(-1)
        used, wide, narrow = self.rate, kl > 2 * self.radius, kl < self.radius / 2
        self.rate = torch.where(wide, used / 1.5, torch.where(narrow, used * 1.5, used)).clamp(1e-8, 1.0)
        return {"kl": kl, "rate": used, "entropy": -old_log_prob.mean(-1)}

    def fit(self, seen: Tensor, target: Tensor, noise: Tensor) -> None:
        """`value_updates` steps on the whole batch. noise: [members, updates, steps]."""
        parameters = self.value_kfac.parameters()
        for i in range(noise.shape[1]):
            with self.value_kfac.watch():
                value = self.value(seen).squeeze(-1)
            self.value_kfac.learn(2 * noise[:, i] * value)
            loss = (value - target).square().mean(-1).sum() + self.config.weight_decay / 2 * self.size(self.value)
            self.value_kfac.step(torch.autograd.grad(loss, parameters), self.config.value_learning_rate)

    @staticmethod
    def size(module: nn.Module) -> Any:
        """Sum of squares of all weights, biases left out."""
        return sum(layer.weight.square().sum() for layer in module.modules() if isinstance(layer, Linear))
