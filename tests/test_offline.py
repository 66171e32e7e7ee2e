"""Data sets of transitions: what is in them, the loops that make them, roll policies out and learn from them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from common.errors import UserError
from common.lab.run.journal import Journal
from common.rl import collecting, datasets, offline, rollouts
from common.rl.inputs import Run
from common.rl.journal import MemoryJournal
from common.rl.learner import OfflineLearner
from common.rl.optimisers import FleetAdamW
from common.rl.packing import pack, unpack
from common.rl.randomness import generator, reset_seed
from common.rl.replay import Replay
from common.rl.simulators import Environment
from papers.cnf_offline import behaviour, dataset
from papers.cnf_offline.config import Behaviour, Dataset
from tests.test_learners import After

OBSERVATIONS, ACTIONS = 3, 2


def rows_of(count, terminated=(), truncated=(), seed=0):
    rng = np.random.default_rng(seed)
    ends = np.zeros((2, count))
    ends[0, list(terminated)], ends[1, list(truncated)] = 1, 1
    obs, following = rng.standard_normal((2, count, OBSERVATIONS))
    return datasets.stacked(
        obs, np.tanh(rng.standard_normal((count, ACTIONS))), rng.standard_normal(count), *ends, following
    )


def data_of(*arguments, **named):
    return datasets.checked(torch.from_numpy(rows_of(*arguments, **named)), OBSERVATIONS, ACTIONS, "data")


# Data sets


def test_a_row_holds_its_fields_in_order():
    obs, following = np.arange(6).reshape(2, 3), 10 + np.arange(6).reshape(2, 3)
    rows = datasets.stacked(
        obs, np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([5, 6]), np.array([0, 1]), np.array([1, 0]), following
    )
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows[1], [3, 4, 5, 0.3, 0.4, 6, 1, 0, 13, 14, 15])
    data = datasets.checked(torch.from_numpy(rows), 3, 2, "data")
    assert len(data) == 2 and data.obs.tolist() == obs.tolist() and data.next_obs.tolist() == following.tolist()
    assert data.reward.tolist() == [5, 6] and data.terminated.tolist() == [0, 1] and data.truncated.tolist() == [1, 0]
    np.testing.assert_allclose(data.action, [[0.1, 0.2], [0.3, 0.4]], rtol=1e-6)


def test_batches_are_the_rows_of_an_index():
    data = data_of(20, terminated=[4, 9], truncated=[13])
    index = torch.tensor([[4, 0, 13], [19, 4, 4]])
    batch = data.take(index)
    for m, row in np.ndindex(2, 3):
        i = index[m, row]
        for name in ("obs", "action", "reward", "terminated", "next_obs"):
            assert torch.equal(getattr(batch, name)[m, row], getattr(data, name)[i]), name
    assert batch.terminated.tolist() == [[1, 0, 0], [0, 1, 1]], "a time limit is no termination"


def test_episodes_end_at_terminations_limits_and_the_datas_end():
    def lengths(*ends):
        return [(rows.start, rows.stop) for rows in data_of(10, *ends).episodes()]

    assert lengths([3], [7]) == [(0, 4), (4, 8), (8, 10)]
    assert lengths([3], [9]) == [(0, 4), (4, 10)]
    assert lengths([], []) == [(0, 10)]
    assert lengths([0, 1], []) == [(0, 1), (1, 2), (2, 10)]


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda rows: rows[:, :-1],
            r"d: rows of shape \[10, 10\]; an environment with 3 observations and 2 actions has .* 11",
        ),
        (lambda rows: rows[0], "rows of shape"),
        (lambda rows: rows[:0], "d: has no rows"),
        ((2, 1, np.nan), "d: obs: holds NaN or infinite numbers"),
        ((2, 4, np.inf), "d: action: holds NaN or infinite numbers"),
        ((2, 5, np.nan), "d: reward: holds NaN"),
        ((9, 10, np.nan), "d: next_obs: holds NaN"),
        ((2, 3, -1.5), r"d: action: entries must lie in \[-1, 1\], one is 1.5"),
        ((2, 6, 0.5), "d: terminated: must be 0 or 1"),
        ((2, 7, np.nan), "d: truncated: must be 0 or 1"),
    ],
)
def test_bad_data_are_told_in_one_line_with_their_field(change, message):
    rows = torch.from_numpy(rows_of(10))
    if callable(change):
        rows = change(rows)
    else:
        row, column, value = change
        rows[row, column] = value
    with pytest.raises(UserError, match=message) as error:
        datasets.checked(rows, OBSERVATIONS, ACTIONS, "d")
    assert "\n" not in str(error.value)


# The replay as data


def filled(lengths, ends, capacity=100):
    """A replay of two members; episodes of these lengths, of which each ends as `ends` says: 'fell', 'limit' or 'pending'.
    Returns it with every transition of the second member, (obs, action, reward, terminated, next obs)."""
    rng, replay, stored = np.random.default_rng(0), Replay(2, OBSERVATIONS, ACTIONS, capacity), []
    for length, end in zip(lengths, ends, strict=True):
        obs = rng.standard_normal((length + 1, OBSERVATIONS)).astype(np.float32)
        for t in range(length):
            fell = end == "fell" and t == length - 1
            action, reward = rng.uniform(-1, 1, ACTIONS), rng.standard_normal()
            transition = np.concatenate([obs[t], action, [reward, fell, t]]).astype(np.float32)
            replay.add(0, np.zeros_like(transition), obs[t] * 0, t, False)
            replay.add(1, transition, obs[t + 1], t, t == length - 1 and end != "pending")
            stored.append(np.concatenate([transition[:-1], obs[t + 1]]))
    return replay, np.stack(stored)


@pytest.mark.parametrize(
    "count, truncated",
    [
        (12, [6]),  # an episode that goes on: its newest row has no end
        (7, [6]),  # up to a time limit
        (6, []),  # within an episode
        (3, []),  # up to a fall
        (2, []),
    ],
)
def test_the_first_transitions_of_a_replay_are_rows_with_their_true_ends(count, truncated):
    replay, stored = filled([3, 4, 5], ["fell", "limit", "pending"])
    rows = collecting.transitions(replay, 1, count)
    data = datasets.checked(torch.from_numpy(rows), OBSERVATIONS, ACTIONS, "replay")
    assert np.flatnonzero(data.truncated).tolist() == [i for i in truncated if i < count]
    assert np.flatnonzero(data.terminated).tolist() == [2] * (count > 2)
    without = np.delete(rows, OBSERVATIONS + ACTIONS + 2, 1)
    assert np.array_equal(without, stored[:count])


def test_a_replay_may_end_with_an_episode():
    for end, column in (("fell", "terminated"), ("limit", "truncated")):
        replay, stored = filled([3, 4], ["limit", end])
        data = datasets.checked(torch.from_numpy(collecting.transitions(replay, 1, 7)), OBSERVATIONS, ACTIONS, "replay")
        assert getattr(data, column)[-1] == 1 and (data.terminated + data.truncated).tolist() == [0, 0, 1, 0, 0, 0, 1]


def behaving(**settings):
    settings = {
        "env": "Hopper-v4",
        "base": "1x32",
        "critic": "1x32",
        "batch_size": 8,
        "warmup": 20,
        "total_steps": 60,
        "update_after": 20,
        "evaluate_every": 10,
        "evaluation_episodes": 2,
        "episode_steps": 8,
    } | settings
    return Behaviour(**settings)


def considered(returns):
    """(step, return, mark of the policy) that a member keeps of evaluations with these returns."""
    learner = behaviour.Learner(behaving(), [3, 4], OBSERVATIONS, ACTIONS)
    for step, value in enumerate(returns, start=1):
        for parameter in learner.policy.parameters():
            parameter.data[1] = step
        learner.consider(step, [9e9, value])
    assert all((p[1] == learner.medium_step[1]).all() for p in learner.medium.parameters())
    return learner.medium_step[1], learner.medium_return[1]


@pytest.mark.parametrize(
    "returns, step, value",
    [
        # Hopper's band is [1400, 1800].
        ([0, 100, 1500, 2600, 1500], 4, 1400.0),  # mean of the last three, first inside; the later ones too
        ([0, 1500, 1500, 1500, 1500], 4, 1500.0),
        ([1600, 0, 0, 0], 1, 1600.0),  # of as many as there are
        ([0, 600, 900, 0, 0], 3, 500.0),  # never inside: the first of the nearest
        ([0, 600, 900, 300], 4, 600.0),
        ([5000, 4000, 3000, 4000], 4, 11_000 / 3),  # from above
        ([np.nan, np.nan, 1500.0], 3, 1500.0),
    ],
)
@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_medium_is_the_first_policy_in_the_band_or_the_nearest(returns, step, value):
    assert considered(returns) == (step, pytest.approx(value))


def test_of_other_environments_no_band_is_known():
    from common.settings import resolve

    with pytest.raises(UserError, match="env = 'Ant-v4' is not known; allowed: HalfCheetah-v4, Hopper-v4, Walker2d-v4"):
        resolve(Behaviour, {"env": "Ant-v4"}, "page")


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_training_goes_on_where_one_member_diverges():
    class Lost(behaviour.Learner):
        def act(self, obs, draws=None, ablate=None):
            action = super().act(obs, draws, ablate)
            action[0] = torch.nan if self.trained else action[0]
            return action

        trained = False

        def update(self, *arguments):
            self.trained = True
            super().update(*arguments)

    kept = MemoryJournal(2)
    collecting.run(Lost, behaving(), [3, 4], kept)
    assert [m for m, _ in kept.divergences] == [0]
    assert {m for m, step, _, _ in kept.records if step == 60} == {1}


def test_training_leaves_two_policies_and_what_was_seen_up_to_the_first(tmp_path):
    """Stopped and started again it leaves the same bytes."""
    config, produced = (
        behaving(),
        lambda folder: {
            name: [str(folder / f"{name}-{m}.safetensors") for m in (3, 4)] for name in ("medium", "expert", "replay")
        },
    )

    def run(folder, stopping=lambda: False):
        folder.mkdir(exist_ok=True)
        journal = Journal(folder, ["3", "4"], "digest", 1e9, stopping, produced(folder))
        kept = []
        journal.end = lambda learner, replay: kept.append(learner)
        collecting.run(behaviour.Learner, config, [3, 4], journal)
        return journal, kept[0]

    journal, learner = run(tmp_path / "whole")
    with pytest.raises(SystemExit):
        run(tmp_path / "stopped", After(33))
    resumed, again = run(tmp_path / "stopped")
    assert 0 < resumed.start_step < 60 and resumed.records == journal.records
    assert np.array_equal(learner.recent, again.recent)
    for path in (tmp_path / "whole").glob("*.safetensors"):
        assert path.read_bytes() == (tmp_path / "stopped" / path.name).read_bytes()
    last = {(m, metric): float(value) for m, step, metric, value in journal.records}
    returns = {(m, step): float(value) for m, step, metric, value in journal.records if metric == "return"}
    for m in range(2):
        files = {name: tmp_path / "whole" / f"{name}-{3 + m}.safetensors" for name in ("medium", "expert", "replay")}
        run_of = Run(files, {}, {})
        seen = {step: np.mean([returns[m, s] for s in (step - 20, step - 10, step) if s > 0]) for step in range(10, 61, 10)}
        best = max(seen, key=lambda step: (seen[step], -step))
        assert last[m, "step_medium"] == best and last[m, "return_medium"] == pytest.approx(seen[best], rel=1e-5)
        for key, weight in learner.policy.state_dict().items():
            assert torch.equal(run_of.tensors("expert")[key], weight[m])
        rows = run_of.tensors("replay")["rows"]
        log = np.concatenate(journal.pending[m])
        steps = log[log[:, -1] >= 0]
        data = datasets.checked(rows, 11, 3, "replay")
        assert len(data) == best and np.array_equal(rows[:, :15], steps[:best, :15])
        ended = [i + 1 < len(log) and log[i + 1, -1] < 0 for i in np.flatnonzero(log[:, -1] >= 0)[:best]]
        assert ((data.terminated + data.truncated) > 0).tolist() == ended and 0 < sum(ended)
        for episode in data.episodes():
            np.testing.assert_array_equal(data.obs[episode][1:], data.next_obs[episode][:-1])


# Roll-outs


def behaviour_run(folder, width=16, replay=40, observations=11, actions=3):
    """A finished run of `behaviour`: two policies that differ, and a replay."""
    rng = np.random.default_rng(0)
    files = {}
    for name in ("medium", "expert"):
        sizes = [observations, width, 2 * actions]
        arrays = {}
        for i, (n, out) in enumerate(zip(sizes, sizes[1:], strict=False)):
            arrays[f"base.network.{2 * i}.weight"] = rng.standard_normal((n, out)).astype(np.float32) / n**0.5
            arrays[f"base.network.{2 * i}.bias"] = rng.standard_normal(out).astype(np.float32)
        files[name] = folder / f"{name}.safetensors"
        save_file(arrays, files[name])
    obs, following = rng.standard_normal((2, replay, observations))
    ends = np.zeros((2, replay))
    files["replay"] = folder / "replay.safetensors"
    save_file({"rows": datasets.stacked(obs, np.tanh(following[:, :actions]), obs[:, 0], *ends, following)}, files["replay"])
    return Run(files, {}, {})


def rolled(folder, quality, count, seeds=(5,), steps=8):
    config = Dataset(env="Hopper-v4", quality=quality, total_steps=count, episode_steps=steps)
    journal = MemoryJournal(len(seeds))
    rollouts.run(dataset.Learner, config, list(seeds), journal, inputs={"behaviour": [behaviour_run(folder)]})
    return journal


def torch_policy(run, level):
    """SAC's policy with the weights of a file."""
    from common.rl import sac_auto

    learner = sac_auto.Learner(behaving(base="1x32"), [0], 11, 3)
    arrays = run.tensors(level)
    width = len(arrays["base.network.0.bias"])
    learner = sac_auto.Learner(behaving(base=f"1x{width}"), [0], 11, 3)
    learner.policy.load_state_dict({name: x[None] for name, x in arrays.items()})
    return lambda obs, noise: learner.act(torch.from_numpy(obs)[None], {"noise": torch.from_numpy(noise)[None]})[0].numpy()


