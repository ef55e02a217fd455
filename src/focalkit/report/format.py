"""How numbers and names are written: one of each, in the terminal, on the page and in sentences alike.

A catalogue names them as a field's format: ``{share:percent}``. Each takes the value and the language.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from focalkit._core.printable import visible as visible

#: How a per cent sign follows its number.
PERCENT = {"en": " %", "zh-CN": "%"}
#: What stands where there is no figure.
NONE = "–"


def percent(share: float, language: str = "en") -> str:
    """A share in a sentence: one decimal, and never a bare zero for what is there."""
    return NONE if math.isnan(share) else f"{points(share)}{PERCENT[language]}"


def points(share: float) -> str:
    """A share in a table, in per cent."""
    if math.isnan(share):
        return NONE
    return "<0.1" if 0 < share < 0.0005 else f"{100 * share:.1f}"


def number(value: float) -> str:
    """A gamma, alpha or temperature in three digits."""
    return NONE if math.isnan(value) else f"{value:.3g}"


def count(n: float) -> str:
    """A whole number with separators."""
    return f"{int(n):,}"


def fixed(value: float, digits: int = 3, sign: str = "") -> str:
    """A figure with a fixed number of decimals; a dash where there is none."""
    return NONE if math.isnan(value) else f"{value:{sign}.{digits}f}"


def probability(p: float) -> str:
    """A probability that may be tiny."""
    return f"{p:.4f}" if p >= 0.0001 else f"{p:.1e}"


def p_value(p: float) -> str:
    """A p-value as papers print it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def plus_minus(value: float, error: float, *, scale: float = 1.0, digits: int = 3, sign: str = "") -> str:
    """``value ± error``; the value alone where no error is known."""
    text = fixed(scale * value, digits, sign)
    return text if not math.isfinite(error) or text == NONE else f"{text} ± {fixed(scale * error, digits)}"


def score(mean: float, error: float, judges: str) -> str:
    """A metric's mean and standard error: scores times 100, figures of probabilities as they are."""
    if judges == "probabilities":
        return plus_minus(mean, error)
    return plus_minus(mean, error, scale=100.0, digits=1)


def interval(mean: float, low: float, high: float, judges: str) -> str:
    """A gain with its interval, as a table has it."""
    scale, form = (1.0, "+.3f") if judges == "probabilities" else (100.0, "+.1f")
    if not math.isfinite(low) or low == high:
        return NONE if mean == 0 else f"{mean * scale:{form}}"
    return f"{mean * scale:{form}} [{low * scale:{form}}, {high * scale:{form}}]"


def exponent(beta: float) -> str:
    """The exponent of n, with a true minus."""
    return f"{-beta:.2f}".replace("-0.00", "0").replace("-", "−")


def focal_name(gamma: Any) -> str:
    """What the loss of this gamma is called in a heading."""
    return f"γ={number(gamma)}" if isinstance(gamma, (int, float)) else "focal"


def quoted(name: object) -> str:
    """A name in a sentence."""
    return f"“{visible(str(name))}”"


#: A character of Chinese, or its punctuation, on either side of a place where two texts meet.
_HAN, _MARK, _LATIN = "\u3400-\u9fff", "\u3001\u3002\u2018-\u201d\uff01-\uff1f《》…", "0-9A-Za-z\u0391-\u03c9"
_TIGHT = re.compile(rf"(?<=[{_HAN}{_MARK}]) (?=[{_HAN}{_MARK}])|(?<=[{_MARK}]) | (?=[{_MARK}])")
_LOOSE = re.compile(rf"(?<=[{_HAN}])(?=[{_LATIN}])|(?<=[{_LATIN}])(?=[{_HAN}])")


def spaced(before: str, after: str) -> str:
    """Two pieces of Chinese text as one, with a blank where they meet if one is needed there, and none if not."""
    left, right = before[-2:], after[:2]
    joint = _LOOSE.sub(" ", _TIGHT.sub("", left + right))
    if joint == left + right:
        return before + after
    return before[: len(before) - len(left)] + joint + after[len(right) :]


