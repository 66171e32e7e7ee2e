"""The command line of every paper: `python -m papers <command>`."""

import argparse
import contextlib
import importlib
import math
import os
import re
import signal
import sys
from pathlib import Path

from common.errors import UserError
from common.files import say, shown, write_plainly
from common.lab.plan import catalog, experiments
from common.lab.plan.experiments import SCALES
from common.lab.results.requests import KEYS, check_device

# Command: what runs it, what it does, its arguments. A function's parameters are called as the arguments.
COMMANDS = {
    "list": ("report.inspection:listing", "what there is to build", "paper?"),
    "explain": ("report.inspection:explain", "the chain from a picture to its algorithm", "NAME scale seeds fresh"),
    "run": ("run.training:run", "train cells, or all", "TARGET scale seeds dataset env exactly anew threads device parent"),
    "cost": (
        "report.inspection:cost",
        "hours that an artefact would take",
        "NAME scale seeds dataset env fresh threads device",
    ),
    "draw": (
        "report.making:draw",
        "draw a figure from its results, or all artefacts",
        "FIGURE scale seeds dataset env output available fresh threads",
    ),
    "tabulate": (
        "report.making:tabulate",
        "write a table from its results",
        "TABLE scale seeds dataset env output available fresh",
    ),
    "judge": ("report.making:judge", "test the claims of a paper", "PAPER scale seeds dataset env output available fresh"),
    "gallery": ("report.gallery:write", "redraw docs/gallery and the generated part of README.md", ""),
    "publish": ("run.publishing:publish", "copy finished results to published/", "TARGET scale seeds partial"),
    "reseal": (
        "run.sealing:reseal",
        "keep results whose code moved and whose numbers did not",
        "papers* from renamed threads",
    ),
    "settle": (
        "report.settling:settle",
        "run what undecided claims need, the best price first",
        "papers* hours threads plan",
    ),
    "site": ("report.website:site", "write the browsable site, site/index.html", ""),
    "cite": ("report.citing:cite", "print BibTeX of this release and of the paper behind a figure", "NAME"),
    "release": ("report.releasing:release", "write the archive of a version, dist/<name>-<version>.zip", "VERSION"),
    "status": ("run.watch:show", "what is running", "watch parent"),
}


def _arguments():
    """Argument of `COMMANDS` -> (its name on the command line, what argparse makes of it)."""
    scale, device = _configured("scale", "quick"), _configured("device", "cpu")
    flag = {"action": "store_true"}
    return {
        "NAME": ("name", {"metavar": "NAME"}),
        "FIGURE": ("name", {"metavar": "FIGURE"}),
        "TABLE": ("name", {"metavar": "TABLE"}),
        "PAPER": ("paper", {"metavar": "PAPER"}),
        "VERSION": ("version", {"metavar": "VERSION", "help": "three numbers, as 0.1.0"}),
        "TARGET": ("target", {"metavar": "PAPER[/EXPERIMENT[/CELL]]"}),
        "paper?": ("paper", {"nargs": "?", "metavar": "PAPER", "help": "one paper alone"}),
        "papers*": ("papers", {"nargs": "*", "metavar": "PAPER", "help": "these papers alone"}),
        "scale": ("--scale", {"default": scale, "help": f"{', '.join(SCALES)} (default: {scale})"}),
        "seeds": ("--seeds", {"help": "in place of the experiments' seeds: 0-9, or 4,5"}),
        "dataset": ("--dataset", {"help": "the data set of Minari in place of the page's, with --env"}),
        "env": ("--env", {"help": "its environment, as Hopper-v4"}),
        "exactly": ("--exactly", flag | {"help": "the cells have the members of --seeds and no others"}),
        "anew": ("--anew", flag | {"help": "train published members too"}),
        "threads": ("--threads", {"type": _positive, "help": "worker processes (default: one per core)"}),
        "device": ("--device", {"default": device, "help": f"cpu, cuda, cuda:<number> (default: {device})"}),
        "output": ("--output", {"type": Path, "help": "the file to write (default: figures/<name>)"}),
        "available": ("--available", flag | {"help": "take what was run; the rest is left out, or untested"}),
        "fresh": ("--fresh", flag | {"help": "accept no stale or partial published results"}),
        "partial": ("--partial", flag | {"help": "also cells in which some members are finished"}),
        "from": ("--from", {"dest": "commit", "required": True, "help": "the commit at which the results were up to date"}),
        "renamed": (
            "--renamed",
            {"nargs": "+", "default": [], "metavar": "FORMER=PRESENT", "help": "experiments that had another name then"},
        ),
        "hours": ("--hours", {"type": _hours, "help": "stop after so long, at checkpoints"}),
        "plan": ("--plan", flag | {"help": "print the order and docs/evidence.md, and train nothing"}),
        "watch": ("--watch", flag | {"help": "keep showing it"}),
        "parent": ("--parent", {"type": _positive, "help": argparse.SUPPRESS}),
    }


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit status: 0, 2 after one line on standard error that says what was wrong, or 130 if
    it was stopped."""
    with contextlib.suppress(ValueError):  # as Ctrl-C: whatever trains is asked for a checkpoint; not in a thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        write_plainly(stream)
    try:
        status = _command(arguments)
        _flush()
        return status
    except UserError as error:
        return _say(error, 2)
    except KeyboardInterrupt:
        return _say("stopped; what was training has a checkpoint, from which the same command goes on", 130)
    except BrokenPipeError:
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("common", "papers"):
            raise
        return _say(f"{error.name} is not installed for {sys.executable}; make setup, then source .venv/bin/activate", 2)
    except OSError as error:
        where = f"{shown(error.filename)}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}; earlier results are untouched", 2)


def _flush():
    """Writes what was printed, so that a full device is an error here and not at the interpreter's end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in the buffer cannot be written
        raise


