"""Encoders and agents of the offline room on data whose optimum is known; and what is said of them at the end."""

import math

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from common.errors import UserError
from common.flows.networks import widths
from common.rl import offline
from common.rl.datasets import Transitions, stacked
from common.rl.inputs import Run
from common.rl.journal import MemoryJournal
from common.rl.randomness import Blocks, generator, reset_seed
from common.rl.simulators import Environment
from papers.cnf_offline import agent, awac, cnf, encoder, flow, iql, lapo, likelihood, plas
from papers.cnf_offline.config import AWAC, CNF, IQL, LAPO, PLAS, Flow, Likelihood
from papers.cnf_offline.data import DATA_LIMIT
from tests.offline_peers import ROWS, Standard, data_of, disturbed, flow_run, vae_run

SEEDS = (0, 1)


def trained(learner, data, updates, batch_size, first=1):
    """The learner after updates on batches as the loop draws them."""
    batches = Blocks(learner.seeds, "sample", 64, lambda rng, n: {"uniform": rng.random((n, batch_size))})
    draws = Blocks(learner.seeds, "update", 64, learner.update_draws)
    for step in range(first, first + updates):
        index = torch.from_numpy((batches.at(step)["uniform"] * len(learner.order)).astype(np.int64))
        numbers = {name: torch.from_numpy(x) for name, x in draws.at(step).items()}
        learner.update(data.take(learner.order[index]), numbers)
    return learner


# The frozen encoder


def frozen(base="uniform", event=3, seed=0, layers=12, units="2x64"):
    """An encoder of actions as long as the published one, moved away from its start."""
    made = encoder.build([np.random.default_rng(seed)], event, layers, widths(units), base, context=4)
    disturbed(made, 0.03)
    return encoder.Frozen(made.state_dict(), event, layers, widths(units), base, 4)


@pytest.mark.parametrize("base, event", [("uniform", 3), ("normal", 2)])
def test_what_is_encoded_is_decoded_up_to_the_edge(base, event):
    """In float32, for actions of which a third lie at a bound, after a little training: by the folded steps and
    by the flow's own inverse."""
    rng, count = np.random.default_rng(0), 1000
    state = rng.standard_normal((count, 4))
    action = np.tanh(1.5 * rng.standard_normal((count, event)) + state[:, :event])
    action = np.where(np.abs(action) > 0.95, np.sign(action), action)
    rows = stacked(state, action, state[:, 0], np.zeros(count), np.zeros(count), state)
    data = Transitions(torch.from_numpy(rows), 4, event)
    learner = trained(flow.Learner(Flow(base=base, layers=12, units="2x16", batch_size=64), [0], data), data, 40, 64)
    learner.measure()
    made = encoder.Frozen(learner.best.state_dict(), event, 12, widths("2x16"), base, 4)
    action, state = learner.prepare(data.take(torch.arange(count)[None]))
    assert action.abs().max() == np.float32(1 - 2e-5) and (action.abs() > 0.9999).float().mean() > 0.2
    z, log_det = made.encode(action, state)
    assert z.shape == action.shape and torch.isfinite(log_det).all() and log_det.shape == (1, count)
    assert (made.decode(z, state) - action).abs().max() < 1e-3
    assert (made.flow.inverse(z, state)[0] - action).abs().max() < 1e-3


def test_latents_of_the_box_are_cut_where_tanh_has_an_inverse():
    uniform, normal = frozen("uniform"), frozen("normal")
    state = torch.randn(1, 5, 4)
    edge, beyond = torch.full((1, 5, 3), 1 - 1e-5), torch.full((1, 5, 3), 2.0)
    assert torch.equal(uniform.decode(edge, state), uniform.decode(beyond, state))
    assert torch.equal(uniform.decode(-edge, state), uniform.decode(torch.full((1, 5, 3), -1.0), state))
    assert torch.isfinite(uniform.decode(beyond, state)).all()
    torch.testing.assert_close(uniform.decode(edge, state), uniform.flow.inverse(edge, state)[0], rtol=0, atol=1e-3)
    assert not torch.allclose(uniform.decode(edge, state), uniform.decode(edge - 9e-5, state), atol=1e-2)
    assert not torch.allclose(normal.decode(edge, state), normal.decode(beyond, state), atol=1e-3)


