"""Data sets in Minari's format: ours written, and anybody's read, from this machine or from Minari's hub.

An episode of Minari has one more observation than actions, so that every transition has its true successor. Only
`terminations` end anything: a time limit is a truncation, and so is the end of an episode that neither flag ends, which the
data cut. Observations of several parts (PointMaze's: achieved_goal, desired_goal, observation) are laid side by side in
that order, as gymnasium's FlattenObservation does. Actions of other bounds than [-1, 1] are scaled to it when read, and back
when written. Infos have no place in rows and are not read.
"""

import contextlib
import os
import re
import shutil
import tempfile
import threading
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer

from ..errors import UserError
from ..settings import DATA_SET_ID
from . import pointmaze
from .references import D4RL
from .simulators import make

FIELDS = ("obs", "action", "reward", "terminated", "truncated", "next_obs")
PATIENCE = 4.0  # seconds for the hub to answer


def write(
    folder: str | Path, identifier: str, rows: dict[str, np.ndarray], env: str, description: str, algorithm: str,
    author: str = "flow-policies", seeds: Sequence[int] | None = None,
) -> Path:  # fmt: skip
    """Rows as the data set `<folder>/<identifier>` of Minari; returns its folder.

    rows: obs and next_obs [count, observations], action [count, actions] in [-1, 1], reward, terminated and truncated
    [count]. seeds: those of the episodes' resets. D4RL's reference returns are stored where there are any. Raises
    `UserError`, and writes nothing, if the rows do not fit the environment, if inside an episode the successor is not the
    next observation, or if there is such a data set already.
    """
    folder, place = Path(folder), Path(folder) / _known(identifier)
    if place.exists():
        raise UserError(f"{place}: exists already; remove it, or choose another id")
    gym, where = _environment(env), f"{identifier}"
    check(rows, where, gym)
    action, space = np.asarray(rows["action"], np.float32), gym.action_space
    if not _is_unit(space):
        action = (space.low + (action + 1) / 2 * (space.high - space.low)).astype(np.float32)  # type: ignore[attr-defined]
    episodes = _cut(rows["terminated"], rows["truncated"])
    for episode in episodes:
        if not np.array_equal(rows["next_obs"][episode][:-1], rows["obs"][episode][1:]):
            raise UserError(f"{where}: next_obs: is not the observation that follows, in the episode of row {episode.start}")
    if seeds is not None and len(seeds) != len(episodes):
        raise UserError(f"{where}: seeds: there are {len(seeds)} for {len(episodes)} episodes")
    buffers = []
    for number, episode in enumerate(episodes):
        terminated, truncated = (rows[name][episode].astype(bool) for name in ("terminated", "truncated"))
        truncated[-1] |= not terminated[-1]
        buffers.append(EpisodeBuffer(
            seed=None if seeds is None else int(seeds[number]),
            observations=np.concatenate([rows["obs"][episode], rows["next_obs"][episode][-1:]]),  # type: ignore[arg-type]
            actions=action[episode], rewards=rows["reward"][episode],  # type: ignore[arg-type]
            terminations=terminated, truncations=truncated,  # type: ignore[arg-type]
        ))  # fmt: skip
    low_score, high_score = D4RL.get(env, (None, None))
    with _aside(folder, identifier), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a missing e-mail address and link
        minari.create_dataset_from_buffers(
            identifier, buffers, env=gym, eval_env=gym, algorithm_name=algorithm, author=author, description=description,
            ref_min_score=low_score, ref_max_score=high_score,
        )  # fmt: skip
    return place


