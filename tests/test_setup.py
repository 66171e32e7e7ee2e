"""What is installed: environment.yml, pyproject.toml and constraints.txt say the same."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def name_of(requirement):
    return re.match(r"[A-Za-z0-9_.-]+", requirement)[0].lower().replace("_", "-")


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.lower().replace("_", "-").split("==") for line in lines if line and not line.startswith("#"))


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_requirement_is_pinned():
    wanted = project()["dependencies"] + sum(project()["optional-dependencies"].values(), [])
    assert not [r for r in wanted if name_of(r) not in (*pins(), project()["name"])]
    assert pins()["torch"] == "2.13.0" and pins()["gymnasium"] == "1.4.0" and pins()["mujoco"] == "3.6.0"
    assert pins()["snakemake"].startswith("9.27.")


def test_the_users_card_is_installed():
    card = {"torch", "gymnasium", "mujoco", "minari", "snakemake", "seaborn", "jupyter", "pytest"}
    assert card <= {name_of(r) for r in project()["dependencies"]}


def test_environment_yml_installs_the_project_with_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge"]
    *conda, pip = environment["dependencies"]
    python = next(d for d in conda if d.startswith("python="))
    low = tuple(map(int, re.search(r">=([\d.]+)", project()["requires-python"])[1].split(".")))
    assert tuple(map(int, python.split("=")[1].split("."))) >= low
    assert pip["pip"] == ["--constraint constraints.txt", "torch", "--editable .[dev]"]
    assert "pip" in conda


def test_the_user_s_top_level_stands():
    for name in ("papers", "common", "workflow/Snakefile", "notebooks", "tests", "environment.yml", "README.md"):
        assert (ROOT / name).exists(), name
