"""What stands under each picture: its caption and what it rests on. Figures as files."""

import io
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt

from common.files import atomic_write
from common.lab.report.plots import count


def summary(results, scale):
    """One line on what an artefact rests on: scale, seeds, steps, commit; and what is stale, partial or diverged."""
    parts = [f"scale {scale}"]
    sources = [source for one in results for source in one.cells]
    if sources:
        seeds = sorted({len(source.finished) for source in sources})
        wanted = max(one.wanted for one in results)
        short = any(source.partial for source in sources)
        parts.append(f"{seeds[0]} of {wanted} seeds (partial)" if short else f"n = {'-'.join(map(str, seeds))} seeds")
        if steps := sorted({one.steps for one in results if one.budget > 1}):  # what is not trained has one
            parts.append("-".join(count(number) for number in steps) + " steps")
        # A cell's members may have been trained at several commits; each part knows its own, but for those of early runs.
        made = [s.record | part for s in sources for part in s.record.get("parts") or [{}]]
        marks = {str(one.get("commit") or "none")[:7] + "+" * bool(one.get("dirty")) for one in made}
        parts.append("commit " + ", ".join(sorted(marks)[:3]) + ", …" * (len(marks) > 3))
        if missing := sum(one.missing for one in results):
            parts.append(f"{len(sources)} of {len(sources) + missing} cells were run")
        if any(source.stale for source in sources):
            parts.append("stale: made by other settings or code than today's")
        if diverged := sum(one.diverged for one in results):
            parts.append(f"diverged {diverged}")
    return " · ".join(parts)


def stamp(fig, results, scale, caption=""):
    """Makes a figure taller; writes below it its caption and, small, what it rests on (`results`: a list)."""
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
    engine = fig.get_layout_engine()
    if engine is not None and "rect" in engine.get():
        engine.set(rect=(0, bottom, 1, 1 - bottom))
    else:
        for ax in fig.axes:
            x, y, w, h = ax.get_position().bounds
            ax.set_position((x, free + y * (1 - free), w, h * (1 - free)))


def save(fig, path, scale):
    """Writes <path>.pdf and <path>.png, each whole or not at all, and the same bytes for the same figure."""
    path = Path(path).with_suffix("")
    described = {"pdf": {"CreationDate": None, "Keywords": f"scale={scale}"}, "png": {"Software": None}}
    drawn = {}
    for suffix, metadata in described.items():
        buffer = io.BytesIO()
        fig.savefig(buffer, format=suffix, metadata=metadata, dpi=160)
        drawn[path.with_suffix(f".{suffix}")] = buffer.getvalue()
    for target, content in reversed(drawn.items()):
        atomic_write(target, content)
    plt.close(fig)
    return list(drawn)