def test_the_flow_with_the_best_held_out_likelihood_is_taken(tmp_path):
    data = data_of()
    runs = [
        flow_run(tmp_path, data, name=str(i), nll=nll, learning_rate=1e-4 * (i + 1))
        for i, nll in enumerate((0.3, -1.2, 0.1))
    ]
    runs.append(flow_run(tmp_path, data, base="normal", name="normal", nll=-9.0))
    for i, run in enumerate(runs):
        arrays = {name: x.numpy() + 0.01 * i for name, x in run.tensors("flow").items()}
        save_file(arrays, run.files["flow"])
    made, event = agent.flow_of({"flow": runs}, "uniform", data.observations, data.actions, "cpu")
    assert event == data.actions and made.base == "uniform"
    for name, tensor in runs[1].tensors("flow").items():
        assert torch.equal(made.flow.state_dict()[name], tensor)
    with pytest.raises(UserError, match="uses: vae: no run has normalised = True"):
        agent.chosen({"vae": [vae_run(tmp_path, data, False)]}, "vae", normalised=True)


# Pre-training


def test_normalisations_start_from_the_first_batch(double):
    """Each leaves it with mean 0 and deviation 1, given what those before it do."""
    data = data_of()
    learner = flow.Learner(Flow(layers=3, units="2x16", batch_size=50), [3, 4], data)
    x, state = learner.prepare(data.take(learner.order[:50].expand(2, -1)))
    normalised = 0
    for transform in learner.flow.transforms:
        x = transform(x, state)[0]
        if hasattr(transform, "log_scale"):
            normalised += 1
            torch.testing.assert_close(x.mean(1), torch.zeros(2, 2), rtol=0, atol=1e-6)
            torch.testing.assert_close(x.std(1), torch.ones(2, 2), rtol=0, atol=1e-4)
    assert normalised == 3


