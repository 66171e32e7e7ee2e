"""Every agent's and encoder's update against its authors', written again for one member (tests/offline_peers.py).

Sources: the conservative flow's own code (tinkoff-ai/cnf, 8715e36), CORL's AWAC, Kostrikov et al.'s IQL, Zhou et al.'s
PLAS. The second member of a fleet of two is compared, in float64, over updates whose rows hold terminations, time limits and
actions at their bounds.
"""

import numpy as np
import pytest
import torch
from torch import nn

from papers.cnf_offline import awac, cnf, flow, iql, lapo, plas, vae
from papers.cnf_offline.config import AWAC, CNF, IQL, LAPO, PLAS, VAE, Flow
from tests.offline_peers import (
    ACTIONS,
    OBSERVATIONS,
    SEEDS,
    PlainAWAC,
    PlainCNF,
    PlainIQL,
    PlainLAPO,
    PlainPLAS,
    Standard,
    batch_of,
    copied,
    data_of,
    disturbed,
    draws_of,
    flow_run,
    identity,
    plain_flow,
    step,
    vae_run,
)  # fmt: skip

UPDATES, MEMBER = 8, 1
pytestmark = pytest.mark.usefixtures("double")


def same(ours, row, theirs, tolerance=1e-10):
    """One row of a stack of networks is the network."""
    layers = [layer for layer in ours if hasattr(layer, "weight")]
    linears = [layer for layer in theirs if isinstance(layer, nn.Linear)]
    for mine, other in zip(layers, linears, strict=True):
        torch.testing.assert_close(mine.weight[row], other.weight.T, rtol=0, atol=tolerance)
        torch.testing.assert_close(mine.bias[row], other.bias, rtol=0, atol=tolerance)


def same_critics(learner, plain):
    for j in range(2):
        same(learner.critics.network, 2 * MEMBER + j, plain.critics[j])
        same(learner.targets.network, 2 * MEMBER + j, plain.targets[j])


def run(learner, plain, data, updates=UPDATES):
    ended = []
    for number in range(updates):
        batch, draws = batch_of(data, number), draws_of(learner, number)
        learner.update(batch, draws)
        plain.update(batch, draws)
        ended += batch.terminated[MEMBER].tolist()
    assert 0 < sum(ended) < len(ended)


def decoder(learner, member=0):
    """PLAS's decoder as torch.nn modules: a function of states and latents."""
    network = copied(learner.decoder, member).requires_grad_(False)
    return lambda s, z: torch.tanh(network(torch.cat([s, z], -1)))


def assert_of(autoencoder, run):
    """An agent's frozen autoencoder has the parameters of a run."""
    for name, tensor in run.tensors("vae").items():
        assert torch.equal(autoencoder.state_dict()[name], tensor)


CNFS = {
    "uniform": {"base": "uniform"},
    "padded": {"base": "uniform"},
    "odd": {"base": "uniform"},
    "normal": {"base": "normal", "clip": 0.0},
    "clipped": {"base": "normal", "clip": 2.0},
    "vae": {"encoder": "vae", "clip": 2.0},
    "none": {"encoder": "none"},
    "latents": {"space": "latents"},
}


