"""What the commands share: options, numbers in them, places to write to, errors in one line, progress."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from focalkit._core import contracts
from focalkit._core.contracts import InputError
from focalkit._core.message import Message
from focalkit.report.format import visible
from focalkit.report.messages import say, word

if TYPE_CHECKING:
    from focalkit.report.terminal.console import Terminal
    from focalkit.tuning.collection import Progress as State

#: Where a context keeps the words of its command.
_GIVEN = "focalkit.given"

#: The place that stands for standard output.
STDOUT = "-"


class OneLine(click.Command):
    """A command whose errors are one line on the error stream, and which takes no option twice unless it says so.

    Contract breaks and wrong options exit with 2, a missing extra or an unwritable file with 1, Ctrl-C with 130.
    """

    def invoke(self, ctx: click.Context) -> object:
        """Run it."""
        with one_line_errors(ctx):
            return super().invoke(ctx)

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> click.Context:
        """Read the options."""
        try:
            return super().make_context(info_name, args, *more, **extra)
        except click.UsageError as error:
            _stop(error.format_message(), 2)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse an option that is given again: the last one would win in silence."""
        ctx.meta[_GIVEN] = list(args)
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        seen = set()
        for parameter in order:
            if isinstance(parameter, click.Option) and not parameter.multiple and not parameter.is_flag:
                if parameter.name in seen:
                    message = f"{parameter.opts[-1]} is given more than once; this command takes one."
                    raise click.UsageError(message, ctx)
                seen.add(parameter.name)
        return super().parse_args(ctx, args)


def _stop(message: str, code: int) -> NoReturn:
    click.echo(f"focalkit: {visible(message)}", err=True)
    sys.exit(code)


@contextmanager
def one_line_errors(context: click.Context) -> Iterator[None]:
    """Turn what can go wrong into one line and an exit code."""
    message, code = "", 0
    try:
        yield
    except click.exceptions.Exit:  # a RuntimeError too: the command inside has said why
        raise
    except InputError as error:
        message, code = in_options(str(error), context.command), 2
    except click.UsageError as error:
        message, code = error.format_message(), 2
    except ImportError as error:
        message, code = str(error), 1
    except BrokenPipeError:
        # whoever read our output has had enough: what is left of it goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        message, code = f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), 1
    except MemoryError as error:
        message, code = f"out of memory{f': {error}' if str(error) else ''}. Fewer --jobs need less of it.", 1
    except (KeyboardInterrupt, click.Abort):
        message, code = "interrupted", 130
    except RuntimeError as error:
        if not _of_an_interrupt(error):
            raise
        message, code = "interrupted", 130
    if message:
        click.echo(f"focalkit: {visible(message)}", err=True)
    if code:
        context.exit(code)


#: What the functions' arguments are called among a command's, where it is another name.
_CALLED_HERE = {"target": "targets", "class_names": "classes", "cv": "folds", "n_jobs": "jobs"}
_ARGUMENT = re.compile(r"\b([a-z]\w*)=(True\b|'[^']*'|\w*)|'[^']*'")


def in_options(text: str, command: click.Command) -> str:
    """What errors call arguments of functions, as options of ``command``: ``encoding=`` is ``--encoding``.

    What stands in quotes is the user's, and stays.
    """
    flags = {p.name: p.opts[0] for p in command.params if isinstance(p, click.Option)}

    def option(found: re.Match[str]) -> str:
        name, value = found[1], (found[2] or "").strip("'")
        flag = flags.get(name) or flags.get(_CALLED_HERE.get(name, ""))
        if flag is None:
            return found[0]
        return flag if value in ("", "True") else f"{flag} {value}"

    return _ARGUMENT.sub(option, text)


def _of_an_interrupt(error: BaseException | None) -> bool:
    """Whether it came of Ctrl-C: in the midst of a lock of Python's that leaves "release unlocked lock" behind."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


# --- values


def parts(text: str) -> list[str]:
    """The parts of a list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def number(name: str, text: str) -> float:
    """One number of a list."""
    try:
        return float(text)
    except ValueError:
        contracts.reject(name, "be numbers separated by commas", text, "E.g. 0,0.5,2")


def numbers(name: str, text: str) -> tuple[float, ...]:
    """All numbers of a list with commas."""
    return tuple(number(name, part) for part in text.split(","))


