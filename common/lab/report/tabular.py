"""Tables as files: Markdown to read, LaTeX to typeset, CSV to compute with."""

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from common.files import atomic_write, sibling
from common.lab.plan import catalog
from common.lab.report.verdicts import Verdict
from common.settings import fields

ENDINGS = (".md", ".tex", ".csv")
MARKDOWN = str.maketrans({"|": r"\|", "\n": " "})
ORIGINS = {  # of a setting, by how its source starts
    "paper": ("paper", "Section", "Table", "Figure", "Algorithm", "Appendix", "eq."),
    "authors' code": "authors' code",
    "peer": "peer",
}
LATEX = {"\\": r"\textbackslash{}"} | {c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\^{}"}


def write(path: str | Path, frame: pd.DataFrame, caption: str, note: str, scale: str, latex: bool = True) -> list[Path]:
    """Writes <path>.md, .csv and, if `latex`, .tex, each whole or not at all. `note` says what the table rests on.
    `path` may end in any of them; another dot in it is part of its name."""
    written = {".md": markdown(frame, caption, note, scale), ".csv": frame.to_csv(index=False, lineterminator="\n")}
    if latex:
        written[".tex"] = typeset(frame, caption, note)
    for suffix in sorted(written):
        atomic_write(sibling(path, suffix, ENDINGS), written[suffix])
    return [sibling(path, suffix, ENDINGS) for suffix in ENDINGS if suffix in written]


def markdown(frame: pd.DataFrame, caption: str, note: str, scale: str) -> str:
    """The table as GitHub shows it, numbers to the right, with the scale in a comment that the workflow reads."""
    foot = f"\n{note}\n" if note else ""
    return f"<!-- scale={scale} -->\n{caption}\n\n{body(frame)}\n{foot}"


def body(frame: pd.DataFrame) -> str:
    """The rows of `markdown` alone, with their head."""
    rules = ["---:" if pd.api.types.is_numeric_dtype(kind) else "---" for kind in frame.dtypes]
    rows = [[text(value).translate(MARKDOWN) for value in row] for row in frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [map(str, frame.columns), rules, *rows])


def typeset(frame: pd.DataFrame, caption: str, note: str) -> str:
    """The table as a LaTeX `table` with booktabs rules."""
    kinds = "".join("r" if pd.api.types.is_numeric_dtype(kind) else "l" for kind in frame.dtypes)
    lines = [" & ".join(map(escaped, map(str, frame.columns))) + r" \\ \midrule"]
    lines += [" & ".join(escaped(text(value)) for value in row) + r" \\" for row in frame.itertuples(index=False)]
    rows = "\n".join(lines)
    foot = f"\n\\par\\footnotesize {escaped(note)}" if note else ""
    return (
        f"\\begin{{table}}\n\\caption{{{escaped(caption)}}}\n\\begin{{tabular}}{{{kinds}}}\\toprule\n"
        f"{rows}\n\\bottomrule\n\\end{{tabular}}{foot}\n\\end{{table}}\n"
    )


def hyperparameters(paper: str, columns: dict[str, tuple], built_in: tuple = ()) -> pd.DataFrame:
    """Every setting as it is run at scale `paper`, with its meaning, its range and where its value stands.

    columns: {title: experiments of one algorithm}, whose values are shown, several where the experiments cross or vary a
    setting. built_in: (what, titles, how, source) of what is no setting. Settings that differ between algorithms in meaning,
    unit, range or source have a row for each.
    """
    rows: dict[tuple, dict[str, str]] = {}
    for title, names in columns.items():
        configs = [cell.config for name in names for cell in catalog.cells(paper, name, "paper").values()]
        sources = catalog.sources(paper, type(configs[0]), *names)
        for key, field in fields(type(configs[0])).items():
            facts = field.metadata
            row = key, facts["meaning"], facts["unit"], _allowed(facts, field.default), sources[key]
            values = dict.fromkeys(_value(getattr(config, key)) for config in configs)
            rows.setdefault(row, {})[title] = ", ".join(values)
    for what, titles, how, source in built_in:
        rows.setdefault(("(built in)", what, "", "", source), {}).update(dict.fromkeys(titles, how))
    order = list(dict.fromkeys(key for key, *_ in rows))
    return pd.DataFrame(
        {"setting": key, "meaning": meaning, **{title: rows[row].get(title, "") for title in columns}, "unit": unit,
         "allowed": allowed, "origin": _origin(source), "source": source}
        for row in sorted(rows, key=lambda row: order.index(row[0])) for key, meaning, unit, allowed, source in [row]
    )  # fmt: skip


def _allowed(facts, default):
    """The range or the choices of a setting, in words."""
    if facts["choices"] is not None:
        return ", ".join(facts["choices"])
    low, high = facts["low"], facts["high"]
    if low is None and high is None:
        return "true, false" if isinstance(default, bool) else "any"
    if high is None:
        return f"at least {_value(low)}"
    return f"{_value(low)} to {_value(high)}" if low is not None else f"at most {_value(high)}"


def _origin(source):
    return next((origin for origin, starts in ORIGINS.items() if source.startswith(starts)), "our choice")


def _value(value):
    """1,000,000; 0.0003; true; 2x256."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else value


def verdicts(judged: Mapping[str, Verdict], claims: Mapping[str, str]) -> pd.DataFrame:
    """Verdicts as a table, {name: Verdict} and {name: the claim in words}. Below a claim about several environments stand
    those that were run, one row each."""
    rows = []
    for name, verdict in judged.items():
        rows.append(_row(name, claims[name], verdict))
        alone = len(verdict.parts) == 1 and verdict.status == next(iter(verdict.parts.values())).status
        rows += [] if alone else [_row(f"· {part}", "", v) for part, v in verdict.parts.items()]
    return pd.DataFrame(rows)


def _row(name, words, verdict):
    interval = f"[{verdict.low:.4g}, {verdict.high:.4g}] {100 * verdict.level:g} %"
    return {
        "claim": name,
        "in words": words,
        "verdict": f"{verdict.status} ({verdict.reason})" if verdict.reason else verdict.status,
        "effect": verdict.effect,
        "interval": "" if math.isnan(verdict.low) else interval,
        "p": verdict.p,
        "n": verdict.n,
        "of": verdict.quantity,
        "seeds to settle": verdict.seeds_to_settle or "",
        "note": verdict.note,
    }


def text(value: object) -> str:
    """A cell's text: four significant digits for broken numbers, nothing for NaN."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)


def escaped(words: str) -> str:
    """Text as LaTeX takes it."""
    return "".join(LATEX.get(character, character) for character in words)
