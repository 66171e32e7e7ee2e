"""python -m benchmarks sac | learning | trpo | hmc | offline | gpu | figures | flows | reliability, each with --help."""

import argparse
import importlib
import os
import sys

from common.lab.run.harness import ENVIRONMENT

NAMES = ("sac", "learning", "trpo", "hmc", "offline", "gpu", "figures", "flows", "reliability")


def main():
    """Run one benchmark in the environment that the harness gives its workers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    name, rest = parser.parse_known_args()[0].name, sys.argv[2:]
    if any(os.environ.get(key) != value for key, value in ENVIRONMENT.items()):
        os.environ.update(ENVIRONMENT)  # the allocator reads its settings when a process starts
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks", name, *rest])
    return importlib.import_module(f"benchmarks.{name}").main(rest)


if __name__ == "__main__":
    sys.exit(main())
