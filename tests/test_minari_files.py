"""Data sets in Minari's format: what was written is read, other people's are too, and bad ones are refused in one line."""

import json
import os
import shutil
import subprocess
import sys
import time
import warnings

import gymnasium
import h5py
import minari
import numpy as np
import pytest
from minari.data_collector import EpisodeBuffer

from common.errors import UserError
from common.rl import minari_files
from common.rl.minari_files import load, write
from common.rl.references import D4RL, score
from common.rl.waypoints import maze_rows

MAZE, NAME = "Maze2dUmaze-v0", "ours/maze/umaze-v0"
DIMENSIONS = {"Hopper-v4": (11, 3), "Pendulum-v1": (3, 1), MAZE: (4, 2)}


def rows_of(env, count=30, ends=(9, 19), kinds=("terminated", "truncated"), seed=0):
    """Random rows with an episode that ends in a termination, one in a time limit, and one that the data cut."""
    rng, (observations, actions) = np.random.default_rng(seed), DIMENSIONS[env]
    seen, rows = rng.standard_normal((count + 1, observations)).astype(np.float32), {}
    rows["obs"], rows["next_obs"] = seen[:-1].copy(), seen[1:].copy()
    rows["action"] = rng.uniform(-1, 1, (count, actions)).astype(np.float32)
    rows["reward"] = rng.standard_normal(count).astype(np.float32)
    rows |= {name: np.zeros(count, np.float32) for name in ("terminated", "truncated")}
    for end, kind in zip(ends, kinds, strict=True):
        rows[kind][end] = 1
        rows["next_obs"][end] += 5  # the next episode begins elsewhere
    return rows


def written(folder, env="Hopper-v4", rows=None, **more):
    return write(folder, NAME, rows_of(env) if rows is None else rows, env, "About it.", "SAC", **more)


def of_minari(folder, observation_space, observations, action_space=None, actions=None, terminations=(0, 0, 1)):
    """A data set that somebody else wrote, without an environment."""
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32) if action_space is None else action_space
    actions = np.zeros((3, 2), np.float32) if actions is None else actions
    buffer = EpisodeBuffer(observations=observations, actions=actions, rewards=np.ones(3),
                           terminations=np.array(terminations, bool), truncations=np.zeros(3, bool))  # fmt: skip
    with minari_files._path(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        minari.create_dataset_from_buffers(NAME, [buffer], observation_space=observation_space, action_space=action_space)


@pytest.mark.parametrize("env", ["Hopper-v4", "Pendulum-v1", MAZE])
@pytest.mark.filterwarnings("error")
def test_what_is_written_is_read(env, tmp_path):
    rows = rows_of(env)
    place = written(tmp_path, env, rows, seeds=[4, 5, 6])
    assert place == tmp_path / NAME and [path.name for path in tmp_path.iterdir()] == ["ours"]
    found = load(NAME, env, tmp_path, download=False)
    expected = rows["truncated"].copy()
    expected[-1] = 1  # cut by the data
    for name, field in (rows | {"truncated": expected}).items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], field, rtol=0, atol=1e-7 if name == "action" else 0)
    if env != "Pendulum-v1":
        np.testing.assert_array_equal(found["action"], rows["action"])


def test_minari_itself_reads_it(tmp_path):
    """Its own interface: episodes with one more observation than actions, seeds, description, scores, the environment."""
    written(tmp_path, "Pendulum-v1", seeds=[4, 5, 6])
    write(tmp_path, "ours/hopper-v0", rows_of("Hopper-v4"), "Hopper-v4", "About it.", "SAC")
    with minari_files._path(tmp_path):
        data, hopper = minari.load_dataset(NAME), minari.load_dataset("ours/hopper-v0")
        recovered = data.recover_environment()
    rows, episodes = rows_of("Pendulum-v1"), list(data.iterate_episodes())
    assert [len(e.rewards) for e in episodes] == [10, 10, 10] and episodes[0].observations.shape == (11, 3)
    np.testing.assert_allclose(episodes[1].actions, 2 * rows["action"][10:20], rtol=1e-6)  # torques in [-2, 2]
    np.testing.assert_array_equal(episodes[0].observations[-1], rows["next_obs"][9])
    assert [e.terminations[-1] for e in episodes] == [True, False, False]
    assert [e.truncations[-1] for e in episodes] == [False, True, True]
    assert [m["seed"] for m in data.storage.get_episode_metadata(range(3))] == [4, 5, 6]
    assert data.storage.metadata["description"] == "About it." and data.storage.metadata["algorithm_name"] == "SAC"
    assert recovered.spec.id == "Pendulum-v1"
    assert minari.get_normalized_score(hopper, np.array([1000.0])) == pytest.approx(score("Hopper-v4", 1000) / 100)