@pytest.mark.parametrize("level", ["medium", "expert"])
def test_the_rolled_out_policy_is_the_trained_one(level, tmp_path):
    run = behaviour_run(tmp_path)
    learner = dataset.Learner(Dataset(env="Hopper-v4"), [0], "cpu", {"behaviour": [run]})
    rng = np.random.default_rng(0)
    obs, noise = rng.standard_normal((50, 11)).astype(np.float32), rng.standard_normal((50, 3)).astype(np.float32)
    ours = learner.policy(level, 11)(obs, noise)
    np.testing.assert_allclose(ours, torch_policy(run, level)(obs, noise), atol=1e-6)
    assert not np.allclose(ours, learner.policy({"medium": "expert", "expert": "medium"}[level], 11)(obs, noise), atol=0.1)
    learner.config = Dataset(env="Hopper-v4", log_std_low=-1.0, log_std_high=-1.0)
    clamped, zero = learner.policy(level, 11), obs[:1] * 0
    spread = np.arctanh(clamped(zero, noise[:1])) - np.arctanh(clamped(zero, 0 * noise[:1]))
    np.testing.assert_allclose(spread, np.exp(-1.0) * noise[:1], atol=1e-4)
    with pytest.raises(UserError, match=f"{level}: the policy observes 11 numbers, Hopper-v4 has 17"):
        learner.policy(level, 17)


