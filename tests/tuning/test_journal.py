import base64
import json
import multiprocessing
import os
import signal
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from focalkit import InputError
from focalkit.tuning.journal import Journal
from focalkit.tuning.units import Unit, UnitScores

RUN = {"seed": "0", "metric": "'mcc'"}
PLANS = ["one", "two"]


def found(unit, seed=0):
    rng = np.random.default_rng([seed, *unit])
    logits = rng.normal(size=(3, 2)) if unit.plan == 0 else None
    decided = rng.integers(0, 1 << 30, size=(1, 4, 2, 2)).astype(np.int32)
    return UnitScores(np.array([[rng.random(), np.nan, 1e-320]]), decided, logits, unit.fold)


def same(a, b):
    logits = (a.ce_logits is b.ce_logits is None) or np.array_equal(a.ce_logits, b.ce_logits)
    return (
        np.array_equal(a.scores, b.scores, equal_nan=True)
        and np.array_equal(a.decided, b.decided)
        and logits
        and a.n_unconverged == b.n_unconverged
    )


UNITS = [Unit(plan, fold) for plan in range(2) for fold in range(3)]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.jsonl"
    with Journal(path, RUN, PLANS, 3) as journal:
        for unit in UNITS:
            assert journal.claim(unit)
            journal.keep(unit, found(unit))
    return path


def test_what_was_kept_comes_back_bit_for_bit(path):
    with Journal(path, RUN, PLANS, 3) as journal:
        assert sorted(journal.done) == UNITS
        assert all(same(journal.done[unit], found(unit)) for unit in UNITS)


def test_every_line_is_json(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0]["kept"] == {"run": RUN}
    assert len(lines) == 7


def test_a_file_cut_at_any_byte_loses_no_whole_line_and_invents_nothing(path, tmp_path):
    text = path.read_bytes()
    ends = [i for i, byte in enumerate(text) if byte == ord("\n")]
    rng = np.random.default_rng(0)
    for cut in sorted(
        {0, 1, 5, len(text) - 1, *(e + d for e in ends for d in (-1, 0, 1)), *rng.integers(0, len(text), 60)}
    ):
        torn = tmp_path / "torn.jsonl"
        torn.write_bytes(text[:cut])
        whole = max(text[:cut].count(b"\n") - 1, 0)
        with Journal(torn, RUN, PLANS, 3) as journal:
            assert sorted(journal.done) == UNITS[:whole]
            for unit in UNITS[whole:]:
                assert journal.claim(unit)
                journal.keep(unit, found(unit))
        with Journal(torn, RUN, PLANS, 3) as journal:
            assert all(same(journal.done[unit], found(unit)) for unit in UNITS)


def test_a_damaged_byte_costs_one_unit_and_not_a_wrong_figure(path):
    text = bytearray(path.read_bytes())
    at = text.index(b"0.", text.index(b'"unit":[0,1]'))
    text[at + 2] ^= 1
    path.write_bytes(text)
    with Journal(path, RUN, PLANS, 3) as journal:
        assert sorted(set(UNITS) - set(journal.done)) == [Unit(0, 1)]


def test_another_run_is_refused_with_the_difference_named(path):
    with pytest.raises(InputError, match=r"seed: there 0, here 1\. Name"):
        Journal(path, {**RUN, "seed": "1"}, PLANS, 3)
    with pytest.raises(InputError, match="numpy: there none, here 2"):
        Journal(path, {**RUN, "numpy": "2"}, PLANS, 3)


def test_other_draws_are_refused(path):
    with pytest.raises(InputError, match="hold the same draws"):
        Journal(path, RUN, ["one", "other"], 3)


def test_more_draws_go_on_from_fewer(path):
    with Journal(path, RUN, [*PLANS, "three"], 3) as journal:
        assert sorted(journal.done) == UNITS
        assert journal.claim(Unit(2, 0))


@pytest.mark.parametrize("text", [b"a,b\n1,2\n", b"{", b'{"crc32":"00000000"'])
def test_what_is_no_journal_is_left_alone(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_bytes(text)
    if text.startswith(b'{"crc32":"') or b'{"crc32":"'.startswith(text):
        Journal(path, RUN, PLANS, 3).close()  # the torn beginning of a journal
        return
    with pytest.raises(InputError, match="be a journal of focalkit tune"):
        Journal(path, RUN, PLANS, 3)
    assert path.read_bytes() == text


def _hold(path, unit, ready):
    with Journal(path, RUN, PLANS, 3) as journal:
        ready.send(journal.claim(unit))
        signal.pause()


def test_a_journal_that_keeps_nothing_is_refused():
    with pytest.raises(InputError, match="journal must be a file on a disk, no pipe and no device; got '/dev/null'"):
        Journal(Path("/dev/null"), RUN, PLANS, 3)


def test_a_claim_keeps_others_out_and_dies_with_its_process(tmp_path):
    path, unit = tmp_path / "run.jsonl", Unit(1, 2)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_hold, args=(path, unit, there))
    process.start()
    try:
        assert here.poll(120)
        assert here.recv()
        with Journal(path, RUN, PLANS, 3) as journal:
            assert not journal.claim(unit)
            assert journal.claim(Unit(1, 1))
            os.kill(process.pid, signal.SIGKILL)
            process.join(30)
            assert journal.claim(unit)
    finally:
        process.kill()