@pytest.mark.parametrize("name", CNFS)
def test_the_conservative_agents_update_is_the_released_one(name, tmp_path):
    """Some weights are cut at 100, others are not: at the paper's temperature too few differ from 1 in eight updates."""
    data = data_of(actions=3 if name in ("padded", "odd") else 2)
    settings = CNFS[name]
    config = CNF(hidden="2x32", batch_size=16, temperature=0.01, **settings)
    base = settings.get("base", "uniform")
    inputs = {"flow": [flow_run(tmp_path, data, base, padded=name == "padded")],
              "vae": [vae_run(tmp_path, data, normalised) for normalised in (False, True)]}  # fmt: skip
    learner = cnf.Learner(config, SEEDS, data, inputs=inputs)
    assert learner.actions == {"padded": 4, "odd": 3}.get(name, 2)
    if name == "none":
        decode = lambda z, s: z  # noqa: E731
    elif name == "vae":
        decoded = decoder(learner.encoder)
        assert_of(learner.encoder, inputs["vae"][1])  # that of standardised states
        decode = lambda z, s: decoded(s, z)  # noqa: E731
    else:
        flow = plain_flow(learner.encoder.flow, 0, base).requires_grad_(False)
        decode = flow.decode if name != "latents" else lambda z, s: z
    encode = (lambda a, s: flow(a, s)[0]) if name == "latents" else None
    plain = PlainCNF(learner, MEMBER, Standard(data), decode, encode)
    frozen = list(getattr(learner.encoder, "flow", learner.encoder).parameters()) if name != "none" else []
    before = [p.clone() for p in frozen]
    started = learner.policy.network[0].weight.clone()
    run(learner, plain, data)
    same(learner.policy.network, MEMBER, plain.policy)
    same_critics(learner, plain)
    assert 0 < np.mean(plain.clipped) < 1
    assert not torch.allclose(learner.policy.network[0].weight, started, rtol=0, atol=1e-5), "gradients reach the policy"
    assert all(map(torch.equal, before, frozen))
    assert all(p.grad is None and not p.requires_grad for p in frozen)


def test_awacs_update_is_corls():
    data = data_of()
    learner = awac.Learner(AWAC(hidden="2x32", batch_size=16, temperature=0.01), SEEDS, data)
    disturbed(learner.policy)  # ln sigma too
    plain = PlainAWAC(learner, MEMBER, Standard(data))
    run(learner, plain, data)
    same(learner.policy.network, MEMBER, plain.mean)
    torch.testing.assert_close(learner.policy.log_std[MEMBER, 0], plain.log_std, rtol=0, atol=1e-10)
    same_critics(learner, plain)
    assert 0 < np.mean(plain.clipped) < 1


def test_iqls_update_is_the_released_one():
    """V, then the policy by the new V, then the critics; rewards scaled by the span of returns, states as they are, the
    policy's rate along a cosine."""
    data = data_of()
    returns = data.reward.view(-1, 5).sum(1)
    config = IQL(hidden="2x32", batch_size=16, total_steps=12, evaluate_every=12, inverse_temperature=30.0)
    learner = iql.Learner(config, SEEDS, data)
    disturbed(learner.policy)
    plain = PlainIQL(learner, MEMBER, 1000 / float(returns.max() - returns.min()))
    run(learner, plain, data)
    assert learner.policy_optimiser.param_groups[0]["lr"] == pytest.approx(3e-4 * (1 + np.cos(np.pi * 7 / 12)) / 2)
    same(learner.policy.network, MEMBER, plain.mean)
    same(learner.value, MEMBER, plain.value)
    torch.testing.assert_close(learner.policy.log_std[MEMBER, 0], plain.log_std, rtol=0, atol=1e-10)
    same_critics(learner, plain)
    assert 0 < np.mean(plain.clipped) < 1


def test_plass_update_is_the_released_one(tmp_path):
    data = data_of()
    inputs = {"vae": [vae_run(tmp_path, data, normalised) for normalised in (True, False)]}
    learner = plas.Learner(PLAS(hidden="32-32", batch_size=16), SEEDS, data, inputs=inputs)
    disturbed(learner.policy_target, 0.0)
    assert_of(learner.decoder, inputs["vae"][1])  # that of states as they are
    plain = PlainPLAS(learner, MEMBER, decoder(learner.decoder))
    before = [p.clone() for p in learner.decoder.parameters()]
    run(learner, plain, data)
    same(learner.policy.network, MEMBER, plain.policy)
    same(learner.policy_target.network, MEMBER, plain.policy_target)
    same_critics(learner, plain)
    assert all(map(torch.equal, before, learner.decoder.parameters()))


