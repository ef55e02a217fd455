"""``diagnose`` for arrays in memory, ``diagnose_files`` for files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit._core.spec import LossSpec, PerClass
from focalkit._core.types import Array
from focalkit.diagnosis import scan, storage
from focalkit.diagnosis.batch import check_spec
from focalkit.diagnosis.demo import NAMES, SEED, made_up_predictions
from focalkit.diagnosis.ledger import Ledger
from focalkit.diagnosis.remedies import Remedies, remedies
from focalkit.diagnosis.result import Diagnosis, size
from focalkit.diagnosis.sample import Sample
from focalkit.io import predictions as reading
from focalkit.io.columns import Asked
from focalkit.io.convert import Predicted
from focalkit.weights import Scheme, parse_alpha

#: Told the rows read since the last time, their share of all the work, and what all shares sum up to (or 0).
Progress = Callable[[int, float, float], None]


def diagnose(
    logits: Array,
    targets: Array,
    spec: LossSpec | None = None,
    *,
    sample_weight: Array | None = None,
    class_names: Sequence[str] | None = None,
) -> Ledger:
    r"""Where the loss of these predictions goes, for every alpha and gamma.

    .. math:: \text{share}_k = \sum_{i: t_i = k} w_i \alpha_k f_\gamma(m_i) \Big/ \sum_i w_i \alpha_{t_i} f_\gamma(m_i)

    with f the focal loss as a function of the log-odds m of the true class (Lin et al. 2017, arXiv
    1708.02002, eq. 5).

    Parameters
    ----------
    logits : array (n,), (n, n_classes) or (n, n_classes, d1, ...)
        Raw model outputs; (n,) with the sigmoid link.
    targets : array
        Class ids, 0 and 1, or soft targets, as the loss of ``spec`` takes them.
    spec : LossSpec, optional
        The loss whose sums are kept exactly. None: focal loss with gamma 2 over classes that
        exclude each other.
    sample_weight : array (n,) or one per target, in [0, inf), optional
        Multiplies each sample's share.
    class_names : sequence of str, optional
        Names of the classes (sigmoid: columns).

    Returns
    -------
    Ledger
        float64 sums in nats; ask it for :meth:`Ledger.shares` and :meth:`Ledger.cumulative`.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Notes
    -----
    One pass in pieces, so temporary memory does not grow with n. Logits of NaN or +inf, and a true
    class at -inf, are refused: their loss has no shares.

    Examples
    --------
    >>> import numpy as np
    >>> ledger = diagnose(np.array([1.0, -1.0, 0.5]), np.array([1, 0, 0]), LossSpec("sigmoid", gamma=2.0))
    >>> ledger.class_names
    ('negative', 'positive')
    >>> ledger.shares().loss.share.round(3)
    array([0.946, 0.054])
    """
    spec = LossSpec(gamma=2.0) if spec is None else spec
    check_spec(spec)
    z = contracts.logits_array(logits)
    axis = contracts.logits_shape(spec.link, z.shape, spec.class_axis)
    ledger = Ledger(spec, z.shape[axis] if axis >= 0 else 1, class_names)
    ledger.update(z, targets, sample_weight)
    return ledger


def diagnose_files(
    files: str | Path | Sequence[str | Path],
    *,
    targets: str | int | Sequence[str | int] = (),
    logits: str | None = None,
    weight: str | int | None = None,
    groups: str | int | None = None,
    time: str | int | None = None,
    class_names: Sequence[str] = (),
    probabilities: bool = False,
    clip: float | None = None,
    header: bool | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    drop: Sequence[str | int] = (),
    link: str | None = None,
    gamma: PerClass = 2.0,
    alpha: PerClass | str | None = "inverse",
    hardest: int = 0,
    against: str | Path | Sequence[str | Path] = (),
    train_gamma: PerClass | None = None,
    train_alpha: PerClass | None = None,
    prior: Array | Mapping[Any, float] | None = None,
    skip_damaged: bool = False,
    n_jobs: int | None = None,
    dask: str | None = None,
    progress: Progress | None = None,
    alert: Callable[[Sequence[str]], None] | None = None,
) -> Diagnosis:
    """Where the loss of the predictions in files goes: what ``focalkit diagnose`` does, as one call.

    Parameters
    ----------
    files : path, or sequence of paths
        Parquet, Arrow, CSV, .npz with arrays logits and targets, a pair of .npy files, folders, globs, URLs that
        fsspec opens; or ledgers saved as .json, which are added up. Other .json files hold rows.
    targets : column or sequence of columns, optional
        The true class, by name or position from 0; default: found out. Independent classes: one for each logit column.
    logits : str, optional
        The list column with the logits, or what the logit columns' names begin with.
    weight : column, optional
        Sample weights.
    groups : column, optional
        Rows of one group are not parted where post-hoc corrections are chosen on some rows and scored on others.
    time : column, optional
        Post-hoc corrections are then chosen on the earlier half and scored on the later.
    class_names : sequence of str, optional
        Where the files do not tell.
    probabilities : bool
        The columns hold probabilities: take their logits.
    clip : float in (0, 0.1), optional
        With ``probabilities``: smaller ones are taken as this; default: 0 alone, as 1e-6. Each is counted in the notes.
    header : bool, optional
        Text: whether the first line names the columns; default: found out.
    delimiter, decimal, encoding : str, optional
        Text: between the columns, the decimal mark ("." or ","), and the encoding; default: found out.
    drop : sequence of columns
        Columns that are no logits.
    link : {"softmax", "sigmoid"}, optional
        Mutually exclusive classes or independent logits; default: sigmoid for one logit a row, softmax for more.
    gamma, alpha : optional
        What the findings are for, as in :meth:`Ledger.shares`.
    hardest : int
        Rows with the largest loss to list, for each class.
    against : path or paths, optional
        Predictions or ledgers to compare with.
    train_gamma, train_alpha : optional
        The loss that the model was trained with: recover its posterior.
    prior : (n_classes,), optional
        Class frequencies for shifted decisions; default: as counted.
    skip_damaged : bool
        Leave out what cannot be read, name it in the notes, and use the rest.
    n_jobs : int, optional
        Threads; default one per core.
    dask : str, optional
        Address of the scheduler on whose workers to read.
    progress : callable, optional
        Called with the rows read since the last call, their share of all (or 0), and what all shares sum up to (or 0).
    alert : callable, optional
        Called with what was found out about the files, before they are read.

    Returns
    -------
    Diagnosis
        The ledger, findings, and what there is beside them.

    Raises
    ------
    InputError
        Where an argument or a file breaks its contract.
    OSError
        Where a file cannot be read.
    ModuleNotFoundError
        Where reading needs a library that is not installed.
    """
    asked = Asked(
        targets=_columns("targets", (targets,) if isinstance(targets, (str, int)) else targets),
        logits=logits,
        weight=None if weight is None else str(weight),
        groups=None if groups is None else str(groups),
        time=None if time is None else str(time),
        link=link,
        classes=_columns("class_names", class_names),
        probabilities=probabilities,
        header=header,
        delimiter=delimiter,
        decimal=decimal,
        encoding=encoding,
        drop=_columns("drop", drop),
        clip=clip,
    )
    spec = LossSpec("softmax" if link is None else link, gamma=gamma)
    checked = spec.gamma
    given = parse_alpha(alpha)
    if not isinstance(given, Scheme) and given is not None:
        LossSpec(spec.link, alpha=given)
    paths, others = _paths("files", files), _paths("against", against)
    saved = _all_saved(paths)
    if saved:
        _only_of_predictions(
            groups=groups, time=time, hardest=hardest, train_gamma=train_gamma, train_alpha=train_alpha, prior=prior
        )
        found = _loaded(paths)
    else:
        reader = _Reader(asked, checked, skip_damaged, dask, n_jobs, progress, alert)
        found = reader.read(paths, hardest, SAMPLE)
    found.gamma, found.alpha = LossSpec(found.ledger.spec.link, gamma=checked).gamma, alpha
    found.ledger.alpha_of(alpha)
    contracts.class_vector("gamma", found.gamma, found.ledger.n_classes)
    if found.sample is not None:
        found.remedies = _remedies(found, train_gamma, train_alpha, prior)
    if others:
        reader = _Reader(asked, checked, skip_damaged, dask, n_jobs, progress, alert)
        found.before = _loaded(others) if _all_saved(others) else reader.read(others, 0, 0)
        found.notes = (*found.notes, *found.before.notes)
    return found


#: Rows of the sample for post-hoc corrections, all classes together.
SAMPLE = 20_000

#: Logits in that sample: bounds its memory where classes are many.
MOST_SAMPLED = 1 << 22


def _columns(name: str, value: object) -> tuple[str, ...]:
    return tuple(map(str, contracts.several(name, value, "be a sequence of names", "Pass a list of them.")))


def _paths(name: str, files: object) -> tuple[str, ...]:
    if isinstance(files, (str, Path)):
        return (str(files),)
    found = contracts.several(name, files, "be a path, or a sequence of paths", "Folders, globs and URLs will do.")
    for file in found:
        if not isinstance(file, (str, Path)):
            contracts.reject(name, "hold paths", file, "Arrays go to diagnose(logits, targets).")
    return tuple(map(str, found))


def _all_saved(paths: Sequence[str]) -> bool:
    """Whether these are ledgers; a mixture is refused."""
    saved = [path for path in paths if path.lower().endswith(".json") and _is_ledger(path)]
    if saved and len(saved) < len(paths):
        contracts.reject("files", "be all ledgers (.json) or all predictions", list(paths), "Diagnose them apart.")
    if not paths:
        contracts.reject("files", "name at least one file", list(paths), "Nothing to diagnose.")
    return bool(saved)


def _is_ledger(path: str) -> bool:
    """Whether a JSON file begins as a ledger does; others hold rows of predictions."""
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as stream:
        return storage.FORMAT.encode() in stream.read(1 << 20)


def _only_of_predictions(**asked: Any) -> None:
    for name, value in asked.items():
        if value is not None and value != 0:
            contracts.reject(
                name, "be asked of predictions", contracts.Words("a saved ledger, which has no rows"), "Leave it out."
            )


def _loaded(paths: Sequence[str]) -> Diagnosis:
    """Saved ledgers, added up."""
    total = None
    for path in paths:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            contracts.reject(
                "file", "be a saved ledger", path, "Write one by Ledger.to_json, or by focalkit diagnose --json."
            )
        ledger = Ledger.from_json(text)
        total = ledger if total is None else total + ledger
    assert total is not None
    first = Path(paths[0]).name
    name = first if len(paths) == 1 else Message("source.ledgers", n=len(paths), name=first)
    return Diagnosis(total, source=Message("source.ledger", name=name, size=size(total)))


@dataclass(frozen=True)
class _Reader:
    """How predictions are read."""

    asked: Asked
    gamma: PerClass
    skip_damaged: bool
    dask: str | None
    n_jobs: int | None
    progress: Progress | None
    alert: Callable[[Sequence[str]], None] | None = None

    def read(self, paths: Sequence[str], hardest: int, sample: int) -> Diagnosis:
        """One pass over the files."""
        opened = reading.open_predictions(paths, self.asked, leave_out=self.skip_damaged)
        if self.alert is not None:
            self.alert(opened.warnings)
        names = opened.class_names if opened.n_classes > 1 else None
        spec = LossSpec(opened.link, gamma=self.gamma)
        entries = min(sample, MOST_SAMPLED // opened.n_classes)
        if opened.link == "sigmoid":
            # single logits of each independent column
            entries = min(sample * opened.n_classes, MOST_SAMPLED // 32)
        job = scan.Job(spec, opened.n_classes, names, hardest, entries, self.skip_damaged)
        total, told = scan.total_cost(opened), self.progress
        tell = None if told is None else lambda rows, share: told(rows, share, total)
        if self.dask is not None:
            found = scan.scan_dask(opened, job, self.dask, progress=tell)
        else:
            found = scan.scan(opened, job, workers=self.n_jobs, progress=tell)
        files = {piece.index: piece.file.name for piece in opened.pieces}
        target = Message("source.predictions", name=opened.name, size=size(found.ledger), target=opened.target)
        return Diagnosis(
            found.ledger,
            source=target,
            notes=tuple(found.said),
            alerts=opened.warnings,
            hardest=tuple(row for some in found.hardest.rows() for row in some),
            files=tuple(files.get(i, "") for i in range(max(files) + 1)),
            sample=found.sample if sample else None,
        )


def _remedies(found: Diagnosis, gamma: PerClass | None, alpha: PerClass | None, prior: Any) -> Remedies | None:
    """What can be had without retraining; None for tiny files."""
    assert found.sample is not None
    link, n = found.ledger.spec.link, found.ledger.n_classes
    g = None if gamma is None else LossSpec(link, gamma=gamma).gamma
    a = None if alpha is None else LossSpec(link, alpha=alpha).alpha
    for name, value in (("train_gamma", g), ("train_alpha", a)):
        contracts.class_vector(name, value, n)  # type: ignore[arg-type]
    return remedies(found.sample, prior=prior, gamma=g, alpha=a)


def diagnose_demo(gamma: PerClass = 2.0, alpha: PerClass | str | None = "inverse") -> Diagnosis:
    """Diagnose synthetic predictions, for a first look: no model and no data are behind them.

    Parameters
    ----------
    gamma, alpha : optional
        As for :func:`diagnose_files`.

    Returns
    -------
    Diagnosis
        Of 8,550 rows in five classes.
    """
    logits, ids = made_up_predictions()
    ledger = Ledger(LossSpec(gamma=gamma), len(NAMES), NAMES)
    ledger.update(logits, ids)
    ledger.alpha_of(alpha)
    some = Sample("softmax", len(NAMES), SAMPLE)
    some.offer(Predicted(logits, ids, None), 0, -100)
    found = Diagnosis(ledger, gamma, alpha, Message("source.made_up", seed=SEED, n=len(ids)), sample=some)
    found.remedies = _remedies(found, None, None, None)
    return found
