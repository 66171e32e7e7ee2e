"""How figures look: one style, a grid of panels, every seed visible."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy.special import stdtrit

from common.errors import UserError
from common.lab.results.records import Results

# Okabe and Ito (2008), which colour-blind readers can tell apart; without yellow, which is too light for lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLE: dict = {
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


Runs = Mapping[str, tuple[Results, Mapping]]  # label: results, and settings that select of them
Shared = Literal["row"] | bool  # whether axes, or those of a row, have one vertical axis
BAND = 5  # members: of fewer, the interval of the mean is wider than their spread and hides the curves


def style() -> AbstractContextManager:
    """A context in which figures have the common style."""
    return plt.rc_context(STYLE)


def seeds_and_mean(
    ax: Axes,
    curve: pd.DataFrame,
    label: str | None = None,
    colour: str = PALETTE[0],
    linestyle: str = "-",
    end: int | None = None,
    smooth: int | None = None,
) -> None:
    """Draws every member's curve faintly, their mean and, of `BAND` members or more, the 95 % interval of the mean around
    it, by Student's t. The band never widens an axis.

    `curve` has the columns cell, member, step, value; `smooth` is a Savitzky-Golay window in points. The mean ends with the
    shortest curve; that of a member that diverged, which ends before `end` (default: the last step in `curve`), ends in a
    cross.
    """
    if curve.empty:
        return
    wide = curve.pivot(index="step", columns=["cell", "member"], values="value")
    if smooth:
        wide = wide.apply(lambda column: smoothed(column, smooth))
    for _, values in wide.items():
        values = values.dropna()
        ax.plot(values.index, values, color=colour, alpha=0.3, linewidth=0.7, linestyle=linestyle)
        if len(values) and values.index[-1] < (wide.index[-1] if end is None else end):
            ax.plot(values.index[-1], values.iloc[-1], color=colour, marker="x", markersize=5)
    whole = wide.dropna()
    mean, half = whole.mean(axis=1), band_half_width(whole.to_numpy())
    ax.plot(whole.index, mean, color=colour, label=label, linestyle=linestyle)
    if half is not None:
        limits = ax.dataLim.frozen()
        ax.fill_between(whole.index, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
        ax.dataLim.set(limits)


def curves(ax: Axes, metric: str, runs: Runs, colours: Iterable[str], smooth: int | None = None, **where: Any) -> None:
    """Draws a metric of some runs, {label: (results, its settings)}, by `seeds_and_mean`; `where`: settings of all."""
    for (label, (results, settings)), colour in zip(runs.items(), colours, strict=False):
        seeds_and_mean(ax, results.curve(metric, **where, **settings), label, colour, smooth=smooth)


def band_half_width(values: np.ndarray) -> np.ndarray | None:
    """Half the 95 % interval of the mean [steps], from values [steps, members]; None for fewer than `BAND` members."""
    n = values.shape[1]
    return stdtrit(n - 1, 0.975) * values.std(axis=1, ddof=1) / np.sqrt(n) if n >= BAND else None


def trim(ax: Axes, low: float | None = None, high: float | None = None) -> None:
    """Cuts the vertical axis at `low` and `high`, where some curve or point lies beyond, and marks with an arrow on the
    border where the most extreme of each line was cut off."""
    bottom, top = ax.get_ylim()
    for limit, beyond, border, marker in ((low, np.less, 0, "v"), (high, np.greater, 1, "^")):
        if limit is None:
            continue
        for line in list(ax.lines):
            x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
            if line.get_transform() != ax.transData or not beyond(y, limit).any():
                continue
            at = x[np.nanargmin(y) if border == 0 else np.nanargmax(y)]
            ax.plot(at, border, marker, color=line.get_color(), alpha=line.get_alpha(), markersize=4, clip_on=False,
                    transform=ax.get_xaxis_transform())  # fmt: skip
        bottom, top = (max(bottom, limit), top) if border == 0 else (bottom, min(top, limit))
    ax.set_ylim(bottom, top)


def smoothed(values: pd.Series, window: int, order: int = 3) -> pd.Series:
    """Savitzky-Golay smoothing over a window of points (made odd, and no longer than the curve)."""
    from scipy.signal import savgol_filter  # takes a second to import, of which few figures have a use

    finite = values.dropna()
    window = min(window, len(finite)) - (min(window, len(finite)) + 1) % 2
    if window > order:
        values = values.copy()
        values.loc[finite.index] = savgol_filter(finite, window, order)
    return values


def grid(
    nrows: int, ncols: int, width: float = 3.1, height: float = 2.2, sharey: Shared = False
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes [nrows, ncols], each `width` by `height` inches. Raises `UserError` for no axes."""
    if not nrows * ncols:
        raise UserError("there is nothing to draw: no environment of this figure was run")
    size = (width * ncols, height * nrows + 0.3)
    return plt.subplots(nrows, ncols, figsize=size, sharey=sharey, squeeze=False)


