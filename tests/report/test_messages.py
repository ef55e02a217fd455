"""Every message can be said in every language, with the same fields, and every key is used."""

import ast
import pickle
import re
import string
from pathlib import Path

import pytest

import focalkit
from focalkit._core.message import Finding, Message
from focalkit.report.format import FORMATS, names, plus_minus, visible
from focalkit.report.messages import CATALOGUES, LANGUAGES, say, word

SOURCE = Path(focalkit.__file__).parent
ENGLISH = CATALOGUES["en"]
OTHERS = [language for language in LANGUAGES if language != "en"]
#: Keys that are put together from a part and a name.
MADE = (
    "metric.",
    "judges.",
    "brief.",
    "family.",
    "cell.",
    "remedy.",
    "sure.",
    "source.s",
    "section.by_",
    "js.",
    "finding.",
    "alert.",
    "damage.",
    "decide.",
)


def fields(form):
    return sorted((name, spec) for _, name, spec, _ in string.Formatter().parse(form) if name)


def strings():
    """All string constants of the sources outside the catalogues."""
    for path in SOURCE.rglob("*.py"):
        if path.parent.name != "messages":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


@pytest.mark.parametrize("language", OTHERS)
def test_the_catalogues_have_the_same_keys(language):
    assert CATALOGUES[language].keys() == ENGLISH.keys()


@pytest.mark.parametrize("language", OTHERS)
def test_no_field_is_lost_or_written_otherwise_in_translation(language):
    for key, form in ENGLISH.items():
        other = CATALOGUES[language][key]
        if key.startswith("js."):
            assert form.count("{}") == other.count("{}"), key
        else:
            assert fields(form) == fields(other), key


def test_every_format_that_a_message_names_is_there():
    for form in ENGLISH.values():
        for _, spec in fields(form):
            assert not spec or spec in FORMATS or re.fullmatch(r"[+]?\.\d[fg]|,|g", spec), spec


def test_every_key_is_used():
    used = set(strings())
    for key in ENGLISH:
        assert key in used or key.startswith(MADE), key
    for key in ENGLISH:
        kind, _, name = key.partition(".")
        assert kind not in ("finding", "alert") or key in used or name in used, key


def test_every_message_that_is_made_is_in_the_catalogue():
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(getattr(node, "func", None), "id", "")
            if isinstance(node, ast.Call) and name in ("Message", "message", "word", "worded", "Finding") and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    key = f"finding.{first.value}" if name == "Finding" else first.value
                    assert key in ENGLISH, (path.name, key)


def test_a_message_is_its_english_and_survives_a_journey():
    inner = Message("source.ignored", n=1200)
    whole = Message("source.softmax", n=3, ignored=inner, classes=2)
    assert whole == "3 targets, 1,200 ignored, 2 classes (softmax)"
    assert say(pickle.loads(pickle.dumps(whole)), "zh-CN") == "3 个目标，忽略 1,200 个，2 个类别（softmax）"
    assert say("as it is", "zh-CN") == "as it is"


def test_a_finding_keeps_raw_values_and_is_said_in_both_languages():
    found = Finding("absent", {"names": ["a", "b"]})
    assert str(found) == "Without any sample, so without any loss: “a”, “b”."
    assert say(found, "zh-CN") == "没有样本，因此没有损失：“a”、“b”。"
    assert found.values == {"names": ["a", "b"]}


def test_a_name_that_is_a_key_or_a_form_is_a_name():
    assert say("family.CE", "zh-CN") == "family.CE"
    assert "{n}" in word("finding.absent", names=["{n}", "x"])


def test_control_characters_and_changes_of_direction_are_written_out():
    assert visible("a\x1b]0;x\x07\nb\u202e\x9b") == "a\\x1b]0;x\\x07\\nb\\u202e\\x9b"


def test_of_many_names_the_first_are_named():
    assert names(list("abcdefg")) == "“a”, “b”, “c”, “d”, “e” and 2 more"


def test_an_unknown_error_is_not_printed():
    assert plus_minus(0.5, float("nan")) == "0.500"
    assert plus_minus(float("nan"), 0.1) == "–"
