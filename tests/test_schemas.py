"""The schemas of config.yaml and experiments.yaml agree with what the lab checks."""

import jsonschema
import pytest
import yaml
from snakemake.utils import validate

from common.errors import UserError
from common.lab.plan import catalog, experiments
from common.lab.results import requests

SCHEMAS = catalog.ROOT / "workflow" / "schemas"
CONFIG, PAGE = (yaml.safe_load((SCHEMAS / f"{name}.schema.yaml").read_text()) for name in ("config", "experiments"))


def accepts(schema, content):
    return jsonschema.Draft202012Validator(schema).is_valid(content)


def test_shipped_files_are_valid():
    for schema in (CONFIG, PAGE):
        jsonschema.Draft202012Validator.check_schema(schema)
    configured = experiments.mapping(catalog.ROOT / "config/config.yaml", "config.yaml", requests.KEYS)
    jsonschema.validate(configured, CONFIG)
    validate(configured, SCHEMAS / "config.schema.yaml")  # as workflows do
    assert {key: CONFIG["properties"][key]["default"] for key in configured} == configured
    for paper in catalog.papers():
        page = experiments.mapping(catalog.ROOT / f"papers/{paper}/experiments.yaml", paper, experiments.PAGE)
        jsonschema.validate(page, PAGE)


def test_schemas_have_the_keys_that_the_lab_knows():
    definitions = PAGE["$defs"]
    experiment, page = definitions["experiment"], PAGE["properties"]
    assert set(CONFIG["properties"]) == set(requests.KEYS)
    assert set(page) == set(experiments.PAGE)
    assert set(experiment["properties"]) == set(experiments.KEYS)
    assert set(experiment["properties"]["scales"]["additionalProperties"]["properties"]) == set(experiments.SCALED)
    assert set(page["scales"]["additionalProperties"]["properties"]) == {"seeds", "set"}
    assert tuple(CONFIG["properties"]["scale"]["enum"]) == tuple(definitions["scale"]["enum"]) == experiments.SCALES
    assert definitions["name"]["pattern"] == f"^{experiments.NAME.pattern}$"
    seeds = {key: value for key, value in CONFIG["properties"]["seeds"].items() if key != "description"}
    assert seeds == definitions["seeds"] and seeds["maximum"] == experiments.LARGEST_SEED


@pytest.mark.parametrize(
    "content, good",
    [
        ({}, True),
        ({"scale": "day", "device": "cuda:1", "fresh": True, "seeds": "0-9"}, True),
        ({"seeds": 4}, True),
        ({"seeds": [4, "6-9"]}, True),
        ({"seeds": "4, 6-9"}, True),
        ({"scales": "day"}, False),
        ({"scale": "huge"}, False),
        ({"scale": 1}, False),
        ({"device": "tpu"}, False),
        ({"device": "cuda:"}, False),
        ({"device": None}, False),
        ({"fresh": "perhaps"}, False),
        ({"fresh": 1}, False),
        ({"seeds": "four"}, False),
        ({"seeds": []}, False),
        ({"seeds": -1}, False),
        ({"seeds": 2**32}, False),
        ({"seeds": [True]}, False),
        ({"seeds": None}, False),
    ],
)
def test_both_take_the_same_configurations(content, good, monkeypatch):
    monkeypatch.setattr(catalog, "_asked", {"seeds": None})
    assert accepts(CONFIG, content) == good
    try:
        requests.Asked(content)
        assert good
    except UserError:
        assert not good


ALONE = "experiments: {toy: {algorithm: toy, seeds: [4], %s}}"


@pytest.mark.parametrize(
    "page, good",
    [
        ("experiments: {toy: {algorithm: toy, seeds: 4-6}}", True),
        ("{seeds: [4], experiments: {toy: {algorithm: toy}}}", True),
        ("{scales: {quick: {seeds: [4], set: {steps: 1_000}}}, sources: {a: Table 1}, defaults: {b: 1e-3}}", True),
        ("{scales: , sources: , defaults: , experiments: }", True),
        (ALONE % "about: why, grid: {env: [A, B], gain: [0.5, true, 1]}, set: , cases: , tables: , uses: ", True),
        (ALONE % "grid: {env: [A, B]}, cases: [{env: [A], set: {steps: 3}}], set: {x: 1}, sources: {x: us}", True),
        (ALONE % "tables: [trace], produces: [flow], uses: {data: other}", True),
        (ALONE % "grid: {env: [A, B]}, scales: {smoke: {grid: {env: [A]}, seeds: [1], set: {x: 1}}, day: }", True),
        ("experiments: {toy: {algorithm: toy, members: [{seed: 4, rate: 1e-3}, {seed: 5, rate: 0.1}]}}", True),
        ("experiment: {}", False),
        ("experiments: [toy]", False),
        ("experiments: {toy: [algorithm]}", False),
        ("experiments: {Toy: {algorithm: toy, seeds: [4]}}", False),
        ("experiments: {toy: {seeds: [4]}}", False),
        ("experiments: {toy: {algorithm: 3, seeds: [4]}}", False),
        ("scales: {huge: {}}", False),
        ("scales: {quick: {grid: {env: [A]}}}", False),
        ("scales: {quick: {set: 3}}", False),
        ("sources: {a: 3}", False),
        ("defaults: [a]", False),
        ("experiments: {toy: {algorithm: toy, seeds: [four]}}", False),
        ("experiments: {toy: {algorithm: toy, seeds: []}}", False),
        ("experiments: {toy: {algorithm: toy, members: []}}", False),
        ("experiments: {toy: {algorithm: toy, members: [{rate: 3}]}}", False),
        ("experiments: {toy: {algorithm: toy, members: [{seed: -4}]}}", False),
        (ALONE % "members: [{seed: 4}]", False),
        (ALONE % "grids: {}", False),
        (ALONE % "grid: {env: A}", False),
        (ALONE % "grid: {env: []}", False),
        (ALONE % "grid: {env: [[A]]}", False),
        (ALONE % "set: [a]", False),
        (ALONE % "cases: {env: [A]}", False),
        (ALONE % "cases: [{env: [A]}]", False),
        (ALONE % "grid: {env: [A]}, cases: [{env: A, set: {x: 1}}]", False),
        (ALONE % "tables: trace", False),
        (ALONE % "tables: [metrics]", False),
        (ALONE % "tables: [Trace]", False),
        (ALONE % "produces: [flow, flow]", False),
        (ALONE % "uses: {data: 3}", False),
        (ALONE % "scales: {quick: {about: 3}}", False),
        (ALONE % "scales: {huge: }", False),
        (ALONE % "scales: {quick: {members: [{seed: 4}], seeds: [4]}}", False),
    ],
)
def test_both_take_the_same_pages(tmp_path, page, good):
    path = tmp_path / "experiments.yaml"
    path.write_text(page)
    content = yaml.load(page, experiments._Loader)
    assert accepts(PAGE, content) == good
    try:
        read = experiments.page(path, "experiments.yaml")
        for name in read.experiments:
            for scale in experiments.SCALES:
                experiments.read(read, name, scale)
        assert good
    except UserError:
        assert not good