def test_what_another_process_finished_is_not_claimed(path):
    with Journal(path, RUN, PLANS, 3) as journal:
        journal.done.clear()
        journal._read = 0
        assert not journal.claim(Unit(0, 0))
        assert Unit(0, 0) in journal.done


def line(record):
    body = json.dumps(record, separators=(",", ":")).encode()
    return b'{"crc32":"' + f"{zlib.crc32(body):08x}".encode() + b'","kept":' + body + b"}\n"


def test_a_journal_whose_first_line_is_damaged_is_refused_and_left_alone(path):
    text = bytearray(path.read_bytes())
    for at in (3, 12, 40, text.index(b"\n") - 1):
        broken = bytearray(text)
        broken[at] ^= 1
        path.write_bytes(broken)
        with pytest.raises(InputError, match="journal must be"):
            Journal(path, RUN, PLANS, 3)
        assert path.read_bytes() == broken


GOOD = {
    "unit": [0, 0], "cells": "one", "scores": [[0.5]], "decided": {"shape": [1, 1, 2, 2], "int32": ""},
    "ce_logits": None, "n_unconverged": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    "record",
    [
        {"x": 1}, [1], 7, None, "text", {"run": None}, {**GOOD, "unit": None}, {**GOOD, "unit": "ab"},
        {**GOOD, "unit": [0]}, {**GOOD, "unit": [0, 9]}, {**GOOD, "unit": [-1, 0]}, {**GOOD, "unit": [True, 0]},
        {**GOOD, "scores": "x"}, {**GOOD, "scores": [0.5]}, GOOD,
        {**GOOD, "decided": {"shape": [1], "int32": "eJwDAAAAAAE="}},
        {key: value for key, value in GOOD.items() if key != "decided"},
    ],
)  # fmt: skip
def test_a_record_of_another_form_is_refused_in_one_line(tmp_path, record):
    path = tmp_path / "run.jsonl"
    path.write_bytes(line({"run": RUN}) + line(record))
    with pytest.raises(InputError, match="journal must") as caught:
        Journal(path, RUN, PLANS, 3)
    assert "\n" not in str(caught.value)


def test_records_nested_without_end_are_refused(tmp_path):
    path = tmp_path / "run.jsonl"
    body = b"[" * 100_000 + b"]" * 100_000
    deep = b'{"crc32":"' + f"{zlib.crc32(body):08x}".encode() + b'","kept":' + body + b"}\n"
    for text in (deep, line({"run": RUN}) + deep):
        path.write_bytes(text)
        with pytest.raises(InputError, match="journal must hold records"):
            Journal(path, RUN, PLANS, 3)


def test_no_more_is_unpacked_than_a_record_says_that_it_holds(tmp_path):
    whole = base64.b64encode(zlib.compress(bytes(16))).decode()
    bomb = base64.b64encode(zlib.compress(bytes(100 << 20), 9)).decode()
    path = tmp_path / "run.jsonl"
    right = {**GOOD, "decided": {"shape": [1, 1, 2, 2], "int32": whole}}
    path.write_bytes(line({"run": RUN}) + line(right))
    with Journal(path, RUN, PLANS, 3) as journal:
        assert list(journal.done) == [Unit(0, 0)]
    for wrong in (
        {"decided": {"shape": [1, 1, 2, 2], "int32": bomb}},
        {"n_unconverged": -1},
        {"n_unconverged": 1 << 40},
    ):
        path.write_bytes(line({"run": RUN}) + line({**right, **wrong}))
        tracemalloc.start()
        with pytest.raises(InputError, match="journal must hold records"):
            Journal(path, RUN, PLANS, 3)
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
        tracemalloc.stop()


def test_results_before_the_line_that_says_what_run_it_is_are_refused(path):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[1:]))
    with pytest.raises(InputError, match="journal must"):
        Journal(path, RUN, PLANS, 3)
