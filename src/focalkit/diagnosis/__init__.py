"""Where the loss goes: the ledger of a model's predictions, and what it says for every alpha and gamma."""

from focalkit.diagnosis.curves import CumulativeCurves, LossCurves, loss_curves
from focalkit.diagnosis.entry import diagnose
from focalkit.diagnosis.ledger import Ledger
from focalkit.diagnosis.shares import Quantity, Shares

__all__ = ["CumulativeCurves", "Ledger", "LossCurves", "Quantity", "Shares", "diagnose", "loss_curves"]
