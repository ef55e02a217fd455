"""Which columns of a table of predictions are logits, targets and weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from focalkit._core import contracts
from focalkit.io.alerts import Alert, names_said
from focalkit.io.arrow_types import is_list
from focalkit.io.dialect import TextOptions

#: Names that a target column goes by when none is named.
TARGETS = ("target", "targets", "label", "labels", "y", "y_true", "class")
PREFIXES = (
    *("logits_", "logit_", "logits.", "logit.", "logits", "logit", "prob_", "proba_", "probability_"),
    *("p_", "z_", "score_", "output_", "class_"),
)
#: Names of list columns that hold logits.
_LISTS = ("logits", "logit", "scores", "outputs", "probabilities", "probs", "predictions")
_OTHER = re.compile(
    r"^(?:.*[\s_.\-])?(?:id|ids|uid|uuid|guid|key|index|idx|row|epoch|step|steps|iter|iteration|batch|fold|split|seed|run|"
    r"loss|losses|conf|confidence|pred|preds|prediction|predicted|argmax|top1|correct|score|weight|weights|sample_weight|"
    r"time|timestamp|date|day|month|year|lr|len|length|size|prob|proba|probability|entropy|margin|energy|temperature|"
    r"embedding|embeddings|feature|features|hidden|token|tokens|input_ids|attention_mask|unnamed: 0)$",
    re.I,
)


#: Rows of a text from which its columns are told apart by what they hold.
FEW = 20


@dataclass(frozen=True)
class Asked:
    """What the user said about the files."""

    targets: tuple[str, ...] = ()
    logits: str | None = None
    weight: str | None = None
    groups: str | None = None
    time: str | None = None
    link: str | None = None
    classes: tuple[str, ...] = ()
    probabilities: bool = False
    header: bool | None = None
    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    drop: tuple[str, ...] = ()
    clip: float | None = None
    #: the files need no targets, and none are read
    unlabelled: bool = False

    def __post_init__(self) -> None:
        if self.clip is not None and not (isinstance(self.clip, (int, float)) and 0 < self.clip < 0.1):
            contracts.reject("clip", "be a number in (0, 0.1)", self.clip, "E.g. 1e-6.")

    @property
    def text(self) -> TextOptions:
        """What concerns text files."""
        return TextOptions(self.header, self.delimiter, self.decimal, self.encoding)


@dataclass(frozen=True)
class Layout:
    """Columns by name; ``logits`` is one list column or one column per class, ``classes`` are their names."""

    link: str
    logits: tuple[str, ...]
    targets: tuple[str, ...]
    weight: str | None
    classes: tuple[str, ...]
    n_classes: int
    listed: bool = False
    target_listed: bool = False
    named: bool = True
    probabilities: bool = False
    key: str | None = None
    clip: float | None = None
    groups: str | None = None
    time: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All that are read, each once."""
        of_file = self.targets if self.key is None else ()
        beside = (name for name in (self.weight, self.groups, self.time) if name is not None)
        return tuple(dict.fromkeys((*self.logits, *of_file, *beside)))

    @property
    def texts(self) -> tuple[str, ...]:
        """Those that a text file is asked for as written."""
        beside = tuple(name for name in (self.groups, self.time) if name is not None)
        return (*(self.targets if self.key is None else ()), *beside)


