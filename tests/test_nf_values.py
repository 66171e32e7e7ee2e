"""The n-chain, and the deep Q-learners on it: their updates against literal ports, and what they learn against the best
policy of a short chain."""

from copy import deepcopy

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from torch.nn import functional as F

from common.rl import episodes, nchain
from common.rl.journal import MemoryJournal
from common.rl.replay import Batch
from papers.nf_review import bayes_dqn, bootstrapped_dqn, config, dqn, mnf_dqn, noisy_dqn

LEARNERS = {
    "dqn": (dqn, config.DQN),
    "noisy": (noisy_dqn, config.NoisyDQN),
    "bootstrapped": (bootstrapped_dqn, config.BootstrappedDQN),
    "bayes": (bayes_dqn, config.BayesDQN),
    "mnf": (mnf_dqn, config.MNFDQN),
}


def chain(length, **settings):
    nchain.register()
    return gymnasium.make("NChain-v0", length=length, **settings)


@pytest.mark.filterwarnings("ignore:.*render.*")
def test_the_chain_is_an_environment_as_gymnasium_wants_it():
    check_env(chain(7).unwrapped)
    with pytest.raises(ValueError, match="3 states"):
        chain(2)


def best_return(length):
    """By value iteration over the steps left."""
    value = np.zeros(length + 1)
    for _ in range(length + nchain.EXTRA_STEPS):
        left, right = np.zeros(length + 1), np.zeros(length + 1)
        for s in range(1, length + 1):
            left[s] = (0.001 if s == 1 else 0) + value[max(s - 1, 1)]
            right[s] = (1.0 if s == length else 0) + value[min(s + 1, length)]
        value = np.maximum(left, right)
    return value[2]


@pytest.mark.parametrize("length", [3, 10, 57])
def test_the_best_return_is_ten_for_every_length(length):
    assert best_return(length) == pytest.approx(10)

    def played(action):
        env, total, over, steps = chain(length, render_mode="ansi"), 0.0, False, 0
        obs, _ = env.reset(seed=0)
        assert obs.tolist() == [1, 1] + [0] * (length - 2) and "o" in env.render()
        while not over:
            obs, reward, terminated, over, _ = env.step(action)
            total, steps = total + reward, steps + 1
            assert not terminated and obs.shape == (length,)
        assert steps == length + 8
        return total

    assert played(1) == pytest.approx(10) and played(0) == pytest.approx(0.001 * (length + 7))


def test_epsilon_falls_from_one_to_a_tenth():
    learner = dqn.Learner(config.DQN(), [0], 10, 2)
    np.testing.assert_allclose(learner.epsilon(np.array([0, 500, 1000, 1500])), [1, 0.55, 0.1, 0.1])
    assert (noisy_dqn.Learner(config.NoisyDQN(), [0], 10, 2).epsilon(np.array([0])) == 0).all()


def batch(members=2, size=6, width=5):
    return Batch(
        obs=torch.randn(members, size, width), action=torch.randint(2, (members, size, 1)).to(torch.get_default_dtype()),
        reward=3 * torch.randn(members, size), terminated=(torch.rand(members, size) < 0.5).to(torch.get_default_dtype()),
        next_obs=torch.randn(members, size, width),
    )  # fmt: skip


def literal(layers, x):
    """A network of plain layers of one member, on one state."""
    for i, (weight, bias) in enumerate(layers):
        x = x @ weight + bias
        x = x if i == len(layers) - 1 else x.clamp(min=0)
    return x


def stacked(learner, size):
    drawn = [learner.update_draws(np.random.default_rng(seed), size) for seed in (1, 2)]
    return {name: torch.as_tensor(np.stack([d[name][0] for d in drawn])) for name in drawn[0]}


def signed_root(x):
    return x.sign() * x.abs().sqrt()


def weights_of(name, layer, at, drawn, prefix):
    """W and b of a layer of the at-th network, written out: `drawn` is the noise, None for none."""
    if name in ("dqn", "bootstrapped"):
        return layer.weight[at], layer.bias[at]
    both = layer.mean[at]
    if name == "noisy":
        rows, columns = (signed_root(drawn[f"{prefix}{end}"][at]) for end in ("in", "out"))
        spread = torch.cat([torch.outer(rows, columns), columns[None]])
        both = both + layer.sigma[at] * spread
    elif name == "bayes":
        both = both + torch.log1p(layer.rho[at].exp()) * drawn[f"{prefix}weight"][at]
    return both[:-1], both[-1]


