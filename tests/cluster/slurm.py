"""Slurm of Debian's packages on one machine: munged, slurmctld and slurmd, all their files in one temporary folder.

`python -m tests.cluster.slurm bash` is a shell beside them.
"""

import contextlib
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PACKAGES = "slurmctld slurmd slurm-client munge"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "setpriv")
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"  # where Debian's daemons lie
CPUS = 4  # that Slurm deals out, however many there are: the jobs of the tests sleep most of their time
CONFIGURATION = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
# Containers let nobody make control groups.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
# squeue, asked for the state of a job that has ended, knows it; there is no accounting that would.
MinJobAge=3600
KillWait=15
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:1
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE
"""


def lacking() -> str | None:
    """One line that says what this machine lacks for Slurm, or None."""
    if os.geteuid() != 0:
        return "Slurm's daemons need root"
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "Snakemake's plugin is missing: make test-cluster installs it"
    absent = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    return f"{', '.join(absent)} not found: apt-get install --no-install-recommends {PACKAGES}" if absent else None


@contextlib.contextmanager
def cluster() -> Iterator[dict[str, str]]:
    """Slurm while it lasts: one node and the partition `main`. Yields the environment of its commands.

    Raises `RuntimeError` with the daemons' last words if the node is not ready within half a minute.
    """
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, contextlib.ExitStack() as daemons:
        folder = Path(name)
        environment = {**os.environ, "PATH": f"{folder / 'bin'}:{PATH}", "SLURM_CONF": str(folder / "slurm.conf")}
        _configure(folder)
        files = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munged.pid", "seed-file": "munged.seed"}
        options = [f"--{option}={folder / file}" for option, file in files.items()]
        for command in (["munged", "--foreground", "--force", *options], ["slurmctld", "-D"], ["slurmd", "-D"]):
            daemons.enter_context(_daemon(command, folder, environment))
            if command[0] == "munged":
                _wait((folder / "munge.socket").exists, folder)
        daemons.callback(_end_jobs, environment)
        _wait(lambda: "idle" in _said(["sinfo", "--noheader", "--format=%T"], environment), folder)
        yield environment


def _configure(folder):
    """Writes what the daemons read, with ports that are free."""
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    # Snakemake's plugin takes SLURM_CONF, as all of that kind, from the srun inside a job.
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun", path=PATH)} "$@"\n')
    srun.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        ports = {"controller": one.getsockname()[1], "node": other.getsockname()[1]}
    host = socket.gethostname().partition(".")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    text = CONFIGURATION.format(host=host, folder=folder, cpus=CPUS, memory=memory, **ports)
    (folder / "slurm.conf").write_text(text)
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")


@contextlib.contextmanager
def _daemon(command, folder, environment):
    """A process that lasts as long as the block, and no longer than this one, however this one ends."""
    with open(folder / f"{command[0]}.log", "wb") as log:
        process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *command], env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _end_jobs(environment):
    """Cancels what is left, and waits until it is gone: a job outlives Slurm's daemons."""
    subprocess.run(["scancel", "--full", "--signal=KILL", "--user=root"], env=environment, capture_output=True)
    subprocess.run(["scancel", "--user=root"], env=environment, capture_output=True)
    deadline = time.monotonic() + 30
    while _said(["squeue", "--noheader"], environment) and time.monotonic() < deadline:
        time.sleep(0.2)


def _said(command, environment):
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout.strip()


def _wait(ready, folder):
    deadline = time.monotonic() + 30
    while not ready():
        if time.monotonic() > deadline:
            words = [(log.name, log.read_text(errors="replace").splitlines()[-1:]) for log in folder.glob("*.log")]
            raise RuntimeError(f"Slurm did not start: {words}")
        time.sleep(0.1)


if __name__ == "__main__":
    if reason := lacking():
        sys.exit(f"no Slurm here: {reason}")
    with cluster() as surroundings:
        sys.exit(subprocess.run(sys.argv[1:], env=surroundings).returncode)
