"""What made a result: code, packages and machine, as a run's record states them."""

import contextlib
import functools
import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

from common.lab.plan import catalog
from common.lab.results import costs

PACKAGES = ("torch", "numpy", "gymnasium", "mujoco", "minari", "scipy", "pandas")


@functools.cache
def describe(calibrated: bool = False) -> dict:
    """What made a result, as it was when first asked: commit, dirty flag, packages, python, platform and processor, without
    host names or paths; and the machine's speed, if `calibrated`."""
    commit, packages = git("rev-parse", "HEAD"), {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            packages[name] = metadata.version(name)
    return {
        "commit": commit,
        "dirty": None if commit is None else bool(git("status", "--porcelain", "common", "papers")),
        "packages": packages,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        **({"calibration": costs.calibration()} if calibrated else {}),
    }


def git(*arguments: str) -> str | None:
    """Output of a git command in this checkout, or None if it fails, if there is no git, or if this folder is no repository
    of its own but lies in one."""
    top = _git("rev-parse", "--show-toplevel")
    return _git(*arguments) if top is not None and Path(top).resolve() == Path(catalog.ROOT).resolve() else None


def _git(*arguments):
    """The same in whichever repository holds this folder. Hooks and worktrees set GIT_DIR and its like to another one's."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(["git", *arguments], cwd=catalog.ROOT, env=own, capture_output=True, encoding="utf-8")
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor():
    file = Path("/proc/cpuinfo")
    known = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    named = re.search(r"^model name\s*: *(.*\S)", known, re.MULTILINE)
    return named[1] if named else platform.processor() or "unknown"
