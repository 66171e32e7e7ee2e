"""Shows what is running: one line per cell, from the progress files that its workers write, and what failed on a cluster.

Beside a workflow the lines stay at the bottom of the terminal while its own messages, which other processes write, scroll
above them; elsewhere they are printed now and then.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from common.files import PLAIN
from common.lab.plan import catalog
from common.lab.results.costs import duration

REFRESH_SECONDS = 1.0
PLAIN_SECONDS = 30.0
SILENT_SECONDS = 120.0  # a worker that has not written for so long is not shown
BAR = 20
# What Slurm's jobs say (`slurm-logdir` of workflow/profiles/slurm); the logs of those that succeeded are removed. The first
# kind of these words that a log holds tells why its job ended; one that holds none may be running.
SLURM_LOGS = "logs/slurm"
REASONS = (r"\*\*\* JOB .*\*\*\*", r"^papers: .*", r"^\S+: (?:error|fatal): .*", r"^\w+(?:Error|Exception):.*\n?.*")

_shown: list[subprocess.Popen] = []


def start() -> None:
    """Starts showing progress beside the process that calls this, until it ends."""
    command = [sys.executable, "-m", "papers", "status", "--watch", "--parent", str(os.getpid())]
    with contextlib.suppress(OSError):
        _shown.append(subprocess.Popen(command, stdout=sys.stderr, stdin=subprocess.DEVNULL))


def stop() -> None:
    """Ends what `start` began, so that the terminal is whole again."""
    while _shown:
        process = _shown.pop()
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)


def show(watch: bool = False, parent: int | None = None) -> None:
    """Prints what is running, once or, with `watch`, until interrupted or until the process `parent` has ended."""
    if not watch:
        print("\n".join(lines(running()) + failed()) or "nothing is running")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if parent is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupted workflow ends its jobs first
    footer = Footer(sys.stdout) if _moves_its_cursor(sys.stdout) else None
    colour = not os.environ.get("NO_COLOR")
    printed = time.monotonic() - PLAIN_SECONDS + 5
    try:
        while parent is None or os.getppid() == parent:
            if footer:
                footer.draw(lines(running(), colour))
            elif time.monotonic() - printed >= PLAIN_SECONDS:
                print("".join(f"{line}\n" for line in lines(running())), end="", flush=True)
                printed = time.monotonic()
            time.sleep(REFRESH_SECONDS)
    except KeyboardInterrupt:
        pass
    finally:
        if footer:
            footer.close()


@contextlib.contextmanager
def live() -> Iterator[None]:
    """Shows what is running below what this process prints, while it lasts; in a terminal only."""
    if sys.stderr.isatty():
        start()
    try:
        yield
    finally:
        stop()


def _moves_its_cursor(stream):
    """Whether the stream is a terminal that understands escape codes, and not merely one that people read."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def end_with(parent: int) -> None:
    """Ends this process, as SIGTERM does, once the process `parent` is gone, whichever others stand between them."""

    def wait():
        while _lives(parent):
            time.sleep(REFRESH_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def _lives(process):
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def running(now: float | None = None) -> dict[str, list[dict]]:
    """Cells that are being run: {'<scale> <cell>': progress of each worker}. now: seconds since the epoch; this moment's
    by default. Of a process on another machine only its silence tells that it has ended."""
    cells: dict[str, list[dict]] = {}
    here = socket.gethostname()
    for path in sorted((catalog.ROOT / "results").glob("*/*/*/*/.work/progress-*.json")):
        try:
            progress = json.loads(path.read_text(encoding="utf-8"))
            recent = (now or time.time()) - progress["updated"] < SILENT_SECONDS
            lives = progress.get("host", here) != here or _lives(progress["pid"])
            if recent and progress["step"] < progress["total"] and lives:
                scale, *cell = path.parts[-6:-2]
                cells.setdefault(f"{scale} {'/'.join(cell)}", []).append(progress)
        except (OSError, ValueError, KeyError):  # being replaced, or not ours
            continue
    return cells


def failed() -> list[str]:
    """One line per job of a cluster that failed and was not repeated since: its log, and why it ended."""
    newest: dict[frozenset, tuple[Path, str]] = {}  # by what the jobs were to make: a retry takes its job's place
    for path in sorted((catalog.ROOT / SLURM_LOGS).rglob("*.log"), key=lambda path: path.stat().st_mtime):
        text = path.read_text(encoding="utf-8", errors="replace")
        newest[frozenset(re.findall(r"^    output: ([^,\n]+)", text, re.M)) or frozenset([path])] = path, text
    shown = []
    for files, (path, text) in newest.items():
        said = next((found[-1] for reason in REASONS if (found := re.findall(reason, text, re.M))), None)
        if said and (path in files or not all((catalog.ROOT / file).exists() for file in files)):
            shown.append(f"failed: {path.relative_to(catalog.ROOT)}: {' '.join(said.split())}")
    return shown


def lines(cells: dict[str, list[dict]], colour: bool = False) -> list[str]:
    """One line per cell: how far, members, steps per second of all of them together, last return, time left."""
    width = max(map(len, cells), default=0)
    return [f"{name:<{width}}  {_line(workers, colour)}" for name, workers in cells.items()]


def _line(workers, colour):
    members = sum(len(worker["members"]) for worker in workers)
    total = sum(worker["total"] * len(worker["members"]) for worker in workers)
    done = sum(worker["step"] * len(worker["members"]) for worker in workers)
    returns = [worker["return"] for worker in workers if worker.get("return") is not None]
    left = [(w["total"] - w["step"]) * len(w["members"]) / w["rate"] for w in workers if w["rate"] > 0]
    filled = round(BAR * done / total)
    bar = "━" * filled + ("\x1b[2m" if colour else "") + "─" * (BAR - filled) + ("\x1b[0m" if colour else "")
    speed = sum(worker["rate"] for worker in workers)
    mean = f"return {sum(returns) / len(returns):.0f}  " if returns else ""
    ends = f"{duration(max(left))} left" if left else "starting"
    return f"{bar} {100 * done / total:3.0f} %  {members} members  {speed:.0f} steps/s  {mean}{ends}"


class Footer:
    """Lines kept at the bottom of a terminal: its scrolling region ends above them, so others' output is left whole.

    Every change is one write, so that no other process's output falls between its parts.
    """

    def __init__(self, stream: TextIO):
        self.stream, self.height = stream, 0
        self.size: os.terminal_size | None = None

    def draw(self, content: list[str]) -> None:
        """Shows these lines in place of the earlier ones, as many as fit into half of the terminal."""
        size = os.get_terminal_size(self.stream.fileno())
        content = content[: size.lines // 2]
        text = self._reserve(len(content), size)
        first = size.lines - len(content) + 1
        text += "\x1b7"
        for number, line in enumerate(content):
            # Without wrapping, a line longer than the terminal is cut instead of scrolling the others away.
            text += f"\x1b[{first + number};1H\x1b[2K\x1b[?7l{line}\x1b[?7h"
        self._write(text + "\x1b8")

    def close(self) -> None:
        """Gives the whole terminal back."""
        if self.height:
            self._write(self._reserve(0, os.get_terminal_size(self.stream.fileno())))

    def _reserve(self, height, size):
        """What sets the scrolling region to end above `height` lines."""
        if (height, size) == (self.height, self.size):
            return ""
        grown = max(0, height - self.height)
        text = "\n" * grown + (f"\x1b[{grown}A" if grown else "") + "\x1b7"
        for row in range(size.lines - self.height + 1, size.lines - height + 1):
            text += f"\x1b[{row};1H\x1b[2K"
        text += f"\x1b[1;{size.lines - height}r" if height else "\x1b[r"
        self.height, self.size = height, size
        return text + "\x1b8"

    def _write(self, text):
        self.stream.flush()
        os.write(self.stream.fileno(), text.encode(self.stream.encoding or "utf-8", PLAIN))