def test_rows_are_episodes_of_sampled_actions_played_by_hand(tmp_path):
    """Ten environments side by side, the rows of one after those of the other; cut at the end, and where the data end."""
    journal = rolled(tmp_path, "medium", 437)
    rows = journal.produced["rows", 0]["rows"]
    data = datasets.checked(torch.from_numpy(rows), 11, 3, "rows")
    assert len(data) == 437
    policy, rng = torch_policy(behaviour_run(tmp_path), "medium"), generator(5, "act", 0)
    noise = [rng.standard_normal((10, 3), dtype=np.float32) for _ in range(44)]
    episode = 10
    expected = [[] for _ in range(10)]
    envs = [Environment("Hopper-v4", "bounded", episode_steps=8) for _ in range(10)]
    obs = [env.reset(reset_seed(5, "reset", i)) for i, env in enumerate(envs)]
    for step in range(44):
        for i, env in enumerate(envs):
            action = policy(obs[i][None], noise[step][i : i + 1])[0]
            following, reward, terminated, truncated = env.step(action)
            expected[i].append((obs[i], action, reward, terminated, not terminated and (truncated or step == 43), following))
            obs[i] = following
            if terminated or truncated:
                obs[i] = env.reset(reset_seed(5, "reset", episode))
                episode += 1
    fields = [np.array(field) for field in zip(*sum(expected, []), strict=True)]
    by_hand = datasets.stacked(*fields)[:437]
    by_hand[-1, 11 + 3 + 2] = 1 - by_hand[-1, 11 + 3 + 1]
    np.testing.assert_allclose(rows, by_hand, rtol=1e-3, atol=1e-3)
    assert 0 < data.terminated.sum() < (data.terminated + data.truncated).sum()
    lengths = [episode.stop - episode.start for episode in data.episodes()]
    assert max(lengths) == 8 and sum(lengths) == 437 and (data.terminated + data.truncated)[-1] == 1


