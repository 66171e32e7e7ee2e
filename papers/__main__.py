"""The command line of every paper: `python -m papers <command>`."""

import argparse
import sys
from pathlib import Path

import yaml

from common.errors import UserError
from common.files import shown
from common.lab.plan import catalog, experiments
from common.lab.plan.experiments import SCALES
from common.lab.results.requests import check_device


def main(arguments=None):
    """Runs one command; returns its exit status: 0, or 2 after one line on standard error that says what was wrong."""
    try:
        options = _parser().parse_args(arguments)
        if "scale" in options and options.scale not in SCALES:
            raise UserError(f"unknown scale {options.scale!r}; allowed: {', '.join(SCALES)}")
        if "device" in options:
            check_device(options.device)
        options.seeds = _seeds(options)
        catalog.replace_seeds(None if options.command is _run else options.seeds)
        return options.command(options) or 0
    except UserError as error:
        print(f"papers: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1


def _run(options):
    from common.lab.report import commands
    from common.lab.run import watch

    if options.exactly and not options.seeds:
        raise UserError("--exactly says that a cell has the members of --seeds alone; it needs --seeds")
    with watch.live():
        folders = commands.run(
            options.name, options.scale, options.threads, options.device, options.seeds, options.exactly, options.anew
        )
    _say(folders)


def _draw(options):
    from common.lab.report import commands

    _say(commands.draw(options.name, options.scale, options.output, options.fresh, options.available))


def _tabulate(options):
    from common.lab.report import commands

    _say(commands.tabulate(options.name, options.scale, options.output, options.fresh, options.available))


def _judge(options):
    from common.lab.report import commands

    _say(commands.judge(options.name, options.scale, options.output, options.fresh, options.available))


def _publish(options):
    from common.lab.report import commands

    for cell, what in commands.publish(options.name, options.scale, options.partial):
        print(f"{cell.key} at {cell.scale}: {what}")


def _reseal(options):
    from common.lab.run import sealing

    done = sealing.reseal(options.commit, options.papers, options.threads or 1)
    for cell, what in done:
        print(f"{cell.key} at {cell.scale}: {what}")
    left = sum(what.startswith("left") for _, what in done)
    print(f"{len(done) - left} resealed, {left} left" if done else "nothing has moved: every digest is today's")
    return 1 if left else 0


def _gallery(options):
    from common.lab.report import gallery

    _say(gallery.write())


def _list(options):
    from common.lab.report import inspection

    inspection.listing(options.paper)


def _explain(options):
    from common.lab.report import inspection

    inspection.explain(options.name, options.scale, options.fresh)


def _cost(options):
    from common.lab.report import inspection

    inspection.cost(options.name, options.scale, options.threads, options.device, options.fresh)


def _status(options):
    from common.lab.run import watch

    watch.show(options.watch, options.parent)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message):
        raise UserError(message)


def _parser():
    """The arguments of every command."""
    parser = _Parser(prog="python -m papers", description="Reproduces the figures of the papers.")
    commands = parser.add_subparsers(required=True, metavar="command")
    default = _configured("scale", "quick")

    def command(name, function, text, positional=None, scaled=True):
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(command=function)
        if positional:
            one.add_argument("name", metavar=positional)
        if scaled:
            one.add_argument("--scale", default=default, help=f"{', '.join(SCALES)} (default: {default})")
        return one

    listing = command("list", _list, "what there is to build", scaled=False)
    listing.add_argument("paper", nargs="?", help="one paper alone")
    explain = command("explain", _explain, "the chain from a picture to its algorithm", "NAME")
    run = command("run", _run, "train cells, or all", "PAPER[/EXPERIMENT[/CELL]]")
    run.add_argument("--anew", action="store_true", help="train published members too")
    run.add_argument("--exactly", action="store_true", help="the cells have the members of --seeds and no others")
    cost = command("cost", _cost, "hours that an artefact would take", "NAME")
    drawn = [
        command("draw", _draw, "draw a figure from its results", "FIGURE"),
        command("tabulate", _tabulate, "write a table from its results", "TABLE"),
        command("judge", _judge, "test the claims of a paper", "PAPER"),
    ]
    for one in drawn:
        one.add_argument("--output", type=Path, help="the file to write (default: figures/<name>)")
        one.add_argument("--available", action="store_true", help="take what was run; the rest is left out, or untested")
    command("gallery", _gallery, "redraw docs/gallery and the generated part of README.md", scaled=False)
    for one in (*drawn, explain, cost):
        one.add_argument("--fresh", action="store_true", help="accept no stale or partial published results")
    for one in (run, cost):
        one.add_argument("--threads", type=_positive, help="worker processes (default: one a core)")
        one.add_argument("--device", default=_configured("device", "cpu"), help="cpu, cuda (default: %(default)s)")
    publish = command("publish", _publish, "copy finished results to published/", "PAPER[/EXPERIMENT[/CELL]]")
    publish.add_argument("--partial", action="store_true", help="also cells in which some members are finished")
    reseal = command("reseal", _reseal, "vouch for results whose code changed and whose numbers did not", scaled=False)
    reseal.add_argument("papers", nargs="*", metavar="PAPER", help="these papers alone")
    reseal.add_argument("--from", dest="commit", required=True, help="the commit at which the results were up to date")
    reseal.add_argument("--threads", type=_positive, help="workers that train at a time (default: 1)")
    for one in (*drawn, explain, run, cost, publish):
        one.add_argument("--seeds", help="in place of the experiments' seeds: 0-9, or 4,5")
    status = command("status", _status, "what is running", scaled=False)
    status.add_argument("--watch", action="store_true", help="keep showing it")
    status.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    return parser


def _configured(key, default):
    """A value of config/config.yaml."""
    path = catalog.ROOT / "config" / "config.yaml"
    content = yaml.safe_load(path.read_text()) if path.exists() else None
    return (content or {}).get(key, default)


def _positive(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive integer")
    return int(text)


def _seeds(options):
    """The integers of --seeds, or None."""
    text = getattr(options, "seeds", None)
    return None if text is None else experiments.seeds(text, "--seeds")


def _say(paths):
    print("\n".join(map(shown, paths)))


if __name__ == "__main__":
    sys.exit(main())
