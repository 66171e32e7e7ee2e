"""The on-policy loop: what it counts and records, and that a run killed anywhere ends with the bytes of a whole one."""

import json

import numpy as np
import pytest

from common.errors import UserError
from common.lab.run.journal import Journal
from common.rl import on_policy, trpo
from common.rl.config import TRPO
from common.rl.journal import MemoryJournal
from common.rl.on_policy import Report, RolloutCollector
from common.rl.randomness import reset_seed
from common.rl.simulators import Environment

SMALL = {"hidden": "2x32", "value_hidden": "2x32", "batch_steps": 64, "minibatch": 32, "epochs": 1}


def settings(env="Hopper-v4", **changed):
    return TRPO(**{"env": env, "total_steps": 384, "record_every": 64, **SMALL, **changed})


class Killed(Exception):
    pass


def dying(iterations):
    """A learner that is killed after so many updates."""

    def build(*arguments):
        learner = trpo.Learner(*arguments)
        original, left = learner.update, [iterations]

        def update(rollout, draws):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return original(rollout, draws)

        learner.update = update
        return learner

    return build


def journal(folder, seeds=(4, 5)):
    return Journal(folder, [str(seed) for seed in seeds], "digest", every_seconds=0.0)


@pytest.mark.parametrize("env", ["Hopper-v4", "Reacher-v4", "Ant-v4"])
def test_killed_and_started_again_the_run_ends_with_the_same_records(env, tmp_path):
    """Restoring these simulators' states is not exact, so that a resumption replays the present episode."""
    config = settings(env)
    whole = journal(tmp_path / "whole")
    on_policy.run(trpo.Learner, config, [4, 5], whole)
    for kill in (1, 3, 1):
        with pytest.raises(Killed):
            on_policy.run(dying(kill), config, [4, 5], journal(tmp_path / "killed"))
    again = journal(tmp_path / "killed")
    on_policy.run(trpo.Learner, config, [4, 5], again)
    assert again.start_step > 0
    assert again.records == whole.records


def test_a_simulator_that_does_not_repeat_is_recognised(tmp_path):
    config = settings("Hopper-v4")
    with pytest.raises(Killed):
        on_policy.run(dying(2), config, [4], journal(tmp_path, [4]))
    from common.lab.run import checkpoints

    newest = max(tmp_path.glob("checkpoint-?"), key=lambda f: checkpoints.read(f)[1]["step"])
    arrays, state = checkpoints.read(newest)
    arrays["fleet.obs"] = arrays["fleet.obs"] + 1
    checkpoints.write(newest, arrays, state)
    with pytest.raises(UserError, match="does not repeat"):
        on_policy.run(trpo.Learner, config, [4], journal(tmp_path, [4]))


def test_every_environment_step_is_counted_and_actions_go_out_as_they_are(monkeypatch):
    sent = []
    original = Environment.step
    monkeypatch.setattr(Environment, "step", lambda self, action: sent.append(action.copy()) or original(self, action))
    kept = MemoryJournal(2)
    on_policy.run(trpo.Learner, settings("Humanoid-v4", total_steps=200), [4, 5], kept)
    assert len(sent) == 2 * 192, "what does not fill a batch is left out"
    steps = sorted({step for _, step, _, _ in kept.records})
    assert steps == [64, 128, 192]
    assert np.abs(sent).max() > 1, "the simulator's own limits are +-0.4; the policy starts with a deviation of 1"


def test_episodes_and_their_returns():
    """The recorded return is the mean over the last 40 episodes of what a plain loop over the same actions collects."""
    config = settings("Hopper-v4", batch_steps=64, total_steps=64)
    fleet = RolloutCollector(config, [4])
    rng = np.random.default_rng(0)
    actions = rng.standard_normal((64, 1, 3)).astype(np.float32)
    rollout = fleet.roll(lambda t, obs: actions[t], 0, MemoryJournal(1))
    env, episode, total, returns, lengths, age = Environment("Hopper-v4"), 0, 0.0, [], [], 0
    obs = env.reset(reset_seed(4, "reset", 0))
    for t in range(64):
        assert np.array_equal(rollout.obs[0, t], obs)
        obs, reward, terminated, truncated = env.step(actions[t, 0])
        assert np.array_equal(rollout.next_obs[0, t], obs) and rollout.reward[0, t] == np.float32(reward)
        assert rollout.terminated[0, t] == terminated and rollout.truncated[0, t] == truncated
        total, age = total + reward, age + 1
        if terminated or truncated:
            episode += 1
            returns, lengths, total, age = [*returns, total], [*lengths, age], 0.0, 0
            obs = env.reset(reset_seed(4, "reset", episode))
    assert len(returns) > 1 and list(fleet.returns[0]) == returns and list(fleet.lengths[0]) == lengths
    assert rollout.completed[0] == sum(lengths) and len(fleet.played[0]) == 64 - sum(lengths)
    kept = MemoryJournal(1)
    fleet.record(64, kept)
    assert kept.records == [(0, 64, "return", np.mean(returns)), (0, 64, "episode_length", np.mean(lengths))]


