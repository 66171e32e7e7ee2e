"""Locks that a process holds while it writes, and that name it."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from common.errors import UserError
from common.files import shown

PATIENCE_SECONDS = 5.0  # a worker whose parent was killed needs a moment to notice


class Unlockable(UserError):
    """The place takes no lock: it is read-only or full, or its file system has none."""


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`. The system frees it when the process ends, however it ends.

    Raises `UserError` that names the process if another one still holds it after some seconds, and `Unlockable` if the place
    cannot be written or has no locks.
    """
    with _opened(path) as file:
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
            except OSError as error:  # some network file systems have none
                raise Unlockable(f"{shown(path)}: cannot be locked: {error.strerror}; nothing was written") from None
        with contextlib.suppress(OSError):  # a full disk: the lock is held all the same, and names nobody
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        yield


@contextlib.contextmanager
def _opened(path):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+", encoding="utf-8")
    except OSError as error:
        raise Unlockable(f"{shown(path)}: cannot be written: {error.strerror}; earlier results are untouched") from None
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()
