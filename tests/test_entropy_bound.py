"""Entropy regularisation and the maximum-entropy objective, against simulations and derivatives."""

import numpy as np
import pytest

from papers.nf_review import entropy_bound as eb
from papers.nf_review.config import EntropyBound
from tests.samples import generator


def drawn(seed, states=5, actions=3):
    rng = generator(seed)
    process = rng.dirichlet(np.full(states, 0.5), (states, actions)), rng.random((states, actions))
    return *process, eb.softmax(rng.standard_normal((states, actions)))


def test_the_objective_is_the_discounted_sum_of_rewards_and_entropies():
    transition, reward, policy = drawn(0)
    gamma, beta, state, total = 0.8, 0.3, np.full(5, 0.2), 0.0
    for t in range(200):  # the law of the state, step by step
        total += gamma**t * state @ ((policy * reward).sum(1) - beta * (policy * np.log(policy)).sum(1))
        state = np.einsum("s,sa,sat->t", state, policy, transition)
    assert eb.objective(policy, transition, reward, gamma, beta) == pytest.approx(total, abs=1e-9)


def test_the_step_is_the_natural_gradient_of_the_regularised_objective():
    """For a short step: along F^-1 g, g by differences of L in the logits, F the Fisher matrix of a softmax."""
    transition, reward, q = drawn(1)
    gamma, beta, states, actions = 0.8, 0.3, 5, 3
    value, d = eb.evaluated(q, transition, reward, gamma)
    advantage = reward + gamma * transition @ value - value[:, None]

    def regularised(logits):
        p = eb.softmax(logits)
        return d @ ((p * advantage).sum(1) + beta * eb.entropy(p))

    start, h, gradient = np.log(q), 1e-6, np.zeros((states, actions))
    for place in np.ndindex(states, actions):
        ends = [start.copy(), start.copy()]
        ends[0][place] += h
        ends[1][place] -= h
        gradient[place] = (regularised(ends[0]) - regularised(ends[1])) / (2 * h)
    natural = np.array([np.linalg.pinv(d[s] * (np.diag(q[s]) - np.outer(q[s], q[s]))) @ gradient[s] for s in range(states)])
    p = eb.step(q, advantage - beta * np.log(q), 1e-8)
    moved = np.log(p / q)
    natural -= (q * natural).sum(1, keepdims=True)  # logits are known up to a constant per state
    moved -= (q * moved).sum(1, keepdims=True)
    assert (moved * natural).sum() / np.linalg.norm(moved) / np.linalg.norm(natural) == pytest.approx(1, abs=1e-4)
    assert (q * np.log(q / p)).sum(1).max() == pytest.approx(1e-8, rel=1e-3)


def test_the_bound_is_the_stated_one():
    """Term by term, with loops, for one draw."""
    config = EntropyBound(states=4, actions=3, kl_radius=0.2, temperature=0.7, discount=0.8)
    found = eb.compared(generator(6), config)
    rng = generator(6)
    transition, reward = rng.dirichlet(np.full(4, 0.3), (4, 3)), rng.random((4, 3))
    q = eb.softmax(rng.standard_normal((4, 3)))
    value, d = eb.evaluated(q, transition, reward, 0.8)
    advantage = reward + 0.8 * transition @ value - value[:, None]
    p = eb.step(q, advantage - 0.7 * np.log(q), 0.2)
    total, apart, gains, entropies = value.mean(), 0.0, [], []
    for s in range(4):
        gains.append(sum(p[s, a] * advantage[s, a] for a in range(3)))
        entropies.append(-sum(p[s, a] * np.log(p[s, a]) for a in range(3)))
        total += d[s] * (gains[s] + 0.7 * entropies[s]) / 0.2
        apart += d[s] * sum(max(p[s, a] - q[s, a], 0) for a in range(3))  # total variation: what is moved
    bound = total - 2 * 0.8 / 0.2**2 * apart * (max(map(abs, gains)) + 0.7 * max(entropies))
    after, before = (eb.objective(policy, transition, reward, 0.8, 0.7) for policy in (p, q))
    assert found["margin"] == pytest.approx(after - bound) and found["bound_gain"] == pytest.approx(bound - before)


@pytest.mark.parametrize("radius", [1e-4, 0.3])
def test_the_bound_holds_and_closes(radius):
    found = [eb.compared(generator(seed), EntropyBound(kl_radius=radius, temperature=0.5)) for seed in range(50)]
    assert all(values["margin"] >= 0 for values in found)
    gap = np.mean([values["margin"] for values in found])
    assert gap < 1 if radius < 1e-3 else gap > 1
    parts = [values["margin"] + values["bound_gain"] - values["gain"] for values in found]
    np.testing.assert_allclose(parts, 0, atol=1e-9)


def test_where_one_state_is_all_there_is_regularisation_is_the_objectives_own_gradient():
    """A bandit: nothing comes later, and a short step gains to first order what the two share."""
    config = EntropyBound(states=2, concentration=1e3, discount=0.0, temperature=0.5, kl_radius=1e-6)
    found = [eb.compared(generator(seed), config) for seed in range(20)]
    assert all(values["gain"] > 0 and values["margin"] == pytest.approx(0, abs=1e-12) for values in found)