def panels(titles: Sequence[str], ncols: int, height: float = 2.3, sharey: Shared = False) -> tuple[Figure, dict[str, Axes]]:
    """A figure and {title: axes}, at most `ncols` in a row; no empty panel is left. `sharey`: False, or "row"."""
    ncols = min(ncols, len(titles))
    nrows = -(-len(titles) // max(ncols, 1))
    fig, axes = grid(nrows, ncols, max(3.1, 4.6 / max(ncols, 1)), height, sharey)
    for ax in axes.flat[len(titles) :]:
        ax.remove()
    return fig, dict(zip(titles, axes.flat, strict=False))


def steps_axis(
    ax: Axes, title: str = "", label: str = "environment steps", left: float | None = None, right: float | None = None
) -> None:
    """Gives a panel its title and labels its horizontal axis, from `left` to `right`, in thousands or millions of steps."""
    if title:
        ax.set_title(title)
    ax.set_xlabel(label)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda steps, _: count(steps)))
    if left is not None or right is not None:  # else the axis goes on to fit what is drawn
        ax.set_xlim(left, right)


def outer_labels(fig: Figure, ylabel: str) -> None:
    """Labels the outer axes alone: the first of each row with `ylabel`, the last of each column with steps."""
    places = {ax: place for ax in fig.axes if (place := ax.get_subplotspec())}
    lowest = {place.colspan.start: place.rowspan.start for place in places.values()}  # the last of a column is the lowest
    for ax, place in places.items():
        ax.set_ylabel(ylabel if place.is_first_col() else "")
        ax.set_xlabel("environment steps" if place.rowspan.start == lowest[place.colspan.start] else "")


def count(number: float) -> str:
    """A number of steps in short: 300k, 1M, 1.5M."""
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.4g}{suffix}"
    return f"{number:.4g}"


def not_run(ax: Axes) -> None:
    """Marks a panel whose cells have not been run."""
    ax.text(0.5, 0.5, "not run", transform=ax.transAxes, ha="center", color="0.4")
    ax.set(xticks=[], yticks=[])


def legend_entries(axes: Iterable[Axes]) -> dict:
    """{label: handle} of some axes, each label once, in order of appearance."""
    entries: dict = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    return entries


def legend_right(axes: Sequence[Axes], title: str | None = None) -> None:
    """One legend for a row of axes, right of the last one. It also names curves that only some of the axes show."""
    entries = legend_entries(axes)
    axes[-1].legend(entries.values(), entries, loc="upper left", bbox_to_anchor=(1.0, 1.0), title=title)


def finish(fig: Figure, ylabel: str | None = None, ncols: int | None = None) -> Figure:
    """The figure with `outer_labels`, if it is given one, and `legend_below`."""
    if ylabel:
        outer_labels(fig, ylabel)
    legend_below(fig, ncols)
    return fig


def legend_below(fig: Figure, ncols: int | None = None) -> None:
    """One legend below all axes, each label once, in as few rows as the figure's width and `ncols` columns (default: 4)
    allow."""
    entries = legend_entries(fig.axes)
    for rows in range(-(-len(entries) // (ncols or 4)), len(entries) + 1) if entries else ():
        legend = fig.legend(entries.values(), entries, loc="outside lower center", ncols=-(-len(entries) // rows))
        if rows == len(entries) or legend.get_window_extent().width <= fig.bbox.width:
            return
        legend.remove()
