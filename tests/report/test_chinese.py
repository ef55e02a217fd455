"""Chinese as an expert sets it: blanks between characters and Latin words, none beside full-width punctuation."""

import re

import pytest

from focalkit.report.format import percent, spaced
from focalkit.report.messages import CATALOGUES, word

HAN = "\u3400-\u9fff"
MARK = "\u3001\u3002\u201c\u201d\uff08\uff09\uff0c\uff1a\uff1b\uff1f\uff01"


@pytest.mark.parametrize(
    ("before", "after", "whole"),
    [
        ("请用", "focal loss", "请用 focal loss"),
        ("宏平均 F1", "变差", "宏平均 F1 变差"),
        ("列 ", "“price”", "列“price”"),
        ("“price” ", "几乎", "“price”几乎"),
        ("差出 ", "个百分点", "差出个百分点"),
        ("共 ", "12", "共 12"),
        ("12", " 行", "12 行"),
        ("", "n 行", "n 行"),
        ("a", " b", "a b"),
    ],
)
def test_two_pieces_meet_as_they_should(before, after, whole):
    assert spaced(before, after) == whole


def test_metrics_families_and_shares_stand_in_sentences_without_false_blanks():
    said = word("finding.falls", "zh-CN", metric="macro_f1", **SCORES)
    assert said.startswith("宏平均 F1 ")
    assert word("alert.constant", "zh-CN", name="价格") == "列“价格”每行的值都相同：已略去。"
    assert percent(0.161, "zh-CN") == "16.1%"
    assert percent(0.161) == "16.1 %"


SCORES = {when: {"mean": 0.5, "error": float("nan"), "judges": "decisions"} for when in ("before", "after")}


def test_no_message_has_half_width_punctuation_between_characters_or_a_blank_before_per_cent():
    for key, text in CATALOGUES["zh-CN"].items():
        assert not re.search(rf"[{HAN}][,;:?!()][{HAN}]", text), key
        assert not re.search(r"\d %", text), key
        assert not re.search(rf"[{MARK}] [{HAN}]|[{HAN}] [{MARK}]", text), key
