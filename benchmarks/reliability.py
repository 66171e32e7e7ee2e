"""What a run survives: killed processes, full and read-only disks, a clock that jumps, two commands at once, wrong input.

    python -m benchmarks reliability [--kills 120] [--only kills disk inputs ...] [--seed 0]

Everything happens in a copy of the tracked files, on runs of scale smoke whose checkpoints are a tenth of a second apart.

kills     A command trains; at a random moment `kill -9` ends one of its processes, drawn at random among itself and all that
          it started (snakemake, its shell, `papers run`, a worker; the kernel of a notebook). When the others have ended,
          the same command is given again, and may be killed again. What counts: the first command that is left in peace
          ends with status 0, and every CSV and every file that other runs read has the bytes of a run without kills.
disk      A disk that is full in the middle of training, and one that cannot be written: one line, and with room again the
          same bytes. Both need the right to mount, which root has.
clock     The system's clock jumps back and forth by days while a run trains: the same bytes.
together  Two commands for the same cell, and two workflows for the same figure, at once: the same bytes, and whoever has to
          wait is told so in one line.
inputs    Every mistake of inputs.yaml: a status that is not 0, the line that is expected, no traceback, and no file that is
          new, gone or changed.

The exit status is 1 if anything was lost.
"""

import argparse
import contextlib
import hashlib
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).resolve().parents[1]
INPUTS = Path(__file__).with_name("inputs.yaml")
PARTS = ("kills", "disk", "clock", "together", "inputs")
PATIENCE = 600  # seconds: a command that takes longer has been lost

# One cell per algorithm and, the last, a chain of four: data, their encoder, an agent, a figure.
RUNS = {
    "ARSAC": "papers run arsac/arsac/HalfCheetah-v4-1x32 --scale smoke --threads 2",
    "TRPO with a flow": "papers run trpo_nf/trpo/Hopper-v4-flow --scale smoke --threads 1",
    "ACKTR": "papers run trpo_nf/acktr/Hopper-v4-flow-0.002 --scale smoke --threads 2",
    "Hamiltonian policy": "papers run mcmc_po/hmc/Hopper-v4-5 --scale smoke --threads 1",
    "MNF-DQN": "papers run nf_review/nchain_mnf/10 --scale smoke --threads 1",
    "CNF and its data": "snakemake --cores 2 figures/smoke/fig8_flow_training.pdf",
}
NOTEBOOK = "pytest -q --nbmake notebooks/moons.ipynb"


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks reliability", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--kills", type=int, default=120, help="how many processes are killed (default 120)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the processes that are drawn (default 0)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        bench = Bench(Path(folder), random.Random(options.seed))
        trials = {"kills": lambda: killed(bench, options.kills), "disk": lambda: disk(bench), "clock": lambda: clock(bench),
                  "together": lambda: together(bench), "inputs": lambda: inputs(bench)}  # fmt: skip
        rows = [row for part in options.only for row in trials[part]()]
    width = max(len(name) for name, *_ in rows)
    print(f"\n{'':{width}}  tried  survived  lost")
    for name, tried, failed in rows:
        print(f"{name:{width}}  {tried:5}  {tried - failed:8}  {failed:4}")
    total, failed = (sum(column) for column in list(zip(*rows, strict=True))[1:])
    print(f"{'in all':{width}}  {total:5}  {total - failed:8}  {failed:4}")
    return int(failed > 0)


