"""What is beside the package: the conda recipe and the workflows say what pyproject.toml says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import focalkit

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RENAMED = {"matplotlib": "matplotlib-base", "torch": "pytorch"}


def floors(requirements: list[str]) -> dict[str, str]:
    """Oldest version of each library, by conda's names."""
    found = dict(re.fullmatch(r"([\w.-]+) ?>=([\d.]+)", r).groups() for r in requirements)  # type: ignore[union-attr]
    return {RENAMED.get(name, name): floor for name, floor in found.items()}


def test_the_conda_recipe_asks_for_what_pyproject_asks_for():
    recipe = yaml.safe_load((ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    assert recipe["context"]["version"] == focalkit.__version__
    project = PROJECT["project"]
    run = floors(recipe["requirements"]["run"])
    assert run == {"python": project["requires-python"].removeprefix(">="), **floors(project["dependencies"])}
    extras = project["optional-dependencies"]
    wanted = floors([r for name in ("tune", "plot", "torch", "jax") for r in extras[name]])
    assert floors(recipe["requirements"]["run_constraints"]) == wanted
    host = floors([r for r in recipe["requirements"]["host"] if ">=" in r])
    assert host == floors(PROJECT["build-system"]["requires"])
    assert recipe["about"]["license"] == project["license"]
    assert recipe["about"]["license_file"] == project["license-files"]


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.stem)
def test_a_workflow_runs_commands_that_exist(path):
    flow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert flow["permissions"] == {"contents": "read"}
    steps = [step for job in flow["jobs"].values() for step in job["steps"]]
    made = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    targets = {name for step in steps for name in re.findall(r"make ([\w-]+)", step.get("run", ""))}
    assert targets <= made
    for step in steps:
        assert ("uses" in step) != ("run" in step)
        assert re.search(r"@v\d", step.get("uses", "@v1"))


def test_what_the_container_copies_and_runs_exists():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert 'ENTRYPOINT ["focalkit"]' in text
    assert set(PROJECT["project"]["optional-dependencies"]) >= set(re.search(r'"\.\[([\w,]+)\]"', text)[1].split(","))
