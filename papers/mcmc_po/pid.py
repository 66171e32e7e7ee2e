"""The controller of the multiplier beta (Section 4.1), one per member.

With D the distance of the policy from its last snapshot and epsilon the distance to hold:

    Delta = D - epsilon,   d = D - D_prev
    I    <- (I + Delta)_+
    beta <- (K_P Delta + K_I I + K_D d)_+

Details that the paper leaves open: D is smoothed by a moving average before it is used; the integral is bounded by
beta_cap / K_I, so that it cannot wind up beyond the largest beta, which is a cap on beta too; it starts where
K_I I = beta, so that beta starts at its set value; beta may be 0, and whatever divides by it needs a floor of its own.
"""

import math

import torch
from torch import nn


class PID(nn.Module):
    """beta of every member, [members], moved once per policy iteration. Its state is in buffers, for checkpoints.

    config: a `TrustRegion`. threshold: epsilon.
    """

    def __init__(self, members, config, threshold):
        super().__init__()
        self.config = config
        self.threshold = threshold
        self.bound = config.beta_cap / config.integral if config.integral else math.inf
        start = config.beta / config.integral if config.integral else 0.0
        self.register_buffer("beta", torch.full((members,), float(config.beta)))
        self.register_buffer("integral", torch.full((members,), start))
        self.register_buffer("distance", torch.full((members,), math.nan))  # smoothed; NaN before the first

    def numbers(self, distance):
        """What a `Meter` is told of a measured distance, [members]."""
        relative = distance / self.threshold - 1 if self.threshold else distance
        within = (relative.abs() <= 0.5).float()
        return {
            "beta": self.beta, "distance": distance, "distance_error_squared": relative.square(), "distance_within": within,
        }  # fmt: skip

    @torch.no_grad()
    def update(self, distance):
        """Take a measured distance, [members], and set beta."""
        c = self.config
        first = self.distance.isnan()
        smoothed = torch.where(first, distance, c.smoothing * self.distance + (1 - c.smoothing) * distance)
        change = torch.where(first, 0.0, smoothed - self.distance)
        error = smoothed - self.threshold
        self.distance.copy_(smoothed)
        if c.pid:
            self.integral.copy_((self.integral + error).clamp(0, self.bound))
            beta = c.proportional * error + c.integral * self.integral + c.derivative * change
            self.beta.copy_(beta.clamp(0, c.beta_cap))
