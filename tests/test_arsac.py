"""The three identities of the paper, and ARSAC's details."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from common.flows.distributions import DiagonalGaussian, FlowDistribution
from common.flows.networks import MLP
from common.flows.transforms import Affine
from common.rl import sac
from common.rl.config import SAC
from common.rl.replay import Batch
from papers.arsac import sac_memory
from papers.arsac.arsac import Learner
from papers.arsac.config import ARSAC, SACMemory
from papers.arsac.traces import shares

STATES, ACTIONS = 5, 2
OBSERVATIONS = STATES + 3 * ACTIONS


def learner(seeds=(4, 5), **settings):
    return Learner(ARSAC(base="1x32", batch_size=8, **settings), list(seeds), OBSERVATIONS, ACTIONS)


def test_standard_normal_base_gives_the_autoregressive_gaussian():
    """With u ~ N(0, I), a_t | a_<t ~ N(delta, beta^2) (Section 3.2)."""
    torch.set_default_dtype(torch.float64)
    try:
        flow = Affine(MLP([np.random.default_rng(0)], [3 * ACTIONS, 32, 2 * ACTIONS]), shift_limit=5.0)
    finally:
        torch.set_default_dtype(torch.float32)
    history = torch.randn(1, 64, 3 * ACTIONS, dtype=torch.float64)
    a = torch.randn(1, 64, ACTIONS, dtype=torch.float64)
    zero = torch.zeros(1, 64, ACTIONS, dtype=torch.float64)
    ours = FlowDistribution(DiagonalGaussian(zero, zero), flow, history).log_prob(a)
    log_scale, shift = flow.parameters_at(history)
    expected = torch.distributions.Normal(shift, log_scale.exp()).log_prob(a).sum(-1)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


def test_identity_flow_gives_sac_exactly():
    """beta = 1, delta = 0: SAC's actions and log-probabilities, to the bit."""
    flow = learner()
    for parameter in flow.flow.parameters():
        parameter.data.zero_()
    plain = sac.Learner(SAC(base="1x32", batch_size=8), [4, 5], STATES, ACTIONS)
    plain.policy.base.load_state_dict(flow.policy.base.state_dict())
    obs, noise = torch.randn(2, 16, OBSERVATIONS), torch.randn(2, 16, ACTIONS)
    ours = flow.distribution(obs).rsample_and_log_prob(noise)
    theirs = plain.distribution(obs[..., :STATES]).rsample_and_log_prob(noise)
    assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])
    assert torch.equal(flow.act(obs), plain.act(obs[..., :STATES]))


def test_inverting_a_recorded_sequence_returns_the_base_variables():
    """Given a_1:T, the flow removes the dependencies and leaves u_1:T (Section 3.2)."""
    fleet = learner()
    fleet.policy.double()
    history = torch.zeros(2, 1, 3 * ACTIONS, dtype=torch.float64)
    actions, histories, expected = [], [], []
    for _ in range(50):
        distribution = fleet.distribution(torch.cat([torch.randn(2, 1, STATES, dtype=torch.float64), history], -1))
        u = distribution.base.sample()
        expected.append(u)
        actions.append(distribution.transform(u, distribution.context)[0].detach())
        histories.append(history)
        history = torch.cat([history[..., ACTIONS:], actions[-1]], -1)
    recovered = fleet.policy.transform.inverse(torch.cat(actions, 1), torch.cat(histories, 1))[0]
    torch.testing.assert_close(recovered, torch.cat(expected, 1), rtol=0, atol=1e-6)


def test_flow_is_the_identity_at_an_empty_history():
    log_scale, shift = learner().flow.parameters_at(torch.zeros(2, 1, 3 * ACTIONS))
    assert torch.all(log_scale == 0) and torch.all(shift == 0)


def disturbed(**settings):
    """A learner whose flow is far from the identity."""
    made, generator = learner(**settings), torch.Generator().manual_seed(0)
    for parameter in made.policy.parameters():
        parameter.data += 0.03 * torch.randn(parameter.shape, generator=generator)
    return made