class Bench:
    """A copy of the repository in which commands are run, and what they should leave."""

    def __init__(self, folder, rng):
        self.folder, self.rng, self.root = folder, rng, folder / "copy"
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file() and not name.startswith("docs/gallery"):
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        fleets = self.root / "common/lab/run/fleets.py"
        before = fleets.read_text(encoding="utf-8")
        fleets.write_text(re.sub("(?m)^CHECKPOINT_SECONDS = .*", "CHECKPOINT_SECONDS = 0.1", before), encoding="utf-8")
        self.expected = {}

    def start(self, command, **environment):
        """A command of this environment's Python in the copy, a process group of its own; its errors go to `said`."""
        words = shlex.split(command)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        own = {"PYTHONPATH": str(self.root), "NF_SCALE": "smoke", "PATH": path}
        environment = {**os.environ, **own, **environment}
        with open(self.folder / "said", "w", encoding="utf-8") as said, open(os.devnull, "wb") as listed:
            return psutil.Popen([sys.executable, "-m", *words], cwd=self.root, env=environment, stdin=subprocess.DEVNULL,
                                stdout=listed, stderr=said, start_new_session=True)  # fmt: skip

    def finish(self, command, patience=PATIENCE, **environment):
        """(exit status, what it said on standard error), of a command that nothing disturbs. The status is "none" if it is
        ended after `patience` seconds."""
        process = self.start(command, **environment)
        try:
            status = process.wait(patience)
        except psutil.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            status = "none"
        return status, self.said()

    def said(self):
        return (self.folder / "said").read_text(encoding="utf-8", errors="replace")

    def files(self, *folders):
        """{path: digest} of all that is below some folders."""
        found = [path for folder in folders for path in (self.root / folder).rglob("*") if path.is_file()]
        return {str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}

    def results(self):
        """Digests of what runs leave for good: tables and files that others read, not the journals of their making."""
        kept = {path: digest for path, digest in self.files("results").items() if "/.work/" not in path}
        return {path: digest for path, digest in kept.items() if not path.endswith("run.json")}

    def clear(self):
        for name in ("results", "figures", "logs", ".snakemake"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def undisturbed(self, command):
        """What a command leaves if nothing disturbs it, and how long it takes."""
        if command not in self.expected:
            self.clear()
            began = time.monotonic()
            status, said = self.finish(command)
            if status:
                raise SystemExit(f"{command} fails without being disturbed:\n{said}")
            self.expected[command] = self.results(), time.monotonic() - began
        return self.expected[command]

    def whole(self, command):
        """Whether a command, given again, ends well and leaves what it should; if not, a line says what was lost."""
        expected, _ = self.undisturbed(command)
        status, said = self.finish(command)
        found = self.results()
        wrong = sorted(path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path))
        if status or wrong:
            lost(command, f"status {status}; {', '.join(wrong) or 'same bytes'}", said)
        return not status and not wrong


def lost(command, how, said):
    """Says what did not survive."""
    print(f"LOST {command}: {how}\n{textwrap.indent(said[-2000:], '    ')}", flush=True)


def killed(bench, kills):
    """Rows of a table: kills of each algorithm's processes, and of a notebook's."""
    commands = {**RUNS, "a notebook": NOTEBOOK}
    for i, (name, command) in enumerate(commands.items()):
        share = kills // len(commands) + (i < kills % len(commands))
        _, seconds = bench.undisturbed(command)
        done, failed, ended = 0, 0, {}
        while done < share:
            bench.clear()
            before = done
            for _ in range(min(share - done, bench.rng.randint(1, 4))):
                victim = _kill_one(bench, command, bench.rng.uniform(0.05, 1.0) * seconds)
                if victim is None:
                    break  # it was done by then
                ended[victim] = ended.get(victim, 0) + 1
                done += 1
            failed += (done - before) * (not bench.whole(command))
        victims = ", ".join(f"{victim} {count}" for victim, count in sorted(ended.items()))
        print(f"{name}: {done} times killed ({victims})", flush=True)
        yield f"kill -9, {name}", done, failed


def _kill_one(bench, command, moment):
    """Starts a command, ends one of its processes after so many seconds and waits for the others. What was ended; None if
    the command was done by then."""
    process = bench.start(command)
    try:
        process.wait(moment)
        return None
    except psutil.TimeoutExpired:
        pass
    family = [process, *process.children(recursive=True)]
    victim, kind = bench.rng.choice(family), None
    with contextlib.suppress(psutil.NoSuchProcess):
        kind = _kind(victim.cmdline())
        victim.kill()
    _, left = psutil.wait_procs(family, timeout=60)
    for orphan in left:
        lost(command, f"{_kind(orphan.cmdline())} runs on without the process that was killed ({kind})", "")
        orphan.kill()
    return kind


def _kind(words):
    """What a process is, in a word."""
    line = " ".join(words)
    for sign, name in (("run.worker", "worker"), ("ipykernel", "kernel"), ("-m pytest", "notebook's runner"),
                       ("papers run", "papers run"), ("papers draw", "papers draw"), ("papers status", "status"),
                       ("snakemake", "snakemake")):  # fmt: skip
        if sign in line:
            return name
    return "shell" if "sh" in line else "other"