def test_a_fall_at_the_last_step_is_not_cut(tmp_path):
    fell = 0
    for steps in range(4, 10):
        rows = rolled(tmp_path, "medium", 10 * steps, steps=50).produced["rows", 0]["rows"]
        terminated, truncated = rows[:, 14 + 1], rows[:, 14 + 2]
        assert not (terminated * truncated).any() and (terminated + truncated)[steps - 1 :: steps].all()
        fell += terminated[steps - 1 :: steps].sum()
    assert fell


def test_what_data_hold_is_recorded(tmp_path):
    journal = rolled(tmp_path, "medium", 400, seeds=(5, 6))
    first, second = (journal.produced["rows", m]["rows"] for m in range(2))
    assert not np.array_equal(first[:, 11:14], second[:, 11:14])
    recorded = {(m, metric): value for m, step, metric, value in journal.records if step == 400}
    for m, rows in ((0, first), (1, second)):
        data = datasets.checked(torch.from_numpy(rows), 11, 3, "rows")
        ended, returns = data.terminated.numpy() > 0, []
        for episode in data.episodes():
            if ended[episode.stop - 1] or episode.stop - episode.start == 8:
                returns.append(float(data.reward[episode].sum()))
        assert recorded[m, "rows"] == 400 and recorded[m, "episodes"] == len(returns) < len(data.episodes())
        assert recorded[m, "return"] == pytest.approx(np.mean(returns))
        assert recorded[m, "terminations"] == data.terminated.sum()
        assert recorded[m, "saturated"] == pytest.approx((np.abs(rows[:, 11:14]) > 0.99).mean(), abs=1e-6)
        [table] = [table for member, table in journal.tables["returns"] if member == m]
        assert [row["quantile"] for row in table] == [0, 0.25, 0.5, 0.75, 1]
        np.testing.assert_allclose([row["return"] for row in table], np.quantile(returns, [0, 0.25, 0.5, 0.75, 1]))


