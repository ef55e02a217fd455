"""Print what an extra of pyproject.toml installs, a requirement a line: pip can fetch it while the kernels compile.

python packaging/requirements.py test
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


def requirements(extra: str) -> list[str]:
    """The requirements of ``extra``, with those of the extras that it names, each once."""
    found: dict[str, None] = {}
    for line in PROJECT["optional-dependencies"][extra]:
        own = re.fullmatch(rf"{PROJECT['name']}\[(.+)\]", line)
        inner = [each for name in own[1].split(",") for each in requirements(name)] if own else [line]
        found.update(dict.fromkeys(inner))
    return list(found)


if __name__ == "__main__":
    print("\n".join(dict.fromkeys([*PROJECT["dependencies"], *requirements(sys.argv[1])])))
