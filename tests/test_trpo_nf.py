"""The paper's policies: their architecture, their densities, how they act, and TRPO with each of them."""

import importlib
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.flows.distributions import FlowDistribution
from common.flows.networks import LayerNorm
from common.rl import on_policy
from common.rl.journal import MemoryJournal
from common.rl.mixture_policies import GeometricMixture
from common.rl.policies import FactorisedGaussian
from common.rl.randomness import draws
from common.settings import resolve
from papers.trpo_nf import families, policies
from papers.trpo_nf.classes import CLASSES
from papers.trpo_nf.config import ACKTR, PPONF, TRPONF, Toys
from papers.trpo_nf.trpo_nf import Learner
from tests import forked
from tests.test_trpo import jittered

OBSERVATIONS, ACTIONS, STEPS = 4, 3, 60
CASES = [(policy, preset) for policy in ("gaussian", "gmm2", "gmm5", "flow") for preset in ("equations", "released")]


def config(policy="flow", preset="equations", **settings):
    width = {"embedding_units": 16} if policy == "flow" else {"hidden": "2x32"}
    small = {"batch_steps": STEPS, "minibatch": 16, "value_hidden": "2x32"} | width
    return TRPONF(policy=policy, preset=preset, **{**small, **settings})


def learner(policy="flow", preset="equations", seeds=(4, 5), **settings):
    return Learner(config(policy, preset, **settings), list(seeds), OBSERVATIONS, ACTIONS)


@pytest.mark.parametrize("policy, preset", CASES)
def test_every_policy_starts_near_a_standard_normal(policy, preset):
    fleet = learner(policy, preset)
    obs = torch.randn(2, 2000, OBSERVATIONS).clamp(-5, 5)
    drawn = draws([4, 5], "act", 0, lambda rng: fleet.policy.draws(rng, 2000))
    action = fleet.policy(obs).sample(fleet.policy.noise({k: torch.from_numpy(x) for k, x in drawn.items()}))
    assert action.mean(1).abs().max() < 0.1 and (action.std(1) - 1).abs().max() < 0.1


def test_the_flow_has_the_couplings_that_its_preset_says():
    for preset, count, hidden in (("equations", 4, 3), ("released", 8, 2)):
        first, shift, *rest = learner("flow", preset).policy.transform.transforms
        couplings = [first, *rest]
        assert len(couplings) == count
        assert [one.leading for one in couplings] == [i % 2 == 0 for i in range(count)]
        for one in couplings:
            layers = [layer for layer in one.network if hasattr(layer, "weight")]
            assert len(layers) == hidden + 1 and {layer.weight.shape[-1] for layer in layers[:-1]} == {3}
            norms = [layer for layer in one.network if isinstance(layer, LayerNorm)]
            assert len(norms) == (hidden if preset == "released" else 0) and all(n.eps == 1e-12 for n in norms)
        assert [layer.weight.shape[-1] for layer in shift.network if hasattr(layer, "weight")] == [16, 16, ACTIONS]
        assert shift.network[-1].weight.abs().max() <= 3e-3


def test_the_flow_is_equation_7(double):
    """a = g_K o … o g_2 o (L(s) + g_1(e)), with each g as in equation 8."""
    fleet = jittered(learner(seeds=(4,)))
    obs, noise = torch.randn(1, 5, OBSERVATIONS), torch.randn(1, 5, ACTIONS)
    first, shift, *rest = fleet.policy.transform.transforms

    def g(coupling, x):
        kept = x[..., : coupling.kept] if coupling.leading else x[..., ACTIONS - coupling.kept :]
        s, t = (torch.nn.Sequential(*[row_of(layer, row) for layer in coupling.network])(kept[0]) for row in (0, 1))
        moved = x[0, :, coupling.kept :] if coupling.leading else x[0, :, : ACTIONS - coupling.kept]
        y = moved * torch.exp(s) + t
        return torch.cat([kept[0], y] if coupling.leading else [y, kept[0]], -1)[None], s.sum(-1)

    def row_of(layer, row):
        if not hasattr(layer, "weight"):
            return torch.nn.ReLU()
        linear = torch.nn.Linear(*layer.weight.shape[1:])
        linear.weight.data, linear.bias.data = layer.weight.data[row].T, layer.bias.data[row]
        return linear

    x, log_det = g(first, noise)
    x = x + shift.network(obs)
    for coupling in rest:
        x, one = g(coupling, x)
        log_det = log_det + one
    action, log_prob = fleet.policy(obs).rsample_and_log_prob(noise)
    torch.testing.assert_close(action, x)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(noise).sum(-1) - log_det
    torch.testing.assert_close(log_prob, expected)
    torch.testing.assert_close(fleet.policy(obs).log_prob(action), expected)


