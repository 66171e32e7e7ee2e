"""SAC against its equations, and its random numbers."""

import torch
from torch import nn

from common.rl import off_policy, sac
from common.rl.config import SAC
from common.rl.journal import MemoryJournal
from common.rl.randomness import Blocks
from common.rl.replay import Batch

OBSERVATIONS, ACTIONS, BATCH = 3, 2, 32


def batch_of(generator, members=1):
    def normal(*shape):
        return torch.randn(members, BATCH, *shape, generator=generator)

    return Batch(
        normal(OBSERVATIONS),
        normal(ACTIONS).tanh(),
        normal(),
        (normal() > 1).float(),
        normal(OBSERVATIONS),
    )


class Reference:
    """One member, written from the equations with torch.nn and torch.distributions."""

    def __init__(self, learner):
        c = learner.config
        self.c = c

        def mlp(module, row):
            layers = []
            for layer in module.network:
                if hasattr(layer, "weight"):
                    linear = nn.Linear(*layer.weight.shape[1:])
                    linear.weight.data = layer.weight.data[row].T.clone()
                    linear.bias.data = layer.bias.data[row].clone()
                    layers += [linear, nn.ReLU()]
            return nn.Sequential(*layers[:-1])

        self.policy = mlp(learner.policy.base, 0)
        self.critics = nn.ModuleList([mlp(learner.critics, row) for row in range(2)])
        self.targets = nn.ModuleList([mlp(learner.critics, row) for row in range(2)])
        self.policy_optimiser = torch.optim.Adam(self.policy.parameters(), lr=c.learning_rate)
        self.critic_optimiser = torch.optim.Adam(self.critics.parameters(), lr=c.learning_rate)

    def sample(self, obs, noise):
        mean, log_std = self.policy(obs).chunk(2, -1)
        normal = torch.distributions.Normal(mean, log_std.clamp(-20, 2).exp())
        u = mean + normal.stddev * noise
        action = torch.tanh(u)
        log_prob = normal.log_prob(u) - torch.log1p(-(action.double() ** 2)).float()
        return action, log_prob.sum(-1)

    def update(self, b, draws):
        c = self.c

        def q(nets, obs, action):
            return [net(torch.cat([obs, action], -1)).squeeze(-1) for net in nets]

        with torch.no_grad():
            next_action, log_prob = self.sample(b.next_obs[0], draws["next_noise"][0])
            value = torch.min(*q(self.targets, b.next_obs[0], next_action)) - c.temperature * log_prob
            y = b.reward[0] + c.discount * (1 - b.terminated[0]) * value
        loss = sum(nn.functional.mse_loss(v, y) for v in q(self.critics, b.obs[0], b.action[0]))
        self.critic_optimiser.zero_grad()
        loss.backward()
        self.critic_optimiser.step()
        action, log_prob = self.sample(b.obs[0], draws["noise"][0])
        loss = (c.temperature * log_prob - torch.min(*q(self.critics, b.obs[0], action))).mean()
        self.policy_optimiser.zero_grad()
        loss.backward()
        self.policy_optimiser.step()
        with torch.no_grad():
            for target, online in zip(self.targets.parameters(), self.critics.parameters(), strict=True):
                target.mul_(1 - c.target_rate).add_(online, alpha=c.target_rate)


def test_updates_are_those_of_the_equations():
    config = SAC(base="2x64", critic="2x64", batch_size=BATCH)
    learner = sac.Learner(config, [7], OBSERVATIONS, ACTIONS)
    reference = Reference(learner)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        batch = batch_of(generator)
        draws = {name: torch.randn(1, BATCH, ACTIONS, generator=generator) for name in ("noise", "next_noise")}
        learner.update(batch, draws)
        reference.update(batch, draws)
    assert all(p.grad_fn is None for p in learner.targets.parameters())  # else every update adds to a graph for ever
    for layer, expected in (
        (learner.policy.base.network[0], reference.policy[0]),
        (learner.policy.base.network[4], reference.policy[4]),
    ):
        torch.testing.assert_close(layer.weight[0], expected.weight.T, rtol=1e-3, atol=1e-5)
    for row in range(2):
        torch.testing.assert_close(
            learner.targets.network[0].weight[row], reference.targets[row][0].weight.T, rtol=1e-3, atol=1e-6
        )


def test_same_seed_same_records_another_seed_others():
    settings = SAC(
        env="Hopper-v4",
        base="1x32",
        critic="1x32",
        total_steps=60,
        warmup=20,
        update_after=30,
        batch_size=16,
        evaluate_every=30,
        evaluation_episodes=1,
    )
    first, again, other = MemoryJournal(1), MemoryJournal(1), MemoryJournal(1)
    for journal, seed in ((first, 4), (again, 4), (other, 5)):
        off_policy.run(sac.Learner, settings, [seed], journal)
    assert first.records == again.records
    assert first.records != other.records


def test_streams_depend_on_seed_and_entry_alone():
    def draw(rng, size):
        return {"x": rng.random(size)}

    fleet, alone = Blocks([3, 8], "act", 10, draw), Blocks([8], "act", 10, draw)
    straight = [alone.at(i)["x"][0] for i in range(35)]
    assert [fleet.at(i)["x"][1] for i in range(35)] == straight
    assert Blocks([8], "act", 10, draw).at(34)["x"][0] == straight[34]
    assert len(set(straight)) == 35
    assert Blocks([8], "update", 10, draw).at(0)["x"][0] != straight[0]