def _say(text, status):
    say(f"papers: {text}")
    return status


def _command(arguments):
    """Runs the command that the arguments name; returns its exit status."""
    if sys.flags.optimize > 1:
        raise UserError("python -OO drops docstrings, which hold captions and claims; use python, or python -O")
    options = vars(_parser().parse_args(arguments))
    name = options.pop("command")
    _check(options)
    if "seeds" in options and name != "run":  # run may train some members of a cell; the others see these alone
        catalog.replace_seeds(options.pop("seeds"))
    catalog.replace_data(options.pop("dataset", None), options.pop("env", None))
    module, _, function = COMMANDS[name][0].partition(":")
    with _progress(options.pop("parent")) if name == "run" else contextlib.nullcontext():
        made = getattr(importlib.import_module(f"common.lab.{module}"), function)(**options)
    return _report(name, made)


def _report(name, made):
    """Prints what a command made: files, or cells with what was done to them. Returns the exit status."""
    if made is None:
        return 0
    for item in made:
        print(shown(item) if isinstance(item, Path) else f"{item[0].key} at {item[0].scale}: {item[1]}")
    if name != "reseal":
        return 0
    left = sum(done.startswith("left") for _, done in made)
    print(f"{len(made) - left} resealed, {left} left" if made else "nothing has moved: every digest is today's")
    return 1 if left else 0


def _progress(parent):
    from common.lab.run import watch

    if parent is not None:
        watch.end_with(parent)
    return watch.live()


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message):
        raise UserError(message)


def _parser():
    parser = _Parser(prog="python -m papers", description="Reproduces the figures of the papers.")
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    known = _arguments()
    for name, (_, text, arguments) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        for argument in arguments.split():
            spelling, settings = known[argument]
            command.add_argument(spelling, **settings)
    return parser


def _check(options):
    """Replaces texts by what they mean; raises `UserError` for a scale, device or seeds that do not exist."""
    if options.get("scale", SCALES[0]) not in SCALES:
        raise UserError(f"unknown scale {options['scale']!r}; allowed: {', '.join(SCALES)}")
    if "device" in options:
        check_device(options["device"])
    if options.get("seeds") is not None:
        options["seeds"] = experiments.seeds(options["seeds"], "--seeds")


def _configured(key, default):
    """A value of config/config.yaml."""
    path = catalog.ROOT / "config" / "config.yaml"
    content = experiments.mapping(path, "config/config.yaml", KEYS) if path.exists() else {}
    return content.get(key, default)


def _hours(text):
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} must be a positive number of hours")


def _positive(text):
    if not re.fullmatch("[0-9]+", text) or int(text) < 1:  # isdigit accepts what int does not, as ²
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive integer")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