@pytest.mark.parametrize("name", ["dqn", "bootstrapped", "noisy", "bayes"])
def test_the_update_is_the_formula_on_one_transition_at_a_time(name, double):
    """y = r + gamma (1 - d) Q'(s', argmax Q(s', .)), a Huber loss, gradients clamped, one step of torch's Adam. Of noisy
    layers and of Bayes by backprop one draw of the weights serves the batch, and another the target network's values."""
    module, cls = LEARNERS[name]
    settings = cls(**{"heads": 3} if name == "bootstrapped" else {}, discount=0.9, learning_rate=0.1)
    learner = module.Learner(settings, [3, 4], 5, 2)
    for p in learner.target.parameters():
        p.data += 0.3 * torch.randn_like(p)
    seen, heads, drawn = batch(), learner.heads, stacked(learner, 1)
    assert name in ("dqn", "bootstrapped") or any(key.startswith("target.") for key in drawn)
    network = deepcopy(learner.network)
    flat, expected = list(network.parameters()), []
    for member in range(2):
        losses = []
        for at in range(heads * member, heads * (member + 1)):
            mine = [weights_of(name, layer, at, drawn, f"{i}.") for i, layer in enumerate(network.layers)]
            theirs = [weights_of(name, layer, at, drawn, f"target.{i}.") for i, layer in enumerate(learner.target.layers)]
            for i in range(6):
                best = int(literal(mine, seen.next_obs[member, i]).argmax())
                future = literal(theirs, seen.next_obs[member, i])[best]
                y = float(seen.reward[member, i] + 0.9 * (1 - seen.terminated[member, i]) * future)
                error = literal(mine, seen.obs[member, i])[int(seen.action[member, i])] - y
                losses.append((error**2 / 2 if abs(error) < 1 else abs(error) - 0.5) / 6)
        expected.append(sum(losses))
        if name == "bayes":  # the divergence of every weight and bias, one part in the size of the batch
            for layer in network.layers:
                mean, sigma = layer.mean[member], torch.log1p(layer.rho[member].exp())
                expected[-1] = expected[-1] + ((sigma**2 + mean**2 - 1) / 2 - sigma.log()).sum() / 32
    torch.testing.assert_close(learner.loss(seen, drawn), torch.stack(expected))
    optimiser = torch.optim.Adam(flat, lr=0.1, eps=1.5e-4)
    sum(expected).backward()
    for p in flat:
        p.grad.clamp_(-1, 1)
    optimiser.step()
    learner.update(seen, drawn)
    for ours, theirs in zip(learner.network.parameters(), flat, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", ["bayes", "mnf"])
def test_the_divergence_counts_one_part_in_the_buffers_size(name):
    module, cls = LEARNERS[name]
    learner = module.Learner(cls(divergence_weight=7.0, batch_size=6, buffer_size=100), [3, 4], 5, 2)
    free = module.Learner(cls(divergence_weight=0.0, batch_size=6, buffer_size=100), [3, 4], 5, 2)
    seen, numbers = batch(), stacked(learner, 1)
    gap = learner.loss(seen, numbers) - free.loss(seen, numbers)
    torch.testing.assert_close(gap, 0.07 * learner.network.divergence(numbers), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", LEARNERS)
def test_gradients_reach_every_parameter(name):
    module, cls = LEARNERS[name]
    learner = module.Learner(cls(batch_size=6), [3, 4], 5, 2)
    learner.loss(batch(), stacked(learner, 1)).sum().backward()
    assert [n for n, p in learner.network.named_parameters() if not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("name", LEARNERS)
def test_acting_in_numpy_is_the_network_with_the_episodes_weights(name):
    module, cls = LEARNERS[name]
    settings = {"epsilon_start": 0.0, "epsilon_end": 0.0} if name == "dqn" else {}
    learner = module.Learner(cls(**settings), [3, 4, 5], 5, 2)
    for member in range(3):
        learner.begin(member, learner.episode_draws(np.random.default_rng(member), 8))
    obs, zero = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32), np.zeros(3, dtype=int)
    for age in (zero, zero + 5):
        chosen = learner.act(obs, age, zero)
        noise = {
            key: torch.from_numpy(np.stack([n[key][age[0]] if name == "noisy" else n[key] for n in learner.noise]))
            for key in learner.noise[0]
        }
        for member in range(3):
            at = learner.heads * member + (learner.head[member] if name == "bootstrapped" else 0)
            layers = [[p[at] for p in layer] for layer in learner.network.weights(noise)]
            assert chosen[member] == int(literal(layers, torch.from_numpy(obs[member])).argmax())
    plain = learner.network(torch.from_numpy(obs)[:, None].repeat_interleave(learner.heads, 0)).reshape(3, -1, 2).argmax(-1)
    votes = plain.double().mean(1)
    for member, action in enumerate(learner.greedy(obs)):
        assert action == (plain[member, 0] if votes[member] == 0.5 else int(votes[member] > 0.5))
    with torch.no_grad():
        next(learner.network.parameters())[learner.heads] = torch.nan  # of member 1
    learner.drawn = learner.means = None
    assert (learner.act(obs, zero, zero) == -1).tolist() == (learner.greedy(obs) == -1).tolist() == [False, True, False]


def test_noisy_layers_have_factorised_noise():
    layer = noisy_dqn.NoisyLinear([np.random.default_rng(0)], 3, 2, 0.4)
    assert torch.allclose(layer.sigma[:, :3], torch.tensor(0.4 / 3**0.5)) and layer.mean.abs().max() < 3**-0.5
    assert torch.allclose(layer.sigma[:, 3], torch.tensor(0.4 / 2**0.5))
    noise = {"in": torch.tensor([[4.0, -9.0, 0.25]]), "out": torch.tensor([[1.0, -4.0]])}
    weight, bias = layer.weights(noise)
    np.testing.assert_allclose(((weight - layer.mean[:, :3]) / layer.sigma[:, :3]).detach()[0],
                               np.outer([2, -3, 0.5], [1, -2]), rtol=1e-4)  # fmt: skip
    np.testing.assert_allclose(((bias - layer.mean[:, 3]) / layer.sigma[:, 3]).detach()[0], [1, -2], rtol=1e-4)


def test_layers_start_as_in_the_released_code():
    plain = dqn.Learner(config.DQN(), range(200), 5, 2).network.layers[0]
    assert float(plain.weight.detach().std()) == pytest.approx((4 / 21) ** 0.5, rel=0.03) and not plain.bias.any()
    layer = bayes_dqn.BayesLinear([np.random.default_rng(seed) for seed in range(200)], 5, 16, -3.0)
    with torch.no_grad():
        assert layer.mean.abs().max() < 0.6**0.5 and float(layer.mean.std()) == pytest.approx(0.2**0.5, rel=0.03)
        spread = layer.spread({"weight": torch.ones(200, 6, 16)})
    torch.testing.assert_close(spread, torch.full_like(spread, 0.0485873))


@pytest.mark.parametrize("name", LEARNERS)
def test_they_find_the_best_policy_of_a_short_chain(name):
    """With an update every other step the last rollouts pay what value iteration says."""
    module, cls = LEARNERS[name]
    kept = MemoryJournal(2)
    settings = {"epsilon_episodes": 50} if name == "dqn" else {}
    run = cls(length=4, total_steps=150, evaluate_every=10, update_every=2, **settings)
    episodes.run(module.Learner, run, [0, 1], kept)
    last = [value for _, step, metric, value in kept.records if metric == "return" and step > 120]
    assert len(last) == 6 and np.mean(last) == pytest.approx(best_return(4), abs=0.3)


class Scripted:
    """A learner that goes right from a given episode on, and learns nothing."""

    def __init__(self, config, seeds, observations, actions, device):
        self.since, self.episode, self.updates, self.copies, self.seen = [3, 6], np.zeros(2, int), 0, 0, []
        type(self).made = self

    def update_draws(self, rng, size):
        return {"x": rng.random(size)}

    def episode_draws(self, rng, steps):
        return {"first": rng.random()}

    def begin(self, member, draws):
        pass

    def act(self, obs, age, episode):
        self.episode = episode.copy()
        return np.zeros(2, dtype=int)

    def greedy(self, obs):
        return np.array([int(self.episode[m] >= since) for m, since in enumerate(self.since)])

    def update(self, batch, draws):
        self.updates += 1
        self.seen.append(batch)

    def copy_target(self):
        self.copies += 1


def test_the_loop_counts_episodes_updates_and_the_first_long_streak():
    kept = MemoryJournal(2)
    episodes.run(Scripted, config.DQN(length=4, total_steps=12, evaluate_every=4, solved_streak=4), [0, 1], kept)
    found = {(m, step, metric): value for m, step, metric, value in kept.records}
    # The rollout after episode e sees what was learned in e episodes: the first good ones come after episodes 4 and 7.
    assert [found[m, 12, "solved"] for m in (0, 1)] == [4, 7]
    assert found[0, 4, "return"] == pytest.approx((3 * 0.011 + 10) / 4) and found[0, 8, "return"] == pytest.approx(10)
    assert found[1, 12, "return_training"] == pytest.approx(0.011)
    assert Scripted.made.updates == 10 and Scripted.made.copies == 1, "one an episode once 32 are there"


@pytest.mark.parametrize("timeouts", ["terminal", "bootstrapped"])
def test_the_last_step_of_an_episode_is_terminal_or_is_bootstrapped(timeouts):
    """A chain of 4 has episodes of 12 steps: one transition in twelve has no future, or none has."""
    run = config.DQN(length=4, total_steps=60, evaluate_every=4, batch_size=32, timeouts=timeouts)
    episodes.run(Scripted, run, [0, 1], MemoryJournal(2))
    last = float(torch.stack([batch.terminated for batch in Scripted.made.seen]).mean())
    assert last == (pytest.approx(1 / 12, abs=0.02) if timeouts == "terminal" else 0)


def test_greedy_rollouts_of_plain_dqn_find_a_chain_that_was_never_explored():
    """What c12 of the review rests on, in a port without a line of ours: torch's layers and Adam, a step per episode, the
    time limit a terminal state. The far end was never reached when a hundred greedy rollouts in a row begin that are best:
    values of states that nobody has seen drift upwards, for a thermometer has more entries there. So "solved" counts what
    was not learnt. (So with the first four seeds; in chains of 50 states with one of them.)"""
    length, rng = 100, np.random.default_rng(1)
    torch.manual_seed(1)
    network, target = (
        torch.nn.Sequential(
            torch.nn.Linear(length, 16), torch.nn.ReLU(), torch.nn.Linear(16, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2)
        )
        for _ in range(2)
    )
    for layer in network[::2]:
        torch.nn.init.normal_(layer.weight, 0, (4 / sum(layer.weight.shape)) ** 0.5)
        torch.nn.init.zeros_(layer.bias)
    target.load_state_dict(network.state_dict())
    adam = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1.5e-4)
    thermometers = torch.tril(torch.ones(length, length))
    seen, paid, steps, begins = [], 0.0, 0, None

    def moved(state, action):
        reward = {(1, 0): 0.001, (length, 1): 1.0}.get((state, action), 0.0)
        return min(max(state + (1 if action else -1), 1), length), reward

    for episode in range(500):
        with torch.no_grad():
            greedy = network(thermometers).argmax(1).tolist()
        state, best = 2, 0.0
        for _ in range(length + 8):
            state, reward = moved(state, greedy[state - 1])
            best += reward
        begins = (begins or (episode, paid)) if best > 9.99 else None
        if begins and episode - begins[0] == 99:
            break
        state = 2
        for step in range(length + 8):
            explores = rng.random() < 1 - 0.9 * episode / 1000
            action = int(rng.integers(2)) if explores else greedy[state - 1]
            following, reward = moved(state, action)
            seen.append((state, action, reward, following, float(step == length + 7)))
            state, steps, paid = following, steps + 1, max(paid, reward)
            if steps % 100 == 0:
                target.load_state_dict(network.state_dict())
        s, a, r, t, over = (torch.tensor(x) for x in zip(*(seen[i] for i in rng.integers(len(seen), size=32)), strict=True))
        with torch.no_grad():
            choice = network(thermometers[t - 1]).argmax(1, keepdim=True)
            y = r + 0.999 * (1 - over) * target(thermometers[t - 1]).gather(1, choice)[:, 0]
        adam.zero_grad()
        F.smooth_l1_loss(network(thermometers[s - 1]).gather(1, a[:, None])[:, 0], y).backward()
        for parameter in network.parameters():
            parameter.grad.clamp_(-1, 1)
        adam.step()
    assert begins and episode - begins[0] == 99 and begins[1] < 1.0
