"""Probabilities in the place of logits: told from them, rounded or not, and turned into logits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit.io.columns import Layout
from focalkit.io.convert import Complain, Predicted, kept

#: What stands for a probability of 0 unless --clip says otherwise.
FLOOR = 1e-6
_TO_LOGITS = "Write log(p) in their place: it is a logit of the same softmax; or say probabilities=True."
_REMEDY = "Mend or drop the row; logits are read without probabilities=True."
#: Rows from which, and the share of them from which, sums of 1 are no chance.
_FEWEST, _SHARE = 4, 0.95


def tolerance(p: NDArray[Any], scale: float = 1.0) -> float:
    """How far a row of probabilities may be from its sum: half a unit of the last decimal for each class.

    ``p`` (n, n_classes) was written with some number of decimals, which is found out up to 4; beyond, 1e-3.
    """
    some = p[:256].astype(np.float64)
    for decimals in range(1, 5):
        scaled = some / scale * 10**decimals
        if np.abs(scaled - np.round(scaled)).max(initial=0) < 1e-6 * 10**decimals + 1e-9:
            return float(min(0.2, p.shape[1] * 0.5 * 10**-decimals) + 1e-6) * scale
    return 1e-3 * scale


def scale_of(p: Predicted, layout: Layout) -> float:
    """1 or 100 where these are probabilities or per cent that sum to it in nearly every row, otherwise 0."""
    z = p.logits
    if layout.link != "softmax" or z.ndim != 2 or z.shape[1] < 2 or len(z) < _FEWEST:
        return 0.0
    for scale in (1.0, 100.0):
        if not _within(z[:4], scale) or not _within(z, scale):
            continue
        off = np.abs(z.sum(axis=1, dtype=np.float64) - scale) > tolerance(z, scale)
        if off.mean() <= 1 - _SHARE and (scale == 1 or z.max() > 1):
            return scale
    return 0.0


def refuse(p: Predicted, layout: Layout, file: str) -> None:
    """Refuse softmax logits that are probabilities."""
    scale = scale_of(p, layout)
    if scale:
        kind = "probabilities" if scale == 1 else "probabilities in per cent"
        got = contracts.Words(f"{file}: rows of numbers in [0, {scale:g}] that sum to {scale:g}, so {kind}")
        contracts.reject("logits", "be raw model outputs", got, _TO_LOGITS)


def to_logits(
    p: Predicted,
    texts: list[str] | None,
    layout: Layout,
    file: str,
    complain: Complain,
    tallies: dict[str, float],
) -> tuple[Predicted, list[str] | None]:
    """Log p, or log p - log (1 - p): logits of the same probabilities.

    Rows are divided by their sum where that is 1 but for rounding; per cent are divided by 100; what is 0 (or 1, for
    independent columns) is moved by a stated floor. Each is counted in ``tallies``.
    """
    z = p.logits.astype(np.float64)
    scale = 1.0
    top = np.nanmax(z, initial=0.0)
    if 1 < top <= 100 and layout.link == "softmax":
        scale = 100.0 if np.median(np.abs(z.sum(axis=1) - 100)) <= tolerance(z, 100.0) else 1.0
    if scale != 1:
        tallies["per_cent"] = 1.0
        z = z / scale
    with np.errstate(invalid="ignore"):
        off = np.any(~((z >= 0) & (z <= 1 + 1e-6)), axis=1)
        if layout.link == "softmax":
            off |= ~(np.abs(z.sum(axis=1) - 1) <= tolerance(z))
    if off.any():
        row = int(off.argmax())
        contract = "be probabilities" + (" that sum to 1" if layout.link == "softmax" else "")
        message = f"predictions must {contract}; got {_what_is_off(z[row])} in row {p.row_of(row)} of {file}. {_REMEDY}"
        complain(file, str(p.row_of(row)), Message("damage.no_probabilities"), message, int(off.sum()))
        p, z = kept(p, ~off), z[~off]
        texts = None if texts is None else [text for text, gone in zip(texts, off.tolist(), strict=True) if not gone]
    if layout.link == "softmax":
        sums = z.sum(axis=1, keepdims=True)
        rounded = int((np.abs(sums - 1) > 1e-5).sum())
        if rounded:
            tallies["renormalised"] = tallies.get("renormalised", 0) + rounded
        z = z / sums
    floor = FLOOR if layout.clip is None else layout.clip
    low = z <= 0 if layout.clip is None else z < floor
    high = (z >= 1 if layout.clip is None else z > 1 - floor) & (layout.link == "sigmoid")
    n = int(low.sum()) + int(high.sum())
    if n:
        tallies["clipped"] = tallies.get("clipped", 0) + n
        tallies["floor"] = floor
        z = np.where(low, floor, np.where(high, 1 - floor, z))
    logits = np.log(z) if layout.link == "softmax" else np.log(z) - np.log1p(-z)
    return p._replace(logits=np.asarray(logits)), texts


def _what_is_off(row: NDArray[Any]) -> str:
    wrong = ~((row >= 0) & (row <= 1 + 1e-6))
    return f"{row[wrong][0]:g}" if wrong.any() else f"a sum of {row.sum():.4g}"


def unit(z: Any) -> bool:
    """Whether every number lies in [0, 1]."""
    return _within(z, 1.0)


def _within(z: Any, top: float) -> bool:
    return bool(np.all((z >= 0) & (z <= top)))


def suspicious(link: str, all_in_unit: bool, n_rows: int) -> list[str]:
    """A warning where sigmoid logits look like probabilities."""
    if link == "sigmoid" and all_in_unit and n_rows >= _FEWEST:
        return [Message("note.unit_logits")]
    return []