def test_a_maze_goes_through_the_door(tmp_path):
    rows = maze_rows(MAZE, 2000, 0)
    written(tmp_path, MAZE, rows)
    found = load(NAME, MAZE, tmp_path)
    assert not found["terminated"].any() and found["truncated"].sum() == rows["truncated"][:-1].sum() + 1
    assert all(np.array_equal(found[name], rows[name]) for name in rows if name != "truncated")


def test_no_jax_is_needed(tmp_path):
    code = (
        "import sys; sys.modules['jax'] = None\n"
        "from tests.test_minari_files import *\n"
        f"from pathlib import Path; folder = Path({str(tmp_path)!r})\n"
        "written(folder); print(len(load(NAME, 'Hopper-v4', folder)['obs']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "30\n", done.stderr


def test_parts_of_an_observation_stand_side_by_side_as_gymnasium_flattens_them(tmp_path, monkeypatch):
    box = gymnasium.spaces.Box
    space = gymnasium.spaces.Dict({"observation": box(-9, 9, (4,)), "desired_goal": box(-9, 9, (2,)),
                                   "achieved_goal": box(-9, 9, (2,))})  # fmt: skip
    rng = np.random.default_rng(0)
    parts = {name: rng.uniform(-9, 9, (4, *part.shape)) for name, part in space.items()}
    of_minari(tmp_path, space, parts)

    class Goal(gymnasium.Env):
        observation_space, action_space = space, box(-1, 1, (2,), np.float32)

    monkeypatch.setattr(minari_files, "make", lambda name: Goal())
    found = load(NAME, "PointMaze_UMaze-v3", tmp_path)
    flat = [gymnasium.spaces.flatten(space, {name: part[t] for name, part in parts.items()}) for t in range(4)]
    np.testing.assert_allclose(found["obs"], flat[:-1], rtol=1e-6)
    np.testing.assert_allclose(found["next_obs"], flat[1:], rtol=1e-6)


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("obs", lambda x: np.where(np.arange(x.size).reshape(x.shape) == 37, np.nan, x), "obs: .* not finite, in row 3"),
        ("reward", lambda x: x + np.inf, "reward: holds a number that is not finite, in row 0"),
        ("obs", lambda x: x[:, 1:], r"obs: has the shape \(30, 10\); the environment's is \(30, 11\)"),
        ("action", lambda x: x[:, :2], r"action: has the shape \(30, 2\)"),
        ("action", lambda x: 3 * x / np.abs(x).max(), "action: .* one is 3 of them"),
        ("terminated", lambda x: x + 0.5, "terminated: must be 0 or 1"),
        ("next_obs", lambda x: x[::-1], "next_obs: is not the observation that follows, in the episode of row 0"),
        ("terminated", None, "terminated: is missing"),
        (None, None, "has no rows"),
    ],
)
def test_bad_rows_are_not_written(field, change, message, tmp_path):
    rows = rows_of("Hopper-v4")
    if field is None:
        rows = {name: values[:0] for name, values in rows.items()}
    elif change is None:
        del rows[field]
    else:
        rows[field] = change(rows[field])
    with pytest.raises(UserError, match=f"^{NAME}: {message}") as error:
        written(tmp_path, rows=rows)
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def test_what_exists_is_not_overwritten_and_failures_leave_nothing(tmp_path, monkeypatch):
    written(tmp_path)
    with pytest.raises(UserError, match="exists already"):
        written(tmp_path)
    with pytest.raises(UserError, match="seeds: there are 2 for 3 episodes"):
        write(tmp_path, "ours/other-v0", rows_of("Hopper-v4"), "Hopper-v4", "", "SAC", seeds=[1, 2])
    monkeypatch.setattr(minari, "create_dataset_from_buffers", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(tmp_path, "ours/other-v0", rows_of("Hopper-v4"), "Hopper-v4", "", "SAC")
    assert [path.name for path in tmp_path.iterdir()] == ["ours"] and len(list((tmp_path / "ours").iterdir())) == 1


def refused(folder, message, env="Hopper-v4"):
    with pytest.raises(UserError, match=message) as error:
        load(NAME, env, folder, download=False)
    assert "\n" not in str(error.value) and NAME in str(error.value)


def spoil(folder, change):
    with h5py.File(folder / NAME / "data" / "main_data.hdf5", "a") as file:
        change(file["episode_1"])


def remove(name):
    return lambda episode: episode.__delitem__(name)


def replace(name, change):
    def replaced(episode):
        values = change(episode[name][()])
        del episode[name]
        episode[name] = values

    return replaced


@pytest.mark.parametrize("field", ["terminations", "truncations", "rewards", "actions", "observations"])
def test_a_field_that_is_missing_is_named(field, tmp_path):
    written(tmp_path)
    spoil(tmp_path, remove(field))
    refused(tmp_path, f"{field}: is missing in {tmp_path / NAME}")


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("observations", lambda x: x + np.nan, "obs: holds a number that is not finite, in row 10"),
        ("rewards", lambda x: x * np.nan, "reward: holds a number that is not finite, in row 10"),
        ("actions", lambda x: x + 2, r"action: entries must lie within the environment's bounds; one is 2\.\d+ of them"),
        ("terminations", lambda x: x[:-1], "episode 1: terminations: are of 9 steps, rewards of 10"),
        ("observations", lambda x: x[:-1], "episode 1: observations: are of 9 steps, rewards of 10"),
    ],
)
def test_bad_numbers_of_a_file_are_named(field, change, message, tmp_path):
    written(tmp_path)
    spoil(tmp_path, replace(field, change))
    refused(tmp_path, f"{NAME}: {message}")