def test_a_mixture_is_half_of_each_policy(tmp_path):
    medium, mixed = (rolled(tmp_path, quality, count).produced["rows", 0]["rows"] for quality, count in
                     (("medium", 60), ("medium-expert", 120)))  # fmt: skip
    assert len(mixed) == 120 and np.array_equal(mixed[:60], medium), "each half is cut"
    run = behaviour_run(tmp_path)
    obs = mixed[:, :11]
    modes = {level: torch_policy(run, level)(obs, np.zeros((120, 3), np.float32)) for level in ("medium", "expert")}
    nearer = np.abs(mixed[:, 11:14] - modes["medium"]).mean(1) < np.abs(mixed[:, 11:14] - modes["expert"]).mean(1)
    assert nearer[:60].mean() > 0.7 > 0.3 > nearer[60:].mean()
    first = {tuple(row[:11]) for row in mixed[:60]}
    assert not any(tuple(row[:11]) in first for row in mixed[60:]), "other episodes begin in other states"


def test_data_state_which_files_they_read():
    for quality, names in (("medium", ("medium",)), ("expert", ("expert",)), ("medium-expert", ("medium", "expert")),
                           ("medium-replay", ("replay",))):  # fmt: skip
        assert Dataset(quality=quality).reads == {"behaviour": names}


