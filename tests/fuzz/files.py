"""Files of every format: what was written is read back exactly, what was damaged is refused in one line or read whole.

The judges are the arrays that were written, ``truth.py`` in 60 digits for losses, and the checksums: a flipped bit that
a format's own checksum covers changes nothing that is accepted.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import judged
import mutate
import numpy as np
import pyarrow as pa
from mpmath import mp, mpf
from mutate import pick
from pyarrow import csv as arrow_csv
from pyarrow import ipc, parquet
from tests.golden import truth

from focalkit import InputError, Ledger, LossSpec, diagnose
from focalkit.decisions import DecisionRule, decide
from focalkit.diagnosis import diagnose_files
from focalkit.io import read_table
from focalkit.tuning.journal import Journal
from focalkit.tuning.units import Unit, UnitScores

FOLDER = Path(tempfile.mkdtemp(prefix="focalkit-fuzz-"))


def place(name: str) -> Path:
    """A file of this thread's own."""
    return FOLDER / f"{threading.get_ident()}-{name}"


@contextmanager
def in_words() -> Any:
    """Passes, or is refused in one line that any terminal shows."""
    try:
        yield
    except (InputError, MemoryError) as error:
        said = str(error)
        assert "\n" not in said.strip(), said
        assert len(said) < 2000, said
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in said), repr(said)


# --- writing


def as_csv(table: Any, rng: np.random.Generator) -> bytes:
    mark = pick(rng, ",;\t|")
    quoting = pick(rng, ("none", "needed", "all_valid"))
    stream = io.BytesIO()
    options = arrow_csv.WriteOptions(delimiter=mark, quoting_style=quoting)
    arrow_csv.write_csv(table, stream, options)
    text = stream.getvalue().decode()
    if rng.random() < 0.3 and mark == ";" and quoting == "none":
        text = text.replace(".", ",")
    if rng.random() < 0.3:
        text = text.replace("\n", pick(rng, ("\r\n", "\r")))
    return text.encode(pick(rng, ("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32")))


def as_lines(table: Any, rng: np.random.Generator) -> bytes:
    return pick(rng, (b"\n", b"\r\n")).join(json.dumps(row).encode() for row in table.to_pylist())


def as_json(table: Any, rng: np.random.Generator) -> bytes:
    rows = table.to_pylist()
    return json.dumps(pick(rng, (rows, table.to_pydict(), {"data": rows}))).encode()


def as_parquet(table: Any, rng: np.random.Generator) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(
        table,
        stream,
        row_group_size=int(rng.integers(3, 60)),
        compression=pick(rng, ("none", "snappy", "zstd", "gzip")),
        use_dictionary=bool(rng.integers(2)),
        data_page_version=pick(rng, ("1.0", "2.0")),
        data_page_size=int(rng.choice([64, 1 << 20])),
        write_statistics=bool(rng.integers(2)),
        write_page_checksum=True,
    )
    return stream.getvalue()


def as_arrow(table: Any, rng: np.random.Generator) -> bytes:
    stream = io.BytesIO()
    options = ipc.IpcWriteOptions(compression=pick(rng, (None, "lz4", "zstd")))
    new = pick(rng, (ipc.new_file, ipc.new_stream))
    with new(stream, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=int(rng.integers(3, 60)))
    return stream.getvalue()


def as_npz(table: Any, rng: np.random.Generator) -> bytes:
    stream = io.BytesIO()
    *features, label = table.column_names
    X = np.column_stack([table[name].to_numpy() for name in features])
    X = np.asfortranarray(X) if rng.random() < 0.5 else X
    names = ("logits", "targets") if features[0] == "logit0" else ("X", "y")
    y = table[label].to_numpy()
    y = y.astype(str) if y.dtype == object else y
    save = pick(rng, (np.savez, np.savez_compressed))
    more = {} if names[0] == "logits" else {"feature_names": features}
    save(stream, **dict(zip(names, (X, y), strict=True)), **more)
    return stream.getvalue()


def as_arff(table: Any, rng: np.random.Generator) -> bytes:
    *features, label = table.column_names
    lines = ["@relation fuzz", *(f"@attribute {name} {pick(rng, ('real', 'numeric'))}" for name in features)]
    lines.append(f"@attribute {label} {{{','.join(map(str, sorted(set(table[label].to_pylist()))))}}}")
    return "\n".join([*lines, "@data", *(",".join(map(str, row.values())) for row in table.to_pylist())]).encode()


