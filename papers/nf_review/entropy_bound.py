"""Entropy regularisation and the maximum-entropy objective, exactly, in small random Markov decision processes
(Section 3.1.1: one "maximizes a lower bound" of the other "when consecutive policy iterates are close").

With d_p(s) = (1 - gamma) sum_t gamma^t P(s_t = s) and the entropy H(p(.|s)) in nats,

    maximum-entropy objective   J_H(p) = 1/(1 - gamma) sum_s d_p(s) [sum_a p(a|s) r(s, a) + beta H(p(.|s))]
    entropy regularisation      L(p) = J(q) + 1/(1 - gamma) sum_s d_q(s) [sum_a p(a|s) A_q(s, a) + beta H(p(.|s))]

about a policy q, whose advantages A_q know nothing of later entropies. As d_p and d_q differ by 2 gamma / (1 - gamma) times
the mean total variation of p and q at most (Achiam et al. 2017, Corollary 1),

    J_H(p) >= L(p) - 2 gamma / (1 - gamma)^2  E_{d_q} TV(p, q)  [max_s |sum_a p(a|s) A_q(s, a)| + beta max_s H(p(.|s))],

a bound that closes as p comes near to q. p is q after one natural gradient step up L, of a length such that the largest
KL(q || p) over states is `kl_radius`. Whether that step also raises J_H is another question: at q the two have different
gradients, for L counts the entropy of later states as d_q visits them.
"""

import numpy as np

from common.rl.learner import IterativeLearner
from common.rl.randomness import generator


class Learner(IterativeLearner):
    """One decision process and one policy q per seed; nothing is trained."""

    def __init__(self, config, seeds, device="cpu"):
        self.config, self.seeds = config, list(seeds)

    def results(self):
        """ "margin": J_H(p) less the bound; "gain": J_H(p) - J_H(q); "bound_gain": the bound less J_H(q)."""
        found = [compared(generator(seed, "init"), self.config) for seed in self.seeds]
        return {name: [values[name] for values in found] for name in found[0]}


def compared(rng, config):
    """The three numbers for one draw of a process and q."""
    states, actions, gamma, beta = config.states, config.actions, config.discount, config.temperature
    process = rng.dirichlet(np.full(states, config.concentration), (states, actions)), rng.random((states, actions))
    q = softmax(config.logits * rng.standard_normal((states, actions)))
    value, d = evaluated(q, *process, gamma)
    advantage = process[1] + gamma * process[0] @ value - value[:, None]
    p = step(q, advantage - beta * np.log(q), config.kl_radius)
    surrogate = value.mean() + d @ ((p * advantage).sum(1) + beta * entropy(p)) / (1 - gamma)
    apart = d @ np.abs(p - q).sum(1) / 2
    largest = np.abs((p * advantage).sum(1)).max() + beta * entropy(p).max()
    bound = surrogate - 2 * gamma / (1 - gamma) ** 2 * apart * largest
    old, new = (objective(policy, *process, gamma, beta) for policy in (q, p))
    return {"margin": new - bound, "gain": new - old, "bound_gain": bound - old}


def evaluated(policy, transition, reward, gamma):
    """(V [states], without entropies; d [states]) of a policy [states, actions]; episodes begin in each state alike."""
    moves, states = np.einsum("sa,sat->st", policy, transition), len(policy)
    resolvent = np.linalg.inv(np.eye(states) - gamma * moves)
    return resolvent @ (policy * reward).sum(1), (1 - gamma) * resolvent.mean(0)


def objective(policy, transition, reward, gamma, beta):
    """J_H of a policy."""
    d = evaluated(policy, transition, reward, gamma)[1]
    return d @ ((policy * reward).sum(1) + beta * entropy(policy)) / (1 - gamma)


def step(q, direction, radius):
    """q after a step along `direction` in logits, as far as the largest KL(q || p) over states allows."""

    def moved(length):
        return softmax(np.log(q) + length * direction)

    def far(length):
        return (q * np.log(q / moved(length))).sum(1).max() > radius

    low, high = 0.0, 1e-6
    while not far(high):
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if far(middle) else (middle, high)
    return moved(low)


def softmax(logits):
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def entropy(policy):
    """H(p(.|s)) [states], in nats."""
    return -(policy * np.log(policy)).sum(1)
