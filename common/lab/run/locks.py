"""Locks that a process holds while it writes, and that name it."""

import contextlib
import fcntl
import os
import time

from common.errors import UserError

PATIENCE_SECONDS = 5.0  # a worker whose parent was killed needs a moment to notice


@contextlib.contextmanager
def hold(path, patience=PATIENCE_SECONDS):
    """Hold the lock file at `path`. The system frees it when the process ends, however it ends.

    Raises `UserError` that names the process if another one still holds it after `patience` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    file.seek(0)
                    owner = file.read().strip() or "unknown"
                    raise UserError(
                        f"{path.parent}: process {owner} is still writing this run; wait for it, or end it (kill {owner})"
                    ) from None
                time.sleep(0.1)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