def test_lapos_update_is_the_released_one():
    """At a discount at which some targets of V lie beyond what rewards allow."""
    data = data_of()
    learner = lapo.Learner(LAPO(hidden="2x32", batch_size=16, discount=0.5), SEEDS, data)
    for network in (learner.critics, learner.targets):
        disturbed(network, 0.5)
    plain = PlainLAPO(learner, MEMBER, data)
    run(learner, plain, data)
    same_critics(learner, plain)
    for name in ("value", "encoder", "decoder", "decoder_target"):
        same(getattr(learner, name), MEMBER, getattr(plain, name), 1e-9)
    for name in ("policy", "policy_target"):
        same(getattr(learner, name).network, MEMBER, getattr(plain, name), 1e-9)
    assert 0 < np.mean(plain.cut) < 1 and 0 < np.mean(plain.gained) < 1


@pytest.mark.parametrize("normalised", [False, True])
def test_the_autoencoders_update_is_the_released_one(normalised):
    data = data_of()
    learner = vae.Learner(VAE(width=24, batch_size=16, normalised=normalised), SEEDS, data)
    disturbed(learner.autoencoder, 0.3)
    encoder, decode = copied(learner.autoencoder.encoder, MEMBER), copied(learner.autoencoder.decoder, MEMBER)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decode.parameters()], lr=1e-4)
    observed = Standard(data) if normalised else identity
    for number in range(UPDATES):
        batch, draws = batch_of(data, number), draws_of(learner, number)
        learner.update(batch, draws)
        s, a = observed(batch.obs[MEMBER]), batch.action[MEMBER]
        mean, log_std = encoder(torch.cat([s, a], -1)).chunk(2, -1)
        std = log_std.clamp(-4, 15).exp()
        recon = torch.tanh(decode(torch.cat([s, mean + std * draws["noise"][MEMBER]], -1)))
        divergence = -0.5 * (1 + torch.log(std.pow(2)) - mean.pow(2) - std.pow(2)).mean()
        step(nn.functional.mse_loss(recon, a) + 0.5 * divergence, optimiser)
    assert mean.shape[-1] == 2 * ACTIONS
    same(learner.autoencoder.encoder, MEMBER, encoder)
    same(learner.autoencoder.decoder, MEMBER, decode)
    assert learner.measure()["error"][MEMBER] == pytest.approx(nn.functional.mse_loss(recon, a).item())
    assert learner.measure()["divergence"][MEMBER] == pytest.approx(divergence.item())


@pytest.mark.parametrize("base, actions, padded", [("uniform", 2, False), ("normal", 2, False), ("uniform", 3, False),
                                                   ("uniform", 3, True)])  # fmt: skip
def test_the_flows_update_is_the_released_one(base, actions, padded):
    """Likelihood of actions cut to 1 - 2e-5 given standardised states; a gradient cut to 0.1; AdamW, each its own rate.

    The released tanh cuts latents at 1 - 1e-5 and so gives rows beyond it no gradient; here none is."""
    data = data_of(actions)
    if padded:  # the zeros have no density: normalisation by their deviation of 0 would leave nothing to compare
        data.rows[:, OBSERVATIONS : OBSERVATIONS + actions] *= 0.9
    config = Flow(base=base, layers=3, units="2x16", batch_size=16, weight_decay=0.1, padded=padded, gradient_limit=0.1)
    learner = flow.Learner(config, SEEDS, data)
    assert learner.event == actions + padded
    if padded:
        for transform in learner.flow.transforms:
            if hasattr(transform, "log_scale"):
                transform.log_scale.data.clamp_(max=0.5)
    disturbed(learner.flow)
    learner.optimiser.rates = [x * torch.tensor([1.0, 3.0]).view(-1, *[1] * (x.ndim - 1)) for x in learner.optimiser.rates]
    learner.optimiser.kept = [
        1 - 0.1 * x for x in learner.optimiser.rates
    ]  # the second member's rate is three times the first's
    plain = plain_flow(learner.flow, MEMBER, base)
    optimiser = torch.optim.AdamW(plain.parameters(), lr=3 * 5e-4, weight_decay=0.1)
    standard, cut = Standard(data), []
    for number in range(UPDATES):
        batch = batch_of(data, number)
        learner.update(batch, {})
        a = batch.action[MEMBER].clamp(-1 + 2e-5, 1 - 2e-5)
        a = torch.cat([a, torch.zeros(len(a), padded)], -1)
        optimiser.zero_grad()
        (-plain.log_prob(a, standard(batch.obs[MEMBER])).mean()).backward()
        cut.append(float(torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.1)))
        optimiser.step()
    assert max(cut) > 0.1
    theirs = plain_flow(learner.flow, MEMBER, base)
    for mine, other in zip(theirs.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-9)


