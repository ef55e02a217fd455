"""Every sentence from below the reports has its Chinese, with the same fields."""

import ast
import pickle
import string
from pathlib import Path

import pytest

import focalkit
from focalkit._core.message import Sentence
from focalkit.io.alerts import SAID
from focalkit.report.chinese import CHINESE, said
from focalkit.report.words import WORDS

SOURCE = Path(focalkit.__file__).parent


def forms():
    """What is given to Sentence in the sources, as itself or by the name ``form``."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            given = node.args[:1] if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Sentence" else []
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "form":
                given = [node.value]
            yield from (g.value for g in given if isinstance(g, ast.Constant))
    yield from SAID.values()


def fields(form):
    return {name for _, name, _, _ in string.Formatter().parse(form) if name}


def test_every_sentence_can_be_said_in_chinese():
    assert set(forms()) == set(CHINESE)


@pytest.mark.parametrize("form", CHINESE)
def test_no_field_is_lost_in_translation(form):
    assert fields(CHINESE[form]) == fields(form)


def test_the_verdict_s_words_have_the_same_fields_in_both_languages():
    assert WORDS["en"].keys() == WORDS["zh-CN"].keys()
    for key, text in WORDS["en"].items():
        other = WORDS["zh-CN"][key]
        pairs = [(text, other)] if isinstance(text, str) else [(text[name], other[name]) for name in text]
        assert all(fields(a) == fields(b) for a, b in pairs), key


def test_a_sentence_is_its_english_and_survives_a_journey():
    inner = Sentence(", {n:,} ignored", n=1200)
    whole = Sentence("{n:,} targets{ignored}, {classes} classes (softmax)", n=3, ignored=inner, classes=2)
    assert whole == "3 targets, 1,200 ignored, 2 classes (softmax)"
    assert said(pickle.loads(pickle.dumps(whole)), "zh-CN") == "3 个目标，忽略 1,200 个，2 个类别（softmax）"
    assert said("as it is", "zh-CN") == "as it is"
