"""Run a file or ``-m module`` with the sanitized build in front of an installed one; see sanitize.sh."""

import os
import runpy
import sys


def main() -> None:
    # an editable install answers imports before sys.path is asked
    sys.meta_path[:] = [finder for finder in sys.meta_path if "ScikitBuild" not in type(finder).__name__]
    sys.path.insert(0, os.environ["FOCALKIT_PACKAGE"])
    arguments = sys.argv[1:]
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
