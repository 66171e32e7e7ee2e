"""PPO against its equations."""

import numpy as np
import torch

from common.rl import ppo
from common.rl.config import PPO
from common.rl.learner import Rollout
from common.rl.randomness import draws

OBSERVATIONS, ACTIONS, STEPS = 4, 2, 64
SMALL = {"hidden": "2x32", "value_hidden": "2x32", "batch_steps": STEPS, "minibatch": 16, "epochs": 2}


def learner(seeds=(4, 5), **settings):
    return ppo.Learner(PPO(**SMALL | settings), list(seeds), OBSERVATIONS, ACTIONS)


def minibatch(members=2, size=9):
    rows = [torch.randn(members, size, n) for n in (OBSERVATIONS, ACTIONS)]
    return rows + [torch.randn(members, size) for _ in range(4)]


def test_the_loss_is_the_papers():
    fleet = learner(value_weight=0.7, ratio_clip=0.1)
    obs, action, old_log_prob, advantage, target, old_value = minibatch()
    old_log_prob = old_log_prob - 3
    ours = fleet.loss(obs, action, old_log_prob, advantage, target, old_value)
    for m in range(2):
        total_gain, total_error = [], []
        standard = (advantage[m] - advantage[m].mean()) / (advantage[m].std() + 1e-8)
        log_prob, value = fleet.policy(obs).log_prob(action)[m], fleet.value(obs)[m, :, 0]
        for i in range(9):
            ratio = torch.exp(log_prob[i] - old_log_prob[m, i])
            total_gain.append(min(ratio * standard[i], ratio.clamp(0.9, 1.1) * standard[i]))
            near = old_value[m, i] + (value[i] - old_value[m, i]).clamp(-0.1, 0.1)
            total_error.append(max((value[i] - target[m, i]) ** 2, (near - target[m, i]) ** 2))
        expected = -sum(total_gain) / 9 + 0.7 * 0.5 * sum(total_error) / 9
        torch.testing.assert_close(ours[m], expected, rtol=1e-4, atol=1e-5)


def test_a_members_gradient_is_clipped_by_its_own_norm():
    fleet, parts = learner(gradient_norm=0.5), minibatch()
    parts[4][0] *= 1e4  # one member's targets are far away
    parameters = fleet.optimiser.param_groups[0]["params"]
    raw = torch.autograd.grad(fleet.loss(*parts).sum(), parameters)
    fleet.descend(fleet.loss(*parts))
    for m in range(2):
        norm = torch.cat([g[m].flatten() for g in raw]).norm()
        found = torch.cat([p.grad[m].flatten() for p in parameters]).norm()
        torch.testing.assert_close(found, norm.clamp(max=0.5), rtol=1e-3, atol=1e-4)


def test_rewards_are_scaled_by_the_deviation_of_discounted_sums():
    fleet = learner(discount=0.5)
    reward = np.array([[1.0, 2.0, 4.0, 8.0], [1.0, 1.0, 1.0, 1.0]], np.float32)
    ended = np.array([[False, True, False, False], [False, False, False, False]])
    empty = np.zeros((2, 4, OBSERVATIONS), np.float32)
    rollout = Rollout(empty, empty[..., :ACTIONS], reward, empty, ended, ended & False, ended * 0, np.zeros(2))
    scaled = fleet.scaled(rollout).reward
    sums = np.array([[1.0, 2.5, 4.0, 10.0], [1.0, 1.5, 1.75, 1.875]])
    count = 4.01
    deviation = np.sqrt((np.square(sums).sum(1) + 0.01) / count - np.square(sums.sum(1) / count))
    np.testing.assert_allclose(scaled, reward / deviation[:, None], rtol=1e-5)
    np.testing.assert_allclose(fleet.sums, sums[:, -1])


def test_updates_improve_the_surrogate_and_stay_near():
    fleet = learner((4, 5), epochs=10)
    rng = np.random.default_rng(0)
    obs = rng.standard_normal((2, STEPS, OBSERVATIONS)).astype(np.float32)
    ended = np.zeros((2, STEPS), bool)
    ended[:, 7::8] = True
    means = []
    for iteration in range(15):
        actor = fleet.actor(draws([4, 5], "act", iteration, fleet.acting_draws))
        action = np.stack([actor(t, obs[:, t]) for t in range(STEPS)], 1)
        reward = -np.square(action - 1).sum(-1)
        rollout = Rollout(obs, action, reward, obs, ended, ended & False, ended * 0, np.zeros(2))
        found = fleet.update(rollout, draws([4, 5], "update", iteration, fleet.update_draws))
        means.append(reward.mean(1))
        assert np.abs(found["kl"]).max() < 0.2
    assert (means[-1] > means[0] + 0.1).all()


def test_parameters_lie_in_memory_as_their_gradients_do():
    """A fused Adam pairs them by their place in memory; an orthogonal matrix may come transposed."""
    fleet = learner()
    assert all(p.is_contiguous() for p in fleet.optimiser.param_groups[0]["params"])


def test_mean_and_value_start_orthogonal_as_in_baselines():
    fleet = learner()
    for network, last in ((fleet.policy.mean, 0.01), (fleet.value, 1.0)):
        weights = [layer.weight.detach() for layer in network if hasattr(layer, "weight")]
        for weight, gain in zip(weights, [2**0.5] * (len(weights) - 1) + [last], strict=True):
            short = weight if weight.shape[1] <= weight.shape[2] else weight.mT
            wanted = (gain**2 * torch.eye(short.shape[1])).expand(len(short), -1, -1)
            torch.testing.assert_close(short @ short.mT, wanted, rtol=0, atol=1e-5)
    assert fleet.normaliser.floor == 1e-4
