"""Which cells need a package that is not part of the set-up."""

import functools
from importlib.util import find_spec

from common.lab.plan.catalog import Cell

ROBOTS = "pybullet_envs_gymnasium"


def lacking(cell: Cell) -> str | None:
    """What has to be installed before a cell can be trained here, in a phrase; None if nothing has."""
    if "BulletEnv" not in str(getattr(cell.config, "env", "")) or _is_installed(ROBOTS):
        return None
    return f"needs the robots of Bullet, which are not installed (pip install {ROBOTS.replace('_', '-')})"


@functools.cache
def _is_installed(package):
    return find_spec(package) is not None
