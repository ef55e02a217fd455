"""Where the loss goes: the ledger of a model's predictions, and what it says for every alpha and gamma."""

from focalkit.diagnosis.curves import CumulativeCurves, LossCurves, loss_curves
from focalkit.diagnosis.entry import diagnose, diagnose_demo, diagnose_files
from focalkit.diagnosis.ledger import Ledger
from focalkit.diagnosis.result import Diagnosis
from focalkit.diagnosis.shares import Quantity, Shares

__all__ = [
    "CumulativeCurves",
    "Diagnosis",
    "Ledger",
    "LossCurves",
    "Quantity",
    "Shares",
    "diagnose",
    "diagnose_demo",
    "diagnose_files",
    "loss_curves",
]


def __dir__() -> list[str]:
    return sorted(__all__)
