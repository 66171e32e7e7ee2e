"""DDPG with random critics: its updates against literal ports, what it learns against a known optimum, what flows cost."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from common.rl.randomness import Blocks
from common.rl.replay import Batch
from papers.nf_review import bayes_ddpg, config, mnf_cost, mnf_ddpg, noisy_ddpg, ou_ddpg

LEARNERS = {
    "ou": (ou_ddpg, config.OUDDPG),
    "noisy": (noisy_ddpg, config.NoisyDDPG),
    "bayes": (bayes_ddpg, config.BayesDDPG),
    "mnf": (mnf_ddpg, config.MNFDDPG),
}
SMALL = {"base": "2x32", "critic": "2x32", "batch_size": 16}


def made(name, seeds=(3, 4), observations=3, actions=2, **settings):
    module, cls = LEARNERS[name]
    return module.Learner(cls(**SMALL | settings), list(seeds), observations, actions)


def batch_of(members=2, size=16, observations=3, actions=2):
    def normal(*shape):
        return torch.randn(members, size, *shape)

    return Batch(normal(observations), normal(actions).tanh(), normal(), (normal() > 0).to(normal()), normal(observations))


def draws_of(learner, update=0, seeds=(3, 4)):
    drawn = Blocks(seeds, "update", 4, learner.update_draws).at(update)
    return {name: torch.as_tensor(x).to(torch.get_default_dtype()) for name, x in drawn.items()}


def literal(layers, norms, obs, action, member):
    """A critic, or an actor (`action` None), of one member: linear layers, torch's layer norm, ReLU."""
    x = obs
    for i, (weight, bias) in enumerate(layers):
        x = torch.cat([x, action], -1) if i == 1 and action is not None else x
        x = x @ weight + bias
        if i < len(norms):
            gain, shift = norms[i].gain[member, 0], norms[i].bias[member, 0]
            x = nn.functional.layer_norm(x, x.shape[-1:], gain, shift).clamp(min=0)
    return x


def actor_of(policy, obs, member):
    network = list(policy.network)
    layers = [(x.weight[member], x.bias[member]) for x in network if hasattr(x, "weight")]
    return torch.tanh(literal(layers, [x for x in network if hasattr(x, "gain")], obs, None, member))


def critic_of(critics, weights, obs, action, member):
    return literal([(w[member], b[member]) for w, b in weights], critics.norms, obs, action, member).squeeze(-1)


def disturb(module):
    for p in module.parameters():
        p.data += 0.2 * torch.randn_like(p)


@pytest.mark.parametrize("name", LEARNERS)
def test_losses_are_those_of_the_equations(name, double):
    """Targets have no noise; the actor climbs one draw of the critic for the whole batch."""
    learner, seen = made(name), batch_of()
    for module in (learner.policy, learner.critics, learner.policy_target, learner.targets):
        disturb(module)
    numbers = draws_of(learner)
    climbed = {key.removeprefix("actor."): x for key, x in numbers.items() if key.startswith("actor.")}
    found, ascended = learner.critic_loss(seen, numbers), learner.policy_loss(seen, numbers)
    for m in range(2):
        following = critic_of(learner.targets, learner.targets.weights(), seen.next_obs[m],
                              actor_of(learner.policy_target, seen.next_obs[m], m), m)  # fmt: skip
        y = seen.reward[m] + 0.99 * (1 - seen.terminated[m]) * following
        if name in ("ou", "noisy"):  # in the others every row has weights of its own
            weights = learner.critics.weights(numbers_of(numbers) if name == "noisy" else None)
            values = critic_of(learner.critics, weights, seen.obs[m], seen.action[m], m)
        else:
            values = learner.critics(seen.obs, seen.action, numbers)[m]
            assert (values - learner.critics(seen.obs, seen.action)[m]).abs().min() > 0
        expected = (values - y).square().mean()
        if name in ("bayes", "mnf"):
            expected = expected + 0.1 / 100_000 * learner.critics.divergence(numbers)[m]
        torch.testing.assert_close(found[m], expected)
        weights = learner.critics.weights(climbed)
        up = critic_of(learner.critics, weights, seen.obs[m], actor_of(learner.policy, seen.obs[m], m), m)
        torch.testing.assert_close(ascended[m], -up.mean())


def numbers_of(numbers):
    return {name: x for name, x in numbers.items() if not name.startswith("actor.")}


def test_one_draw_of_weights_has_the_mean_and_the_spread_of_draws_per_row(double):
    """Local reparameterisation is the same posterior as drawing weights: of the values of one state and action."""
    learner = made("bayes", seeds=[3], log_std=-1.0)
    obs, action, rng, count = torch.randn(1, 1, 3), torch.randn(1, 1, 2), np.random.default_rng(0), 4_000
    rows = {name: torch.as_tensor(x)[None] for name, x in learner.critics.draws(rng, count).items()}
    local = learner.critics(obs.expand(1, count, 3), action.expand(1, count, 2), rows)[0]
    drawn = learner.critics.weight_draws(rng, count)
    each = torch.func.vmap(lambda d: learner.critics.drawn(obs, action, {k: x[None] for k, x in d.items()})[0, 0])(
        {name: torch.as_tensor(x) for name, x in drawn.items()}
    )
    local, each = local.detach(), each.detach()
    deviation = local.std() / count**0.5
    assert abs(local.mean() - each.mean()) < 5 * deviation and local.std() > 0.01
    assert float(each.std() / local.std()) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("name", LEARNERS)