def disk(bench):
    """A full disk and one that cannot be written."""
    command = RUNS["TRPO with a flow"]
    bench.undisturbed(command)
    bench.clear()
    results = bench.root / "results"
    results.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(results)], capture_output=True).returncode:
        print("disk: not tried, for it needs the right to mount")
        return
    try:
        full = _one_line(bench, command, "No space left")
        subprocess.run(["mount", "-o", "remount,size=100m", str(results)], check=True)
        yield "a full disk, then room", 1, int(not (full and bench.whole(command)))
        shutil.rmtree(results / "smoke")
        subprocess.run(["mount", "-o", "remount,ro", str(results)], check=True)
        readonly = _one_line(bench, command, "Read-only file system")
        subprocess.run(["mount", "-o", "remount,rw", str(results)], check=True)
        yield "a read-only disk, then a writable one", 1, int(not (readonly and bench.whole(command)))
    finally:
        subprocess.run(["umount", str(results)], check=True)


def _one_line(bench, command, words):
    """Whether a command fails with a line that holds these words, and no traceback."""
    status, said = bench.finish(command)
    good = bool(status) and words in said and "Traceback" not in said
    if not good:
        lost(command, f"status {status}, expected {words!r}", said)
    return good


JUMPING = '''"""A clock that jumps: time.time is wrong by up to ten days, otherwise at every call."""
import random, time
_true, _draw = time.time, random.Random(1)
time.time = lambda: _true() + _draw.uniform(-864000, 864000)
'''


def clock(bench):
    """A clock that jumps while runs train."""
    away = bench.folder / "jumping"
    away.mkdir(exist_ok=True)
    (away / "sitecustomize.py").write_text(JUMPING, encoding="utf-8")
    for name, command in RUNS.items():
        expected, _ = bench.undisturbed(command)
        bench.clear()
        status, said = bench.finish(command, PYTHONPATH=f"{away}:{bench.root}")
        same = bench.results() == expected
        if status or not same:
            lost(command, f"clock, status {status}, same bytes: {same}", said)
        yield f"a clock that jumps, {name}", 1, int(bool(status) or not same)


def together(bench):
    """Two commands at once."""
    for name in ("TRPO with a flow", "CNF and its data"):
        command = RUNS[name]
        expected, seconds = bench.undisturbed(command)
        bench.clear()
        first = bench.start(command)
        time.sleep(seconds / 2)
        said = bench.folder / "said"
        said.rename(bench.folder / "said of the first")
        status, second = bench.finish(command)
        ended = first.wait(PATIENCE)
        refused = bool(status) and "is still writing" in second and "Exception" not in second and "Traceback" not in second
        good = ended == 0 and (status == 0 or refused) and bench.results() == expected
        if not good:
            lost(command, f"twice, status {ended} and {status}", second)
        yield f"two at once, {name}", 1, int(not good)


def inputs(bench):
    """Mistakes, each with the line that it gets."""
    listed = yaml.safe_load(INPUTS.read_text(encoding="utf-8"))
    bench.clear()
    yield "wrong inputs", len(listed), sum(not _refused(bench, item) for item in listed)


def _refused(bench, item):
    """Whether a mistake is refused as it should be. item: see the head of inputs.yaml."""
    with contextlib.ExitStack() as taken_back:
        if "edit" in item:
            path, old, new = item["edit"]
            text = (bench.root / path).read_text(encoding="utf-8")
            if old not in text:
                raise SystemExit(f"{INPUTS}: {path} holds no {old!r}")
            taken_back.enter_context(_written(bench.root / path, text.replace(old, new, 1)))
        if "write" in item:
            path, text = item["write"]
            taken_back.enter_context(_written(bench.root / path, text))
        before = bench.results() | bench.files("figures", "published")
        status, said = bench.finish(item["run"], patience=120)
        same = before == bench.results() | bench.files("figures", "published")
    lines = [line for line in said.splitlines() if line.strip()]
    good = status not in (0, "none") and same and item["says"] in said and "Traceback" not in said
    good = good and (item["run"].startswith("snakemake") or len(lines) == 1)  # snakemake frames what the line says
    if not good:
        lost(item["run"], f"status {status}, files the same: {same}, expected {item['says']!r}", said)
    return good


@contextlib.contextmanager
def _written(path, text):
    """A file with another text for a while."""
    before = path.read_bytes() if path.is_file() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