def test_networks_start_as_their_authors_start_them():
    """IQL's layers are orthogonal times the root of 2 without biases, the last ones too; the other agents' are torch's."""
    data = data_of()
    theirs, ours = iql.Learner(IQL(hidden="2x32"), SEEDS, data), awac.Learner(AWAC(hidden="2x32"), SEEDS, data)
    for network in (theirs.policy.network, theirs.value, theirs.critics.network):
        for layer in (layer for layer in network if hasattr(layer, "weight")):
            short = min(layer.weight.shape[1:])
            product = layer.weight @ layer.weight.mT if layer.weight.shape[1] == short else layer.weight.mT @ layer.weight
            torch.testing.assert_close(product, 2 * torch.eye(short).expand_as(product), rtol=0, atol=1e-9)
            assert not layer.bias.any()
    for network in (ours.policy.network, ours.critics.network):
        for layer in (layer for layer in network if hasattr(layer, "weight")):
            bound = layer.weight.shape[1] ** -0.5
            assert 0.9 * bound < layer.weight.abs().max() <= bound and 0.5 * bound < layer.bias.abs().max() <= bound


def test_deviations_are_clamped():
    data = data_of()
    obs = data.obs[:5].expand(2, -1, -1)
    for learner, low in (
        (awac.Learner(AWAC(hidden="2x32"), SEEDS, data), -20.0),
        (iql.Learner(IQL(hidden="2x32"), SEEDS, data), -5.0),
        (cnf.Learner(CNF(hidden="2x32", encoder="none"), SEEDS, data), -20.0),
    ):
        spread = (
            learner.policy.log_std if hasattr(learner.policy, "log_std") else learner.policy.network[-1].bias[..., None, 2:]
        )
        spread.data[..., 0], spread.data[..., 1] = -100.0, 100.0
        found = learner.policy(obs).log_std
        assert found.shape == (2, 5, 2) and (found[..., 0] == low).all() and (found[..., 1] == 2).all()


def test_actions_chosen_among_latents_are_decoded(tmp_path):
    data = data_of(actions=3)
    inputs = {"flow": [flow_run(tmp_path, data, padded=True)]}
    learner = cnf.Learner(CNF(hidden="2x32", space="latents"), SEEDS, data, inputs=inputs)
    decode = plain_flow(learner.encoder.flow, 0, "uniform").decode
    obs, noise = data.obs[:9].expand(2, -1, -1), torch.randn(2, 9, 4)
    for draws, drawn in (({"noise": noise}, noise[1]), (None, torch.zeros(9, 4))):
        s = Standard(data)(obs[1])
        mean, log_std = copied(learner.policy.network, 1)(s).chunk(2, -1)
        expected = decode(torch.tanh(mean + log_std.exp() * drawn), s)[:, :3]  # the fourth entry is padding
        torch.testing.assert_close(learner.act(obs, draws)[1], expected, rtol=0, atol=1e-9)


def test_rewards_are_scaled_by_the_span_of_all_returns():
    """That of the last episode too, which the data cut."""
    data = data_of(rows=13)
    data.rows[:, OBSERVATIONS + ACTIONS] = 0.0
    for row, reward in ((2, 1.0), (7, 3.0), (12, -2.0)):
        data.rows[row, OBSERVATIONS + ACTIONS] = reward
    assert len(data.episodes()) == 3 and iql.scale_of(data, 1000.0) == pytest.approx(200) and iql.scale_of(data, 0.0) == 1
    data.rows[:, OBSERVATIONS + ACTIONS] = 0.0
    assert iql.scale_of(data, 1000.0) == 1, "returns that do not differ"
