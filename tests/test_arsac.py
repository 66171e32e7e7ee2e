"""The three identities of the paper, and ARSAC's details."""

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
        actions.append(distribution.transform(u, history)[0].detach())
        histories.append(history)
        history = torch.cat([history[..., ACTIONS:], actions[-1]], -1)
    recovered = fleet.policy.transform.inverse(torch.cat(actions, 1), torch.cat(histories, 1))[0]
    torch.testing.assert_close(recovered, torch.cat(expected, 1), rtol=0, atol=1e-6)


def test_flow_is_the_identity_at_an_empty_history():
    log_scale, shift = learner().flow.parameters_at(torch.zeros(2, 1, 3 * ACTIONS))
    assert torch.all(log_scale == 0) and torch.all(shift == 0)


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
