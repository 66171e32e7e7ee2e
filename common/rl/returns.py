"""Returns and advantages along trajectories, for fleets. Arrays lead with the member axis: [members, steps].

A segment of steps may hold several episodes and end in the middle of one. Two masks mark where it is cut:

    bootstrap_t  1 where the value of the successor counts, 0 where the future is worth nothing
    goes_on_t    1 where step t + 1 belongs to the same episode

After a true termination both are 0. After a time limit goes_on is 0, and bootstrap is 0 if the limit is taken for a
termination, 1 if the value of the state that it cut off is bootstrapped.
"""

import numpy as np

Array = np.ndarray  # [members, steps], unless stated otherwise


def borders(terminated: Array, truncated: Array, bootstrap_timeouts: bool) -> tuple[Array, Array]:
    """(bootstrap, goes_on) from the ends of episodes, as the environments report them."""
    ended = np.asarray(terminated, bool) | np.asarray(truncated, bool)
    bootstrap = ~np.asarray(terminated, bool) if bootstrap_timeouts else ~ended
    return bootstrap.astype(np.float64), (~ended).astype(np.float64)


def advantages(
    reward: Array, value: Array, next_value: Array, bootstrap: Array, goes_on: Array, discount: float, trace: float
) -> Array:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438, eq. 16), [members, steps]:

        delta_t = r_t + gamma bootstrap_t V(s'_t) - V(s_t)
        A_t     = delta_t + gamma lambda goes_on_t A_{t+1},    A = 0 after the segment.

    `next_value` is V at the state that step t led to, before any reset; discount and trace are gamma and lambda. The
    returns that a value function is fitted to, TD(lambda), are A + V.
    """
    delta = reward + discount * bootstrap * next_value - value
    return _accumulated(delta, discount * trace * goes_on)


def standardised(advantage: Array) -> Array:
    """Advantages with mean 0 and variance 1 in every member's batch, [members, steps]; all 0 where they are equal."""
    spread = np.maximum(advantage.std(1, keepdims=True), 1e-12)  # equal rewards everywhere: no direction, not NaN
    return (advantage - advantage.mean(1, keepdims=True)) / spread


def discounted(reward: Array, next_value: Array, bootstrap: Array, goes_on: Array, discount: float) -> Array:
    """Discounted sums of rewards to the end of the episode, [members, steps]:

    G_t = r_t + gamma (goes_on_t G_{t+1}  or, where the episode or the segment is cut, bootstrap_t V(s'_t)).
    """
    inside = np.array(goes_on, np.float64)
    inside[:, -1] = 0.0  # the segment ends: what follows is known by its value alone
    first = reward + discount * (1 - inside) * bootstrap * next_value
    return _accumulated(first, discount * inside)


def explained_variance(predicted: Array, target: Array) -> Array:
    """1 - Var(target - predicted) / Var(target), [members]; NaN where the target does not vary."""
    spread = np.var(target, axis=-1)
    return 1 - np.var(target - predicted, axis=-1) / np.where(spread > 0, spread, np.nan)


def _accumulated(x, factor):
    """y_t = x_t + factor_t y_{t+1}, from the end."""
    rows, factors = np.ascontiguousarray(x.T, np.float64), np.ascontiguousarray(np.broadcast_to(factor, x.shape).T)
    for t in range(len(rows) - 2, -1, -1):
        rows[t] += factors[t] * rows[t + 1]
    return rows.T
