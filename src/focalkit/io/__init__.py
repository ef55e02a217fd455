"""Files in and out, for tune and diagnose alike."""

from focalkit.io.alerts import Alert, say
from focalkit.io.features import Table, read_table

__all__ = ["Alert", "Table", "read_table", "say"]


def __dir__() -> list[str]:
    return sorted(__all__)
