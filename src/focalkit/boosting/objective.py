"""The focal loss as a second-order booster needs it: gradient, a safe Hessian, the start, the posterior.

With G the ratio of the focal gradient to that of cross-entropy (one number per sample, the same for
all of its logits), and p the model's probabilities, every form of the Hessian's diagonal is

    exact       d2 at the true class, d2 r_k^2 - d1 r_k (1 - r_k) at the others; negative in places
    clipped     max(exact, G p_k (1 - p_k)): the exact one with d2 held at or above G p q; positive
    majorizer   (1 + gamma) G p_k (1 - p_k): nowhere below the exact one, since
                (1 + gamma) G p q - d2 = gamma p q^gamma (nll - q) >= 0 and nll >= 1 - p = q

and at gamma = 0, where G = 1, all three are cross-entropy's p_k (1 - p_k). No formula of the loss is
repeated here: G p_k (1 - p_k) is cross-entropy's own Hessian times the ratio of two gradients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.spec import LossSpec, family_options
from focalkit._core.types import Alpha
from focalkit.boosting.start import focal_start, start_of
from focalkit.losses import loss_grad_hess
from focalkit.posterior import log_odds_of_logits, recover_from_log_odds, recover_from_logits
from focalkit.weights import Counts, adjustment_of, alpha_vector

HESSIANS = ("clipped", "majorizer", "exact")
DEFAULT_HESSIAN = "clipped"

Array = NDArray[Any]


@dataclass(frozen=True)
class FocalObjective:
    r"""The (alpha-balanced) focal loss of one training set, for second-order boosting.

    .. math:: \mathrm{FL}(p_t) = -c\, \alpha_t (1 - p_t)^\gamma \log p_t

    (Lin et al. 2017, arXiv 1708.02002, eq. 5.) Make it with :meth:`from_counts`, which finds alpha,
    the scale c and the start. Two classes have one score per sample, more have one per class.

    Parameters
    ----------
    gamma : float in [0, inf)
        Focusing parameter; 0 is cross-entropy.
    alpha : (n_classes,), in [0, inf)
        Class weights as used.
    start : (n_classes,)
        The constant scores that minimise the risk, as log-probabilities.
    scale : float > 0
        c; see Notes.
    hessian : {"clipped", "majorizer", "exact"}
        Which second derivative the booster is given. Always
        0 < G p (1 - p) <= clipped, and exact <= clipped <= majorizer <= (1 + gamma) G / 4.
        "clipped", the default, is the exact one wherever that is positive enough, so that steps
        are Newton's; "majorizer" takes shorter ones; "exact" is negative where p_t < 0.0585, and is
        for comparison: boosters then take steps uphill or none. ``benchmarks/boosting.md`` has
        the measurements behind the default.
    options : mapping
        Further fields of :class:`focalkit.LossSpec`: logit_adjustment, margin, scale, or those of a form such as poly.

    Notes
    -----
    Boosters compare sums of Hessians with absolute numbers (``min_child_weight``,
    ``min_sum_hessian_in_leaf``, ``reg_lambda``, ``min_split_loss``), and focal curvature is far
    below cross-entropy's. c makes the two sums equal at the start of training. Along the way they
    stay in proportion: on easy samples, with eta the posterior, 1 - eta tends to (1 + gamma) q^(1 + gamma)
    and the focal curvature to (1 + gamma)^2 q^(1 + gamma). c does not change the Newton step.

    Examples
    --------
    >>> objective = FocalObjective.from_counts([990, 10], gamma=2.0, alpha="sqrt")
    >>> grad, hess = objective.grad_hess(np.array([-2.0, 1.0]), np.array([0, 1]))
    >>> bool((hess > 0).all())
    True
    """

    gamma: float
    alpha: tuple[float, ...]
    start: tuple[float, ...]
    scale: float = 1.0
    hessian: str = DEFAULT_HESSIAN
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check each field against its domain."""
        contracts.number("gamma", self.gamma, contracts.GAMMA, "0 is cross-entropy, 2 the paper's choice.")
        contracts.number("scale", self.scale, contracts.POSITIVE, "from_counts() finds it.")
        contracts.one_of("hessian", self.hessian, HESSIANS)
        family_options(self.options)
        for name in ("alpha", "start"):
            contracts.several(name, getattr(self, name), "be a sequence of numbers", "from_counts() makes it.")
        if len(self.alpha) < 2 or len(self.start) != len(self.alpha):
            contract = "have one entry per class, like start"
            contracts.reject("alpha", contract, self.alpha, "from_counts() makes both.")
        contracts.number_or_vector("alpha", self.alpha, contracts.ALPHA_SOFTMAX, "from_counts() makes it.")
        if len(self.alpha) == 2 and min(self.alpha) == 0:
            remedy = "A class of weight 0 is no class: give it a small weight."
            contracts.reject("alpha", "leave both classes a weight above 0", self.alpha, remedy)
        if self.hessian == "majorizer" and self.unscaled_spec[0].form is not None:
            remedy = "Use hessian='clipped': the bound (1 + gamma) G p (1 - p) is the focal loss's own."
            contracts.reject("hessian", "be 'clipped' or 'exact' for this form of the loss", self.hessian, remedy)

    @classmethod
    def from_counts(
        cls,
        counts: Counts,
        gamma: float = 2.0,
        alpha: Alpha = None,
        *,
        hessian: str = DEFAULT_HESSIAN,
        options: Mapping[str, Any] | None = None,
    ) -> FocalObjective:
        """The objective of training data with ``counts`` (n_classes,) samples, or sums of weights, per class.

        Parameters
        ----------
        counts : (n_classes,) of numbers >= 0
        gamma : float in [0, inf)
        alpha : None, str, float or (n_classes,)
            As for :class:`focalkit.estimator.FocalClassifier`; scaled to mean 1 over the samples.
        hessian : {"clipped", "majorizer", "exact"}
        options : mapping, optional
            Further fields of :class:`focalkit.LossSpec`. A number as ``logit_adjustment`` is tau: the prior is that of
            the counts.

        Returns
        -------
        FocalObjective

        Raises
        ------
        InputError
            Where an argument breaks its contract.
        """
        gamma = contracts.number("gamma", gamma, contracts.GAMMA, "0 is cross-entropy, 2 the paper's choice.")
        each, remedy = "be one number >= 0 for each of two or more classes", "E.g. numpy.bincount(targets)."
        n = contracts.numbers("counts", counts, each, remedy)
        if n.ndim != 1 or len(n) < 2 or not contracts.SAMPLE_WEIGHT.holds(n) or not n.sum() > 0:
            contracts.reject("counts", each, counts, remedy)
        weights = alpha_vector(alpha, n)
        total = weights @ n
        if not total > 0:
            contracts.reject("alpha", "leave a class with samples a weight above 0", alpha, "E.g. 'balanced'.")
        weights = np.ones_like(n) if np.ptp(weights) == 0 else weights * (n.sum() / total)
        more = family_options(options)
        if "logit_adjustment" in more:
            more["logit_adjustment"] = adjustment_of(more["logit_adjustment"], n)
        plain = cls(0.0, tuple(weights.tolist()), tuple(focal_start(weights * n, 0.0).tolist()))
        objective = cls(gamma, plain.alpha, plain.start, hessian=hessian, options=more)
        start = tuple(start_of(weights * n, objective.unscaled_spec[0]).tolist()) if more else None
        start = start or tuple(focal_start(weights * n, gamma).tolist())
        objective = cls(gamma, plain.alpha, start, hessian=hessian, options=more)
        if gamma == 0 and not more:
            return objective
        safe = replace(objective, hessian="clipped" if hessian == "exact" else hessian)
        with np.errstate(all="ignore"):
            scale = float(np.divide(plain._start_curvature(n), safe._start_curvature(n)))
        if not 0 < scale < np.inf:
            contract = "leave the loss some curvature where training starts"
            if objective.unscaled_spec[0].form is not None:
                contracts.reject("options", contract, more, "Classes as rare as these ask for a milder form.")
            contracts.reject("gamma", contract, gamma, "Values of 0.5 to 5 are usual.")
        return replace(objective, scale=scale)

    @property
    def is_cross_entropy(self) -> bool:
        """Whether this is the log loss itself."""
        return self.gamma == 0 and all(weight == 1 for weight in self.alpha) and not self.options

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return len(self.alpha)

    @property
    def start_scores(self) -> NDArray[np.float64]:
        """The start as a booster's scores: (1,) of the second of two classes, otherwise (n_classes,)."""
        start = np.asarray(self.start)
        return start[1:] - start[:1] if self.n_classes == 2 else start

    def _start_curvature(self, counts: NDArray[np.float64]) -> float:
        """The Hessian summed over all samples and scores, at the start."""
        scores = np.tile(self.start_scores, (self.n_classes, 1))
        if self.n_classes == 2:
            scores = scores[:, 0]
        _, hess = self.grad_hess(scores, np.arange(self.n_classes), counts)
        return float(hess.sum())

    def grad_hess(
        self, scores: Array, targets: Array, sample_weight: Array | None = None, *, diagonal: float = 1.0
    ) -> tuple[Array, Array]:
        """Gradient and the diagonal of the Hessian in the scores.

        Parameters
        ----------
        scores : float32 or float64, (n,) for two classes, otherwise (n, n_classes)
            In C or Fortran order, which the results keep.
        targets : integers (n,)
            Class ids.
        sample_weight : (n,), optional
        diagonal : float > 0
            Multiplies the Hessian of more than two classes: boosters treat the logits as
            independent and make up for it by a factor of their own. 2 makes the diagonal of the
            majorizer a bound of the whole matrix.

        Returns
        -------
        (grad, hess)
            Like ``scores``.
        """
        scores = self._read(scores)
        contracts.number("diagonal", diagonal, contracts.POSITIVE, "1 leaves the Hessian as it is.")
        transposed = scores.ndim == 2 and scores.flags.f_contiguous and not scores.flags.c_contiguous
        if transposed:
            scores = scores.T
        class_axis = 0 if transposed else 1
        spec, plain, normalizer = self._specs(class_axis)
        curved = self._convex or self.hessian != "majorizer"
        _, grad, hess = loss_grad_hess(
            spec, scores, targets, sample_weight=sample_weight, normalizer=normalizer, hess=curved
        )
        factor = diagonal if self.n_classes > 2 else 1.0
        if not self._convex and self.hessian != "exact":
            common = self._common(plain, scores, targets, grad, class_axis)
            if self.hessian == "clipped":
                hess = np.maximum(hess, common, out=hess)
            else:
                hess = common
                factor *= 1 + self.gamma
        if factor != 1:
            hess *= factor
        return (grad.T, hess.T) if transposed else (grad, hess)

    def _common(self, plain: LossSpec, scores: Array, targets: Array, grad: Array, class_axis: int) -> Array:
        """G p (1 - p), weights included."""
        if self.n_classes == 2:
            # the gradient is +-G q, and cross-entropy's towards the other class -+p
            _, other, _ = loss_grad_hess(plain, scores, 1 - targets, hess=False)
            return np.asarray(np.negative(np.multiply(other, grad, out=other), out=other))
        _, slope, common = loss_grad_hess(plain, scores, targets)
        rows = np.arange(len(targets))
        true = (targets, rows) if class_axis == 0 else (rows, targets)
        own = slope[true]
        ratio = np.zeros_like(own)
        np.divide(grad[true], own, out=ratio, where=own != 0)
        return np.asarray(np.multiply(common, ratio if class_axis == 0 else ratio[:, None], out=common))

    def _specs(self, class_axis: int) -> tuple[LossSpec, LossSpec, float]:
        """The loss and cross-entropy as the engine takes them, and the number to divide the first by."""
        spec, normalizer = self.unscaled_spec
        plain = self._plain
        if class_axis == 0:
            spec, plain = (replace(s, class_axis=0) for s in (spec, plain))
        return spec, plain, normalizer / self.scale

    def grad_hess_matrix(self, scores: Array, target: int, weight: float = 1.0) -> tuple[Array, Array]:
        """Gradient (n_classes,) and whole Hessian (n_classes, n_classes) of one sample of several classes.

        With u = e_t - r the exact matrix is d2 u u^T - d1 (diag r - r r^T). It is positive where d2
        is, so "clipped" holds d2 at or above G p q; "majorizer" is (1 + gamma) G (diag p - p p^T).
        """
        scores = contracts.shaped("scores", scores, (self.n_classes,))[None, :]
        targets = np.array([contracts.whole("target", target, 0, "Pass a class id.", most=self.n_classes - 1)])
        contracts.number("weight", weight, contracts.SAMPLE_WEIGHT, "1 is that of a sample without one.")
        spec, _ = self.unscaled_spec
        factor = weight * self.scale
        _, grad, hess = loss_grad_hess(spec, scores, targets, hess=self.hessian != "majorizer")
        _, slope, plain = loss_grad_hess(self._plain, scores, targets)
        grad = grad[0] * factor
        own = grad[target]  # d1
        q = -slope[0, target]
        ratio = -own / q if q > 0 else 0.0
        if self.hessian == "majorizer":
            p = slope[0]
            p[target] = plain[0, target] / q if q > 0 else 1.0
            matrix = np.multiply.outer(p, p * (-(1 + self.gamma) * ratio))
            matrix.flat[:: self.n_classes + 1] = 0
            matrix.flat[:: self.n_classes + 1] = -matrix.sum(axis=1)
            return grad, matrix
        r = grad / -own if own != 0 else np.zeros_like(grad)
        r[target] = 0
        curvature = hess[0, target] * factor
        if self.hessian == "clipped":
            curvature = max(curvature, ratio * plain[0, target])
        u = -r
        u[target] = 1
        spread = np.multiply.outer(r, r * own * spec.scale)
        spread.flat[:: self.n_classes + 1] = 0
        spread.flat[:: self.n_classes + 1] = -spread.sum(axis=1)
        return grad, curvature * np.multiply.outer(u, u) + spread

    @cached_property
    def unscaled_spec(self) -> tuple[LossSpec, float]:
        """The loss as the engine takes it, and the number to divide its sum by (1 for more than two classes)."""
        options = dict(self.options)
        if self.n_classes > 2:
            return LossSpec("softmax", self.gamma, self.alpha, reduction="sum", **options), 1.0
        total, adjustment = sum(self.alpha), options.get("logit_adjustment")
        if adjustment is not None and np.ndim(adjustment):
            options["logit_adjustment"] = float(adjustment[1] - adjustment[0])
        return LossSpec("sigmoid", self.gamma, self.alpha[1] / total, reduction="sum", **options), 1 / total

    @cached_property
    def _plain(self) -> LossSpec:
        """Cross-entropy of the same logits."""
        spec = self.unscaled_spec[0]
        if not self.options:
            return _CROSS_ENTROPY[spec.link]
        shifts = {name: getattr(spec, name) for name in ("logit_adjustment", "margin", "scale")}
        return LossSpec(spec.link, reduction="sum", **shifts)

    @cached_property
    def _convex(self) -> bool:
        """Whether the exact Hessian is that of cross-entropy, or of a form that is convex in the log-odds."""
        form = self.unscaled_spec[0].form
        return (self.gamma == 0 and form is None) or (form is not None and form.name in ("star", "dft"))

    def _read(self, scores: Array) -> Array:
        """Scores (n,) of two classes, (n, n_classes) of more."""
        return contracts.shaped("scores", scores, (None,) if self.n_classes == 2 else (None, self.n_classes))

    def posterior(self, scores: Array) -> NDArray[np.float64]:
        """Probabilities (n, n_classes) with gamma's distortion undone and alpha's tilt kept."""
        scores = self._read(scores).astype(np.float64)
        if self.options:
            return recover_from_logits(scores, replace(self.unscaled_spec[0], alpha=None))
        return recover_from_log_odds(log_odds_of_logits(scores), self.gamma)

    def population_posterior(self, scores: Array) -> NDArray[np.float64]:
        """Probabilities (n, n_classes) under the training data's own class balance: alpha divided out."""
        alpha = np.asarray(self.alpha)
        if self.options:
            posterior = self.posterior(scores) / np.where(alpha > 0, alpha, 1.0)
            return np.asarray(posterior / posterior.sum(axis=1, keepdims=True))
        m = log_odds_of_logits(self._read(scores).astype(np.float64))
        return recover_from_log_odds(m, self.gamma, np.where(alpha > 0, alpha, 1.0))


_CROSS_ENTROPY = {link: LossSpec(link, 0.0, reduction="sum") for link in ("softmax", "sigmoid")}
