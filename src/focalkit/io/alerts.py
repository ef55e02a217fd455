"""What reading a file found out or decided, as data: an id and its values; :func:`say` puts it into words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from focalkit._core.message import Sentence


@dataclass(frozen=True)
class Alert:
    """One finding about the data.

    Attributes
    ----------
    id : str
        Stable name, a key of :data:`SAID`.
    values : dict
        Plain numbers, strings and lists that the sentence is made of.
    """

    id: str
    values: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return str(say(self))


#: The English sentence of each alert.
SAID = {
    # the text
    "encoding": "The text is read as {encoding}, since it is not UTF-8; --encoding chooses another.",
    "decimal_comma": "Numbers are read with decimal commas; --decimal . reads them otherwise.",
    "delimiter": "The columns are separated by {delimiter!r}; --delimiter chooses another.",
    "preamble": "{n} line(s) above the table are left out, beginning with {first!r}.",
    "no_header": "The first line is taken as data: the file has no header.",
    "suspected_header": "The first line is taken as a header, since its label {label!r} occurs nowhere else; "
    "--no-header takes it as data.",
    "numeric_header": "The first line is taken as a header, since its numbers count up; --no-header takes it as data.",
    "repeated_header": "The header stands {n} more time(s) inside the file (first in line {line:,}); these lines are "
    "left out.",
    "row_names": "The header has one name less than the rows have values: the first column holds names of the rows.",
    "damaged_lines": "{n:,} line(s) cannot be read and are left out (first line {line:,}: {what}).",
    "duplicate_names": "Column names stand twice: {names}.",
    # columns
    "target_guess": "The target is column {name!r}; --target names another.",
    "number_with_gaps": "Column {name!r} is nearly all numbers: {words} taken as missing.",
    "number_marks": "Column {name!r} is read as numbers, without its {marks}.",
    "thousands_or_decimal": "Column {name!r} is read with {mark!r} between thousands; --decimal , reads a "
    "decimal comma.",
    "partly_numbers": "Column {name!r} is taken as text: {n:,} of its {n_rows:,} values are numbers, but not {words}.",
    "pandas_index": "Column {name!r} is the row index that pandas wrote: left out (--keep keeps it).",
    "row_counter": "Column {name!r} counts the rows like an index: left out (--keep keeps it).",
    "identifier": "Column {name!r} holds an id, with {n:,} different values in {n_rows:,} rows: left out (--keep "
    "keeps it; --groups keeps the rows of one id in one fold).",
    "row_name": "Column {name!r} differs in nearly every row, like a name or number of the row: left out (--keep keeps "
    "it).",
    "maybe_identifier": "Column {name!r} has a different whole number in every row: is it an id? --drop leaves it out.",
    "constant": "Column {name!r} holds the same value in every row: left out.",
    "empty": "Column {name!r} is empty and left out.",
    "no_feature": "Column {name!r} holds {type}, which is no number and no text: left out.",
    "dropped": "Columns left out as asked: {names}.",
    "leak": "Column {name!r} alone nearly determines the target: is it known when a prediction is made? --drop "
    "leaves it out.",
    "high_cardinality": "Text column {name!r} has {n:,} different values in {n_rows:,} rows.",
    "infinite": "{n:,} infinite values are taken as missing.",
    "missing": "{n:,} values are missing.",
    "mostly_missing": "Column {name!r} is missing in {percent} % of the rows.",
    "duplicates": "{n:,} of {n_rows:,} rows repeat another row.",
    "conflicts": "{n:,} rows have the features of a row with another label.",
    # labels
    "classes": "Classes: {classes}.",
    "missing_labels": "{n:,} rows have no target and are left out.",
    "missing_label_word": "{n:,} rows have no target ({words}) and are left out; --no-missing makes the word a class.",
    "word_as_class": "{word!r} is taken as a class of {n:,} rows, not as a missing label; --missing {word} leaves its "
    "rows out.",
    "near_equal_labels": "Labels that differ only in case or blanks are different classes: {labels}.",
    "single_row_classes": "{n} class(es) have one row only, and cannot be scored: {labels}.",
    # predictions
    "logit_columns": "The logits are {columns}; left aside: {others}.",
    "renormalised": "{n:,} rows of probabilities summed to 1 but for their rounding and were divided by their sum.",
    "per_cent": "The probabilities are per cent and were divided by 100.",
    "clipped": "{n:,} probabilities of 0 or 1 were taken as {floor:g} from it (--clip sets this floor).",
}


def say(alert: Alert) -> Sentence:
    """The sentence of an alert; it keeps its form and values, for other languages."""
    return Sentence(SAID[alert.id], **{name: _shown(value) for name, value in alert.values.items()})


def counted(words: dict[str, int], most: int = 5) -> list[tuple[str, int]]:
    """The most frequent of these words, with how often each occurs."""
    return sorted(words.items(), key=lambda pair: (-pair[1], pair[0]))[:most]


def _shown(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return value
    return ", ".join(_entry(entry) for entry in value)


def _entry(entry: Any) -> str:
    if isinstance(entry, (list, tuple)):
        word, n = entry
        return f"{word!r} ({n:,})"
    return repr(entry)


def names_said(names: Sequence[str], most: int = 6) -> list[str]:
    """The first names of many."""
    return [*names[:most], *(["…"] if len(names) > most else [])]