def zipped(data: bytes, name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return stream.getvalue()


WRITERS: dict[str, Callable[[Any, np.random.Generator], bytes]] = {
    "csv": as_csv, "json": as_json, "jsonl": as_lines, "parquet": as_parquet, "arrow": as_arrow, "npz": as_npz,
}  # fmt: skip
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, "gz": lambda d: gzip.compress(d, mtime=0), "bz2": bz2.compress, "xz": lzma.compress,
}  # fmt: skip


def written(table: Any, rng: np.random.Generator, writers: Any) -> tuple[str, bytes, str, bytes]:
    """The name of its format, its bytes, the name with that of its compression, and those bytes."""
    kind = pick(rng, list(writers))
    data = writers[kind](table, rng)
    packed = pick(rng, ["", "", "", *PACKED, "zip"]) if kind != "npz" else ""  # which is an archive itself
    if packed == "zip":
        return kind, data, f"t.{kind}.zip", zipped(data, f"t.{kind}")
    return kind, data, f"t.{kind}{'.' if packed else ''}{packed}", PACKED[packed](data)


def saved(name: str, data: bytes) -> Path:
    path = place(name)
    path.write_bytes(data)
    return path


def damaged(kind: str, data: bytes, rng: np.random.Generator) -> bytes:
    """Between one and three things are wrong with it."""
    for _ in range(int(rng.integers(1, 4))):
        how = rng.random()
        if kind in ("csv", "arff", "json", "jsonl") and how < 0.7:
            data = mutate.of_text(data, rng)
        elif kind == "npz" and how < 0.6:
            data = _of_npz(data, rng)
        else:
            data = mutate.of_bytes(data, rng)
    return data


def _of_npz(data: bytes, rng: np.random.Generator) -> bytes:
    stream = io.BytesIO()
    with suppress(zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError, KeyError, zlib.error):
        with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(stream, "w") as out:
            names = archive.namelist()
            chosen = pick(rng, names)
            for name in names:
                inside = archive.read(name)
                out.writestr(name, mutate.of_npy(inside, rng) if name == chosen else inside)
        return stream.getvalue()
    return mutate.of_bytes(data, rng)


# --- tables


def some_table(rng: np.random.Generator) -> Any:
    n, k = int(rng.integers(40, 150)), int(rng.integers(1, 6))
    columns = {f"c{i}": rng.normal(size=n).round(5) for i in range(k)}
    words = pick(rng, (("rare", "usual"), ("a b", "c", "déjà"), ("x", "y", "z")))
    return pa.table({**columns, "label": np.array(words, object)[rng.integers(0, len(words), n)]})


def check_table(found: Any, table: Any) -> None:
    *features, label = table.column_names
    assert list(found.feature_names) == features, (found.feature_names, features)
    assert [str(v) for v in found.y] == table[label].to_pylist()
    want = np.column_stack([table[name].to_numpy() for name in features])
    assert np.array_equal(found.X, want) or np.allclose(found.X, want, rtol=1e-15, atol=0), "other numbers"


def tables(rng: np.random.Generator) -> None:
    """What was written is read back; damaged, it is refused or read as a table all the same."""
    table = some_table(rng)
    ascii_only = all(word.isascii() for word in set(table["label"].to_pylist()))
    writers = WRITERS | ({"arff": as_arff} if ascii_only and "a b" not in table["label"].to_pylist() else {})
    kind, data, name, packed = written(table, rng, writers)
    if rng.random() < 0.2:
        check_table(read_table(saved(name, packed)), table)
        return
    if packed != data or kind == "npz":  # a checksum covers every byte that matters
        with in_words():
            check_table(read_table(saved(name, mutate.flipped(packed, rng))), table)
        return
    path = saved(f"t.{kind}", damaged(kind, data, rng))
    with in_words():
        found = read_table(path, skip_damaged=bool(rng.integers(2)))
        assert len(found.X) == len(found.y) == len(found.rows)
        assert found.X.shape[1] == len(found.feature_names) > 0
        assert (np.diff(found.rows) > 0).all()
        assert not np.isinf(found.X).any()


# --- predictions


def focal_loss(logits: Any, targets: Any, gamma: float) -> float:
    """Summed, in 60 digits."""
    with judged.PRECISION, mp.workdps(60):
        k = logits.shape[1]
        hot = [[mpf(int(j == t)) for j in range(k)] for t in targets]
        rows = [truth.row_values([*map(float, z)], t, [mpf(gamma)] * k) for z, t in zip(logits, hot, strict=True)]
        return float(sum(row["loss"][0].value for row in rows))