def capital(text: str) -> str:
    """``text`` as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def _say(key: str, language: str, **values: Any) -> str:
    from focalkit.report.messages import phrase

    return phrase(key, language, values)


def names(values: Sequence[object], language: str = "en", most: int = 5) -> str:
    """Quoted names, the first few of many."""
    text = _say("list.comma", language).join(quoted(value) for value in values[:most])
    return text if len(values) <= most else text + _say("list.more", language, n=len(values) - most)


def entries(values: Sequence[Any], language: str = "en") -> str:
    """What stands in a file, word for word; of pairs the second is how often."""
    comma = _say("list.comma", language)
    return comma.join(
        _say("list.counted", language, word=_literal(entry[0]), n=entry[1])
        if isinstance(entry, (list, tuple))
        else _literal(entry)
        for entry in values
    )


def _literal(word: Any) -> str:
    return word if word == "…" else quoted(word)


def marks(values: Sequence[Any], language: str = "en") -> str:
    """A list of messages."""
    from focalkit.report.messages import say

    return _say("list.comma", language).join(say(value, language) for value in values)


def listed(items: Sequence[str], language: str = "en") -> str:
    """``a, b and c``."""
    comma, last = _say("list.comma", language), _say("list.and", language)
    return items[0] if len(items) == 1 else comma.join(items[:-1]) + last + items[-1]


def gain(value: dict[str, Any], language: str = "en") -> str:
    """A gain in a sentence, ``{"mean", "low", "high", "judges"}``: points for scores, their unit for probabilities."""
    mean, low, high = value["mean"], value["low"], value["high"]
    scale, form = (1.0, ".3f") if value["judges"] == "probabilities" else (100.0, ".1f")
    text = f"{mean * scale:z{form}}" + ("" if scale == 1.0 else _say("unit.points", language))
    if not math.isfinite(low) or low == high:
        return text
    return text + _say("unit.interval", language, low=f"{low * scale:z{form}}", high=f"{high * scale:z{form}}")


def change(value: dict[str, float]) -> str:
    """A signed change with its error, ``{"value", "error", "scale", "digits"}``."""
    digits = int(value["digits"])
    return plus_minus(value["value"], value["error"], scale=value["scale"], digits=digits, sign="+")


def alpha(value: Any, language: str = "en") -> str:
    """An alpha in a title: a scheme by its name, a number as it is."""
    if value is None or value == "none":
        return _say("alpha.none", language)
    if isinstance(value, str):
        return _say("alpha.scheme", language, scheme=value)
    return number(value) if isinstance(value, (int, float)) else _say("alpha.given", language)


def span(value: dict[str, Any], language: str = "en") -> str:
    """An interval, ``{"low", "high", "judges"}``; scores end at 100."""
    of_probabilities = value["judges"] == "probabilities"
    scale, form, most = (1.0, ".3f", math.inf) if of_probabilities else (100.0, ".1f", 1.0)
    low, high = f"{value['low'] * scale:{form}}", f"{min(value['high'], most) * scale:{form}}"
    return _say("unit.span", language, low=low, high=high)


def likely(p: float, language: str = "en") -> str:
    """A probability in per cent, never quite 0 or 100; a language may have words for the signs."""
    if math.isnan(p):
        return NONE
    key = "unit.likely_above" if p > 0.99 else "unit.likely_below" if p < 0.01 else "unit.likely"
    return _say(key, language, share=f"{100 * min(max(p, 0.01), 0.99):.0f}{PERCENT[language]}")


def thousandth(share: float) -> str:
    """A share of cases as how many of a thousand."""
    many = 1000 * share
    return f"{many:.0f}" if many >= 10 else f"{many:.1f}"


def metric(name: str, language: str = "en") -> str:
    """A metric's name in words; a goal's numbers are behind its colons."""
    kind, *numbers = name.split(":")
    return _say(f"metric.{kind}", language, **dict(zip("ab", [*numbers, "1", "1"], strict=False)))


#: Formats that a catalogue may name.
FORMATS: dict[str, Callable[[Any, str], str]] = {
    "percent": percent,
    "points": lambda value, _: points(value),
    "number": lambda value, _: number(value),
    "count": lambda value, _: count(value),
    "probability": lambda value, _: probability(value),
    "p": lambda value, _: p_value(value),
    "exponent": lambda value, _: exponent(value),
    "focal": lambda value, _: focal_name(value),
    "name": lambda value, _: quoted(value),
    "text": lambda value, _: visible(str(value)),
    "names": names,
    "marks": marks,
    "gain": gain,
    "span": span,
    "likely": likely,
    "change": lambda value, _: change(value),
    "score": lambda value, _: score(value["mean"], value["error"], value["judges"]),
    "alpha": alpha,
    "within": lambda value, language: _say("start.within", language) if value == "sigmoid" else "",
    "thousandth": lambda value, _: thousandth(value),
    "caught": lambda value, _: thousandth(value["caught"]),
    "missed": lambda value, _: thousandth(value["missed"]),
    "alarms": lambda value, _: thousandth(value["alarms"]),
    "metric": lambda value, language: metric(value, language),
    "Metric": lambda value, language: capital(metric(value, language)),
    "family": lambda value, language: _say(f"family.{value}", language),
    "Family": lambda value, language: capital(_say(f"family.{value}", language)),
    "families": lambda value, language: listed([_say(f"family.{name}", language) for name in value], language),
    "cell": lambda value, language: value.said(language),
    "left": lambda value, language: _say("tune.of_left", language) if value else "",
    "sure": lambda value, language: _say(f"sure.{value}", language),
}
