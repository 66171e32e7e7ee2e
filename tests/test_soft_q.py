"""Soft Q-learning: the sampler's direction, its distribution where Q is known, and the estimate of V."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from common.rl.learner import tensors
from common.rl.randomness import draws
from common.rl.replay import Batch
from papers.nf_review import soft_q
from papers.nf_review.config import SoftQ


class Known(nn.Module):
    """Q(s, a) = alpha (1.2 a_1 - 2 (a_d - 0.3)^2 + s), of every member."""

    def __init__(self, alpha):
        super().__init__()
        self.alpha = alpha

    def forward(self, obs, action):
        value = 1.2 * action[..., 0] - 2 * (action[..., -1] - 0.3) ** 2 + obs[..., 0]
        return self.alpha * value.unsqueeze(1)


def learner(actions, seeds=(0, 1), **settings):
    made = soft_q.Learner(SoftQ(base="2x32", critic="2x32", learning_rate=3e-3, **settings), seeds, 1, actions)
    made.critics = made.targets = Known(made.config.temperature)
    return made


def drawn(made, step):
    """The random numbers of one update."""
    return tensors(draws([0, 1], "update", step, lambda rng: {k: x[0] for k, x in made.update_draws(rng, 1).items()}), "cpu")


def by_quadrature(count=401):
    """ln of the integral of exp(Q / alpha) at s = 0, mean and variance of each action, d = 2, by a midpoint rule."""
    axis = (np.arange(count) + 0.5) / count * 2 - 1
    shares = [np.exp(1.2 * axis), np.exp(-2 * (axis - 0.3) ** 2)]
    normalisers = [share.sum() * 2 / count for share in shares]
    means = [float((axis * share).sum() / share.sum()) for share in shares]
    variances = [float(((axis - m) ** 2 * share).sum() / share.sum()) for m, share in zip(means, shares, strict=True)]
    return float(np.log(normalisers).sum()), means, variances


def test_the_direction_is_the_equation_term_by_term():
    rng = np.random.default_rng(0)
    fixed, score, moved = (rng.standard_normal((2, 3, n, 2)) for n in (5, 5, 4))
    found = soft_q.stein_direction(*(torch.tensor(x) for x in (fixed, moved, score)))
    for place in np.ndindex(2, 3):
        u, v, g = fixed[place], moved[place], score[place]
        squares = sorted(float(((a - b) ** 2).sum()) for a in u for b in v)
        h = squares[(len(squares) - 1) // 2] / (2 * math.log(5))
        for m in range(4):
            total = np.zeros(2)
            for k in range(5):
                kernel = math.exp(-((u[k] - v[m]) ** 2).sum() / h)
                total += kernel * g[k] - kernel * 2 * (u[k] - v[m]) / h  # the derivative in u_k
            np.testing.assert_allclose(found[place][m].numpy(), total / 5, rtol=1e-10, atol=1e-12)


def test_the_score_is_that_of_the_density_before_tanh():
    torch.set_default_dtype(torch.float64)
    try:
        made = learner(2, temperature=0.25)
        u = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 4, 2)))

        def density(x):
            a = torch.tanh(x)
            return Known(1.0)(torch.zeros(1, 1, 1), a[None, None])[0, 0, 0] + (1 - a**2).log().sum()

        for place in np.ndindex(2, 3, 4):
            expected = torch.autograd.functional.jacobian(density, u[place])
            torch.testing.assert_close(made.score(torch.zeros(2, 3, 1), u)[place], expected, rtol=1e-8, atol=1e-10)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("temperature", [0.2, 2.0])
def test_the_value_is_that_of_quadrature(temperature):
    made = learner(2, temperature=temperature)
    uniform = torch.tensor(np.random.default_rng(0).uniform(-1, 1, (2, 20_000, 2)), dtype=torch.float32)
    obs = torch.tensor([[[0.0], [1.5]]] * 2)
    found = made.soft_value(obs, uniform) / temperature
    expected = torch.tensor([[0.0, 1.5]] * 2) + by_quadrature()[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=0.03)


def test_the_sampler_reaches_the_distribution():
    made = learner(2, temperature=0.5, batch_size=4, particles=32)
    obs = torch.zeros(2, 4, 1)
    optimiser = made.policy_optimiser
    for step in range(600):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * (1 - step / 600)
        given = drawn(made, step)
        soft_q.descend(optimiser, made.sampler_loss(obs, given["fixed"], given["moved"]))
    noise = torch.tensor(np.random.default_rng(5).standard_normal((2, 4000, 2)), dtype=torch.float32)
    action = made.act(torch.zeros(2, 4000, 1), {"noise": noise}).double()
    _, means, variances = by_quadrature()
    torch.testing.assert_close(action.mean(1), torch.tensor([means] * 2).double(), rtol=0, atol=0.08)
    # Thirty-two particles give a variance that is too small, by up to 30 %.
    torch.testing.assert_close(action.var(1), torch.tensor([variances] * 2).double(), rtol=0.35, atol=0)


def batch_of(rng, size=8):
    rows = {"obs": 3, "action": 2, "next_obs": 3}
    arrays = {name: torch.tensor(rng.uniform(-1, 1, (2, size, width)), dtype=torch.float32) for name, width in rows.items()}
    ends = torch.tensor(rng.random((2, size)) < 0.3, dtype=torch.float32)
    return Batch(**arrays, reward=torch.tensor(rng.standard_normal((2, size)), dtype=torch.float32), terminated=ends)


def test_the_critic_regresses_on_what_follows_in_the_next_state():
    """One step of torch's Adam on mean (Q(s, a) - r - gamma (1 - d) V'(s'))^2, V' by its sum over actions, written out."""
    config = SoftQ(base="1x16", critic="1x16", batch_size=8, particles=4, value_particles=5, temperature=0.3, discount=0.9)
    made = soft_q.Learner(config, [0, 1], 3, 2)
    rng = np.random.default_rng(0)
    for p in made.targets.parameters():
        p.data += 0.3 * torch.tensor(rng.standard_normal(p.shape), dtype=torch.float32)
    batch, given, critic = batch_of(rng), drawn(made, 0), deepcopy(made.critics)
    future = torch.zeros(2, 8)
    for b in range(8):
        each = torch.stack(
            [made.targets(batch.next_obs[:, b : b + 1], given["uniform"][:, j : j + 1])[:, 0, 0] for j in range(5)]
        )
        future[:, b] = 0.3 * ((each / 0.3).exp().mean(0) / 0.25).log().detach()
    y = batch.reward + 0.9 * (1 - batch.terminated) * future
    optimiser = torch.optim.Adam(critic.parameters(), lr=config.learning_rate)
    (critic(batch.obs, batch.action)[:, 0] - y).square().mean(-1).sum().backward()
    optimiser.step()
    made.update(batch, given)
    for ours, theirs in zip(made.critics.parameters(), critic.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_targets_follow_at_intervals_and_a_nan_stays_with_its_member():
    config = SoftQ(base="2x32", critic="2x32", batch_size=8, particles=4, value_particles=4, target_every=2)
    made = soft_q.Learner(config, [0, 1], 3, 2)
    batch = batch_of(np.random.default_rng(0))
    batch.obs[0, 0] = float("nan")
    for number in range(2):
        before = made.targets.network[0].weight.clone()
        made.update(batch, drawn(made, number))
        same = torch.equal(made.targets.network[0].weight[1], before[1])
        assert same == (number == 0)
    assert torch.equal(made.targets.network[0].weight[1], made.critics.network[0].weight[1])
    assert all(p[1].isfinite().all() for p in [*made.policy.parameters(), *made.critics.parameters()])
    assert not made.policy.network[0].weight[0].isfinite().all()
