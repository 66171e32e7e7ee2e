"""How figures look: one style, every seed visible, and under each picture what it shows and what it rests on."""

import io
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy.signal import savgol_filter
from scipy.stats import t

from common.lab.files import atomic_write

# Okabe and Ito (2008), told apart by colour-blind readers; yellow is left out, it is too light for lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLE = {
    "axes.grid": True,
    "axes.prop_cycle": plt.cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "font.size": 8,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "pdf.fonttype": 42,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
}


def style():
    """A context in which figures have the common style."""
    return plt.rc_context(STYLE)


def colours(names):
    """A fixed colour for each name, in order. Raises `ValueError` for more names than the palette has colours."""
    names = list(names)
    if len(names) > len(PALETTE):
        raise ValueError(f"{len(names)} names, but only {len(PALETTE)} colours can be told apart")
    return dict(zip(names, PALETTE, strict=False))


def seeds_and_mean(ax, curve, label=None, colour=None, band="t", smooth=None, linestyle="-", end=None):
    """Draws every member's curve faintly, their mean, and a band around it; returns the number of members.

    `curve` has the columns cell, member, step, value. `band`: 't' is the 95 % interval of the mean by Student's t,
    'std' one standard deviation (ddof 0, as many papers draw it), None no band. `smooth` is a Savitzky-Golay window in
    points. The mean ends where the first member does; a member that diverged, whose curve ends before `end` (the last step
    in `curve`), ends in a cross.
    """
    if curve.empty:
        return 0
    wide = curve.pivot(index="step", columns=["cell", "member"], values="value")
    if smooth:
        wide = wide.apply(lambda column: smoothed(column, smooth))
    colour = colour or ax._get_lines.get_next_color()
    for _, values in wide.items():
        values = values.dropna()
        ax.plot(values.index, values, color=colour, alpha=0.3, linewidth=0.7, linestyle=linestyle)
        if len(values) and values.index[-1] < (wide.index[-1] if end is None else end):
            ax.plot(values.index[-1], values.iloc[-1], color=colour, marker="x", markersize=5)
    whole = wide.dropna()
    n, mean = wide.shape[1], whole.mean(axis=1)
    ax.plot(whole.index, mean, color=colour, label=label, linestyle=linestyle)
    half = band_half_width(whole.to_numpy(), band)
    if half is not None:
        ax.fill_between(whole.index, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
    return n


def band_half_width(values, band):
    """Half the band's width at each step, from values [steps, members]; None if there is no band.

    An interval of two members would be 13 standard errors wide and hide the curves; they stand for themselves.
    """
    n = values.shape[1]
    if band is None or n < (3 if band == "t" else 2):
        return None
    if band == "std":
        return values.std(axis=1, ddof=0)
    if band == "t":
        return t.ppf(0.975, n - 1) * values.std(axis=1, ddof=1) / np.sqrt(n)
    raise ValueError(f"unknown band {band!r}; allowed: 't', 'std', None")


def smoothed(values, window, order=3):
    """Savitzky-Golay smoothing over a window of points (made odd, and no longer than the curve)."""
    finite = values.dropna()
    window = min(window, len(finite)) - (min(window, len(finite)) + 1) % 2
    if window > order:
        values = values.copy()
        values.loc[finite.index] = savgol_filter(finite, window, order)
    return values


def steps_axis(ax, label="environment steps"):
    """Labels the horizontal axis in thousands or millions of steps."""
    ax.set_xlabel(label)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda steps, _: count(steps)))


def count(number):
    """A number of steps as people say it: 300k, 1M, 1.5M."""
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.4g}{suffix}"
    return f"{number:.4g}"


def not_run(ax):
    """Says in a panel that its cells have not been run."""
    ax.text(0.5, 0.5, "not run", transform=ax.transAxes, ha="center", color="0.4")
    ax.set(xticks=[], yticks=[])


def legend_entries(axes):
    """{label: handle} of some axes, each label once, in the order of their appearance."""
    entries = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    return entries


def legend_right(axes, title=None):
    """One legend for a row of axes, right of the last of them. A curve that only some of them show is named too."""
    entries = legend_entries(axes)
    axes[-1].legend(entries.values(), entries, loc="upper left", bbox_to_anchor=(1.0, 1.0), title=title)


def legend_below(fig, ncols=None):
    """One legend for all axes, below them, in as few rows as at most `ncols` columns (default: 4) and the figure's width
    allow; a label that stands in several axes is shown once."""
    entries = legend_entries(fig.axes)
    for rows in range(-(-len(entries) // (ncols or 4)), len(entries) + 1) if entries else ():
        legend = fig.legend(entries.values(), entries, loc="outside lower center", ncols=-(-len(entries) // rows))
        if rows == len(entries) or legend.get_window_extent().width <= fig.bbox.width:
            return
        legend.remove()


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
