"""Trust region policy optimisation for fleets (Schulman et al. 2015; eqs 3-4 of Tang & Agrawal 2018).

One update on a batch of steps (s, a) that the policy of parameters theta_old took, with advantages A:

    L(theta)  = mean [pi_theta(a|s) / pi_old(a|s) A]                          surrogate
    KL(theta) = mean KL[pi_old(.|s) || pi_theta(.|s)] <= radius               trust region

To second order KL = 1/2 (theta - theta_old)' F (theta - theta_old), F the Fisher matrix, and the best step is

    d = (F + damping I)^-1 grad L           by conjugate gradient
    step = sqrt(radius / (1/2 d' (F + damping I) d)) d

halved until L does not fall and KL <= `kl_tolerance` radius; else theta stays. (The papers leave out the 1/2.)

F is estimated in one of four ways, on every `fisher_stride`-th state:

    analytic   Hessian of the closed-form KL of two Gaussians: the Fisher matrix itself in every state
    hessian    Hessian of the KL sampled at the actions that were taken, mean -d2 ln pi(a|s): the observed information, equal
               to F in expectation alone; it can have negative curvature
    fresh      the same over `fisher_actions` fresh actions per state
    scores     mean g g' of the scores g = d ln pi(a|s) of as many fresh actions: never negative

KL itself is in closed form where both policies are Gaussian and `fisher` is "auto" or "analytic"; else it is sampled, the
mean of ln pi_old(a|s) - ln pi_theta(a|s), and can be negative.

Conjugate gradient is a method for positive definite matrices. On a sampled Hessian it meets negative curvature on its way in
far more batches than in those where the d that it ends with has some ("negative_curvature"), and does not converge; a step
along such a d is no natural gradient. "negative_inside" (setting record_curvature) tells how often; `truncate` stops before
the first such direction.

Details that matter: V and advantages before the update come from the old normaliser, everything after from the new one, for
old and new policy alike; advantages have mean 0 and variance 1 in every batch; where d' (F + damping I) d < 0 no step is
taken, and with `skip_negative_curvature` V is not fitted either, as in released code, which also leaves such batches out of
its count of steps. Here every step counts; "counted_share" is the share that the released counter, which sums the lengths of
completed episodes, would count.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..flows.distributions import DiagonalGaussian, kl_divergence
from .actorcritic import ActorCritic
from .config import TRPO
from .learner import Arrays, Draws, Rollout
from .naturalgradient import Product, assign, conjugate_gradient, flatten, gradient, hessian_product, score_product


class Learner(ActorCritic):
    """A fleet of TRPO learners. `kl_radius` may differ between members."""

    def __init__(self, config: TRPO, seeds: Sequence[int], observations: int, actions: int, device: str = "cpu"):
        super().__init__(config, seeds, observations, actions, device)
        self.parameters = list(self.policy.parameters())
        self.radius = self.tensor(config.kl_radius)

    def update_draws(self, rng: np.random.Generator) -> Arrays:
        """Those of V's fit, and of the fresh actions that may estimate the Fisher matrix."""
        c = self.config
        fresh = -(-c.batch_steps // c.fisher_stride) * c.fisher_actions
        return super().update_draws(rng) | {f"fisher_{k}": x for k, x in self.policy.draws(rng, fresh).items()}

    def update(self, rollout: Rollout, draws: Arrays) -> Arrays:
        obs, advantage, target, metrics = self.prepare(rollout)
        action = self.tensor(rollout.action)
        numbers = {name: self.tensor(x) for name, x in draws.items()}
        step = self.improve(obs, action, advantage, numbers)
        self.fit_all_but(step["negative_curvature"] > 0, obs, target, numbers["order"])
        released = 1 - step["negative_curvature"].cpu().numpy() * self.config.skip_negative_curvature
        metrics["counted_share"] = rollout.completed / self.config.batch_steps * released
        return metrics | {name: x.cpu().numpy() for name, x in step.items()}

    def improve(self, obs: Tensor, action: Tensor, advantage: Tensor, draws: Draws) -> dict[str, Tensor]:
        """One trust-region step of every member. obs, action: [members, steps, ...], advantage: [members, steps]. Returns
        {metric: [members]}."""
        c = self.config
        old, old_log_prob = self.frozen(obs, action)
        surrogate, _ = self.objectives(obs, action, advantage, old, old_log_prob)
        slope = gradient(surrogate, self.parameters, self.members)
        curved = self.fisher(obs, action, draws)

        def product(v):
            return curved(v) + c.fisher_damping * v

        direction, met = conjugate_gradient(product, slope, c.conjugate_iterations, truncate=c.truncate)
        curvature = 0.5 * (direction * product(direction)).sum(-1)
        length = torch.where(curvature > 0, (self.radius / curvature).sqrt(), 0.0)
        step = length.unsqueeze(-1) * direction
        inside = {"negative_inside": met.float()} if c.record_curvature else {}
        return (
            self.search(step, surrogate.detach(), (obs, action, advantage, old, old_log_prob))
            | inside
            | {
                "negative_curvature": (curvature < 0).float(),
                "entropy": -old_log_prob.mean(-1),
                "expected_gain": (step * slope).sum(-1),
            }
        )

    @torch.no_grad()
    def frozen(self, obs: Tensor, action: Tensor) -> tuple[DiagonalGaussian | None, Tensor]:
        """(pi_old, ln pi_old(a|s) [members, steps]): the present policy in copies that the line search does not move. pi_old
        is None where its closed form is not needed."""
        old = self.policy(obs)
        copied = DiagonalGaussian(old.mean.clone(), old.log_std.clone()) if self.analytic(old) else None
        return copied, old.log_prob(action)

    def objectives(
        self, obs: Tensor, action: Tensor, advantage: Tensor, old: DiagonalGaussian | None, old_log_prob: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(L, KL) of every member at the present parameters, each [members]."""
        new = self.policy(obs)
        log_prob = new.log_prob(action)
        surrogate = ((log_prob - old_log_prob).exp() * advantage).mean(-1)
        if old is not None:
            return surrogate, kl_divergence(old, new).mean(-1)
        return surrogate, (old_log_prob - log_prob).mean(-1)

    def analytic(self, distribution: Any) -> bool:
        """True if KL and Fisher matrix are taken in closed form."""
        return isinstance(distribution, DiagonalGaussian) and self.config.fisher in ("auto", "analytic")

    def fisher(self, obs: Tensor, action: Tensor, draws: Draws) -> Product:
        """v -> F v at the present parameters, v: [members, parameters]."""
        c = self.config
        obs, action = obs[:, :: c.fisher_stride], action[:, :: c.fisher_stride]
        if c.fisher in ("fresh", "scores"):
            obs = obs.repeat_interleave(c.fisher_actions, 1)
            fresh = {name.removeprefix("fisher_"): x for name, x in draws.items() if name.startswith("fisher_")}
            action = self.policy(obs).sample(self.policy.noise(fresh))
        new = self.policy(obs)
        if self.analytic(new):
            still = DiagonalGaussian(new.mean.detach(), new.log_std.detach())
            return hessian_product(kl_divergence(still, new).mean(-1), self.parameters, self.members)
        if c.fisher == "scores":
            return score_product(new.log_prob(action), self.parameters, self.members)
        return hessian_product(-new.log_prob(action).mean(-1), self.parameters, self.members)

    @torch.no_grad()
    def search(self, step: Tensor, before: Tensor, batch: tuple) -> dict[str, Tensor]:
        """Backtracking line search from theta_old along `step` [members, parameters], for every member on its own: the
        largest of 1, 1/2, 1/4 … at which L >= `before` [members] and KL <= kl_tolerance radius. `batch`: the arguments of
        `objectives`. Returns {metric: [members]}."""
        c = self.config
        start = flatten(self.parameters, self.members)
        best, done = start, (step == 0).all(-1)  # a step of zero is none
        accepted, kl, gain = (torch.zeros_like(before) for _ in range(3))
        fraction = 1.0
        for _ in range(c.backtracks):
            if done.all():
                break
            candidate = start + fraction * step
            assign(self.parameters, candidate)
            surrogate, divergence = self.objectives(*batch)
            good = torch.isfinite(surrogate) & (divergence <= c.kl_tolerance * self.radius) & (surrogate >= before) & ~done
            best = torch.where(good.unsqueeze(-1), candidate, best)
            accepted = torch.where(good, fraction, accepted)
            kl, gain = torch.where(good, divergence, kl), torch.where(good, surrogate - before, gain)
            done = done | good
            fraction /= 2
        assign(self.parameters, best)
        return {"step_fraction": accepted, "kl": kl, "gain": gain}

    def fit_all_but(self, skipped: Tensor, obs: Tensor, target: Tensor, order: Tensor) -> None:
        """Fit V; members whose batch is `skipped` [members] keep their weights and Adam's moments. Adam's count of steps,
        which matters in the first few hundred alone, is the fleet's."""
        if not (self.config.skip_negative_curvature and skipped.any()):
            return self.fit_value(obs, target, order)
        kept = [x.detach().clone() for x in self.fitted()]
        self.fit_value(obs, target, order)
        with torch.no_grad():
            for i, x in enumerate(self.fitted()):
                x[skipped] = kept[i][skipped] if i < len(kept) else 0.0  # moments that did not exist before were zero

    def fitted(self) -> list[Tensor]:
        """What a fit of V changes: its weights, then Adam's moments, if any exist yet."""
        moments = [x for s in self.value_optimiser.state.values() for x in (s["exp_avg"], s["exp_avg_sq"])]
        return [*self.value.parameters(), *moments]
