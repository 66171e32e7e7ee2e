"""What samples and densities cost in families of flows: counts that are known by construction."""

import numpy as np
import pytest
import torch

from papers.nf_review import families
from papers.nf_review.config import FamilyCosts
from papers.nf_review.family_costs import Counted
from papers.nf_review.family_costs import Learner as Costs


def costs(family, event, flows=3):
    return {
        name: values[0]
        for name, values in Costs(FamilyCosts(family=family, event=event, flows=flows), [0]).results().items()
    }


@pytest.mark.parametrize("event", [2, 6])
def test_of_maf_and_iaf_each_is_fast_where_the_other_is_slow(event):
    maf, iaf = costs("maf", event), costs("iaf", event)
    assert (maf["density_passes"], maf["sample_passes"]) == (3, 3 * event)
    assert (iaf["density_passes"], iaf["sample_passes"]) == (3 * event, 3)
    assert maf["sample_operations"] > event / 2 * maf["density_operations"]


def test_couplings_are_fast_both_ways():
    found = costs("realnvp", 6)
    assert found["density_passes"] == found["sample_passes"] == 3
    assert found["density_operations"] == pytest.approx(found["sample_operations"], rel=0.3)


def test_counts_do_not_depend_on_the_fleet_or_the_step():
    config = FamilyCosts(family="planar", event=4, flows=2)
    assert all(len(set(values)) == 1 for values in Costs(config, [0, 1, 2]).results().values())
    assert costs("planar", 4, 4)["sample_operations"] < 2.2 * costs("planar", 4, 2)["sample_operations"]


def test_what_only_looks_at_an_array_otherwise_costs_nothing():
    x = torch.zeros(2, 3)
    with Counted() as counted:
        x.view(3, 2).transpose(0, 1)[..., 0].unsqueeze(-1)
    assert counted.operations == 0
    with Counted() as counted:
        (x.view(3, 2) + 1).exp()
    assert counted.operations == 2
    with Counted() as counted:
        x.add_(1).view(3, 2)[0].fill_(2)
    assert counted.operations == 2, "what writes in place computes"


@pytest.mark.parametrize("event", [2, 5, 10])
@pytest.mark.parametrize("family", families.SIMPLE)
def test_parameters_are_the_ways_in_which_the_map_can_change(family, event, double):
    """The rank of the derivatives of f(x), at many x, by all numbers that a flow stores."""
    flow = families.build(family, [np.random.default_rng(0)], event, 2, "1x4")
    stored = {name: p.detach() + 0.3 * torch.randn_like(p) for name, p in flow.named_parameters()}
    x = 2 * torch.randn(1, 40 * (event + 1), event)
    derivatives = torch.func.jacrev(lambda values: torch.func.functional_call(flow, values, (x,))[0].flatten())(stored)
    singular = torch.linalg.svdvals(torch.cat([block.flatten(1) for block in derivatives.values()], 1))
    assert int((singular > 1e-9 * singular[0]).sum()) == families.parameters(flow, 1)