def test_an_update_moves_every_parameter_and_targets_by_their_rate(name):
    learner = made(name, target_rate=0.25)
    before = copy.deepcopy((learner.policy, learner.critics, learner.policy_target, learner.targets))
    learner.update(batch_of(), draws_of(learner))
    for old, new in zip(before[:2], (learner.policy, learner.critics), strict=True):
        still = [key for (key, a), b in zip(old.named_parameters(), new.parameters(), strict=True) if torch.equal(a, b)]
        assert still == []
    for old, new, online in zip(before[2:], (learner.policy_target, learner.targets), (learner.policy, learner.critics),
                                strict=True):  # fmt: skip
        for a, b, c in zip(old.parameters(), new.parameters(), online.parameters(), strict=True):
            torch.testing.assert_close(b, 0.75 * a + 0.25 * c)


def test_the_process_keeps_its_spread_and_forgets_at_its_rate():
    """x' = (1 - theta) x + sigma n: deviation sigma / sqrt(1 - (1 - theta)^2), correlation (1 - theta)^k, from the first
    step of a stretch on."""
    learner = made("ou")
    paths = np.stack([learner.acting_draws(np.random.default_rng(seed), 64)["noise"] for seed in range(3_000)])
    deviations = paths.std((0, 2))
    np.testing.assert_allclose(deviations, 0.2 / np.sqrt(1 - 0.85**2), rtol=0.05)
    for lag in (1, 5):
        kept = (paths[:, lag:] * paths[:, :-lag]).mean() / paths.var()
        assert kept == pytest.approx(0.85**lag, abs=0.02)


def test_only_the_plain_critic_adds_noise_to_actions():
    obs = torch.randn(2, 5, 3)
    plain = made("ou")
    noise = {"noise": 3 * torch.randn(2, 5, 2)}
    torch.testing.assert_close(plain.act(obs, noise), (plain.act(obs) + noise["noise"]).clamp(-1, 1))
    for name in ("noisy", "bayes", "mnf"):
        learner = made(name)
        drawn = learner.acting_draws(np.random.default_rng(0), 4)["noise"]
        assert drawn.shape == (4, 2) and not drawn.any()
    both = made("mnf", noise_deviation=0.2)
    torch.testing.assert_close(both.act(obs, noise), (both.act(obs) + noise["noise"]).clamp(-1, 1))


@pytest.mark.parametrize("name", LEARNERS)
def test_they_find_the_best_action_of_a_problem_whose_values_are_known(name):
    """r = 1 - (a - s / 2)^2, the next state is any, and half of the transitions end: a* = s / 2 and Q(s, a*) = 1 + gamma / 2
    Q(s', a*) = 1 / (1 - gamma / 2). Transitions are random and cover all actions. A state is (s, 1): normalised layers see
    no more of it than its direction."""
    learner = made(name, seeds=[3], observations=2, actions=1, learning_rate=1e-3, critic_learning_rate=3e-3,
                   target_rate=0.03, discount=0.8, batch_size=32)  # fmt: skip
    rng = torch.Generator().manual_seed(0)
    blocks = Blocks([3], "update", 100, learner.update_draws)
    for update in range(450):
        obs, action, after = (2 * torch.rand(1, 32, 1, generator=rng) - 1 for _ in range(3))
        reward = 1 - (action - obs / 2).square().squeeze(-1)
        obs, after = (torch.cat([x, torch.ones_like(x)], -1) for x in (obs, after))
        ended = (torch.rand(1, 32, generator=rng) < 0.5).float()
        learner.update(
            Batch(obs, action, reward, ended, after), {k: torch.from_numpy(x) for k, x in blocks.at(update).items()}
        )
    s = torch.linspace(-0.9, 0.9, 13).view(1, 13, 1)
    obs = torch.cat([s, torch.ones_like(s)], -1)
    best = learner.act(obs)
    assert (best - s / 2).abs().mean() < 0.12, "of 0.24 of an actor that learned nothing"
    with torch.no_grad():
        assert learner.targets(obs, best).mean().item() == pytest.approx(1 / 0.6, abs=0.25)


def test_operations_are_those_of_the_products():
    """A plain layer: forward, and the weight's gradient, 2 batch n^2 each; an input has no gradient."""
    learner = mnf_cost.Learner(config.MNFCost(posterior="plain", largest=64, batch_size=32), [0])
    [rows] = learner.tables()["cost"]
    assert [row["units"] for row in rows] == [16, 32, 64]
    for row in rows:
        n = row["units"]
        assert row["parameters"] == n * n + n
        assert 0 <= row["operations"] - 2 * 2 * 32 * n * n < 10 * 32 * n + 10 * n * n


@pytest.mark.parametrize("posterior", ["mean_field", "masked", "iaf"])
def test_the_divergence_is_paid_for(posterior):
    """It reads every weight's mean and deviation, and so do its derivatives."""
    learner = mnf_cost.Learner(config.MNFCost(posterior=posterior, batch_size=32), [0])
    layer = learner.layer(16)
    whole, layer.divergence = learner.operations(layer, 16), lambda noise: sum(p.flatten()[:1] for p in layer.parameters())
    assert whole - learner.operations(layer, 16) > 4 * 16**2


def test_a_counter_sees_products_and_what_else_computes():
    a, b = torch.randn(2, 3, 5), torch.randn(2, 5, 7)
    with mnf_cost.Counter() as counter:
        torch.bmm(a, b)
    assert counter.total == 2 * 2 * 3 * 5 * 7
    with mnf_cost.Counter() as counter:
        a.transpose(1, 2).exp()
    assert counter.total == 30, "a view computes nothing"