def test_what_is_inspected_is_beta_delta_and_the_base_and_the_summary_is_of_these():
    """By hand from the networks: ln beta is the first half of the flow's outputs, delta the second."""
    made, obs = disturbed(), torch.randn(2, 16, OBSERVATIONS, generator=torch.Generator().manual_seed(1))
    seen = made.inspect(obs)
    outputs = made.flow.network(obs[..., STATES:])
    torch.testing.assert_close(seen["log_scale"], outputs[..., :ACTIONS])
    torch.testing.assert_close(seen["shift"], outputs[..., ACTIONS:].clamp(-5, 5))
    x = seen["log_scale"].exp() * seen["base_mean"] + seen["shift"]
    torch.testing.assert_close(made.act(obs), torch.tanh(x))
    trace = {name: list(values.numpy()) for name, values in seen.items()}
    summary = made.summarise(trace)
    for m in range(2):
        both = trace["log_scale"][m] + trace["base_log_std"][m]
        assert summary["log_scale_std"][m] == pytest.approx(both.mean(), rel=1e-5)
        assert summary["log_scale"][m] == pytest.approx(trace["log_scale"][m].mean(), rel=1e-5)
        share = (trace["shift"][m].var(0) / x[m].numpy().var(0)).mean()
        assert summary["shift_share"][m] == pytest.approx(share, rel=1e-4)


def test_log_scale_and_shift_are_clamped():
    made, obs = learner(log_scale_high=2.0), torch.randn(2, 16, OBSERVATIONS)
    made.flow.network[-1].bias.data.fill_(7.0)
    seen = made.inspect(obs)
    assert (seen["log_scale"] == 2.0).all() and (seen["shift"] == 5.0).all()


def test_initial_weights_keep_each_heads_own_bound():
    """Xavier: sqrt(6 / (fan in + fan out)); the two heads of the flow, and of the base, count as layers of their own;
    critics start so too, with biases of zero."""
    made = learner()
    for layer, fan_in, fan_out in (
        (made.flow.network[-1], 256, ACTIONS),
        (made.policy.base.network[-1], 32, ACTIONS),
        (made.critics.network[0], STATES + ACTIONS, 256),
        (made.critics.network[-1], 256, 1),
    ):
        bound = (6 / (fan_in + fan_out)) ** 0.5
        assert 0.9 * bound < layer.weight.abs().max() <= bound and not layer.bias.any()


def test_the_frozen_flow_is_beta_and_delta_at_their_means_and_frees_a_gauge():
    """A policy whose beta and delta do not depend on the history is SAC in another gauge: freezing changes nothing, while
    leaving the flow out does."""
    made = disturbed(freeze=True)
    assert made.ablations == ("without_flow", "frozen_flow")
    obs = torch.randn(2, 32, OBSERVATIONS, generator=torch.Generator().manual_seed(2))
    seen = made.inspect(obs)
    made.summarise({name: list(values.numpy()) for name, values in seen.items()})
    log_scale, shift = (seen[name].mean(1, keepdim=True) for name in ("log_scale", "shift"))
    expected = torch.tanh(log_scale.exp() * seen["base_mean"] + shift)
    torch.testing.assert_close(made.act(obs, ablate="frozen_flow"), expected)
    made.flow.network[-1].weight.data.zero_()
    made.summarise({name: list(values.numpy()) for name, values in made.inspect(obs).items()})
    torch.testing.assert_close(made.act(obs, ablate="frozen_flow"), made.act(obs))
    assert (made.act(obs, ablate="without_flow") - made.act(obs)).abs().max() > 0.01


def test_shares_of_the_variance_by_hand():
    """delta = 2 s, beta mu = -s with s = sin: the shift's share is 4, the base's 1, and R² is 0: a base that takes back as
    much as it moves is not unused."""
    s = np.sin(np.arange(400) * 2 * np.pi / 400)[:, None]
    found = shares({"log_scale": np.zeros_like(s), "base_mean": -s, "shift": 2 * s})
    assert [float(found[k][0]) for k in ("shift_share", "base_share", "r2")] == pytest.approx([4, 1, 0], abs=1e-6)
    doubled = shares({"log_scale": np.full_like(s, np.log(2)), "base_mean": s, "shift": 0.5 * np.roll(s, 100, 0)})
    assert [float(doubled[k][0]) for k in ("shift_share", "base_share")] == pytest.approx([0.25 / 4.25, 4 / 4.25], rel=1e-5)


