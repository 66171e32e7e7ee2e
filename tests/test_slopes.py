"""The critics' gradient that `papers/mcmc_po/slopes.py` writes out, against autograd."""

import numpy as np
import pytest
import torch

from common.rl.critics import QFunctions
from papers.mcmc_po.slopes import CriticsAt, first_order, least_shares

MEMBERS, BATCH, OBS, ACTIONS = 3, 7, 5, 2


def made(hidden, count=2):
    torch.manual_seed(0)
    critics = QFunctions([np.random.default_rng(m) for m in range(MEMBERS)], OBS, ACTIONS, hidden, count).double()
    with torch.no_grad():
        for parameter in critics.parameters():
            parameter.copy_(torch.randn_like(parameter) / 2)
    return critics, torch.randn(MEMBERS, BATCH, OBS).double(), torch.randn(MEMBERS, BATCH, ACTIONS).double()


@pytest.mark.parametrize("hidden", [[8], [8, 8], [8, 6, 4]])
@pytest.mark.parametrize("reduce", ["least", "mean", "first"])
def test_values_and_slopes_are_autograds(hidden, reduce):
    critics, obs, action = made(hidden)
    free = action.clone().requires_grad_()
    every = critics(obs, free)
    value = {"least": every.amin(1), "mean": every.mean(1), "first": every[:, 0]}[reduce]
    (slope,) = torch.autograd.grad(value.sum(), free)

    at = CriticsAt(critics, obs, count=1 if reduce == "first" else None)
    ours = at.values(action)
    torch.testing.assert_close(ours, every[:, :1] if reduce == "first" else every)
    shares = {"least": least_shares(ours), "mean": torch.full_like(ours, 0.5), "first": torch.ones_like(ours)}[reduce]
    torch.testing.assert_close(at.slope(shares), slope)


def test_ties_share_the_slope():
    values = torch.tensor([[[1.0, 2.0], [1.0, 3.0]]])
    assert least_shares(values).tolist() == [[[0.5, 1.0], [0.5, 0.0]]]


def test_weights_and_states_are_constants_and_the_action_has_the_slope():
    critics, obs, action = made([8, 8])
    free = action.clone().requires_grad_()
    at = CriticsAt(critics, obs)
    every = at.values(free)
    slope = at.slope(least_shares(every))
    value = first_order(every.amin(1), slope, free)
    torch.testing.assert_close(value.detach(), every.amin(1))
    value.sum().backward()
    torch.testing.assert_close(free.grad, slope)
    assert all(parameter.grad is None for parameter in critics.parameters())


def test_a_nan_stays_with_its_member():
    critics, obs, action = made([8, 8])
    obs[1, 0] = torch.nan
    at = CriticsAt(critics, obs)
    slope = at.slope(least_shares(at.values(action)))
    assert slope[[0, 2]].isfinite().all()
    assert slope[1, 0].isnan().all()
