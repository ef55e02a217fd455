"""Progress tells a name, a count and the time left in any width, and never a figure that is none."""

import io

import pytest
from rich.console import Console

from focalkit.cli.options import Progress


def shown(width, done=30, total=120):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    bar = Progress("progress.tune", "en", False, console=console)
    bar.update(done, total, f"{done} of {total}", "best so far: CE shifted, τ chosen, balanced accuracy 71.2 ± 3.4")
    table = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    table.print(bar.bar.get_renderable())
    return table.file.getvalue().rstrip("\n")


@pytest.mark.parametrize("width", [24, 32, 40, 48, 60, 80, 120])
def test_name_count_and_time_left_are_there_in_every_width(width):
    text = shown(width)
    assert "\n" not in text
    assert len(text) <= width
    for part in ("tuning", "30 of 120", "--:--"):
        assert part in text
    assert "nan" not in text
    assert ("━" in text) == (width >= 48)
    assert ("best so far" in text) == (width >= 120)


def test_the_first_answer_is_said_in_fewer_words_where_the_whole_does_not_fit():
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    bar = Progress("progress.tune", "en", False, console=console)
    bar.update(2, 25, "2 of 25", "best so far: CE, α n^-0.75, τ chosen, balanced accuracy 71.2 ± 3.4", "71.2 ± 3.4")
    (row,) = bar.bar.tasks
    assert row.fields["text"] == "71.2 ± 3.4"
