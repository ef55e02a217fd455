"""``python -m focalkit``."""

from focalkit.cli import main

main()