def test_the_released_density_lacks_its_constant(double):
    fleet = jittered(learner("flow", "released"))
    distribution = fleet.policy(torch.randn(2, 5, OBSERVATIONS))
    x, log_prob = distribution.rsample_and_log_prob()
    whole = FlowDistribution(distribution.base, distribution.transform, distribution.context).log_prob(x)
    torch.testing.assert_close(log_prob - whole, torch.full((2, 5), ACTIONS / 2 * math.log(2 * math.pi)))
    torch.testing.assert_close(distribution.log_prob(x), log_prob)


def test_the_mixtures_components_share_what_the_preset_says():
    own, shared = (learner("gmm5", preset).policy for preset in ("equations", "released"))
    assert own.mean[0].weight.shape[0] == 2 * 5 and shared.mean[0].weight.shape[0] == 2
    obs = torch.randn(2, 7, OBSERVATIONS)
    assert own.means(obs).shape == shared.means(obs).shape == (2, 7, 5, ACTIONS)
    for policy in (own, shared):
        (gradient,) = torch.autograd.grad(policy.means(obs)[:, :, 0].sum(), policy.mean[0].weight)
        reached = gradient.flatten(1).abs().sum(-1) > 0
        assert reached.sum() == 2, "a component's mean depends on its own network, or on the trunk"


def test_the_released_mixtures_density_is_a_product(double):
    """exp of the mean of log-densities: for equal deviations, a Gaussian about the mean of the means, not normalised."""
    mean, log_std = torch.randn(1, 1, 2, 1), torch.zeros(1, 1, 2, 1)
    x = torch.linspace(-3, 3, 7)[:, None, None]
    ours = GeometricMixture(mean, log_std).log_prob(x)
    centre = mean.mean(-2)
    penalty = (mean - centre.unsqueeze(-2)).square().mean() / 2
    expected = torch.distributions.Normal(centre, 1.0).log_prob(x).squeeze(-1) - penalty
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("policy, preset", CASES)
def test_acting_in_numpy_is_sampling_from_the_policy(policy, preset, own, monkeypatch):
    """With the policy's own actor and with torch's, which serves those that have none."""
    seeds = [4, 5]
    fleet = jittered(learner(policy, preset, seeds))
    fleet.normaliser.update(torch.randn(2, 50, OBSERVATIONS) * 3 + 1)
    drawn = draws(seeds, "act", 0, fleet.acting_draws)
    if not own:
        monkeypatch.delattr(type(fleet.policy), "actor")
    actor = fleet.actor(drawn)
    obs = np.random.default_rng(0).standard_normal((2, STEPS, OBSERVATIONS)).astype(np.float32)
    noise = fleet.policy.noise({name: torch.from_numpy(x) for name, x in drawn.items()})
    expected = fleet.policy(fleet.normaliser(torch.from_numpy(obs))).sample(noise).numpy()
    ours = np.stack([actor(t, obs[:, t]) for t in range(STEPS)], 1)
    assert ours.dtype == np.float32
    # Layer normalisation of three units divides by their spread, which magnifies rounding where it is small.
    atol = 1e-6 if (policy, preset) != ("flow", "released") else 1e-4
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("policy, preset", CASES)
def test_trust_region_steps_with_every_policy(policy, preset):
    kept = MemoryJournal(2)
    settings = config(policy, preset, env="Hopper-v4", total_steps=240, record_every=60)
    on_policy.run(Learner, settings, [4, 5], kept)
    values = {metric: [v for _, _, name, v in kept.records if name == metric] for _, _, metric, _ in kept.records}
    assert not kept.divergences and len(values["kl"]) == 8 and len(values["return"]) >= 6
    assert max(values["kl"]) <= 1.5 * 0.01 * (1 + 1e-5) and min(values["gain"]) >= 0
    assert max(values["step_fraction"]) > 0
    assert 0 <= min(values["counted_share"]) and max(values["counted_share"]) < 2


def test_every_policy_class_has_a_builder():
    """With a state and without one; and no builder is left over."""
    wanted = {kind.builder for kind in CLASSES.values()}
    assert wanted == set(policies.BUILDERS) == set(families.BUILDERS)


def test_the_preset_decides_what_it_says():
    assert learner("flow", "released").config.skip_negative_curvature
    assert not learner("gmm2", "released").config.skip_negative_curvature
    assert learner("flow", "equations").config.kl_tolerance == learner("flow", "released").config.kl_tolerance == 1.5
    assert isinstance(learner("gaussian").policy, FactorisedGaussian)


def test_one_dimensional_actions_are_refused_and_said_why():
    with pytest.raises(UserError, match="degenerates"):
        Learner(config(), [4], OBSERVATIONS, 1)
    Learner(config("gaussian"), [4], OBSERVATIONS, 1)