def load(identifier: str, env: str, folder: str | Path | None = None, download: bool = True) -> dict[str, np.ndarray]:
    """The rows of a data set for an environment of ours, in float32: {field: array} as `write` takes them.

    folder: where data sets are; None: Minari's own place, $MINARI_DATASETS_PATH or ~/.minari/datasets. One that is not there
    is fetched from Minari's hub, if `download`.

    Raises `UserError` that names the data set and the field: an unknown id, no network, a file that is cut or lacks a field,
    another environment's data (its version may differ, as may D4RL's and gymnasium's), and all that `check` refuses.
    """
    folder = Path(folder or os.environ.get("MINARI_DATASETS_PATH", "~/.minari/datasets")).expanduser()
    if not (folder / _known(identifier) / "data" / "metadata.json").exists():
        if not download:
            raise UserError(f"{identifier}: there is no such data set below {folder}")
        _fetch(identifier, folder)
    gym = _environment(env)
    with _reading(identifier, folder):
        data = minari.load_dataset(identifier)
        spec = data.spec
    if spec.env_spec is not None and _kind(spec.env_spec.id) != _kind(env):
        raise UserError(f"{identifier}: env_spec: holds data of {spec.env_spec.id}, not of {env}")
    parts: list[dict[str, np.ndarray]] = []
    with _reading(identifier, folder):
        for episode in data.iterate_episodes():
            parts.append(_rows(episode, data, f"{identifier}: episode {episode.id}"))
    if not parts:
        raise UserError(f"{identifier}: has no rows")
    rows = {name: np.concatenate([part[name] for part in parts]) for name in FIELDS}
    check(rows, identifier, gym)
    return rows


def check(rows: dict[str, np.ndarray], where: str, env: gymnasium.Env) -> None:
    """Raises `UserError` with the field that is wrong: missing, none, of wrong dimensions, numbers that are not finite,
    actions beyond [-1, 1], ends that are neither 0 nor 1."""
    observations, actions = env.observation_space.shape[0], env.action_space.shape[0]  # type: ignore[index]
    if missing := [name for name in FIELDS if name not in rows]:
        raise UserError(f"{where}: {missing[0]}: is missing")
    count = len(rows["obs"])
    if not count:
        raise UserError(f"{where}: has no rows")
    shapes = {"obs": (count, observations), "next_obs": (count, observations), "action": (count, actions)}
    for name in FIELDS:
        expected = shapes.get(name, (count,))
        if rows[name].shape != expected:
            raise UserError(f"{where}: {name}: has the shape {rows[name].shape}; the environment's is {expected}")
        if not np.isfinite(rows[name]).all():
            row = int(np.argwhere(~np.isfinite(rows[name]))[0][0])
            raise UserError(f"{where}: {name}: holds a number that is not finite, in row {row}")
    if (largest := float(np.abs(rows["action"]).max())) > 1 + 1e-6:
        raise UserError(f"{where}: action: entries must lie within the environment's bounds; one is {largest:.6g} of them")
    for name in ("terminated", "truncated"):
        if not np.isin(rows[name], (0, 1)).all():
            raise UserError(f"{where}: {name}: must be 0 or 1")


def _rows(episode: Any, data: Any, where: str) -> dict[str, np.ndarray]:
    """The fields of one episode."""
    obs = _flat(episode.observations, data.observation_space, where)
    terminated, truncated = (np.array(ends, np.float32) for ends in (episode.terminations, episode.truncations))
    count = len(episode.rewards)
    lengths = {"observations": len(obs) - 1, "actions": len(episode.actions), "terminations": len(terminated),
               "truncations": len(truncated)}  # fmt: skip
    for name, length in lengths.items():
        if length != count:
            raise UserError(f"{where}: {name}: are of {length} steps, rewards of {count}")
    space = data.action_space
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise UserError(f"{where}: actions: {space} is not a vector, the only kind these algorithms serve")
    action = np.asarray(episode.actions, np.float32)
    if space.is_bounded() and not _is_unit(space):
        action = 2 * (action - space.low) / (space.high - space.low) - 1
    if count and not terminated[-1]:
        truncated[-1] = 1
    return {"obs": obs[:-1], "action": action, "reward": np.asarray(episode.rewards, np.float32), "terminated": terminated,
            "truncated": truncated, "next_obs": obs[1:]}  # fmt: skip


def _is_unit(space: Any) -> bool:
    """Whether every action lies in [-1, 1]."""
    return bool(np.all(space.low == -1) and np.all(space.high == 1))


def _flat(observations: Any, space: Any, where: str) -> np.ndarray:
    """Observations [steps + 1, width]."""
    if isinstance(space, gymnasium.spaces.Dict):
        parts = [_flat(observations[name], space[name], f"{where}: {name}") for name in space]
        return np.concatenate(parts, -1)
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise UserError(f"{where}: observations: {space} is not a vector, the only kind these algorithms serve")
    return np.asarray(observations, np.float32)