def one_or_more(name: str, text: str | None) -> Any:
    """A number, or a tuple of them; None for none."""
    if text is None:
        return None
    values = numbers(name, text)
    return values[0] if len(values) == 1 else values


class Jobs(click.ParamType):  # type: ignore[type-arg]
    """A number of processes or threads: at least 1, or -1 for one per core."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it; more than there are cores by far is a slip."""
        return contracts.jobs("--jobs", int(value) if str(value).removeprefix("-").isdecimal() else value)


SEED = click.IntRange(0, 2**32 - 1)

#: Options about the files that both commands read.
READING = ("header", "delimiter", "decimal", "encoding", "drop")


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """How text files are read, and which columns are not."""
    shared: tuple[tuple[Any, dict[str, Any]], ...] = (
        ("--header/--no-header", {"default": None, "help": "Text: whether the first line names the columns."}),
        ("--delimiter", {"metavar": "CHARACTER", "help": "Text: between the columns, e.g. ';' or tab."}),
        ("--decimal", {"type": click.Choice([".", ","]), "help": "Text: decimal mark of its numbers."}),
        (
            "--encoding",
            {"metavar": "NAME", "help": "Text: e.g. latin-1, cp1252, gb18030. Each is found out by default."},
        ),
        ("--drop", {"metavar": "COLUMN", "multiple": True, "help": "A column to leave out; may be given again."}),
    )
    for flag, settings in reversed(shared):
        command = click.option(flag, **settings)(command)
    return command


def no_file_options(context: click.Context, names: Sequence[str]) -> None:
    """Options about files need a file."""
    given = [p.opts[0] for p in context.command.params if p.name in names and _given(context, p.name)]
    if given:
        contracts.reject("FILE", f"be given with {', '.join(given)}", None, f"focalkit {context.info_name} FILE …")


def _given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE


_LANGUAGES = {"en": "en", "zh-CN": "zh-CN", "zh": "zh-CN"}


def language_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--language``, of the page and the terminal."""
    return click.option(
        "--language",
        type=click.Choice(list(_LANGUAGES)),
        default="en",
        show_default=True,
        callback=lambda _, __, value: _LANGUAGES[value],
        help="Of the page and the terminal.",
    )(command)


def place_option(flag: str, name: str, text: str) -> Callable[..., Any]:
    """An option that names a file to write; ``-`` is standard output."""
    return click.option(flag, name, type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), help=text)


# --- places


def check_places(*places: Path | None) -> None:
    """Refuse what cannot be written, before the work whose result it is to hold."""
    from focalkit.io.atomic import check_writable

    files = [place for place in places if place is not None and str(place) != STDOUT]
    if sum(str(place) == STDOUT for place in places if place is not None) > 1:
        contracts.reject("output", "be standard output (-) once", STDOUT, "Name a file for the others.")
    if len({place.resolve() for place in files}) < len(files):
        contracts.reject("output", "be another file for each report", files[-1], "Name different files.")
    for place in files:
        if not place.resolve().parent.is_dir():
            contracts.reject("output folder", "exist", place.resolve().parent, "Create it first.")
        if place.is_dir():
            contracts.reject("output", "be a file", place, "Name one in that folder.")
        if place.is_file() and any(os.path.samefile(place, read) for read in _files_read(places)):
            contracts.reject("output", "be another file than those that are read", place, "Name a new file.")
        check_writable(place)


def _files_read(places: tuple[Path | None, ...]) -> Iterator[str]:
    """The files that the command's other arguments name."""
    context = click.get_current_context(silent=True)
    for value in context.params.values() if context else ():
        for one in value if isinstance(value, tuple) else (value,):
            named = isinstance(one, (str, Path)) and not any(one is place for place in places)
            if named and "\0" not in str(one) and os.path.isfile(one):
                yield str(one)


def write_out(place: Path, text: str) -> bool:
    """Write ``text`` to its place; whether that is a file."""
    from focalkit.io.atomic import write_text

    if str(place) == STDOUT:
        stream = sys.stdout.buffer if hasattr(sys.stdout, "buffer") else None
        data = text if text.endswith("\n") else text + "\n"
        if sys.stdout.isatty():  # which would act by the control characters of names
            data = "\n".join(map(visible, data.split("\n")))
        if stream is None:
            sys.stdout.write(data)
        else:
            stream.write(data.encode("utf-8", "backslashreplace"))
            stream.flush()
        return False
    write_text(place, text)
    return True