@pytest.mark.parametrize(
    "values, said",
    [
        ({"kl_radius": 0.0}, "kl_radius"),
        ({"kl_radius": -0.01}, "out of range"),
        ({"couplings": 0}, "couplings"),
        ({"policy": "gmm3"}, "gmm2"),
        ({"preset": "relased"}, "released"),
        ({"env": "Hoper-v4"}, "Hopper-v4"),
        ({"fisher": "analytic"}, "gaussian"),
    ],
)
def test_bad_input_is_said_in_one_line_that_names_it(values, said):
    with pytest.raises(UserError, match=said) as caught:
        resolve(TRPONF, values, "some.yaml")
    assert "some.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_settings_that_do_not_fit():
    assert "gaussian" in config("flow", fisher="analytic").problem()
    assert "leave it out" in config("flow", "released", skip_negative_curvature=True).problem()
    assert "fisher_actions" in config("flow", fisher_actions=8).problem()
    assert config("gaussian", fisher="analytic", record_every=10_000).problem() is None


@pytest.mark.parametrize(
    "cls, values, said",
    [
        (TRPONF, {"policy": "gaussian", "couplings": 6}, "couplings = 6 would be ignored by policy = 'gaussian'"),
        (ACKTR, {"policy": "gmm2", "embedding_units": 3}, "policy = 'flow' alone has it"),
        (PPONF, {"policy": "flow", "hidden": "2x32"}, "a flow's width is embedding_units"),
        (Toys, {"policy": "gmm5", "coupling_units": 32}, "coupling_units = 32"),
        (Toys, {"policy": "flow", "hidden": "2x32"}, "unknown setting 'hidden'"),
        (Toys, {"policy": "flow", "embedding_units": 32}, "ignored by toy = 'kl_ball'"),
        (Toys, {"policy": "gaussian", "constant": False}, "constant = False"),
        (Toys, {"toy": "correlated", "entropy": -4.0}, "ignored by toy = 'correlated'"),
    ],
)
def test_a_setting_that_would_be_ignored_is_refused(cls, values, said):
    with pytest.raises(UserError, match=said) as caught:
        resolve(cls, values, "some.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cls", [TRPONF, ACKTR, PPONF, Toys])
@pytest.mark.parametrize("policy", CLASSES)
def test_what_is_read_is_taken(cls, policy):
    widths = {"couplings": 6, "coupling_units": 5} if policy == "flow" else {}
    if cls is not Toys:
        widths |= {"embedding_units": 16} if policy == "flow" else {"hidden": "2x32"}
    assert resolve(cls, {"policy": policy, **widths}, "some.yaml").problem() is None


WORKERS = {
    "trpo_nf": ("TRPONF", {"total_steps": 192, "record_every": 64, "batch_steps": 64, "minibatch": 32, "env": "Hopper-v4"}),
    "toys": ("Toys", {"toy": "bimodal", "iterations": 30, "samples": 32}),
}


@pytest.mark.parametrize("algorithm", WORKERS)
def test_a_worker_trains_what_the_harness_asks_for(algorithm, tmp_path):
    """Through the worker's own process: members of one seed differ in their KL radius."""
    name, settings = WORKERS[algorithm]
    resolved = asdict(getattr(importlib.import_module("papers.trpo_nf.config"), name)(**settings))
    members = [{"seed": 4}, {"seed": 5}] if algorithm == "toys" else [{"seed": 4, "kl_radius": r} for r in (1e-3, 1e-2)]
    spec = {
        "module": f"papers.trpo_nf.{algorithm}", "config": f"papers.trpo_nf.config:{name}", "settings": resolved,
        "members": members, "labels": ["a", "b"], "digest": "d", "device": "cpu", "folder": str(tmp_path / "work"),
        "part": str(tmp_path / "part.json"), "checkpoint_seconds": 0.0,
    }  # fmt: skip
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    status, said = forked.run(tmp_path / "spec.json")
    assert status == 0, said
    part = json.loads((tmp_path / "part.json").read_text())
    assert {m for m, _, _, _ in part["records"]} == {0, 1}
    if algorithm == "trpo_nf":
        kl = [[float(v) for m, _, metric, v in part["records"] if metric == "kl" and m == member] for member in (0, 1)]
        assert max(kl[0]) <= 1.5e-3 * 1.0001 < max(kl[1]) <= 1.5e-2 * 1.0001
    else:
        assert set(part["tables"]) == {"samples", "density"}


@pytest.mark.parametrize("fisher", ["hessian", "fresh", "scores"])
@pytest.mark.parametrize("policy", ["gmm2", "flow"])
def test_every_estimate_of_the_fisher_matrix_serves_every_policy(policy, fisher):
    kept = MemoryJournal(2)
    actions = 1 if fisher == "hessian" else 3
    settings = config(policy, fisher=fisher, fisher_actions=actions, env="Reacher-v4", total_steps=120, record_every=60)
    on_policy.run(Learner, settings, [4, 5], kept)
    negative = [value for _, _, metric, value in kept.records if metric == "negative_curvature"]
    assert len(negative) == 4 and not kept.divergences
    if fisher == "scores":
        assert not any(negative)