def _cut(terminated: np.ndarray, truncated: np.ndarray) -> list[slice]:
    """The rows of each episode; the last one may have no end."""
    cuts = [0, *(np.flatnonzero((terminated > 0) | (truncated > 0)) + 1).tolist()]
    cuts += [len(terminated)] if cuts[-1] < len(terminated) else []
    return [slice(*pair) for pair in zip(cuts, cuts[1:], strict=False)]


def _known(identifier: str) -> str:
    if not re.fullmatch(DATA_SET_ID, identifier):
        raise UserError(f"{identifier!r} is no id of a Minari data set; it must read like space/environment/name-v0")
    return identifier


def _kind(name: str) -> str:
    """The environment's name without its version."""
    return re.sub(r"-v\d+$", "", name.rpartition(":")[2])


def _environment(env: str) -> gymnasium.Env:
    """The environment, with several parts of an observation side by side, and bounded actions."""
    pointmaze.register()
    gym = make(env)
    space: Any = gym.action_space
    if not (isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1 and space.is_bounded()):
        raise UserError(f"{env}: action space {space} is not a bounded vector, the only kind these algorithms serve")
    if isinstance(gym.observation_space, gymnasium.spaces.Dict):
        return gymnasium.wrappers.FlattenObservation(gym)
    return gym


@contextlib.contextmanager
def _path(folder: Path) -> Iterator[None]:
    """Minari's data sets are below this folder for a while."""
    before = os.environ.get("MINARI_DATASETS_PATH")
    os.environ["MINARI_DATASETS_PATH"] = str(folder)
    try:
        yield
    finally:
        del os.environ["MINARI_DATASETS_PATH"]
        if before is not None:
            os.environ["MINARI_DATASETS_PATH"] = before


@contextlib.contextmanager
def _aside(folder: Path, identifier: str) -> Iterator[None]:
    """Whatever makes the data set makes it elsewhere; it takes its place when it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".aside-", dir=folder) as aside, _path(Path(aside)):
        yield
        place = folder / identifier
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(place, ignore_errors=True)  # at most what a broken download of another program left
        os.replace(Path(aside) / identifier, place)


@contextlib.contextmanager
def _reading(identifier: str, folder: Path) -> Iterator[None]:
    """Errors of a file as one line."""
    try:
        with _path(folder):
            yield
    except KeyError as error:
        field = re.search(r"object '(\w+)'", str(error))
        name = field[1] if field else str(error).strip("'\"")
        raise UserError(f"{identifier}: {name}: is missing in {folder / identifier}") from error
    except (OSError, ValueError, AssertionError) as error:
        if isinstance(error, UserError):
            raise
        line = " ".join(str(error).split())
        raise UserError(f"{identifier}: {folder / identifier} cannot be read: {line}") from error


def _fetch(identifier: str, folder: Path) -> None:
    """Download from Minari's hub. Without a network it says so at once: the hub's client would try for half a minute."""
    missing = f"{identifier}: there is no such data set below {folder}, and"
    try:
        import huggingface_hub  # type: ignore[import-not-found] # noqa: F401 - Minari's client of its hub
    except ImportError as error:
        raise UserError(f"{missing} Minari's hub needs the package huggingface_hub: pip install 'minari[hf]'") from error
    if not _answers(os.environ.get("HF_ENDPOINT", "https://huggingface.co")):
        raise UserError(f"{missing} Minari's hub cannot be reached from here")
    try:
        with _aside(folder, identifier):
            minari.download_dataset(identifier)
    except Exception as error:  # whatever the client of the hub raises
        raise UserError(f"{missing} Minari's hub gives none: {' '.join(str(error).split())}") from error


def _answers(address: str) -> bool:
    """Whether a server answers within some seconds, which the look-up of its name does not exceed either."""
    answered = []

    def ask():
        try:
            urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=PATIENCE)
        except urllib.error.HTTPError:
            pass  # an answer all the same
        except OSError:
            return
        answered.append(True)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return bool(answered)
