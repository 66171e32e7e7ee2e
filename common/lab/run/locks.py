"""Locks that a process holds while it writes, and that name it."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from common.errors import UserError

PATIENCE_SECONDS = 5.0  # a worker whose parent was killed needs a moment to notice


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`. The system frees it when the process ends, however it ends.

    Raises `UserError` that names the process if another one still holds it after some seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    file.seek(0)
                    owner = file.read().strip() or "unknown"
                    end = f"wait for it, or end it (kill {owner})"
                    raise UserError(f"{path.parent}: process {owner} is still writing this run; {end}") from None
                time.sleep(0.1)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
