"""TD3, DDPG and SAC with a learned temperature against their equations, and a fleet against its members alone."""

import numpy as np
import pytest
import torch
from torch import nn

from common.rl import ddpg, loops, sac, sac_auto, td3
from common.rl.buffers import Batch
from common.rl.config import DDPG, SAC, TD3, SACAuto
from common.rl.streams import Blocks
from tests.journals import MemoryJournal

OBSERVATIONS, ACTIONS, BATCH = 3, 2, 32
ALGORITHMS = {"td3": (td3, TD3), "ddpg": (ddpg, DDPG), "sac_auto": (sac_auto, SACAuto)}


def batch_of(generator, members=1):
    def normal(*shape):
        return torch.randn(members, BATCH, *shape, generator=generator)

    return Batch(
        normal(OBSERVATIONS), normal(0), normal(ACTIONS).tanh(), normal(), (normal() > 1).float(), normal(OBSERVATIONS),
        normal(0),
    )  # fmt: skip


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


@pytest.mark.parametrize("name", ["td3", "ddpg"])
def test_deterministic_updates_are_those_of_the_equations(name):
    module, config = ALGORITHMS[name]
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
    log_prob = learner.distribution(batch.obs, batch.history).rsample_and_log_prob(draws["noise"])[1].detach()
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


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_member_in_a_fleet_is_the_run_it_would_be_alone(name):
    """Same warm-up transitions; losses to 1e-5 relative over 50 updates."""
    module, config = ALGORITHMS[name]
    settings = config(env="Hopper-v4", base="1x32", critic="1x32", total_steps=110, warmup=60, update_after=60,
                      batch_size=32, evaluate_every=110, evaluation_episodes=1)  # fmt: skip
    losses = {2: [], 1: []}
    journals = {members: MemoryJournal(members) for members in losses}

    def build(config, seeds, *arguments):
        learner = module.Learner(config, seeds, *arguments)
        original = learner.critic_loss

        def noted(*arguments):
            loss = original(*arguments)
            losses[len(seeds)].append(loss.detach().clone())
            return loss

        learner.critic_loss = noted
        return learner

    loops.off_policy(build, settings, [4, 5], journals[2])
    loops.off_policy(build, settings, [5], journals[1])
    assert np.array_equal(np.concatenate(journals[2].rows[1])[:61], np.concatenate(journals[1].rows[0])[:61])
    assert len(losses[1]) == 50
    for together, single in zip(losses[2], losses[1], strict=True):
        torch.testing.assert_close(together[1:], single, rtol=1e-5, atol=1e-5)
    assert {r[2] for r in journals[1].records} >= {"return", "saturated" if name != "sac_auto" else "temperature"}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_saved_learner_goes_on_as_if_it_had_not_stopped(name):
    module, config = ALGORITHMS[name]
    settings = config(base="1x32", critic="1x32", batch_size=BATCH)
    whole, stopped, resumed = (module.Learner(settings, [7], OBSERVATIONS, ACTIONS) for _ in range(3))
    generator = torch.Generator().manual_seed(0)
    batches = [batch_of(generator) for _ in range(9)]
    for number, batch in enumerate(batches):
        whole.update(batch, draws_of(whole, number))
    for number, batch in enumerate(batches[:5]):
        stopped.update(batch, draws_of(stopped, number))
    resumed.load_state_dict(stopped.state_dict())
    for number, batch in enumerate(batches[5:], 5):
        resumed.update(batch, draws_of(resumed, number))
    expected, found = whole.state_dict(), resumed.state_dict()
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[key], found[key]) for key in expected)


def test_exploration_is_clipped_noise_around_the_deterministic_action():
    learner = td3.Learner(TD3(base="1x32", critic="1x32", exploration_noise=0.5), [7], OBSERVATIONS, ACTIONS)
    obs, noise = torch.randn(1, 64, OBSERVATIONS), torch.randn(1, 64, ACTIONS)
    plain, explored = learner.act(obs, obs[..., :0]), learner.act(obs, obs[..., :0], {"noise": noise})
    assert torch.equal(explored, (plain + 0.5 * noise).clamp(-1, 1)) and (explored.abs() == 1).any()