def test_a_replay_is_taken_as_it_is_and_may_be_short(tmp_path):
    for count, kept in ((25, 25), (1000, 40)):
        journal = rolled(tmp_path, "medium-replay", count)
        rows = journal.produced["rows", 0]["rows"]
        assert np.array_equal(rows, behaviour_run(tmp_path).tensors("replay")["rows"][:kept].numpy())
        assert ("rows", kept) in [(metric, value) for _, _, metric, value in journal.records]


# The loop


class Noted(OfflineLearner):
    """Notes its batches; the second member has no number from the third measurement on."""

    stored = ("count",)

    def __init__(self, config, seeds, data, device, inputs):
        self.given, self.order, self.count, self.measured = config.given, torch.arange(7, 40), 0, 0

    def update_draws(self, rng, size):
        return {"x": rng.standard_normal(size)}

    def update(self, batch, draws):
        self.given.append((batch, draws["x"]))

    def measure(self):
        self.measured += 1
        return {"updates": [len(self.given), np.nan if self.measured > 2 else 0]}

    def results(self):
        return {"found": [np.nan, 1.0]}

    def tables(self):
        return {"rows": [[{"a": 1}], [{"a": 2}]]}

    def files(self):
        return {"file": [{"x": np.zeros(1)}, {"x": np.ones(1)}]}


def test_batches_are_drawn_by_each_members_seed_from_the_learners_rows(tmp_path):
    rng, n = np.random.default_rng(0), 50
    obs, following = rng.standard_normal((2, n, 11))
    rows = datasets.stacked(obs, np.tanh(following[:, :2]), obs[:, 0], np.zeros(n), np.zeros(n), following)
    save_file({"rows": rows}, tmp_path / "rows.safetensors")
    config = SimpleNamespace(env="Reacher-v4", episode_steps=5, total_steps=70, batch_size=4, evaluate_every=20, given=[])
    journal = MemoryJournal(2)
    inputs = {"data": [Run({"rows": tmp_path / "rows.safetensors"}, {}, {})]}
    offline.run(Noted, config, [4, 5], journal, inputs=inputs)
    assert len(config.given) == 70
    for m, seed in enumerate((4, 5)):
        uniform = np.concatenate([generator(seed, "sample", block).random((64, 4)) for block in range(2)])[1:71]
        drawn = np.concatenate([generator(seed, "update", block).standard_normal(64) for block in range(2)])[1:71]
        index = 7 + np.floor(uniform * 33).astype(int)
        assert np.array_equal([batch.obs[m].numpy() for batch, _ in config.given], rows[index, :11])
        assert np.array_equal([x[m] for _, x in config.given], drawn)
    assert [step for m, step, metric, _ in journal.records if (m, metric) == (0, "updates")] == [20, 40, 60, 70]
    assert journal.divergences == [(1, 60)] and [step for m, step, *_ in journal.records if m == 1] == [20, 40]
    assert journal.records[-1][:3] == (0, 70, "found") and journal.tables == {"rows": [(0, [{"a": 1}])]}
    assert list(journal.produced) == [("file", 0)]
    wide = datasets.stacked(obs, np.tanh(following[:, :3]), obs[:, 0], np.zeros(n), np.zeros(n), following)
    save_file({"rows": wide}, tmp_path / "rows.safetensors")
    with pytest.raises(UserError, match="data: rows of shape .50, 28.; an environment with 11 observations and 2 actions"):
        offline.run(Noted, config, [4, 5], journal, inputs=inputs)


