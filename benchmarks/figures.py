"""How long does a figure take? The figures and tables of a paper, one after another, trained in a fresh clone.

    python -m benchmarks figures trpo_nf --scale quick --cores 2

Figures share cells, and a cell is trained for the first figure that reads it. `seconds` is what snakemake took; `alone` adds
what the cells that it found took when they were trained, spread over the cores.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common.files import read_json
from common.lab.plan import catalog
from common.lab.plan.experiments import SCALES

SUFFIX = {"figures": "pdf", "tables": "md"}


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks figures")
    parser.add_argument("names", nargs="+", help="papers, or single figures and tables")
    parser.add_argument("--scale", choices=SCALES, default="quick")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    options = parser.parse_args(arguments)
    print(f"scale {options.scale}, {options.cores} cores, a fresh clone whose environment is set up\n")
    print(f"{'':32}{'seconds':>9}{'alone':>9}   cells trained, found", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", catalog.ROOT, clone], check=True)
        for kind in SUFFIX:
            for name, [(paper, _)] in catalog.names(kind).items():
                if {paper, name} & set(options.names):
                    report(name, kind, clone, options)


def report(name, kind, clone, options):
    """Make one artefact and print its line."""
    cells = catalog.artefact_cells(name, options.scale)
    there = [core_seconds(clone / cell.place / "run.json") for cell in cells if (clone / cell.place / "run.json").is_file()]
    start = time.perf_counter()
    made = subprocess.run(
        ["snakemake", "--cores", str(options.cores), f"figures/{name}.{SUFFIX[kind]}", "--config", f"scale={options.scale}"],
        cwd=clone, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(clone)},
    )  # fmt: skip
    seconds = time.perf_counter() - start
    if made.returncode:
        sys.exit(f"{name}: snakemake ended with {made.returncode}\n{made.stderr[-2000:]}")
    alone = seconds + sum(there) / options.cores
    print(f"{name:32}{seconds:9.0f}{alone:9.0f}   {len(cells) - len(there)}, {len(there)}", flush=True)


def core_seconds(path):
    """What a finished cell took to train."""
    return sum(part["seconds"] for part in read_json(path)["parts"])