def to_stdout(*places: Path | None) -> bool:
    """Whether one of them is standard output, which then holds nothing else."""
    return any(place is not None and str(place) == STDOUT for place in places)


def command_line(context: click.Context) -> str:
    """The command as it was given."""
    return shlex.join(["focalkit", str(context.info_name), *context.meta[_GIVEN]])


# --- progress


#: Columns of a terminal from which there is room for the bar, and for what else there is to say.
NARROW, WIDE = 48, 80


def announced(terminal: Terminal, title: str, notes: Sequence[Any], *, shown: bool, language: str) -> None:
    """Say before any work what it is about and what was noted; the notes alone, as errors, where output is a file."""
    if shown:
        terminal.line(f"focalkit tune · {title}", "bold")
    for note in notes:
        if shown:
            terminal.line(Message("note", note=note), "yellow")
        else:
            click.echo(word("note", language, note=say(note, language)), err=True)


class Progress:
    """A bar on the terminal's error stream; one line a minute where that is no terminal.

    Parameters
    ----------
    key : str
        What is done, in the catalogue.
    language : str
        Of the lines.
    quiet : bool
        Show nothing.
    every : float
        Seconds between lines.
    """

    def __init__(self, key: str, language: str, quiet: bool, every: float = 60.0, console: Any = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.title, self.language, self.quiet, self.every = word(key, language), language, quiet, every
        console = Console(stderr=True, markup=False, highlight=False) if console is None else console
        columns: list[Any] = [
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[count]}", markup=False),
            TimeRemainingColumn(compact=console.width < NARROW),
        ]
        if console.width >= NARROW:  # name, count and time left come before all else
            columns.insert(1, BarColumn(bar_width=min(24, console.width - NARROW + 8)))
        if console.width >= WIDE:
            columns.append(TextColumn("{task.fields[text]}", style="dim", markup=False))
        self.shown = not quiet and console.is_terminal
        self.bar = Bar(*columns, console=console, transient=True, disable=not self.shown)
        self.task = self.bar.add_task(self.title, total=None, count="", text="")
        self.started = self.last = time.monotonic()

    def update(self, done: float, total: float, count: str, text: str = "", short: str = "") -> None:
        """``done`` of ``total`` (0: not known), said as ``count``; ``text`` is what else there is to say.

        ``short`` is said in its place where that does not fit.
        """
        if self.shown:
            from rich.cells import cell_len

            room = (
                self.bar.console.width - sum(map(cell_len, (self.title, count))) - len("━" * 24 + " 0:00:00" + " " * 4)
            )
            # whole or not at all: figures are never cut
            text = next((said for said in (text, short) if cell_len(said) <= room), "")
            self.bar.update(self.task, completed=done, total=total or None, count=count, text=text)
            return
        now = time.monotonic()
        if self.quiet or now - self.last < self.every:
            return
        self.last = now
        said = [self.title, count]
        if 0 < done < total:
            rest = (now - self.started) * (total - done) / done
            minutes, seconds = divmod(round(rest), 60)
            time_left = (
                f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"
            )
            said.append(word("progress.left", self.language, time=time_left))
        click.echo("focalkit: " + ", ".join([*said, *([text] if text else [])]), err=True)

    def of_run(self, state: State) -> None:
        """How far ``tune`` is, and the best cell so far."""
        best = short = ""
        if state.best is not None:
            from focalkit.report.format import score as with_error
            from focalkit.tuning.scores import metric_named

            score = with_error(state.mean, state.standard_error, metric_named(state.metric).shown_as)
            best = word("progress.best", self.language, cell=state.best, metric=state.metric, score=score)
            short = word("progress.best_short", self.language, cell=state.best, score=score)
        count = word("progress.of", self.language, done=state.done, total=state.total)
        self.update(state.done, state.total, count, best, short)

    def __enter__(self) -> Progress:
        if self.shown:  # rich before 14.1 ends a bar that is disabled with an empty line
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.shown:
            self.bar.stop()
