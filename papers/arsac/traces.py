"""How much of an action the flow explains: statistics of a policy's traces, per action dimension.

Notation: x = beta u + delta is the action before tanh; an evaluation takes u at the base's mean mu. Arrays are
[steps, actions] unless said otherwise.
"""

import numpy as np


def shares(trace):
    """Variance over time of the shift delta, of the scaled base beta mu, and of the residual x - delta, each relative to
    Var x, per action dimension: {name: [actions]}. NaN where x does not move."""
    base = np.exp(trace["log_scale"]) * trace["base_mean"]
    x = base + trace["shift"]
    with np.errstate(divide="ignore", invalid="ignore"):
        total = x.var(0)
        return {
            "shift_share": trace["shift"].var(0) / total,
            "base_share": base.var(0) / total,
            "r2": 1 - base.var(0) / total,
        }


def autocorrelation(series, lag):
    """Autocorrelation at `lag`, pooled over episodes, per action dimension. series: one [steps, actions] per episode."""
    centred = [s - s.mean(0) for s in series if len(s) > lag]
    if not centred:
        return np.full(series[0].shape[1], np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return sum((s[lag:] * s[:-lag]).sum(0) for s in centred) / sum((s**2).sum(0) for s in centred)


def dimension_rows(episodes, lags=10):
    """One row per action dimension: shares of variance, and autocorrelations of u and of x at lags 1 to `lags`.
    episodes: one {name: [steps, actions]} per episode."""
    pooled = {name: np.concatenate([e[name] for e in episodes]) for name in episodes[0]}
    columns = dict(shares(pooled))
    columns["mean_log_scale"] = pooled["log_scale"].mean(0)
    columns["mean_abs_shift"] = np.abs(pooled["shift"]).mean(0)
    u = [e["base_mean"] for e in episodes]
    x = [np.exp(e["log_scale"]) * e["base_mean"] + e["shift"] for e in episodes]
    for lag in range(1, lags + 1):
        columns[f"autocorrelation_u_{lag}"] = autocorrelation(u, lag)
        columns[f"autocorrelation_x_{lag}"] = autocorrelation(x, lag)
    actions = len(columns["r2"])
    return [{"dim": i, **{name: float(column[i]) for name, column in columns.items()}} for i in range(actions)]


def trace_rows(episode, steps=100):
    """The first `steps` steps of an episode, one row per step and action dimension (Figure 2)."""
    columns = {
        "base_mean": episode["base_mean"],
        "base_std": np.exp(episode["base_log_std"]),
        "scale": np.exp(episode["log_scale"]),
        "shift": episode["shift"],
    }
    length, actions = episode["shift"].shape
    return [
        {"step": t, "dim": i, **{name: float(column[t, i]) for name, column in columns.items()}}
        for t in range(min(steps, length))
        for i in range(actions)
    ]
