"""What agents and encoders make of a data set before they learn from it."""

import numpy as np
import torch
from torch import Tensor

from common.rl.datasets import Transitions

FLOOR = 1e-6  # of a standard deviation: an entry that never changes stays 0
DATA_LIMIT = 1 - 2e-5  # actions at a bound have no finite latent; as in the authors' code


class Standardised:
    """s -> (s - mean) / std with the moments of the whole data set (authors' code), the same for all members; s itself
    unless `active`."""

    def __init__(self, data: Transitions, device: str, active: bool = True):
        obs = data.obs.numpy()
        mean, std = obs.mean(0, dtype=np.float64), obs.std(0, dtype=np.float64)
        if not active:
            mean, std = np.zeros_like(mean), np.ones_like(std)
        self.mean = torch.tensor(mean, dtype=torch.float32, device=device)
        self.scale = torch.tensor(1 / np.maximum(std, FLOOR), dtype=torch.float32, device=device)

    def __call__(self, obs: Tensor) -> Tensor:
        return (obs - self.mean) * self.scale


def padded(action: Tensor, width: int) -> Tensor:
    """Actions [..., n] with zeros up to a width."""
    missing = width - action.shape[-1]
    return torch.nn.functional.pad(action, (0, missing)) if missing else action
