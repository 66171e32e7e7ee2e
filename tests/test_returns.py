"""Returns and advantages against a plain loop; the observation normaliser against all observations at once."""

import numpy as np
import pytest
import torch

from common.rl.normaliser import Normaliser
from common.rl.returns import advantages, borders, discounted, explained_variance, standardised

MEMBERS, STEPS = 3, 60


def segment(seed=0):
    """A segment with terminations, time limits, and an episode that goes on behind its end."""
    rng = np.random.default_rng(seed)
    reward, value, next_value = rng.standard_normal((3, MEMBERS, STEPS))
    terminated, truncated = rng.random((2, MEMBERS, STEPS)) < 0.1
    truncated &= ~terminated
    return reward, value, next_value, terminated, truncated


def plain_advantages(reward, value, next_value, terminated, truncated, discount, trace, bootstrap_timeouts):
    """One member, step by step, from the definition: a sum over the rest of the episode."""
    result = []
    for t in range(len(reward)):
        total, weight = 0.0, 1.0
        for k in range(t, len(reward)):
            worth = 0.0 if terminated[k] or (truncated[k] and not bootstrap_timeouts) else next_value[k]
            total += weight * (reward[k] + discount * worth - value[k])
            weight *= discount * trace
            if terminated[k] or truncated[k]:
                break
        result.append(total)
    return result


def plain_discounted(reward, next_value, terminated, truncated, discount, bootstrap_timeouts):
    result = []
    for t in range(len(reward)):
        total, weight = 0.0, 1.0
        for k in range(t, len(reward)):
            total += weight * reward[k]
            weight *= discount
            if terminated[k] or truncated[k] or k == len(reward) - 1:
                if not terminated[k] and (not truncated[k] or bootstrap_timeouts):
                    total += weight * next_value[k]
                break
        result.append(total)
    return result


@pytest.mark.parametrize("bootstrap_timeouts", [False, True])
def test_advantages_and_returns_are_the_plain_loops(bootstrap_timeouts):
    reward, value, next_value, terminated, truncated = segment()
    masks = borders(terminated, truncated, bootstrap_timeouts)
    ours = advantages(reward, value, next_value, *masks, 0.9, 0.8)
    sums = discounted(reward, next_value, *masks, 0.9)
    for m in range(MEMBERS):
        one = (terminated[m], truncated[m])
        expected = plain_advantages(reward[m], value[m], next_value[m], *one, 0.9, 0.8, bootstrap_timeouts)
        np.testing.assert_allclose(ours[m], expected, rtol=0, atol=1e-12)
        expected = plain_discounted(reward[m], next_value[m], *one, 0.9, bootstrap_timeouts)
        np.testing.assert_allclose(sums[m], expected, rtol=0, atol=1e-12)


def test_advantages_are_standardised_member_by_member():
    advantage = np.stack([np.arange(6.0), np.full(6, 3.0), 1e6 + 50 * np.arange(6.0)])
    ours = standardised(advantage)
    np.testing.assert_allclose(ours[[0, 2]].mean(1), 0, atol=1e-9)
    np.testing.assert_allclose(ours[[0, 2]].std(1), 1)
    assert not ours[1].any(), "equal advantages give no direction, not NaN"


def test_at_trace_one_advantages_are_returns_less_values():
    reward, value, next_value, *ends = segment()
    masks = borders(*ends, True)
    value[:, 1:] = np.where(masks[1][:, :-1] > 0, next_value[:, :-1], value[:, 1:])  # one value function: V(s'_t) = V(s_t+1)
    expected = discounted(reward, next_value, *masks, 0.9) - value
    np.testing.assert_allclose(advantages(reward, value, next_value, *masks, 0.9, 1.0), expected, atol=1e-12)


def test_a_time_limit_is_what_the_setting_says():
    reward, value, next_value = np.zeros((1, 3)), np.zeros((1, 3)), np.ones((1, 3))
    none, limit = np.zeros((1, 3), bool), np.array([[False, True, False]])
    as_end = advantages(reward, value, next_value, *borders(none, limit, False), 0.5, 1.0)
    bootstrapped = advantages(reward, value, next_value, *borders(none, limit, True), 0.5, 1.0)
    assert as_end.tolist() == [[0.5, 0.0, 0.5]] and bootstrapped.tolist() == [[0.75, 0.5, 0.5]]


def test_explained_variance():
    target = np.arange(8.0)[None]
    assert explained_variance(target, target)[0] == 1 and explained_variance(0 * target, target)[0] == 0
    assert np.isnan(explained_variance(target, 0 * target))[0]


def test_the_normaliser_knows_the_moments_of_all_it_saw():
    rng = np.random.default_rng(0)
    batches = [torch.from_numpy(rng.normal(5, 3, (MEMBERS, n, 4))) for n in (1, 7, 200)]
    ours = Normaliser(MEMBERS, 4, prior=1e-9)
    for batch in batches:
        ours.update(batch)
    everything = torch.cat(batches, 1)
    torch.testing.assert_close(ours.mean, everything.mean(1, keepdim=True), rtol=1e-6, atol=0)
    torch.testing.assert_close(ours.std(), everything.std(1, correction=0, keepdim=True), rtol=1e-6, atol=0)


def test_the_normaliser_is_the_released_running_sum():
    """sum / count and sqrt(max(sum of squares / count - mean^2, 0.01)), from a sum of 0, squares of 0.01 and count of
    0.01."""
    x = torch.from_numpy(np.random.default_rng(1).normal(0.3, 0.05, (1, 30, 2)))
    ours = Normaliser(1, 2)
    assert ours.std().tolist() == [[[1.0, 1.0]]] and not ours.mean.any()
    ours.update(x)
    mean = x.sum(1) / 30.01
    std = ((x.square().sum(1) + 0.01) / 30.01 - mean**2).clamp(min=0.01).sqrt()
    torch.testing.assert_close(ours.mean[:, 0], mean)
    torch.testing.assert_close(ours.std()[:, 0], std)
    assert (ours.std() == 0.1).all(), "the floor"


def test_the_normaliser_clips_and_acts_on_the_host_alike():
    ours = Normaliser(MEMBERS, 4)
    ours.update(torch.randn(MEMBERS, 100, 4) * 2 + 1)
    x = torch.randn(MEMBERS, 1, 4) * 50
    y = ours(x)
    assert y.abs().max() == 5
    np.testing.assert_allclose(ours.on_host()(x[:, 0].numpy()), y[:, 0].numpy(), rtol=1e-6, atol=1e-6)


def test_a_member_is_normalised_as_it_would_be_alone():
    x = torch.randn(MEMBERS, 50, 4)
    fleet, alone = Normaliser(MEMBERS, 4), Normaliser(1, 4)
    fleet.update(x)
    alone.update(x[1:2])
    torch.testing.assert_close(fleet(x)[1:2], alone(x[1:2]))
