"""Which cells need a package that is not part of the set-up, or a data set that is not on this machine."""

import functools
import os
from importlib.util import find_spec
from pathlib import Path

from common.lab.plan.catalog import Cell

ROBOTS, GAMES = "pybullet_envs_gymnasium", "minatar"


def lacking(cell: Cell, alone: bool = False) -> str | None:
    """What has to be installed before a cell can be trained here, in a phrase; None if nothing has. A data set of Minari
    that is not here is fetched only for what is asked for `alone`."""
    env = str(getattr(cell.config, "env", ""))
    if env.startswith("MinAtar") and not _is_installed(GAMES):
        return f"needs the games of MinAtar, which are not installed (pip install {GAMES})"
    if "BulletEnv" in env and not _is_installed(ROBOTS):
        return f"needs the robots of Bullet, which are not installed (pip install {ROBOTS.replace('_', '-')})"
    if not alone and (identifier := getattr(cell.config, "dataset", "")) and not _is_here(identifier):
        return f"needs the data set {identifier}, which is not on this machine (minari download {identifier})"
    return None


def _is_here(identifier):
    """Whether Minari's folder holds a data set."""
    folder = Path(os.environ.get("MINARI_DATASETS_PATH", "~/.minari/datasets")).expanduser()
    return (folder / identifier / "data" / "metadata.json").exists()


@functools.cache
def _is_installed(package):
    return find_spec(package) is not None
