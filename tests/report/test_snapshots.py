"""Every report is, byte for byte, what was last meant: ``python -m tests.report.snapshots`` writes them anew."""

import pytest
from tests.report.snapshots import FOLDER, SIX, snapshot


@pytest.mark.parametrize("name", SIX)
def test_reports_are_as_they_were_meant(name, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    kept = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    made = snapshot(name)
    for there, here in zip(kept.splitlines(), made.splitlines(), strict=False):
        assert there == here
    assert made == kept