class Acting(Noted):
    """Acts as its random numbers say, or not at all, and notes them."""

    def act(self, obs, draws=None, ablate=None):
        self.given.append(None if draws is None else draws["noise"])
        return torch.zeros(*obs.shape[:2], 2) if draws is None else draws["noise"].clamp(-1, 1)

    def update(self, batch, draws):
        pass

    def acting_draws(self, rng, size):
        return {"noise": rng.standard_normal((size, 2), dtype=np.float32)}

    def inspect(self, obs):
        return {}

    def measure(self):
        return {"a": [0.0, 0.0]}

    def value_of(self, obs):
        return obs[..., 0]


def test_evaluations_are_of_samples_of_the_step_and_of_the_mode(tmp_path):
    """Three steps of two episodes: returns are means over episodes of the sums of rewards."""
    n, rng = 40, np.random.default_rng(0)
    rows = datasets.stacked(rng.standard_normal((n, 11)), np.zeros((n, 2)), *np.zeros((3, n)), rng.standard_normal((n, 11)))
    save_file({"rows": rows}, tmp_path / "rows.safetensors")
    config = SimpleNamespace(env="Reacher-v4", episode_steps=3, total_steps=5, batch_size=4, evaluate_every=2, given=[],
                             evaluation_episodes=2, discount=0.9)  # fmt: skip
    journal, seeds = MemoryJournal(2), [4, 5]
    offline.run(
        Acting, config, seeds, journal, inputs={"data": [Run({"rows": tmp_path / "rows.safetensors"}, {}, {})]},
    )  # fmt: skip
    played = [config.given[i : i + 3] for i in range(0, 21, 3)]  # samples and mode, thrice, and samples at the end
    recorded = {(m, step, metric): value for m, step, metric, value in journal.records}
    for noise, block in zip(played[::2], (2, 4, 5, 6), strict=True):
        for m, seed in enumerate(seeds):
            of_block = generator(seed, "evaluate", block)
            expected = [of_block.standard_normal((2, 2), dtype=np.float32) for _ in range(3)]
            assert np.array_equal([x[m].numpy() for x in noise], expected)
    assert all(x is None for mode in played[1::2] for x in mode)
    for metric, actions in (("return", played[2]), ("return_mode", [torch.zeros(2, 2, 2)] * 3)):
        totals = []
        for episode in range(2):
            env = Environment("Reacher-v4", "bounded", episode_steps=3)
            env.reset(reset_seed(5, "evaluate", episode))
            totals.append(sum(env.step(x[1, episode].clamp(-1, 1).numpy())[1] for x in actions))
        assert recorded[1, 4, metric] == pytest.approx(np.mean(totals), rel=1e-5)


# AdamW


def test_adamw_of_a_fleet_is_torchs_in_every_member(double):
    generator_ = torch.Generator().manual_seed(0)
    start = [
        torch.randn(3, 4, 5, generator=generator_),
        torch.randn(3, 5, generator=generator_),
        torch.randn(3, generator=generator_),
    ]
    rates, decays = [1e-3, 1e-2, 0.1], [0.0, 0.1, 0.5]
    ours = [torch.nn.Parameter(x.clone()) for x in start]
    theirs = [[torch.nn.Parameter(x[m].clone()) for x in start] for m in range(3)]
    fleet = SimpleNamespace(optimiser=FleetAdamW(ours, rates, decays))
    plain = [torch.optim.AdamW(p, lr=r, weight_decay=d) for p, r, d in zip(theirs, rates, decays, strict=True)]
    for number in range(12):
        for i, parameter in enumerate(ours):
            parameter.grad = 10.0 ** (i - 1) * torch.randn(parameter.shape, generator=generator_)
            for m in range(3):
                theirs[m][i].grad = parameter.grad[m].clone()
        if number == 6:  # as a run that goes on from a checkpoint
            arrays = pack(fleet, ["optimiser"])
            fleet.optimiser = FleetAdamW(ours, rates, decays)
            unpack(arrays, fleet, ["optimiser"])
            assert pack(fleet, ["optimiser"]).keys() == arrays.keys() and fleet.optimiser.steps == 6
        fleet.optimiser.step()
        for optimiser in plain:
            optimiser.step()
        for i, parameter in enumerate(ours):
            expected = torch.stack([theirs[m][i] for m in range(3)])
            torch.testing.assert_close(parameter, expected, rtol=0, atol=1e-12)
