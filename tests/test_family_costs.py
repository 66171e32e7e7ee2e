"""What samples and densities cost in families of flows: counts that are known by construction."""

import pytest
import torch

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
