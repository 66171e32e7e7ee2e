"""What made a result: code, packages and machine, as a run's record states them."""

import contextlib
import functools
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
    """Output of a git command in this checkout, or None if it fails or there is no git."""
    try:
        done = subprocess.run(["git", *arguments], cwd=catalog.ROOT, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor():
    file = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*: *(.*\S)", file.read_text() if file.exists() else "", re.MULTILINE)
    return named[1] if named else platform.processor() or "unknown"
