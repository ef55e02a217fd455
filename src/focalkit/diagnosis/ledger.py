"""The ledger: a table class × log-odds bin that answers for every alpha and gamma afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.forms import OF_SOFT_TARGETS, Form
from focalkit._core.shown import Shown
from focalkit._core.spec import LossSpec, PerClass
from focalkit._core.types import Array
from focalkit.diagnosis import bins, storage
from focalkit.diagnosis.batch import Batch, Entries, check_spec, row_names
from focalkit.diagnosis.curves import CumulativeCurves, cumulative_curves
from focalkit.diagnosis.expansion import rounding
from focalkit.diagnosis.form_sums import table_sums
from focalkit.diagnosis.shares import Shares, quantity
from focalkit.engines.cpu import ledger as engine
from focalkit.weights import Scheme, parse_alpha

Real = NDArray[np.float64]


class Ledger(Shown):
    r"""Where the loss goes: sums per class and bin of log-odds, from which every alpha and gamma follows.

    .. math:: \sum_i w_i f(m_i) \approx \sum_b W_b f(\mu_b) + \tfrac12 M_b f''(\mu_b)

    over the bins b of the log-odds m of the true class, for f the focal loss of any gamma
    (Lin et al. 2017, arXiv 1708.02002, eq. 4) or the size of its derivative.

    Parameters
    ----------
    spec : LossSpec
        The loss that is answered for where no other is asked; it also fixes link, ignore_index,
        label_smoothing and class_axis. Its reduction plays no part: shares are of sums.
    n_classes : int
        Classes (softmax) or columns (sigmoid; 1 for logits of shape (n,)).
    class_names : sequence of str, optional
        Their names; default their numbers.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Notes
    -----
    softmax: one row per class; sigmoid: two per column, negative and positive. A soft target puts
    weight y_k at the log-odds of class k. Bins are 1/8 wide over (-20, 44] with open ones beyond.
    Every answer carries a bound on its own error. For gamma <= 5 the sums of a class of a few hundred
    samples spread over several bins are right to about 1e-5 relative; where all of a class lies in
    one bin, skewed, only to 4e-3. The sums of the focal loss with the spec's own gamma are exact
    (float64); those of a form such as poly are not, whether the spec has it or it is asked for.
    Targets equal to ignore_index and samples of weight 0 are left out.

    Examples
    --------
    >>> ledger = Ledger(LossSpec(gamma=2.0), n_classes=2)
    >>> ledger.update(np.array([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]]), np.array([0, 1, 1]))
    >>> ledger.shares().loss.share.round(3)
    array([0.004, 0.996])
    >>> ledger.shares(gamma=0.0, alpha="inverse").loss.share_alpha.round(3)
    array([0.165, 0.835])
    """

    def __init__(self, spec: LossSpec, n_classes: int, class_names: Sequence[str] | None = None) -> None:
        check_spec(spec)
        if isinstance(n_classes, bool) or not isinstance(n_classes, (int, np.integer)) or n_classes < 1:
            contracts.reject("n_classes", "be a positive integer", n_classes, "It is the logits' class axis.")
        for name, value in spec.class_parameters().items():
            contracts.class_vector(name, value, int(n_classes))
        self.spec = spec
        self.n_classes = int(n_classes)
        shape = (self.n_classes * (1 if spec.link == "softmax" else 2), bins.N_BINS)
        try:
            self.count: NDArray[np.int64] = np.zeros(shape, np.int64)
        except (MemoryError, ValueError):
            remedy = f"Each takes {bins.N_BINS * 32 // 1024} KiB; count classes that belong together as one."
            contracts.reject("n_classes", "be a number of classes that memory holds", n_classes, remedy)
        self.class_names = row_names(spec.link, self.n_classes, class_names)
        self.weight: Real = np.zeros(shape)
        self.s1: Real = np.zeros(shape)
        self.s2: Real = np.zeros(shape)
        self.exact_loss: Real = np.zeros((shape[0], bins.N_ZONES))
        self.exact_grad: Real = np.zeros((shape[0], bins.N_ZONES))
        self.n_samples = 0
        self.n_ignored = 0
        self._gamma, _ = self._asked(None, None)

    def __repr__(self) -> str:
        """Size and spec."""
        return f"Ledger({self.spec!r}, {len(self.class_names)} rows, {self.n_samples} samples)"

    # --- filling -----------------------------------------------------------------------------------------

    def update(self, logits: Array, targets: Array, sample_weight: Array | None = None) -> None:
        """Add a batch; the arguments are those of the losses. A refused batch leaves the ledger as it was."""
        if sample_weight is None and self._plain and self._added_at_once(logits, targets):
            return
        for _ in self.take(logits, targets, sample_weight):
            pass

    def _added_at_once(self, logits: Any, targets: Any) -> bool:
        gamma = self._gamma[:1] if self._one_gamma else self._gamma
        done = engine.update(logits, targets, self.n_classes, gamma, bins.DESCRIBED, self._tables)
        self.n_samples += len(targets) if done else 0
        return done

    @property
    def _tables(self) -> tuple[NDArray[Any], ...]:
        return (self.count, self.weight, self.s1, self.s2, self.exact_loss, self.exact_grad)

    @property
    def _plain(self) -> bool:
        """Whether class ids may be added as they come: one class each, no id that means another thing."""
        spec = self.spec
        if spec.link != "softmax" or spec.shifts:
            return False
        return spec.label_smoothing == 0 and spec.ignore_index < 0 and spec.class_axis == 1

    def take(self, logits: Array, targets: Array, sample_weight: Array | None = None) -> Iterator[Entries]:
        """:meth:`update`, showing each part of the batch once it is added."""
        batch = Batch(self.spec, logits, targets, sample_weight)
        if batch.n_classes != self.n_classes:
            contracts.reject(
                "logits",
                f"have the {self.n_classes} classes of this ledger",
                contracts.Words(f"{batch.n_classes} classes"),
                "Start another ledger for them.",
            )
        for entries in batch.read():
            self._add(entries)
            yield entries
        n_counted, n_ignored = batch.tally()
        self.n_samples += n_counted
        self.n_ignored += n_ignored

    def _add(self, entries: Entries) -> None:
        gamma = self._gamma[:1] if self._one_gamma else self._gamma
        engine.add_entries(entries.row, entries.m, entries.weight, gamma, bins.DESCRIBED, self._tables)

    def __add__(self, other: Ledger) -> Ledger:
        """Return the ledger of both data sets; loss and classes must be the same."""
        if not isinstance(other, Ledger):
            return NotImplemented
        for name in ("spec", "class_names"):
            mine, theirs = getattr(self, name), getattr(other, name)
            same = self._loss == other._loss if name == "spec" else mine == theirs
            if not same:
                contracts.reject("ledgers", f"have the same {name} to be added", theirs, f"This one has {mine!r}.")
        total = Ledger(self.spec, self.n_classes, None)
        total.class_names = self.class_names
        for name in storage.ARRAYS:
            setattr(total, name, getattr(self, name) + getattr(other, name))
        total.n_samples = self.n_samples + other.n_samples
        total.n_ignored = self.n_ignored + other.n_ignored
        return total

    def __radd__(self, other: object) -> Ledger:
        """``sum(ledgers)`` begins with 0."""
        if not (isinstance(other, int) and other == 0):
            return NotImplemented
        nothing = Ledger(self.spec, self.n_classes)
        nothing.class_names = self.class_names
        return nothing + self

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same sums of the same loss, to the last bit."""
        if not isinstance(other, Ledger):
            return NotImplemented
        mine, theirs = ((a._loss, a.class_names, a.n_samples, a.n_ignored) for a in (self, other))
        return mine == theirs and all(np.array_equal(getattr(self, a), getattr(other, a)) for a in storage.ARRAYS)

    __hash__ = None  # type: ignore[assignment]  # it changes as batches come

    @property
    def _loss(self) -> LossSpec:
        """The spec without what says only how batches are read, or how losses would be reduced."""
        return replace(self.spec, reduction="mean", ignore_index=-100, class_axis=1)

    # --- asking ------------------------------------------------------------------------------------------

    def shares(
        self,
        gamma: PerClass | None = None,
        alpha: PerClass | str | None = None,
        form: Mapping[str, Any] | None = None,
    ) -> Shares:
        """Loss and gradient per class, and from easy samples, before and after alpha.

        Parameters
        ----------
        gamma : None, float or (n_classes,), in [0, inf)
            None: the spec's.
        alpha : None, str, float or (n_classes,)
            None: the spec's. A scheme of :func:`focalkit.class_weights`, such as "balanced" or
            "power:0.25", counts the classes in the ledger (sigmoid: negatives against positives of
            each column); "none" weighs all alike. Numbers are as in :class:`focalkit.LossSpec`.
        form : None or mapping
            None: the spec's. The fields of another form, such as ``{"poly": 1.0}`` or ``{"dft": 1.0}`` (which takes
            gamma=0); ``{}`` is the focal loss. ``{"quality": …}`` is answered where all targets were 0 or 1, without
            weights.

        Returns
        -------
        Shares
            One entry per row of the ledger, each with a bound on its error.

        Raises
        ------
        InputError
            Where an argument breaks its contract.
        """
        gammas, asked = self._asked(gamma, form)
        alphas = self.alpha_of(alpha)
        at = np.nonzero(self.weight)
        sums = self._cell_sums(at, gammas, asked)
        zone = at[0] * bins.N_ZONES + bins.ZONE[at[1]]

        def by_zone(values: Any) -> Real:
            table = np.bincount(zone, values, minlength=len(gammas) * bins.N_ZONES)
            return np.asarray(table, np.float64).reshape(-1, bins.N_ZONES)

        count, weight = by_zone(self.count[at]), by_zone(self.weight[at])
        parts = []
        for value, error, exact in (
            (sums.loss, sums.loss_error, self.exact_loss),
            (sums.grad, sums.grad_error, self.exact_grad),
        ):
            same = (gammas == self._gamma)[:, None] & (asked is None)
            bound = rounding(count, gammas[:, None], exact)
            parts.append(quantity(np.where(same, exact, by_zone(value)), np.where(same, bound, by_zone(error)), alphas))
        mass = weight.sum(axis=1)
        safe, everything = np.where(mass > 0, mass, 1.0), max(float(mass.sum()), np.finfo(float).tiny)
        easy, very_easy = weight[:, 1:].sum(axis=1) / safe, weight[:, 2] / safe
        counts = self.count.sum(axis=1)
        return Shares(
            self.class_names, counts, mass, mass / everything, gammas, alphas, easy, very_easy, parts[0], parts[1]
        )

    def cumulative(
        self, gamma: PerClass | None = None, by: str = "class", form: Mapping[str, Any] | None = None
    ) -> CumulativeCurves:
        """Share of the loss that the easiest samples carry (Lin et al. 2017, figure 4).

        Parameters
        ----------
        gamma : None, float or (n_classes,), in [0, inf)
            None: the spec's.
        by : {"class", "sign", "all"}
            One curve per row of the ledger; or two, negatives (sigmoid: targets 0; softmax: class 0,
            the background) and positives; or one for everything. The last two need one gamma for
            all. No alpha: it cancels within a class or sign.
        form : None or mapping
            As for :meth:`shares`.

        Returns
        -------
        CumulativeCurves
            Points at the edges of bins, with a bound on their error.

        Raises
        ------
        InputError
            Where an argument breaks its contract.
        """
        contracts.one_of("by", by, ("class", "sign", "all"))
        gammas, asked = self._asked(gamma, form)
        if by == "class":
            return cumulative_curves(self.class_names, self.count, self.weight, self.s1, self.s2, gammas, asked)
        if np.unique(gammas).size > 1:
            contracts.reject(
                "gamma", f"be one number for by={by!r}", gammas.tolist(), "Ask by='class', or for one gamma."
            )
        if by == "all" and asked is not None and asked.name == "asymmetric":
            contracts.reject("by", "be 'class' or 'sign' for this form", by, "Its negatives have another loss.")
        groups = {"all": np.ones(len(gammas), bool)}
        if by == "sign":
            groups = {"negatives": ~self._positive, "positives": self._positive}
        count, weight, s1, s2 = (
            np.stack([table[group].sum(axis=0) for group in groups.values()])
            for table in (self.count, self.weight, self.s1, self.s2)
        )
        return cumulative_curves(tuple(groups), count, weight, s1, s2, np.full(len(groups), gammas[0]), asked)

    def alpha_of(self, alpha: PerClass | str | None) -> Real:
        """One weight per row for an ``alpha`` as :meth:`shares` takes it."""
        if alpha is None:
            alpha = "none" if self.spec.alpha is None else self.spec.alpha
        chosen = parse_alpha(alpha) if isinstance(alpha, str) else alpha
        if chosen is None or isinstance(chosen, Scheme):
            mass = self.weight.sum(axis=1)
            if chosen is None:
                return np.ones(len(mass))
            if self.spec.link == "softmax":
                return chosen.weights(mass)
            pairs = np.array([chosen.weights(pair) for pair in mass.reshape(-1, 2)])
            return np.asarray(pairs / pairs.sum(axis=1, keepdims=True)).reshape(-1)
        checked = self._checked("alpha", chosen)
        if self.spec.link == "softmax":
            return np.array(np.broadcast_to(np.asarray(checked, np.float64), (self.n_classes,)))
        of_positive = np.broadcast_to(np.asarray(checked, np.float64), (self.n_classes,))
        return np.asarray(np.column_stack([1 - of_positive, of_positive])).reshape(-1)

    def _checked(self, name: str, value: Any) -> PerClass:
        """A gamma or alpha by the spec's own rules for this link."""
        spec = LossSpec(self.spec.link, **{name: value})
        checked: Any = getattr(spec, name)
        contracts.class_vector(name, checked, self.n_classes)
        return checked  # type: ignore[no-any-return]

    def _asked(self, gamma: PerClass | None, form: Mapping[str, Any] | None) -> tuple[Real, Form | None]:
        """Gamma of each row, and the form, None for the focal loss.

        The spec's form, if no other is asked for, goes with a gamma that it has a place for; with any other the focal
        loss is meant.
        """
        power = self.spec.gamma if gamma is None else gamma
        fields = contracts.named("form", form)
        if form is None and self._takes(power):
            fields = self.spec.form_fields
        spec = LossSpec(self.spec.link, power, **fields)
        contracts.class_vector("gamma", spec.gamma, self.n_classes)  # type: ignore[arg-type]
        asked = spec.form
        if asked is not None and asked.name in OF_SOFT_TARGETS:
            if not self.hard:
                remedy = "It depends on each target's value, which a table of log-odds knows of targets 0 and 1 alone."
                contracts.reject("form", "be one that a ledger answers for", fields, remedy)
            return self._gammas(spec), None
        if asked is not None and asked.name == "asymmetric" and not spec.clip:
            asked = None  # the focal loss, with a gamma for each side
        return self._gammas(spec), asked

    @property
    def hard(self) -> bool:
        """Whether all targets are known to have been single classes, or 0 and 1: entries of weight 1, one a target."""
        return bool(0 < self.n_samples == self.count.sum() and np.array_equal(self.count, self.weight))

    @property
    def _positive(self) -> NDArray[np.bool_]:
        """Which rows are positives: of a sigmoid every other one, of a softmax all but the background, class 0."""
        row = np.arange(len(self.class_names))
        return row % 2 == 1 if self.spec.link == "sigmoid" else row > 0

    def _takes(self, gamma: PerClass) -> bool:
        """Whether the spec's form has a place for this gamma."""
        if not {"dft", "gce", "gamma_steps", "star"} & self.spec.form_fields.keys():
            return True
        if self.spec.star is not None:
            return bool(np.all(np.asarray(gamma) > 0))
        return bool(np.all(np.asarray(gamma) == 0))

    def _gammas(self, spec: LossSpec) -> Real:
        """Gamma of each row; the asymmetric loss and those of soft targets have two."""
        if spec.form is None or spec.form.name not in ("asymmetric", *OF_SOFT_TARGETS):
            return self._per_row(spec.gamma)
        return np.tile([float(gamma) for gamma, _ in spec.sides], self.n_classes)

    def _per_row(self, gamma: PerClass) -> Real:
        vector = np.broadcast_to(np.asarray(gamma, np.float64), (self.n_classes,))
        return np.array(vector.repeat(len(self.class_names) // self.n_classes))

    @property
    def _one_gamma(self) -> bool:
        return bool((self._gamma == self._gamma[0]).all())

    def _cell_sums(self, at: tuple[NDArray[Any], ...], gammas: Real, form: Form | None) -> Any:
        with np.errstate(all="ignore"):
            row, cell = at
            tables = self.count[at], self.weight[at], self.s1[at], self.s2[at]
            return table_sums(row, cell, *tables, gammas[row], form)

    def plot(self, gamma: PerClass | None = None, alpha: PerClass | str | None = None, *, top: int = 20) -> Any:
        """Draw it: where the samples are, each class before and after, and Figure 4. Needs matplotlib.

        Parameters
        ----------
        gamma, alpha : optional
            As for :meth:`shares`.
        top : int
            Classes shown.

        Returns
        -------
        matplotlib.figure.Figure
            Not shown and not saved: ``figure.savefig(...)``, or the last value of a notebook's cell.
        """
        return super().plot(gamma=gamma, alpha=alpha, top=top)

    # --- keeping -----------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Return the ledger as text; only bins that hold samples are written, every number exactly."""
        return storage.dumps(self)

    @classmethod
    def from_json(cls, text: str) -> Ledger:
        """Read what :meth:`to_json` wrote; the result is the same to the last bit."""
        spec, n_classes, state = storage.loads(text)
        ledger = cls(spec, n_classes)
        for name, value in state.items():
            setattr(ledger, name, value)
        return ledger
