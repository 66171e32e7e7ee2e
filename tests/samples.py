"""Samples for the tests of `common.lab.report.stats`."""

import numpy as np
import scipy.stats


def generator(seed=0):
    return np.random.Generator(np.random.Philox(seed))


def spread(mean, deviation, n=4):
    """n numbers with exactly this mean and standard deviation."""
    x = scipy.stats.norm.ppf((np.arange(n) + 0.5) / n)
    return mean + deviation * x / x.std(ddof=1)


def covers(low, high, truth):
    return np.mean((np.asarray(low) <= truth) & (truth <= np.asarray(high)))