def test_a_tenth_of_the_data_the_same_for_all_members_is_held_out():
    data = data_of()
    first, second = (flow.Learner(Flow(layers=1, units="2x16", batch_size=32), seeds, data) for seeds in ([3, 4], [9]))
    assert torch.equal(first.validation, second.validation) and len(first.validation) == ROWS // 10
    assert sorted([*first.order.tolist(), *first.validation.tolist()]) == list(range(ROWS))
    assert first.validation.tolist() != list(range(ROWS // 10)), "at random"


def test_the_parameters_with_the_best_held_out_likelihood_are_left(double):
    data = data_of()
    learner = flow.Learner(Flow(layers=2, units="2x16", batch_size=64), [3, 4], data)
    measured = [learner.measure()]
    kept = {name: x.clone() for name, x in learner.flow.state_dict().items()}
    with torch.no_grad():  # the first member becomes worse, the second better
        for parameter in learner.flow.parameters():
            parameter[0] += 0.3
    trained(learner, data, 30, 64)
    with torch.no_grad():
        for parameter in learner.flow.parameters():
            parameter[0] += 0.3
    measured.append(learner.measure())
    nll = np.array([m["nll_held_out"] for m in measured])
    assert nll[1, 0] > nll[0, 0] and nll[1, 1] < nll[0, 1]
    left = learner.files()["flow"]
    for name, now in learner.flow.state_dict().items():
        assert np.array_equal(left[0][name], kept[name][:1]) and np.array_equal(left[1][name], now[1:])
    assert learner.results()["nll_best"] == [nll[0, 0], nll[1, 1]]
    for name, rows in (("nll_held_out", learner.validation), ("nll", learner.order)):
        exact = [-learner.log_prob(*learner.prepare(data.take(rows.expand(2, -1))))[m].mean().item() for m in range(2)]
        assert measured[1][name] == pytest.approx(exact)
    pooled = learner.log_prob(*learner.prepare(data.take(learner.order.expand(2, -1))))
    assert pooled.shape == (2, ROWS - ROWS // 10)


def test_a_search_draws_rates_from_the_tables_ranges():
    data = data_of()
    learner = flow.Learner(Flow(layers=1, units="2x16", batch_size=32, search=True), range(200), data)
    rates, decays = (np.sort(learner.results()[name]) for name in ("learning_rate", "weight_decay"))
    for values, low, high in ((rates, 1e-5, 3e-3), (decays, 0.0, 1e-2)):
        uniform = (values - low) / (high - low)
        assert np.abs(uniform - (np.arange(200) + 0.5) / 200).max() < 1.63 / 200**0.5, "Kolmogorov and Smirnov at 1 %"
    assert np.array_equal(learner.optimiser.rates[0].flatten(), np.float32(learner.results()["learning_rate"]))
    plain = flow.Learner(Flow(layers=1, units="2x16", batch_size=32), [1, 2], data)
    assert plain.results()["learning_rate"].tolist() == [5e-4] * 2 and plain.results()["weight_decay"].tolist() == [1e-4] * 2


@pytest.mark.parametrize("base", ["uniform", "normal"])
def test_a_flow_reaches_the_entropy_of_a_known_density(base):
    """Of a = tanh(c(s) + L x), with tanh(x) uniform or x normal: what a flow of that base can be."""
    rng, count = np.random.default_rng(0), 4000
    state = rng.standard_normal((count, 2))
    mix = np.array([[0.6, 0.0], [0.4, 0.3]])
    x = np.arctanh(rng.uniform(-1, 1, (count, 2))) if base == "uniform" else rng.standard_normal((count, 2))
    u = 0.5 * state[:, ::-1] + x @ mix.T
    rows = stacked(state * 3 + 1, np.tanh(u), u[:, 0], u[:, 0] * 0, u[:, 0] * 0, state)
    data = Transitions(torch.from_numpy(rows), 2, 2)
    log_base = np.log((1 - np.tanh(x) ** 2) / 2) if base == "uniform" else -(x**2) / 2 - math.log(2 * math.pi) / 2
    nll = -(log_base - np.log(1 - np.tanh(u) ** 2)).sum(1) + math.log(np.linalg.det(mix))
    config = Flow(base=base, layers=3, units="2x16", batch_size=256, learning_rate=5e-3)
    learner = flow.Learner(config, SEEDS, data)
    start = np.array(learner.measure()["nll_held_out"])
    trained(learner, data, 500, 256)
    reached, entropy = np.array(learner.measure()["nll_held_out"]), nll[learner.validation.numpy()].mean()
    assert (start > entropy + 0.3).all() and (np.abs(reached - entropy) < 0.06).all(), (start, reached, entropy)


# Agents


MODES = np.array([[0.5, 0.5], [-0.5, -0.5]])


@pytest.fixture(scope="module")
def bandit(tmp_path_factory):
    """One step from one state: three in ten actions lie about the first mode, for which the reward is 1, else 0. States are
    noise. With an encoder of the actions."""
    rng, count = np.random.default_rng(0), 2000
    good = rng.random(count) < 0.3
    action = np.where(good[:, None], *MODES) + 0.04 * rng.standard_normal((count, 2))
    rows = stacked(
        0.1 * rng.standard_normal((count, 2)), action, good, np.ones(count), np.zeros(count), np.zeros((count, 2))
    )
    data = Transitions(torch.from_numpy(rows), 2, 2)
    config = Flow(layers=4, units="2x16", batch_size=256, learning_rate=5e-3)
    learner = trained(flow.Learner(config, [0], data), data, 500, 256)
    learner.measure()
    path = tmp_path_factory.mktemp("bandit") / "flow.safetensors"
    save_file(learner.files()["flow"][0], path)
    return data, {"flow": [Run({"flow": path}, vars(config), {"nll_best": 0.0})]}


def drawn(learner, count=400):
    """Samples of the policy, [members, count, 2]."""
    draws = [learner.acting_draws(np.random.default_rng(seed), count) for seed in learner.seeds]
    noise = {name: torch.from_numpy(np.stack([d[name] for d in draws])) for name in draws[0]}
    return learner.act(torch.zeros(len(learner.seeds), count, 2), noise).numpy()


def away(actions):
    """Distance to each mode's centre, [members, count, modes]."""
    return np.linalg.norm(actions[:, :, None] - MODES, axis=-1)


@pytest.mark.parametrize("temperature, mode", [(0.1, 0), (100.0, 1)])
def test_the_conservative_agent_takes_the_better_mode_or_clones_the_common_one(bandit, temperature, mode):
    """And samples of it stay where data are."""
    data, inputs = bandit
    config = CNF(hidden="2x32", batch_size=128, learning_rate=5e-3, temperature=temperature)
    learner = trained(cnf.Learner(config, SEEDS, data, inputs=inputs), data, 400, 128)
    distance = away(drawn(learner))
    assert (np.median(distance[..., mode], 1) < 0.25).all()  # the other mode is 1.4 away
    assert ((distance.min(-1) < 0.35).mean(1) > 0.95).all()
    value = learner.value_of(torch.zeros(2, 1, 2)).numpy()
    np.testing.assert_allclose(value, 1.0 - mode, atol=0.15)


def test_awac_takes_the_better_mode_or_clones_the_data(bandit):
    """Its Gaussian of a large temperature is that of the greatest likelihood: mean and deviation of the data."""
    data, _ = bandit
    greedy, cloning = (
        trained(
            awac.Learner(AWAC(hidden="2x32", batch_size=128, learning_rate=1e-2, temperature=t), SEEDS, data), data, 500, 128
        )
        for t in (0.1, 1000.0)
    )
    assert (np.median(away(drawn(greedy))[..., 0], 1) < 0.25).all()
    samples = drawn(cloning, 4000)
    np.testing.assert_allclose(samples.mean(1), np.tile(data.action.mean(0), (2, 1)), atol=0.08)
    np.testing.assert_allclose(samples.std(1), np.tile(data.action.std(0), (2, 1)), atol=0.08)


def test_iqls_values_are_the_exact_expectiles_of_a_chain():
    """Two states in a row, two actions each: V(s) is the tau-expectile of Q(s, a) over the data's actions."""
    tau, discount = 0.8, 0.9
    rewards = np.array([[0.0, 1.0], [0.5, -0.5]])  # [state, action]
    shares = np.array([0.25, 0.75])

    def expectile(values):
        """Of values with those shares: the zero of the loss's slope, which lies between the two."""
        grid = np.linspace(values.min(), values.max(), 100_001)
        gap = values[:, None] - grid
        slope = (shares[:, None] * np.where(gap > 0, tau, 1 - tau) * gap).sum(0)
        return grid[np.abs(slope).argmin()]

    last = expectile(rewards[1])
    exact = np.array([expectile(rewards[0] + discount * last), last])
    state = np.repeat([0, 1], 200)
    taken = np.tile(np.repeat([0, 1], [50, 150]), 2)
    obs, action = np.eye(2)[state], np.where(taken[:, None] == 1, 0.8, -0.8) * np.ones((1, 2))
    rows = stacked(obs, action, rewards[state, taken], state == 1, state * 0, np.tile([0.0, 1.0], (400, 1)))
    data = Transitions(torch.from_numpy(rows), 2, 2)
    config = IQL(hidden="2x32", batch_size=128, learning_rate=3e-3, expectile=tau, discount=discount, target_rate=0.05,
                 return_range=0.0, total_steps=600, evaluate_every=600)  # fmt: skip
    learner, everything = iql.Learner(config, SEEDS, data), data.take(torch.arange(400).expand(2, -1))
    for _ in range(600):
        learner.update(everything, {})
    found = learner.value(torch.eye(2).expand(2, 2, 2)).squeeze(-1).detach().numpy()
    np.testing.assert_allclose(found, np.tile(exact, (2, 1)), atol=0.03)
    mode = learner.act(torch.eye(2).expand(2, 2, 2)).numpy()
    assert (mode[:, 0] > 0.6).all() and (mode[:, 1] < 0.2).all(), "the better action of either state"
    np.testing.assert_allclose(learner.value_of(torch.eye(2).expand(2, 2, 2)[:, :1]), 1 + discount * last, atol=0.12)


# What is said of them


@pytest.mark.parametrize("name", ["cnf", "iql", "plas", "lapo"])
def test_values_and_returns_from_first_states_are_those_of_episodes_played_by_hand(name, tmp_path):
    rng = np.random.default_rng(0)
    obs, following = rng.standard_normal((2, 200, 11))
    ends = np.arange(1, 201) % 20 == 0
    rows = stacked(obs, np.tanh(following[:, :2]), 3 * obs[:, 0], ends, np.zeros(200), following)
    data = Transitions(torch.from_numpy(rows), 11, 2)
    config = {"env": "Reacher-v4", "episode_steps": 7, "evaluation_episodes": 3, "discount": 0.8, "total_steps": 5}
    module, cls, hidden = {"cnf": (cnf, CNF, "2x32"), "iql": (iql, IQL, "2x32"), "plas": (plas, PLAS, "32-32"),
                           "lapo": (lapo, LAPO, "2x32")}[name]  # fmt: skip
    settings = cls(**config, hidden=hidden, evaluate_every=5, **({"encoder": "none"} if name == "cnf" else {}))
    inputs = {"vae": [vae_run(tmp_path, data, False)]}
    learner, seeds = module.Learner(settings, [4, 5], data, inputs=inputs), [4, 5]
    journal = MemoryJournal(2)

    def make():
        return Environment("Reacher-v4", "bounded", episode_steps=7)

    offline.record_overestimation(learner, make, settings, seeds, np.array([True, False]), journal, "cpu")
    recorded = {metric: value for m, step, metric, value in journal.records}
    assert {(m, step) for m, step, *_ in journal.records} == {(0, 5)} and recorded.keys() == {"q_start", "return_discounted"}
    values, totals = [], []
    noise = generator(4, "evaluate", 6)
    steps = [learner.acting_draws(noise, 3) for _ in range(7)]
    for episode in range(3):
        env, total = make(), 0.0
        state = env.reset(reset_seed(4, "evaluate", episode))
        values.append(learner.value_of(torch.from_numpy(state).expand(2, 1, -1))[0, 0].item())
        for t in range(7):
            draws = {key: torch.from_numpy(x[episode]).expand(2, 1, -1) for key, x in steps[t].items()}
            state, reward, _, _ = env.step(learner.act(torch.from_numpy(state).expand(2, 1, -1), draws)[0, 0].numpy())
            total += 0.8**t * reward
        totals.append(total)
    assert recorded["q_start"] == pytest.approx(np.mean(values), rel=1e-4)
    assert recorded["return_discounted"] == pytest.approx(np.mean(totals), rel=1e-3)
    scale = {"iql": 1 / getattr(learner, "reward_scale", 1), "lapo": getattr(learner, "largest", 1)}.get(name, 1)
    assert scale != 1 or name in ("cnf", "plas")
    standard = Standard(data) if name in ("cnf", "lapo") else lambda x: x
    x = torch.from_numpy(rows[:3, :11]).expand(2, 3, 11)
    action = learner.act(x)
    action = (action - learner.action_mean) / learner.action_std if name == "lapo" else action
    torch.testing.assert_close(
        learner.value_of(x), scale * learner.critics(standard(x), action).amin(1), rtol=1e-4, atol=1e-4
    )


def test_distances_to_the_data_are_those_to_the_nearest_other_row():
    data = data_of()
    learner = cnf.Learner(CNF(encoder="none", hidden="2x32"), SEEDS, data)
    found = agent.nearest(learner, data)
    s, a = Standard(data)(data.obs).numpy() / 2, data.action.numpy() / 2**0.5
    noise = np.stack([learner.acting_draws(generator(seed, "evaluate", 0), ROWS)["noise"] for seed in SEEDS])
    samples = learner.act(data.obs.expand(2, -1, -1), {"noise": torch.from_numpy(noise)}).numpy() / 2**0.5
    states = np.square(s[:, None] - s).sum(-1)
    np.fill_diagonal(states, np.inf)
    for chosen, expected in ((a, found["distance_data"]), (samples[0], found["distance_policy"][:1]),
                             (samples[1], found["distance_policy"][1:])):  # fmt: skip
        least = np.sqrt((states + np.square(chosen[:, None] - a).sum(-1)).min(1)).mean()
        np.testing.assert_allclose(expected, least, rtol=1e-3)
    assert found["distance_data"][0] < min(found["distance_policy"])


def test_what_an_agent_measures():
    data = data_of(rows=300)
    learner = cnf.Learner(CNF(encoder="none", hidden="2x32"), SEEDS, data)
    measured = learner.measure()
    rows = np.linspace(0, 299, 256).astype(int)
    s, a = Standard(data)(data.obs[rows]), data.action[rows]
    mean, log_std = learner.policy.network(s.expand(2, -1, -1)).chunk(2, -1)
    mode = torch.tanh(mean)
    for m in range(2):
        assert measured["l1_mode"][m] == pytest.approx((mode[m] - a).abs().mean().item(), rel=1e-4)
        assert measured["log_std"][m] == pytest.approx(log_std[m].mean().item(), rel=1e-4)
        for key, action in (("q_data", a), ("q_policy", mode[m])):
            values = learner.critics(s.expand(2, -1, -1), action.expand(2, -1, -1))[m]
            assert measured[key][m] == pytest.approx(torch.min(values[0], values[1]).mean().item(), rel=1e-3, abs=1e-5)
    z = learner.probed_latents().detach()
    assert measured["latent_size"] == pytest.approx(z.abs().flatten(1).median(1)[0].tolist())
    ends = [[np.quantile(sign * x[:, entry], 0.99) for sign in (-1, 1) for entry in range(2)] for x in z]
    assert learner.results()["latent_reach"] == pytest.approx(np.min(ends, 1), rel=1e-3)


@pytest.mark.parametrize("name", ["cnf", "plas", "lapo", "iql", "awac"])
def test_what_is_measured_is_of_the_policy_and_the_critics_that_learn(name, tmp_path):
    """Not of their targets: with these disturbed actions, values and measurements stay. LAPO alone acts through a target,
    its decoder's, and not through the decoder that learns."""
    data = data_of(rows=300)
    inputs = {"vae": [vae_run(tmp_path, data, normalised) for normalised in (False, True)]}
    learner = {
        "cnf": lambda: cnf.Learner(CNF(encoder="none", hidden="2x32"), SEEDS, data),
        "plas": lambda: plas.Learner(PLAS(hidden="32-32"), SEEDS, data, inputs=inputs),
        "lapo": lambda: lapo.Learner(LAPO(hidden="2x32"), SEEDS, data),
        "iql": lambda: iql.Learner(IQL(hidden="2x32"), SEEDS, data),
        "awac": lambda: awac.Learner(AWAC(hidden="2x32"), SEEDS, data),
    }[name]()
    obs = data.obs[:20].expand(2, -1, -1)
    drawn = [learner.acting_draws(np.random.default_rng(seed), 20) for seed in SEEDS]
    noise = {key: torch.from_numpy(np.stack([x[key] for x in drawn])) for key in drawn[0]}

    def seen():
        return (
            learner.act(obs, noise),
            learner.act(obs),
            learner.value_of(obs),
            torch.tensor(list(learner.measure().values())),
        )

    before, changed = seen(), 0
    for key, part in vars(learner).items():
        through = "decoder_target" if name == "lapo" else ""
        if isinstance(part, torch.nn.Module) and ("target" in key and key != through or through and key == "decoder"):
            disturbed(part, 0.5)
            changed += 1
    assert changed and all(map(torch.equal, before, seen()))


def test_evaluations_draw_samples_by_the_members_seed_and_the_step():
    from common.rl.evaluation import Stochastic

    data = data_of(rows=300)
    learner = cnf.Learner(CNF(encoder="none", hidden="2x32"), SEEDS, data)
    obs = data.obs[:6].expand(2, 6, -1)
    acts = [Stochastic(learner, SEEDS, 30), Stochastic(learner, SEEDS, 30), Stochastic(learner, SEEDS, 60)]
    first, again, later = (actor.act(obs) for actor in acts)
    assert torch.equal(first, again) and not torch.equal(first, later) and not torch.equal(first, acts[0].act(obs))
    noise = torch.from_numpy(generator(1, "evaluate", 30).standard_normal((6, 2), dtype=np.float32))
    assert torch.equal(first[1], learner.act(obs, {"noise": noise.expand(2, -1, -1)})[1])


def test_how_likely_actions_are_under_the_flow(tmp_path):
    """-ln p of the flow that the inputs name, in the states that the agents were probed in; a seed finds its own agent's."""
    data = data_of(rows=300)
    flow = flow_run(tmp_path, data)
    learner = cnf.Learner(CNF(encoder="none", hidden="2x32"), SEEDS, data)
    files = learner.files()["probe"]
    rows = np.linspace(0, 299, 300).astype(int)[:256]  # 300 // 256 = 1
    assert np.array_equal(files[0]["obs"], data.obs[rows].numpy()) and files[0]["obs"].shape == (256, 4)
    noise = np.stack([learner.acting_draws(generator(seed, "evaluate", 0), 256)["noise"] for seed in SEEDS])
    acted = learner.act(data.obs[rows].expand(2, -1, -1), {"noise": torch.from_numpy(noise)})
    for m in range(2):
        np.testing.assert_array_equal(files[m]["action"], acted[m].numpy())
    runs = {}
    for shift, role in enumerate(likelihood.ROLES):
        runs[role] = []
        for m in (1, 0):  # in any order
            path = tmp_path / f"{role}-{m}.safetensors"
            save_file({"obs": files[m]["obs"], "action": files[m]["action"] * 0.9**shift}, path)
            runs[role].append(Run({"probe": path}, {"seed": SEEDS[m]}, {}))
    made = likelihood.Learner(Likelihood(), list(SEEDS), data, "cpu", {"flow": [flow], **runs})
    measured = made.measure()
    frozen, _ = agent.flow_of({"flow": [flow]}, "uniform", 4, 2, "cpu")

    def nll(action):
        """By the change of variables, from what the frozen flow says of an action."""
        _, log_det = frozen.encode(action[None], Standard(data)(data.obs[rows])[None])
        return -(log_det - 2 * np.log(2)).mean().item()

    assert measured["nll_data"] == pytest.approx([nll(data.action[rows].clamp(-DATA_LIMIT, DATA_LIMIT))] * 2, rel=1e-4)
    for shift, role in enumerate(likelihood.ROLES):
        expected = [nll(torch.from_numpy(files[m]["action"] * 0.9**shift)) for m in range(2)]
        assert measured[f"nll_{role}"] == pytest.approx(expected, rel=1e-4), role