def test_another_seed_is_another_run():
    first, other = MemoryJournal(1), MemoryJournal(1)
    for kept, seed in ((first, 4), (other, 5)):
        on_policy.run(trpo.Learner, settings("Reacher-v4", total_steps=128), [seed], kept)
    assert first.records != other.records


def test_a_member_that_diverges_stops_alone():
    def poisoned(config, seeds, observations, actions, device):
        learner = trpo.Learner(config, seeds, observations, actions, device)
        learner.policy.mean[0].weight.data[0] = np.nan
        return learner

    kept = MemoryJournal(2)
    on_policy.run(poisoned, settings("Reacher-v4", total_steps=192), [4, 5], kept)
    assert kept.divergences == [(0, 1)]
    assert not [r for r in kept.records if r[0] == 0]
    returns = [value for m, _, metric, value in kept.records if m == 1 and metric == "return"]
    assert len(returns) == 3 and np.isfinite(returns).all()


def test_a_reward_that_is_not_finite_ends_its_member_alone(monkeypatch):
    original, calls = Environment.step, []

    def step(self, action):
        obs, reward, *ends = original(self, action)
        calls.append(self)
        return (obs, -np.inf if len(calls) == 41 else reward, *ends)  # the 21st step of the first of two members

    monkeypatch.setattr(Environment, "step", step)
    kept = MemoryJournal(2)
    on_policy.run(trpo.Learner, settings("Reacher-v4", total_steps=192), [4, 5], kept)
    assert kept.divergences == [(0, 21)]
    assert {m for m, _, metric, _ in kept.records if metric == "return"} == {1}


def test_a_report_is_a_mean_over_finite_values():
    report, kept = Report(), MemoryJournal(2)
    report.add({"kl": np.array([1.0, np.nan])})
    report.values = json.loads(json.dumps(report.values))  # as a checkpoint does
    report.add({"kl": np.array([3.0, np.nan])})
    report.write(10, kept, np.array([True, True]))
    assert kept.records == [(0, 10, "kl", 2.0)]


def test_trajectories_are_recorded_at_the_end():
    kept = MemoryJournal(2)
    on_policy.run(trpo.Learner, settings("Ant-v4", total_steps=64, trajectories=2), [4, 5], kept)
    assert [m for m, _ in kept.tables["trajectories"]] == [0, 1, 0, 1]
    rows = kept.tables["trajectories"][0][1]
    assert list(rows[0]) == ["episode", "step", "x", "y", "return"] and rows[0]["step"] == 0 and abs(rows[0]["x"]) < 0.3
    assert rows[-1]["step"] > 0 and all(np.isfinite(list(row.values())).all() for row in rows)


ENDS = ("terminated", "truncated")


@pytest.mark.parametrize("end", ENDS)
def test_a_trajectory_ends_with_its_episode(end, monkeypatch):
    made = on_policy.environment

    def ending(config):
        env = made(config)
        step, count = env.step, iter(range(10**6))
        env.step = lambda action: (*step(action)[:2], *(name == end and next(count) % 7 == 6 for name in ENDS))
        return env

    monkeypatch.setattr(on_policy, "environment", ending)
    kept = MemoryJournal(1)
    on_policy.run(trpo.Learner, settings("Ant-v4", total_steps=64, trajectories=1), [4], kept)
    ((_, rows),) = kept.tables["trajectories"]
    assert [row["step"] for row in rows] == [0, 7]


@pytest.mark.parametrize("env", ["AntBulletEnv-v0", "HumanoidBulletEnv-v0", "HumanoidFlagrunBulletEnv-v0"])
def test_a_bullet_episode_is_determined_by_its_seed(env):
    pytest.importorskip("pybullet_envs_gymnasium")

    def episode(one, seed):
        seen = [one.reset(seed)]
        for t in range(60):
            obs, reward, terminated, _ = one.step(np.full(one.actions, np.sin(t), np.float32))
            seen.append(np.append(obs, reward))
            if terminated:
                break
        return np.concatenate(seen)

    first, later = Environment(env), Environment(env)
    episode(later, 1), episode(later, 2)
    np.testing.assert_array_equal(episode(first, 3), episode(later, 3))


def test_a_missing_package_and_settings_that_do_not_fit_are_said():
    import importlib.util

    if importlib.util.find_spec("pybullet_envs_gymnasium") is None:
        with pytest.raises(UserError, match="pybullet_envs_gymnasium"):
            Environment("HumanoidBulletEnv-v0")
    assert "less than batch_steps" in settings(total_steps=32).problem()
    assert "over 200 points" in settings(total_steps=100_000).problem()
    assert "more than batch_steps" in settings(minibatch=128).problem()


def test_records_come_at_multiples_of_their_interval_and_at_the_end():
    kept = MemoryJournal(2)
    on_policy.run(trpo.Learner, settings(record_every=100), [4, 5], kept)
    assert [step for member, step, metric, _ in kept.records if metric == "kl" and not member] == [128, 256, 320, 384]


def test_a_return_is_a_mean_over_forty_episodes():
    fleet = RolloutCollector(settings(), [0])
    for number in range(45):
        fleet.returns[0].append(float(number))
        fleet.lengths[0].append(number)
    assert list(fleet.returns[0]) == list(fleet.lengths[0]) == list(range(5, 45))
