"""What --json writes keeps its schema, reads back, and goes to standard output where that is asked for."""

import json
from importlib.resources import files

import numpy as np
import pytest
from click.testing import CliRunner
from tests.tuning.test_verdict import made_result

from focalkit import Ledger, LossSpec, diagnose
from focalkit.cli import main
from focalkit.diagnosis import Diagnosis
from focalkit.diagnosis.hardest import HardRow
from focalkit.report.export import as_json
from focalkit.tuning.verdict import judge_all

QUICK = "tune --folds 2 --repeats 1 --gamma 0 --alpha none --keep-hardest none --jobs 1".split()


def schema(name):
    jsonschema = pytest.importorskip("jsonschema")
    text = files("focalkit.report").joinpath("schemas", f"{name}.schema.json").read_text(encoding="utf-8")
    made = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


@pytest.mark.parametrize("noise", [0.003, 0.3])
@pytest.mark.parametrize("family", ["none", "CE + shift", "α-CE", "focal", "OHEM"])
def test_a_tuning_run_keeps_its_schema(family, noise):
    result = made_result(lambda c: 0.08 * (c.family == family), noise=noise)
    schema("tune").validate(json.loads(as_json(result, judge_all(result), "made up")))


@pytest.mark.parametrize(
    ("gamma", "alpha"), [(2.0, "inverse"), ((1.0, 2.0, 0.0), "power:0.25"), (0.0, None), (1.0, (0.1, 0.2, 0.7))]
)
def test_a_diagnosis_keeps_its_schema_and_reads_back_as_its_ledger(gamma, alpha):
    rng = np.random.default_rng(0)
    ledger = diagnose(
        rng.normal(size=(60, 3)), rng.integers(0, 2, 60), LossSpec(gamma=1.0), class_names=["a", "b", "é\x1b"]
    )
    found = Diagnosis(
        ledger, gamma, alpha, "x", before=Diagnosis(ledger), hardest=(HardRow(1, -2.0, 0, 7),), files=("f",)
    )
    text = found.to_json()
    document = json.loads(text)
    schema("diagnose").validate(document)
    assert [finding["id"] for finding in document["diagnosis"]["findings"]][:1] == ["absent"]
    assert Ledger.from_json(text).to_json() == ledger.to_json()


def test_an_unknown_key_breaks_the_schema():
    jsonschema = pytest.importorskip("jsonschema")
    result = made_result(lambda c: 0.0)
    document = json.loads(as_json(result, judge_all(result), "made up")) | {"surprise": 1}
    with pytest.raises(jsonschema.ValidationError, match="surprise"):
        schema("tune").validate(document)


@pytest.mark.parametrize(("words", "name"), [(QUICK, "tune"), (["diagnose"], "diagnose")])
def test_a_dash_is_standard_output_and_nothing_else_is_on_it(words, name):
    done = CliRunner().invoke(main, [*words, "--json", "-"])
    assert done.exit_code == 0, done.output
    schema(name).validate(json.loads(done.stdout))


def test_a_page_goes_to_standard_output_too_but_not_both():
    done = CliRunner().invoke(main, ["diagnose", "--html", "-"])
    assert done.stdout.startswith("<!doctype html>")
    assert done.stdout.rstrip().endswith("</html>")
    both = CliRunner().invoke(main, ["diagnose", "--html", "-", "--json", "-"])
    assert both.exit_code == 2
    assert "standard output (-) once" in both.stderr
