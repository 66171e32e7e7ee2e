"""From the parts that workers leave to a cell's results: metrics.csv, further tables and run.json."""

import csv
import dataclasses
import json
from pathlib import Path

from common.files import atomic_write
from common.lab.plan.catalog import Cell
from common.lab.results import records, sources
from common.lab.results.sources import label

# What run.json keeps of each part.
KEPT = (
    "labels", "seconds", "cpu_seconds", "peak_mb", "device", "matmul", "capability", "commit", "dirty", "carried",
    "resealed",
)  # fmt: skip
# What made a part, as `origin.describe` says it; kept of a part that was made elsewhere than the record was joined.
MADE = ("packages", "python", "platform", "processor", "calibration")
ADOPTED = "part-published-{}.json"


def parts(cell: Cell) -> list[dict]:
    """The finished parts that today's settings and code wrote, and whose files are still there."""
    read = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(cell.work.glob("part-*.json"))]
    return [part for part in read if part["digest"] == cell.digest and _has_files(cell, part)]


def _has_files(cell, part):
    """Whether all files are there that the part's members left: one that diverged left none."""
    lost = {m for m, _, metric, _ in part["records"] if metric == "diverged"}
    living = [name for m, name in enumerate(part["labels"]) if m not in lost]
    return all(map(Path.exists, sources.files_of(cell.folder, cell.produces, living)))


def finished(cell: Cell) -> set[str]:
    """Labels of the finished members."""
    return {name for part in parts(cell) for name in part["labels"]}


def adopt(cell: Cell) -> None:
    """Take the published members that this checkout has not trained itself as finished parts, byte for byte. None if they
    were made by other settings or code, or lack files that the cell produces."""
    held = sources.publication(cell)
    if held is None or held.stale or not held.has(cell.produces):
        return
    own = finished(cell)
    missing = [member for member in held.finished if label(member) not in own]
    for name in cell.produces:
        for member in missing:
            file = sources.file_of(held.folder, name, label(member))
            if file.exists():  # a member that diverged left none; what lies here of that name is of another run
                atomic_write(cell.folder / file.name, file.read_bytes())
    wanted = {tuple(map(records.text, member.values())): label(member) for member in missing}
    keys = ("seed", *cell.scalars)
    tables = {file.stem: _rows_by_member(file, keys) for file in sorted(held.folder.glob("*.csv"))}
    metrics = tables.pop("metrics")
    for number, published in enumerate(held.record["parts"]):
        members = [key for key, name in wanted.items() if name in published["labels"]]
        if not members:
            continue
        part = {
            **{key: held.record[key] for key in ("commit", "dirty", "carried", *MADE) if key in held.record},
            **published,
            "digest": cell.digest,
            "labels": [wanted[key] for key in members],
            "records": [[m, int(row["step"]), row["metric"], row["value"]]
                        for m, key in enumerate(members) for row in metrics[key]],
            "tables": {name: [[m, row] for m, key in enumerate(members) for row in rows.get(key, [])]
                       for name, rows in tables.items()},
        }  # fmt: skip
        if seals := published.get("resealed", []) + held.record.get("resealed", []):
            part["resealed"] = seals
        atomic_write(cell.work / ADOPTED.format(number), json.dumps(part))


def disown(cell: Cell) -> None:
    """Forget the parts that `adopt` wrote."""
    for file in cell.work.glob(ADOPTED.format("*")):
        file.unlink()


def join(cell: Cell, made_by: dict) -> Path:
    """Write metrics.csv, the tables and run.json from the finished parts, in the order of the cell's members; returns the
    folder. Unfinished results stand in .work/partial, where no figure reads them unasked. `made_by`: see `origin.describe`.
    """
    done = parts(cell)
    place = {name: (part, i) for part in done for i, name in enumerate(part["labels"])}
    metrics, diverged = [], {}
    tables: dict[str, list[dict]] = {table: [] for table in cell.tables}
    for index, member in enumerate(cell.members):
        if label(member) not in place:
            continue
        part, i = place[label(member)]
        keys = {"member": index, **member}
        for m, step, metric, value in part["records"]:
            if m == i:
                metrics.append({**keys, "step": step, "metric": metric, "value": value})
                if metric == "diverged":
                    diverged[label(member)] = step
        for table, rows in tables.items():
            rows.extend({**keys, **row} for m, row in part["tables"].get(table, []) if m == i)
    metrics.sort(key=lambda row: (row["member"], row["metric"], row["step"]))
    whole = all(label(member) in place for member in cell.members)
    folder = cell.folder if whole else cell.work / "partial"
    for table, rows in tables.items():
        if rows:  # there are none if every member diverged
            records.write_rows(folder / f"{table}.csv", rows)
    records.write_rows(folder / "metrics.csv", metrics)
    record = _record(cell, done, diverged, made_by) | made_by
    atomic_write(folder / "run.json", json.dumps(record, indent=1) + "\n")
    return folder


def _record(cell, done, diverged, made_by):
    """What run.json says: what was run, by which code, on what, for how long."""
    labels = [name for part in done for name in part["labels"]]
    return {
        "paper": cell.paper,
        "experiment": cell.experiment,
        "cell": cell.name,
        "scale": cell.scale,
        "digest": cell.digest,
        "status": "finished" if len(labels) == len(cell.members) else "partial",
        "members": [member for member in cell.members if label(member) in labels],
        "wanted": len(cell.members),
        "diverged": diverged,
        "settings": dataclasses.asdict(cell.config),
        "parts": [
            {key: part[key] for key in KEPT if key in part}
            | {key: part[key] for key in MADE if key in part and part[key] != made_by.get(key)}
            for part in done
        ],
    }


def _rows_by_member(path, keys):
    """{values of the columns `keys`: the rows of that member, without what tells members apart}; all values are text."""
    rows = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            member = tuple(row.pop(key) for key in keys)
            del row["member"]
            rows.setdefault(member, []).append(row)
    return rows
