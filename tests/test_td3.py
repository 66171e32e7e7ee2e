"""TD3, DDPG and SAC with a learned temperature against their equations."""

import numpy as np
import pytest
import torch
from torch import nn

from common.rl import ddpg, sac, sac_auto, td3
from common.rl.config import DDPG, SAC, TD3, SACAuto
from common.rl.randomness import Blocks
from common.rl.replay import Batch

OBSERVATIONS, ACTIONS, BATCH = 3, 2, 32


def batch_of(generator, members=1):
    def normal(*shape):
        return torch.randn(members, BATCH, *shape, generator=generator)

    return Batch(normal(OBSERVATIONS), normal(ACTIONS).tanh(), normal(), (normal() > 1).float(), normal(OBSERVATIONS))


def draws_of(learner, update, seeds=(7,)):
    """The random numbers of one update, as the loop hands them over."""
    block = Blocks(seeds, "update", 32, learner.update_draws).at(update)
    return {name: torch.from_numpy(array) for name, array in block.items()}


def copied(network, row, squash=False):
    """One row of a stack of networks as torch.nn modules."""
    layers = []
    for layer in network:
        if hasattr(layer, "weight"):
            linear = nn.Linear(*layer.weight.shape[1:])
            linear.weight.data = layer.weight.data[row].T.clone()
            linear.bias.data = layer.bias.data[row].clone()
            layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1], *[nn.Tanh()] * squash)


def q(nets, obs, action):
    return [net(torch.cat([obs, action], -1)).squeeze(-1) for net in nets]


def step(optimiser, loss):
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def track(targets, online, rate):
    with torch.no_grad():
        for target, parameter in zip(targets.parameters(), online.parameters(), strict=True):
            target.mul_(1 - rate).add_(parameter, alpha=rate)


class DeterministicReference:
    """One member of TD3 or DDPG, written from the equations with torch.nn."""

    def __init__(self, learner):
        self.c = c = learner.config
        self.policy, self.policy_target = (copied(learner.policy.network, 0, squash=True) for _ in range(2))
        rows = range(2 if isinstance(c, TD3) and not isinstance(c, DDPG) else 1)
        self.critics, self.targets = (nn.ModuleList(copied(learner.critics.network, r) for r in rows) for _ in range(2))
        self.policy_optimiser = torch.optim.Adam(self.policy.parameters(), lr=c.learning_rate)
        self.critic_optimiser = torch.optim.Adam(self.critics.parameters(), lr=c.critic_learning_rate)

    def update(self, number, b, draws):
        c, twin = self.c, len(self.critics) == 2
        with torch.no_grad():
            action = self.policy_target(b.next_obs[0])
            if twin:
                action = (action + (0.2 * draws["target_noise"][0]).clamp(-0.5, 0.5)).clamp(-1, 1)
            values = q(self.targets, b.next_obs[0], action)
            value = torch.min(*values) if twin else values[0]
            y = b.reward[0] + 0.99 * (1 - b.terminated[0]) * value
        losses = [nn.functional.mse_loss(value, y) for value in q(self.critics, b.obs[0], b.action[0])]
        step(self.critic_optimiser, sum(losses))
        if twin and number % 2:
            return
        step(self.policy_optimiser, -q(self.critics, b.obs[0], self.policy(b.obs[0]))[0].mean())
        track(self.targets, self.critics, c.target_rate)
        track(self.policy_target, self.policy, c.target_rate)


@pytest.mark.parametrize("module, config", [(td3, TD3), (ddpg, DDPG)])
def test_deterministic_updates_are_those_of_the_equations(module, config):
    learner = module.Learner(config(base="2x32", critic="2x32", batch_size=BATCH), [7], OBSERVATIONS, ACTIONS)
    reference = DeterministicReference(learner)
    generator = torch.Generator().manual_seed(0)
    for number in range(1, 21):
        batch, draws = batch_of(generator), draws_of(learner, number)
        learner.update(batch, draws)
        reference.update(number, batch, draws)
    for ours, theirs in (
        (learner.policy.network[0], reference.policy[0]),
        (learner.policy_target.network[4], reference.policy_target[4]),
        (learner.critics.network[2], reference.critics[0][2]),
        (learner.targets.network[0], reference.targets[0][0]),
    ):
        torch.testing.assert_close(ours.weight[0], theirs.weight.T, rtol=1e-3, atol=1e-5)


def test_learned_temperature_is_that_of_the_equations():
    config = SACAuto(base="1x32", critic="1x32", batch_size=BATCH, temperature=0.5)
    learner = sac_auto.Learner(config, [7], OBSERVATIONS, ACTIONS)
    fixed = sac.Learner(SAC(base="1x32", critic="1x32", batch_size=BATCH, temperature=0.5), [7], OBSERVATIONS, ACTIONS)
    batch, draws = batch_of(torch.Generator().manual_seed(0)), draws_of(learner, 0)
    log_prob = learner.distribution(batch.obs).rsample_and_log_prob(draws["noise"])[1].detach()
    learner.update(batch, draws)
    fixed.update(batch, draws)
    for ours, theirs in zip(learner.policy.parameters(), fixed.policy.parameters(), strict=True):
        assert torch.equal(ours, theirs)  # at the same temperature the first update is SAC's
    log_alpha = torch.tensor([0.5]).log().requires_grad_()
    optimiser = torch.optim.Adam([log_alpha], lr=3e-4)
    step(optimiser, (log_alpha * (-log_prob[0] + ACTIONS)).mean())
    torch.testing.assert_close(learner.temperature.log[0], log_alpha)
    assert learner.summarise({"base_log_std": [np.zeros(1)]})["temperature"] == [pytest.approx(log_alpha.exp().item())]


def test_temperature_falls_while_the_entropy_exceeds_its_target():
    learner = sac_auto.Learner(SACAuto(base="1x32", critic="1x32", batch_size=BATCH), [7], OBSERVATIONS, ACTIONS)
    generator = torch.Generator().manual_seed(0)
    for number in range(10):
        learner.update(batch_of(generator), draws_of(learner, number))
        assert -learner.log_prob.mean() > -ACTIONS
    assert learner.temperature().item() < 1


def test_exploration_is_clipped_noise_around_the_deterministic_action():
    learner = td3.Learner(TD3(base="1x32", critic="1x32", exploration_noise=0.5), [7], OBSERVATIONS, ACTIONS)
    obs, noise = torch.randn(1, 64, OBSERVATIONS), torch.randn(1, 64, ACTIONS)
    plain, explored = learner.act(obs), learner.act(obs, {"noise": noise})
    assert torch.equal(explored, (plain + 0.5 * noise).clamp(-1, 1)) and (explored.abs() == 1).any()


def test_an_action_is_saturated_beyond_99_per_cent_of_its_bound():
    trace = {"action": [np.array([[0.98, -1.0], [0.995, 0.0]]), np.zeros((3, 2))]}
    learner = td3.Learner(TD3(base="1x32", critic="1x32"), [7, 8], OBSERVATIONS, ACTIONS)
    assert learner.summarise(trace) == {"saturated": [0.5, 0.0]}
