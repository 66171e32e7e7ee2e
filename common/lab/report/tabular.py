"""Tables as files: Markdown to read, LaTeX to typeset, CSV to compute with."""

import math
from pathlib import Path

import pandas as pd

from common.files import atomic_write

MARKDOWN = str.maketrans({"|": r"\|", "\n": " "})
LATEX = {"\\": r"\textbackslash{}"} | {c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\^{}"}


def write(path, frame, caption, note, scale, latex=True):
    """Writes <path>.md, .csv and, if `latex`, .tex, each whole or not at all. `note` says what the table rests on."""
    path = Path(path).with_suffix("")
    written = {".md": markdown(frame, caption, note, scale), ".csv": frame.to_csv(index=False, lineterminator="\n")}
    if latex:
        written[".tex"] = typeset(frame, caption, note)
    for suffix in sorted(written):
        atomic_write(path.with_suffix(suffix), written[suffix])
    return [path.with_suffix(suffix) for suffix in (".md", ".tex", ".csv") if suffix in written]


def markdown(frame, caption, note, scale):
    """The table as GitHub shows it, numbers to the right, with the scale in a comment that the workflow reads."""
    rows = [[text(value).translate(MARKDOWN) for value in row] for row in frame.itertuples(index=False)]
    rules = ["---:" if pd.api.types.is_numeric_dtype(kind) else "---" for kind in frame.dtypes]
    lines = [_row(map(str, frame.columns)), _row(rules), *map(_row, rows)]
    foot = f"\n{note}\n" if note else ""
    return f"<!-- scale={scale} -->\n{caption}\n\n" + "\n".join(lines) + "\n" + foot


def typeset(frame, caption, note):
    """The table as a LaTeX `table` with booktabs rules."""
    kinds = "".join("r" if pd.api.types.is_numeric_dtype(kind) else "l" for kind in frame.dtypes)
    lines = [" & ".join(map(escaped, map(str, frame.columns))) + r" \\ \midrule"]
    lines += [" & ".join(escaped(text(value)) for value in row) + r" \\" for row in frame.itertuples(index=False)]
    body = "\n".join(lines)
    foot = f"\n\\par\\footnotesize {escaped(note)}" if note else ""
    return (
        f"\\begin{{table}}\n\\caption{{{escaped(caption)}}}\n\\begin{{tabular}}{{{kinds}}}\\toprule\n"
        f"{body}\n\\bottomrule\n\\end{{tabular}}{foot}\n\\end{{table}}\n"
    )


def verdicts(found, claims):
    """Verdicts as a table, {name: Verdict} and {name: the claim in words}."""
    return pd.DataFrame(
        [
            {
                "claim": name,
                "in words": claims[name],
                "verdict": f"{one.status} ({one.reason})" if one.reason else one.status,
                "effect": one.effect,
                "interval": "" if math.isnan(one.low) else f"[{one.low:.4g}, {one.high:.4g}] {100 * one.level:g} %",
                "p": one.p,
                "n": one.n,
                "of": one.quantity,
                "seeds to settle": one.seeds_to_settle or "",
                "note": one.note,
            }
            for name, one in found.items()
        ]
    )


def text(value):
    """A cell's text: four significant digits for broken numbers, nothing for NaN."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)


def escaped(words):
    """Text as LaTeX takes it."""
    return "".join(LATEX.get(character, character) for character in words)


def _row(cells):
    return "| " + " | ".join(cells) + " |"