def test_ablation_removes_the_flow_alone():
    fleet = learner()
    obs = torch.randn(2, 3, OBSERVATIONS)
    without = fleet.act(obs, ablate="without_flow")
    torch.testing.assert_close(without, torch.tanh(fleet.policy.base(obs[..., :STATES]).mean))
    assert not torch.allclose(without, fleet.act(obs))


def test_one_adam_moves_base_and_flow_and_critics_ignore_the_history():
    fleet = learner()
    batch = random_batch(2)
    before = {name: p.detach().clone() for name, p in fleet.policy.named_parameters()}
    fleet.update(batch, {name: torch.randn(2, 8, ACTIONS) for name in ("noise", "next_noise")})
    assert len(fleet.policy_optimiser.param_groups) == 1
    assert all(not torch.equal(p, before[name]) for name, p in fleet.policy.named_parameters())
    assert not critics_depend_on_the_actions_before(fleet, batch)


def test_critics_step_as_released():
    """The authors' loop: one Adam over both critics, zeros left by zero_grad, a step on each critic's loss in turn."""
    fleet, batch = learner(critic_steps="released"), random_batch(2)
    for member in range(2):
        nets = []
        for row in (2 * member, 2 * member + 1):
            weights = [p.detach()[row].clone() for p in fleet.critics.parameters()]
            nets.append([torch.nn.Parameter(w) for w in weights])
        optimiser = torch.optim.Adam([p for net in nets for p in net], lr=fleet.config.learning_rate)
        draws = {name: torch.full((2, 8, ACTIONS), 0.3) for name in ("noise", "next_noise")}
        value = fleet.next_value(batch, draws)[member]
        target = batch.reward[member] + fleet.config.discount * (1 - batch.terminated[member]) * value
        inputs = torch.cat([batch.obs[member, :, :STATES], batch.action[member]], -1)
        losses = [(forward(net, inputs) - target).square().mean() for net in nets]
        gradients = [torch.autograd.grad(loss, net) for loss, net in zip(losses, nets, strict=True)]
        for stepping in range(2):
            for j, net in enumerate(nets):
                for p, gradient in zip(net, gradients[j], strict=True):
                    p.grad = gradient if j == stepping else torch.zeros_like(p)
            optimiser.step()
        theirs = [[p.detach() for p in net] for net in nets]
        trained = deepcopy(fleet)
        trained.update(batch, draws)
        for j, net in enumerate(theirs):
            for ours, wanted in zip(trained.critics.parameters(), net, strict=True):
                torch.testing.assert_close(ours[2 * member + j].detach(), wanted, rtol=1e-5, atol=1e-7)


def forward(weights, x):
    """An MLP with ReLU from its weights and biases in turn."""
    for layer in range(0, len(weights), 2):
        x = (x.relu() if layer else x) @ weights[layer] + weights[layer + 1].reshape(-1)
    return x.squeeze(-1)


@pytest.mark.parametrize("critic_history", [False, True])
def test_memory_without_a_flow(critic_history):
    """The control: the policy sees the past actions, the critics do if they are asked to."""
    config = SACMemory(base="1x32", batch_size=8, critic_history=critic_history)
    fleet, batch = sac_memory.Learner(config, [4, 5], OBSERVATIONS, ACTIONS), random_batch(2)
    fleet.update(batch, {name: torch.randn(2, 8, ACTIONS) for name in ("noise", "next_noise")})
    assert not torch.allclose(fleet.act(batch.obs), fleet.act(remembering_others(batch.obs)))
    assert critics_depend_on_the_actions_before(fleet, batch) == critic_history


def critics_depend_on_the_actions_before(fleet, batch):
    values, others = (fleet.values(fleet.critics, x, batch.action) for x in (batch.obs, remembering_others(batch.obs)))
    return not torch.equal(values, others)


def remembering_others(obs):
    return torch.cat([obs[..., :STATES], obs[..., STATES:] + 1], -1)


def random_batch(members, size=8):
    return Batch(
        obs=torch.randn(members, size, OBSERVATIONS),
        action=torch.rand(members, size, ACTIONS) * 2 - 1,
        reward=torch.randn(members, size),
        terminated=(torch.rand(members, size) < 0.2).float(),
        next_obs=torch.randn(members, size, OBSERVATIONS),
    )
