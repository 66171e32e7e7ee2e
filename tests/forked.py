"""Workers as processes of their own that start with their libraries loaded, which takes seconds otherwise.

A server process imports them once and forks for each worker. A worker reads its spec and writes files as one that
`python -m common.lab.run.worker` starts, and can be killed as one.
"""

import multiprocessing
import os
import signal
import sys
from pathlib import Path

# What the simulators and Adam load when they are made stands here too.
LOADED = ["common.lab.run.worker", "common.rl.hardware", "gymnasium.envs.mujoco.ant_v4", "torch._dynamo"]
CONTEXT = multiprocessing.get_context("forkserver")


def run(path, prepare=None, seconds=300):
    """A worker's exit status, below 0 the signal that ended it, and what it said. path: of its spec, beside which a file
    takes what it says; prepare: called in its process first. TimeoutError: it runs longer than `seconds`."""
    CONTEXT.set_forkserver_preload(LOADED)
    said = Path(path).with_suffix(".stderr")
    process = CONTEXT.Process(target=_work, args=(str(path), str(said), prepare), daemon=True)
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{path}: the worker still runs after {seconds} seconds")
    return process.exitcode, said.read_text()


def killed_after(saves, seconds):
    """Ends this process, wherever it is, `seconds` after that many checkpoints: the system does, as for kill -9."""
    from common.lab.run.journal import Journal

    original, left = Journal.save, [saves]

    def save(self, *arguments):
        original(self, *arguments)
        left[0] -= 1
        if left[0] == 0:
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))  # its signal has no handler

    Journal.save = save


def killed_while_writing(checkpoint):
    """Ends this process while it writes that many-th checkpoint, of which half is on disk."""
    original, left = os.fsync, [checkpoint]

    def fsync(descriptor):
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        if "/.checkpoint-" in name:
            left[0] -= 1
            if left[0] == 0:
                os.truncate(name, os.path.getsize(name) // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        original(descriptor)

    os.fsync = fsync


def _work(path, said, prepare):
    """What the forked process does."""
    from common.lab.run import worker

    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    if prepare:
        prepare()
    sys.exit(worker.main([path]))
