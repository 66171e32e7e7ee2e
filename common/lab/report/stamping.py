"""Figures as files, each with its caption and what it rests on below the picture."""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from common.files import atomic_write, sibling
from common.lab.report.plots import count
from common.lab.results.records import Results


def summary(results: Sequence[Results], scale: str) -> str:
    """One line on what an artefact rests on: scale, seeds, steps, commit; and what is stale, partial or diverged."""
    parts = [f"scale {scale}"]
    cells = [cell for experiment in results for cell in experiment.cells]
    if cells:
        seeds = sorted({len(cell.finished) for cell in cells})
        wanted = max(experiment.wanted for experiment in results)
        short = any(cell.partial for cell in cells)
        parts.append(f"{seeds[0]} of {wanted} seeds (partial)" if short else f"n = {'-'.join(map(str, seeds))} seeds")
        if steps := sorted({experiment.steps for experiment in results if experiment.budget > 1}):  # 1: nothing is trained
            parts.append("-".join(count(number) for number in steps) + " steps")
        # A cell's members may have been trained at several commits; each part knows its own, except in early runs.
        origins = [cell.record | part for cell in cells for part in cell.record.get("parts") or [{}]]
        marks = {str(origin.get("commit") or "none")[:7] + "+" * bool(origin.get("dirty")) for origin in origins}
        parts.append("commit " + ", ".join(sorted(marks)[:3]) + ", …" * (len(marks) > 3))
        if missing := sum(experiment.missing for experiment in results):
            parts.append(f"{len(cells)} of {len(cells) + missing} cells were run")
        if any(cell.stale for cell in cells):
            parts.append("stale: made by other settings or code than today's")
        if diverged := sum(experiment.diverged for experiment in results):
            parts.append(f"diverged {diverged}")
    return " · ".join(parts)


def stamp(fig: Figure, results: Sequence[Results], scale: str, caption: str = "") -> None:
    """Makes a figure taller, and writes its caption and `summary` below it."""
    width, height = fig.get_size_inches()
    lines = textwrap.wrap(" ".join(caption.split()), int(width * 17))
    foot = textwrap.wrap(summary(results, scale), int(width * 18))
    line = 10.5 / 72
    extra = (len(lines) + len(foot)) * line + 6 / 72
    _raise(fig, extra)
    colour = "0.35" if scale == "paper" else "#B04000"
    for number, text in enumerate(lines + foot):
        style = {"fontsize": 7.5} if number < len(lines) else {"fontsize": 7, "color": colour}
        fig.text(0.05 / width, (extra - 3 / 72 - number * line) / (height + extra), text, va="top", ha="left", **style)


def _raise(fig, extra):
    """Makes a figure taller by `extra` inches, free at the bottom; a legend below the axes stays between."""
    width, height = fig.get_size_inches()
    fig.canvas.draw()
    legends = [legend.get_window_extent().height / fig.dpi + 0.06 for legend in fig.legends if legend._outside_loc]
    fig.set_size_inches(width, height + extra)
    free = extra / (height + extra)
    bottom = free + max(legends, default=0) / (height + extra)
    for legend in fig.legends:
        legend.set_bbox_to_anchor((0, free, 1, 1 - free), transform=fig.transFigure)
    fig.set_layout_engine("constrained", rect=(0, bottom, 1, 1 - bottom))


def save(fig: Figure, path: str | Path, scale: str) -> list[Path]:
    """Writes <path>.pdf and <path>.png, each whole or not at all, and the same bytes for the same figure. `path` may end in
    either; another dot in it is part of its name."""
    metadata = {"pdf": {"CreationDate": None, "Keywords": f"scale={scale}"}, "png": {"Software": None}}
    files = {}
    for suffix, values in metadata.items():
        buffer = io.BytesIO()
        fig.savefig(buffer, format=suffix, metadata=values, dpi=160)
        files[sibling(path, f".{suffix}", (".pdf", ".png"))] = buffer.getvalue()
    for file, content in reversed(files.items()):
        atomic_write(file, content)
    plt.close(fig)
    return list(files)