@dataclass(frozen=True)
class Described:
    """The columns of a file before they are read: names in order, and what each holds.

    ``kinds`` are "float", "int", "text", "list" (of floats), "ints" (a list of integers) or "other"; ``widths`` are
    the lengths of lists, where known; ``index`` are columns that number the rows.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    widths: dict[str, int] = field(default_factory=dict)
    index: frozenset[str] = frozenset()
    named: bool = True
    #: of a text: how many rows the kinds were told from (0: the file itself says them)
    told_from: int = 0


def described(schema: Any, widths: dict[str, int], index: frozenset[str] | set[str]) -> Described:
    """An Arrow schema in these terms."""
    kinds = tuple(_kind(schema.field(i).type) for i in range(len(schema.names)))
    return Described(tuple(schema.names), kinds, widths, frozenset(index))


def _kind(kind: Any) -> str:
    import pyarrow

    t = pyarrow.types
    if t.is_dictionary(kind):
        return _kind(kind.value_type)
    if hasattr(kind, "storage_type"):
        return _kind(kind.storage_type)
    if is_list(kind):
        value = kind.value_type
        if t.is_floating(value) or t.is_decimal(value):
            return "list"
        return "ints" if t.is_integer(value) else "other"
    if t.is_floating(kind) or t.is_decimal(kind):
        return "float"
    if t.is_integer(kind) or t.is_boolean(kind):
        return "int"
    return "other" if t.is_nested(kind) or t.is_temporal(kind) else "text"


def column(word: str, names: Sequence[str], file: str, what: str = "target") -> str:
    """A column by its name, or by its position from 0 (negative: from the end)."""
    if word in names:
        return word
    try:
        return names[int(word)]
    except (ValueError, IndexError):
        contracts.reject(what, f"be a column of {file}", word, f"Its columns: {_shown(names)}.")


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")


def layout_of(found: Described, asked: Asked, file: str, keys: dict[str, str]) -> tuple[Layout, list[Alert]]:
    """Which column is what; refused where it cannot be told."""
    names = list(found.names)
    if len(set(names)) < len(names):
        once: set[str] = set()
        twice = sorted({name for name in names if name in once or once.add(name)})  # type: ignore[func-returns-value]
        contracts.reject(
            "file", "name each column once", contracts.Words(f"{file} with {twice} twice"), "Rename or drop one."
        )
    if not names:
        contracts.reject("file", "have columns", contracts.Words(f"{file}, without any"), "Write it again.")
    kind = dict(zip(names, found.kinds, strict=True))
    weight = None if asked.weight is None else column(asked.weight, names, file, "weight")
    groups = None if asked.groups is None else column(asked.groups, names, file, "groups")
    time = None if asked.time is None else column(asked.time, names, file, "time")
    dropped = {column(word, names, file, "drop") for word in asked.drop}
    dropped |= {name for name in (groups, time) if name is not None}
    free = [n for n in names if n not in dropped and n not in found.index]
    targets = tuple(t if t in keys else column(t, names, file) for t in asked.targets)
    if not targets and not asked.unlabelled:
        targets = _target(free or names, kind)
    key = targets[0] if len(targets) == 1 and targets[0] in keys and targets[0] not in kind else None
    taken = {*targets, weight}
    rest = [n for n in free if n not in taken]
    logits = _logits(asked.logits, rest, kind, file, found)
    texts = [name for name in rest if kind[name] == "text"]
    if not logits and texts:
        got = contracts.Words(f"{file}, whose columns {_shown(texts)} hold texts")
        remedy = "Write plain numbers (0.5, not 50 %), one column per logit beside the target, or one list column."
        contracts.reject("file", "hold logit columns", got, remedy)
    listed = len(logits) == 1 and kind[logits[0]] in ("list", "ints")
    n = found.widths.get(logits[0], 0) if listed else len(logits)
    told = () if listed else without_prefix(tuple(logits))
    same_order(asked.classes, told)
    classes = asked.classes or told
    if not found.named and not asked.classes:
        classes = tuple(str(i) for i in range(n))
    target_listed = key is None and bool(targets) and kind[targets[0]] in ("list", "ints")
    link = asked.link or ("sigmoid" if n == 1 or (len(targets) > 1 and not target_listed) else "softmax")
    layout = Layout(
        link, tuple(logits), targets, weight, classes, n, listed, target_listed, found.named, asked.probabilities, key,
        asked.clip, groups, time,
    )  # fmt: skip
    check(file, layout, names)
    chosen = set(logits)
    others = [n for n in names if n not in chosen and n not in taken and n not in (groups, time)]
    numeric = [n for n in others if kind[n] != "text" or found.told_from]
    if not numeric or asked.logits is not None:
        return layout, []
    said = names_said(logits if len(logits) < 4 else [logits[0], logits[1], "…", logits[-1]])
    what = "probability_columns" if asked.probabilities else "logit_columns"
    return layout, [Alert(what, {"columns": said, "others": names_said(others)})]


def _target(names: list[str], kind: dict[str, str]) -> tuple[str, ...]:
    # a column of floats called y is the logit of a class y
    known = [n for n in names if n.lower() in TARGETS and kind[n] != "float"]
    scalar = [n for n in names if kind[n] not in ("list", "ints", "other")]
    logits = _prefixed(scalar, kind)
    # of independent classes each logit, say logit_cat, may stand beside its own target, cat
    own = tuple(without_prefix(tuple(logits)))
    if set(known) <= set(own) and len(own) > 1 and set(own) <= set(scalar) - set(logits):
        return own
    label = [n for n in scalar if n not in set(logits)]
    return tuple(known[-1:] or label[-1:] or scalar[-1:] or names[-1:])


def _prefixed(names: list[str], kind: dict[str, str]) -> list[str]:
    """Numbers whose names begin as those of logits do."""
    numeric = [n for n in names if kind[n] in ("float", "int")]
    for prefix in PREFIXES:
        some = [n for n in numeric if n.lower().startswith(prefix) and len(n) > len(prefix)]
        if len(some) > 1 or (some and prefix.startswith("logit")):
            return some
    return []


def _logits(asked: str | None, rest: list[str], kind: dict[str, str], file: str, found: Described) -> list[str]:
    named = found.named
    numeric = [n for n in rest if kind[n] in ("float", "int")]
    lists = [n for n in rest if kind[n] == "list"]
    if asked is not None:
        return _asked(asked, rest, kind, file)
    called = [n for n in rest if n.lower() in _LISTS and kind[n] in ("list", "ints")]
    if called:
        return called[:1]
    prefixed = _prefixed(rest, kind) if named else []
    if prefixed:
        return prefixed
    plain = [n for n in lists if not _OTHER.match(n)] or lists
    if len(plain) == 1:
        return plain
    if plain:
        contracts.reject("logits", "be named where there are several lists", plain, "Say which by logits=.")
    if found.told_from and found.told_from < FEW and not lists:  # too few rows to tell a name from a damaged number
        numeric = [n for n in rest if kind[n] != "other"]
    floats = [n for n in numeric if kind[n] == "float"]
    if floats and found.told_from:  # a text says no types: a logit may be a whole number in every row
        numeric = [n for n in numeric if kind[n] == "float" or not (named and _OTHER.match(n))]
    else:
        numeric = floats or numeric
    odd = [n for n in numeric if named and _OTHER.match(n)]
    if found.told_from >= FEW and floats:
        odd += [n for n in numeric if kind[n] == "int"]
    odd = odd or (_another_row(numeric) if named else [])
    if odd and len(numeric) > 1:
        got = contracts.Words(f"{file} with the columns {_shown(numeric)}, of which {_shown(odd)} may be none")
        remedy = "Name them by logits='A,B,…' (or by what they begin with), or leave others out by drop=."
        contracts.reject("logits", "be told apart from other columns", got, remedy)
    return numeric


def _another_row(names: list[str]) -> list[str]:
    """Columns of other numbered rows than the first, where rows are no grades of one scale: l1 to l3, then e0 to e3."""
    rows: dict[str, list[int]] = {}
    for name in names:
        found = re.fullmatch(r"(.*\D)(\d+)", name)
        if found is None:
            return []
        rows.setdefault(found[1], []).append(int(found[2]))
    first = next(iter(rows.values()), [])
    if all(row == first for row in rows.values()) or any(len(row) < 2 for row in rows.values()):
        return []
    return names[len(first) :]


def _asked(asked: str, rest: list[str], kind: dict[str, str], file: str) -> list[str]:
    if asked in kind and kind[asked] in ("list", "ints"):
        return [asked]
    some = [n for n in rest if n.startswith(asked)]
    if not some and "," in asked:
        some = [column(part.strip(), list(kind), file, "logits") for part in asked.split(",")]
    if not some:
        contract = f"name a list column of {file}, or begin columns of it"
        contracts.reject("logits", contract, asked, f"Others: {_shown(rest)}.")
    text = [n for n in some if kind[n] == "text"]
    if text:
        contracts.reject(
            "logits",
            "be columns of numbers",
            contracts.Words(f"{_shown(text)} of {file}"),
            "Name others by logits='A,B,…'.",
        )
    return some


def check(file: str, layout: Layout, names: Sequence[str]) -> None:
    """Refuse columns that do not fit the link, in one line."""
    n, n_targets = layout.n_classes, len(layout.targets)
    if n == 0:
        remedy = "Give one column per logit beside the target, or one list column."
        contracts.reject("file", "hold logit columns", contracts.Words(f"{file} with columns {list(names)}"), remedy)
    if layout.target_listed or not layout.targets:
        return
    one_hot = layout.link == "softmax" and n_targets == n > 1
    if len(set(layout.targets)) != n_targets or (n_targets != (n if layout.link == "sigmoid" else 1) and not one_hot):
        contract = "name one column" if layout.link == "softmax" else f"name one column for each of the {n} logits"
        remedy = "Give targets= once per logit column, in their order, or use link='softmax'."
        contracts.reject("target", contract, list(layout.targets), remedy)
    binary = layout.link == "sigmoid" and n == 1 and len(layout.classes) == 2
    if layout.classes and len(layout.classes) != n and not binary:
        contracts.reject("classes", f"be {n} names", list(layout.classes), "One per logit, in their order.")


def without_prefix(names: tuple[str, ...]) -> tuple[str, ...]:
    """Class names from logit columns: ``logit_cat`` is about class cat."""
    for prefix in PREFIXES:
        if all(name.lower().startswith(prefix) and len(name) > len(prefix) for name in names):
            return tuple(name[len(prefix) :] for name in names)
    return names


def same_order(given: Sequence[str], told: Sequence[str]) -> None:
    """Refuse names of the classes that are those of the file in another order: a swap would be read without a word."""
    if tuple(given) != tuple(told) and sorted(given) == sorted(told):
        contracts.reject("classes", f"be in the order of the file, {', '.join(told)}", list(given), "Leave them out.")


def is_number(cell: str) -> bool:
    """Whether a text is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