def predictions(rng: np.random.Generator) -> None:
    """The loss of predictions in a file is that of the arrays; a damaged file is refused, or has rows with a loss."""
    n, k = int(rng.integers(20, 60)), int(rng.integers(2, 5))
    logits, targets = (rng.normal(size=(n, k)) * 3).round(4), rng.integers(0, k, n)
    targets[:k] = np.arange(k)
    table = pa.table({**{f"logit{i}": logits[:, i] for i in range(k)}, "target": targets})
    kind, data, name, packed = written(table, rng, WRITERS)
    gamma = float(pick(rng, (0, 0.5, 2)))
    if rng.random() < 0.3:
        found = diagnose_files(saved(name, packed), gamma=gamma).ledger
        want = focal_loss(logits, targets, gamma)
        assert found.n_samples == n
        assert abs(found.exact_loss.sum() - want) <= 1e-12 * (n + want), (found.exact_loss.sum(), want)
        return
    path = saved(f"t.{kind}", damaged(kind, data, rng))
    with in_words():
        found = diagnose_files(path, gamma=gamma, skip_damaged=bool(rng.integers(2))).ledger
        assert 0 < found.count.sum()
        assert (found.exact_loss >= 0).all()


# --- what the program wrote itself


def ledgers(rng: np.random.Generator) -> None:
    """A ledger that was tampered with is refused, or one that says of itself what it says again."""
    link = pick(rng, ("softmax", "sigmoid"))
    n, k = int(rng.integers(1, 30)), int(rng.integers(2, 4))
    targets = rng.integers(0, k, n) if link == "softmax" else rng.integers(0, 2, (n, k))
    text = diagnose(rng.normal(size=(n, k)) * 4, targets, LossSpec(link, 1.0)).to_json().encode()
    for _ in range(int(rng.integers(1, 3))):
        try:
            forged = rng.random() < 0.8
            text = mutate.dumped(mutate.of_json(json.loads(text), rng)) if forged else mutate.of_bytes(text, rng)
        except (ValueError, RecursionError):
            break
    with in_words():
        found = Ledger.from_json(text.decode("utf-8", "surrogateescape"))
        found.shares()
        again = Ledger.from_json(found.to_json())
        assert np.array_equal(again.count, found.count)
        assert (found.count >= 0).all()
        assert np.isfinite(found.exact_loss).all()


def rules(rng: np.random.Generator) -> None:
    """A rule of decisions that was tampered with is refused, or decides."""
    n, k = 90, int(rng.integers(2, 4))
    scores = rng.dirichlet(np.ones(k), n)
    y = rng.integers(0, k, n)
    y[: 10 * k] = np.arange(10 * k) % k  # for five folds
    metric = pick(rng, ("balanced_accuracy", "macro_f1"))
    tampered = mutate.of_json(json.loads(decide(scores, y, metric).to_json()), rng)
    text = json.dumps(tampered if isinstance(tampered, dict) else {})
    with in_words():
        rule = DecisionRule.from_json(text)
        assert len(rule.decide(scores)) == n


RUN, PLANS, N_FOLDS = {"seed": "0", "metric": "'mcc'"}, ["one", "two"], 2


def _scores(unit: Unit) -> UnitScores:
    rng = np.random.default_rng(list(unit))
    decided = rng.integers(0, 9, (1, 4, 2, 2)).astype(np.int32)
    return UnitScores(rng.random((1, 3)), decided, rng.normal(size=(3, 2)), unit.fold)


def _journal() -> bytes:
    path = place("whole.jsonl")
    with Journal(path, RUN, PLANS, N_FOLDS) as journal:
        for unit in (Unit(plan, fold) for plan in range(2) for fold in range(N_FOLDS)):
            assert journal.claim(unit)
            journal.keep(unit, _scores(unit))
    return path.read_bytes()


def journals(rng: np.random.Generator) -> None:
    """Of a journal that was tampered with nothing is taken but what its checksums cover, or it is refused."""
    whole = saved("whole.jsonl", b"") and _journal()
    forged = rng.random() < 0.5
    path = saved("j.jsonl", mutate.of_journal(whole, rng) if forged else mutate.of_bytes(whole, rng))
    with in_words(), Journal(path, RUN, PLANS, N_FOLDS) as journal:
        for unit, found in journal.done.items():
            assert found.scores.ndim == 2
            if not forged:
                want = _scores(unit)
                assert np.array_equal(found.scores, want.scores)
                assert np.array_equal(found.decided, want.decided)


CASES = {"tables": tables, "predictions": predictions, "ledgers": ledgers, "rules": rules, "journals": journals}