def test_broken_files_and_foreign_data_are_refused(tmp_path):
    written(tmp_path)
    refused(tmp_path, "env_spec: holds data of Hopper-v4, not of Walker2d-v4", "Walker2d-v4")
    file, metadata = (tmp_path / NAME / "data" / name for name in ("main_data.hdf5", "metadata.json"))
    whole = file.read_bytes()
    for size in (len(whole) // 2, 100, 0):
        file.write_bytes(whole[:size])
        refused(tmp_path, "cannot be read: .*")
    file.unlink()
    refused(tmp_path, "cannot be read: No data found")
    file.write_bytes(whole)
    content = metadata.read_text()
    metadata.write_text(content[:50])
    refused(tmp_path, "cannot be read: ")
    metadata.write_text(json.dumps(json.loads(content) | {"total_episodes": 0}))
    refused(tmp_path, "has no rows")


def test_foreign_dimensions_are_refused(tmp_path):
    of_minari(tmp_path, gymnasium.spaces.Box(-1, 1, (4,)), np.zeros((4, 4), np.float32))
    refused(tmp_path, r"obs: has the shape \(3, 4\); the environment's is \(3, 11\)")
    assert load(NAME, MAZE, tmp_path)["terminated"].tolist() == [0, 0, 1]


def test_an_episode_without_an_end_is_one_that_the_data_cut(tmp_path):
    of_minari(tmp_path, gymnasium.spaces.Box(-1, 1, (4,)), np.zeros((4, 4), np.float32), terminations=(0, 0, 0))
    found = load(NAME, MAZE, tmp_path)
    assert found["truncated"].tolist() == [0, 0, 1] and not found["terminated"].any()


def test_what_is_no_vector_is_refused(tmp_path):
    of_minari(tmp_path / "1", gymnasium.spaces.Discrete(4), np.zeros(4, int))
    refused(tmp_path / "1", "observations: .* is not a vector")
    of_minari(
        tmp_path / "2", gymnasium.spaces.Box(-1, 1, (11,)), np.zeros((4, 11)), gymnasium.spaces.Discrete(3), np.zeros(3, int)
    )
    refused(tmp_path / "2", "actions: .* is not a vector")
    vectors, matrices = gymnasium.spaces.Box(-1, 1, (11,)), gymnasium.spaces.Box(-1, 1, (2, 2))
    of_minari(tmp_path / "3", matrices, np.zeros((4, 2, 2), np.float32))
    refused(tmp_path / "3", "observations: .* is not a vector")
    of_minari(tmp_path / "4", vectors, np.zeros((4, 11)), matrices, np.zeros((3, 2, 2), np.float32))
    refused(tmp_path / "4", "actions: .* is not a vector")


def test_actions_of_another_box_are_scaled_entry_by_entry(tmp_path):
    """Also where the box is [-1, 1] in some entries alone."""
    box = gymnasium.spaces.Box(np.float32([-1, -1]), np.float32([1, 3]))
    actions = np.float32([[-1, -1], [0, 1], [1, 3]])
    of_minari(tmp_path, gymnasium.spaces.Box(-1, 1, (4,)), np.zeros((4, 4), np.float32), box, actions)
    np.testing.assert_allclose(load(NAME, MAZE, tmp_path)["action"], [[-1, -1], [0, 0], [1, 1]], atol=1e-6)


def test_unknown_ids(tmp_path, monkeypatch):
    refused(tmp_path, f"there is no such data set below {tmp_path}")
    for name in ("hopper", "../x-v0", "/etc/x-v0", "a//b-v0", ""):
        with pytest.raises(UserError, match="is no id of a Minari data set"):
            load(name, "Hopper-v4", tmp_path)
    monkeypatch.setattr(minari_files, "_answers", lambda address: True)

    def unknown(name):
        (tmp_path / "seen").touch()
        raise ValueError(f"Couldn't find any version\nof {name}")

    monkeypatch.setattr(minari, "download_dataset", unknown)
    with pytest.raises(UserError, match="Minari's hub gives none: Couldn't find any version of ours"):
        load(NAME, "Hopper-v4", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["seen"]


def test_a_download_takes_its_place_when_it_is_whole(tmp_path, monkeypatch):
    other, here = tmp_path / "hub", tmp_path / "here"
    rows = rows_of("Hopper-v4")
    written(other, rows=rows)

    def download(name):
        shutil.copytree(other / name, os.path.join(os.environ["MINARI_DATASETS_PATH"], name))

    monkeypatch.setattr(minari_files, "_answers", lambda address: True)
    monkeypatch.setattr(minari, "download_dataset", download)
    np.testing.assert_array_equal(load(NAME, "Hopper-v4", here)["obs"], rows["obs"])
    monkeypatch.delattr(minari, "download_dataset")
    load(NAME, "Hopper-v4", here)  # once


def test_without_a_network_it_says_so_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    begun = time.monotonic()
    with pytest.raises(UserError, match="Minari's hub cannot be reached from here"):
        load(NAME, "Hopper-v4", tmp_path)
    assert time.monotonic() - begun < 5


def test_scores():
    for env, (low, high) in D4RL.items():
        assert score(env, low) == 0 and score(env, [high, (low + high) / 2]).tolist() == pytest.approx([100, 50])
    assert score("HalfCheetah-v4", 5996) == pytest.approx(50.55, abs=0.01)
    assert score("Maze2dLarge-v0", 575.5) == pytest.approx(212.8, abs=0.05)
    with pytest.raises(UserError, match="Hopper-v5: D4RL gives no reference returns"):
        score("Hopper-v5", 0)
