"""DecisionRule: what :func:`focalkit.decisions.decide` gives, to apply, read, save and carry elsewhere."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.types import Array, Predictions
from focalkit.decisions import onnx, sentences, snippets
from focalkit.decisions.goals import CaseCost, Goal, goal_from_dict
from focalkit.decisions.report import DecisionReport
from focalkit.decisions.rules import REVIEW, Cutoff, Cutoffs, Rule, rule_from_dict
from focalkit.decisions.steps import Step, apply_all, own_scale, step_from_dict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Real = NDArray[np.float64]
FORMAT, VERSION = "focalkit decision rule", 1


@dataclass(frozen=True)
class DecisionRule:
    """How a model's probabilities become decisions.

    Attributes
    ----------
    rule : Rule
        On the probabilities after ``steps``: a cut-off, bands, weights with a cost matrix, or a cut-off a label.
    goal : Goal
        What it was made for.
    classes : tuple
        Names of the classes, in the order of the probabilities' columns.
    steps : tuple of Step
        What is done to the probabilities first: training undone, calibration, another prior.
    report : DecisionReport or None
        What it does per 1,000 cases, with intervals. A rule that was read from a file has none.

    Examples
    --------
    >>> rule = DecisionRule(Cutoff(0.25), goal_from_dict({"goal": "Cost", "fn": 3.0, "fp": 1.0}), ("no", "yes"))
    >>> rule.predict(np.array([0.1, 0.3]))
    array(['no', 'yes'], dtype='<U3')
    >>> print(rule.sentence)
    Decide “yes” when p > 0.25, otherwise “no”.
    >>> DecisionRule.from_json(rule.to_json()) == rule
    True
    """

    rule: Rule
    goal: Goal
    classes: tuple[Any, ...]
    steps: tuple[Step, ...] = ()
    report: DecisionReport | None = field(default=None, compare=False, repr=False)

    # --- applying

    @property
    def n_classes(self) -> int:
        """Number of classes, or of labels."""
        return len(self.classes)

    @property
    def multilabel(self) -> bool:
        """Whether several labels can hold at once."""
        return isinstance(self.rule, Cutoffs)

    @property
    def cutoff(self) -> float:
        """Of two classes: the cut-off on the model's own probabilities, ``steps`` included.

        Raises
        ------
        InputError
            Where the rule is not one cut-off.
        """
        if not isinstance(self.rule, Cutoff):
            remedy = "Look at .rule."
            contracts.reject("rule", "be one cut-off", contracts.Words(type(self.rule).__name__), remedy)
        return own_scale(self.rule.cutoff, self.steps)

    def decide(self, probabilities: Predictions, costs: Array | None = None) -> NDArray[np.int64]:
        """Class numbers (n,), -1 for a case that a person decides; of several labels 0 or 1 (n, n_labels).

        Parameters
        ----------
        probabilities : (n,) of the second of two classes, (n, n_classes), or of labels (n, n_labels)
            An array, a tensor or a frame; of a frame with the classes' names the columns of these names.
        costs : optional
            Of each case, for a rule made for them.

        Raises
        ------
        InputError
            Where the probabilities are none, or have other classes.
        """
        p = self._read(probabilities)
        of_case = None
        if isinstance(self.goal, CaseCost):
            if costs is None:
                contracts.reject("costs", "be given", None, "This rule decides by what each case costs.")
            of_case = self.goal.matrices(plain(costs), self.n_classes)
        return self.rule.decide(apply_all(self.steps, p), of_case)

    def predict(self, probabilities: Predictions, costs: Array | None = None, *, review: Any = None) -> Any:
        """Names of the classes decided for; ``review`` (None: the last class's type's "review") for a person's cases.

        Arrays give an array, PyTorch tensors a tensor of class numbers, pandas objects a Series with their index and
        polars frames a Series.
        """
        ids, given = self.decide(probabilities, costs), cast(Any, probabilities)
        if hasattr(given, "detach"):
            return given.new_tensor(ids).long()
        if self.multilabel:
            return ids
        names = np.array(self.classes)
        if (ids == REVIEW).any():
            other = "review" if review is None else review
            names = np.array([*self.classes, other], object if names.dtype.kind not in "US" else None)
        out = names[ids]
        if hasattr(given, "iloc"):
            from pandas import Series

            return Series(out, index=given.index, name="decision")
        if type(given).__module__.startswith("polars"):
            from polars import Series as PolarsSeries

            return PolarsSeries("decision", out)
        return out

    __call__ = predict

    def _read(self, probabilities: Any) -> Real:
        value = by_name(probabilities, self.classes)
        if self.multilabel:
            return labels_array(plain(value), self.n_classes)
        p = contracts.probabilities_array("probabilities", plain(value))
        if p.ndim == 2 and p.shape[1] == 1:
            p = p[:, 0]
        width = 2 if p.ndim == 1 else p.shape[1]
        if width != self.n_classes:
            got = contracts.Words(f"{width} classes")
            contracts.reject("probabilities", f"have {self.n_classes} classes", got, "Use those the rule was made for.")
        return p[:, 1] if self.n_classes == 2 and p.ndim == 2 else p

    # --- reading and saving

    @property
    def sentence(self) -> str:
        """The rule in words."""
        return sentences.rule_sentence(self.rule, self.steps, self.classes)

    def to_dict(self) -> dict[str, Any]:
        """The rule as plain data, its figures with it."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "sentence": str(self.sentence),
            "goal": self.goal.to_dict(),
            "classes": [c.item() if isinstance(c, np.generic) else c for c in self.classes],
            "steps": [step.to_dict() for step in self.steps],
            **self.rule.to_dict(),
            "figures": None if self.report is None else self.report.to_dict(),
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """The rule as JSON, written to ``path`` where one is given."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        if path is not None:
            from focalkit.io.atomic import write_text

            write_text(contracts.path("path", path), text)
        return text

    @classmethod
    def from_json(cls, text: str | Path) -> DecisionRule:
        """The rule that :meth:`to_json` wrote, from its text or its path.

        Raises
        ------
        InputError
            Where it is no decision rule.
        """
        remedy = "Write one by DecisionRule.to_json, or by focalkit decide."
        if not isinstance(text, (str, Path)):
            contracts.reject("rule", "be JSON, or the path of a file of it", text, remedy)
        try:
            if isinstance(text, Path) or (text.strip() and not text.lstrip().startswith("{")):
                text = Path(text).read_text(encoding="utf-8")
            data = json.loads(text, parse_constant=_constant)
        except (ValueError, RecursionError) as error:
            contracts.reject("rule", "be JSON", contracts.Words(str(error)), remedy)
        except OSError as error:
            if isinstance(text, Path) or error.errno not in (errno.ENAMETOOLONG, errno.ENOENT):
                raise
            contracts.reject("rule", "be JSON, or the path of a file of it", text, remedy)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            contracts.reject("rule", f"be a {FORMAT}", contracts.Words(type(data).__name__), remedy)
        if data.get("version") != VERSION:
            contracts.reject(
                "rule", f"be of version {VERSION}", data.get("version"), "Update focalkit, or make it anew."
            )
        fields = ("rule", "cutoff", "lower", "upper", "weights", "matrix", "review_cost", "cutoffs")
        try:
            rule = rule_from_dict({name: data[name] for name in fields if name in data})
            steps = tuple(step_from_dict(step) for step in data["steps"])
            found = cls(rule, goal_from_dict(data["goal"]), tuple(data["classes"]), steps)
            found._tried()
        except (KeyError, TypeError, AttributeError, IndexError, ArithmeticError, ValueError, RecursionError) as error:
            if isinstance(error, contracts.InputError):
                raise
            contracts.reject("rule", "be whole", contracts.Words(f"{type(error).__name__}: {error}"), remedy)
        return found

    def _tried(self) -> None:
        """Decide two cases: what cannot do that is no rule, whatever its file said."""
        k = self.n_classes
        even = np.full((2, k), 1.0 / k)
        even = even[:, 1] if k == 2 and not self.multilabel else even
        with np.errstate(all="ignore"):
            p = apply_all(self.steps, even)
            said = np.asarray(self.rule.decide(p, np.zeros((2, k, k))))
        shape = (2, k) if self.multilabel else (2,)
        if (
            p.shape != even.shape
            or said.shape != shape
            or said.dtype.kind != "i"
            or said.min() < -1
            or said.max() >= max(k, 2)
        ):
            message = f"decisions of shape {said.shape} over {k} classes"
            raise ValueError(message)

    def to_numpy(self) -> str:
        """Source of a function ``decide(p)`` in plain NumPy."""
        return snippets.numpy_source(self.rule, self.steps, self.classes)

    def to_sql(self, columns: Sequence[str] | None = None) -> str:
        """An SQL expression over the columns that hold the probabilities (default p, or p_<class>)."""
        return snippets.sql(self.rule, self.steps, self.classes, columns)

    def to_onnx(self, model: Any, initial_types: Any) -> Any:
        """The scikit-learn ``model`` with this rule behind it as an ONNX graph; needs skl2onnx."""
        return onnx.with_rule(self.rule, self.steps, model, initial_types)

    def plot(self, ax: Axes | None = None) -> Any:
        """Draw what every cut-off would cost, or recall per class before and after; needs matplotlib.

        Raises
        ------
        InputError
            Where the rule has no report.
        """
        from importlib import import_module

        return import_module("focalkit.report.rule_figure").draw_rule(need_report(self), self, ax)


def need_report(rule: DecisionRule) -> DecisionReport:
    """The report of a rule that has one."""
    if rule.report is None:
        contracts.reject(
            "rule", "have a report", contracts.Words("one read from a file"), "Make it by decide() on predictions."
        )
    return rule.report


def plain(value: Any) -> Any:
    """A NumPy array from a tensor or a frame."""
    if hasattr(value, "detach"):
        value = value.detach().to("cpu")
        return value.double().numpy() if value.is_floating_point() else value.numpy()
    if hasattr(value, "to_numpy"):
        return value.to_numpy()
    return value


def _constant(name: str) -> Any:
    """JSON has no NaN and no infinity, and no rule needs one."""
    got = f"{name} in it"
    raise ValueError(got)


def by_name(value: Any, classes: Sequence[Any]) -> Any:
    """Of a frame that has the classes' names, their columns in the rule's order."""
    columns = getattr(value, "columns", None)
    if columns is None or len(classes) < 2:
        return value
    names = [str(c) for c in classes]
    have = {str(c): c for c in columns}
    if all(name in have for name in names):
        return value[[have[name] for name in names]]
    return value


def labels_array(value: Any, n_labels: int | None = None) -> Real:
    """Probabilities of labels (n, n_labels)."""
    p = contracts.array("probabilities", value)
    if p.dtype.kind not in "iufb":
        contracts.reject("probabilities", "be numbers", contracts.Words(f"dtype {p.dtype}"), "Pass one for each label.")
    p = p.astype(np.float64)
    if p.ndim != 2 or (n_labels is not None and p.shape[1] != n_labels):
        want = "have shape (n, n_labels)" if n_labels is None else f"have {n_labels} labels"
        contracts.reject("probabilities", want, contracts.Words(f"shape {p.shape}"), "One column a label.")
    if not contracts.PROBABILITY.holds(p):
        bad = p[~((p >= 0) & (p <= 1))]
        contracts.reject("probabilities", "lie in [0, 1]", float(bad.flat[0]), "Apply the logistic function first.")
    return p
