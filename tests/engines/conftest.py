"""What the tests of several engines share."""

import pytest

from focalkit.engines import _cpu
from focalkit.engines.cpu import machine


@pytest.fixture(params=machine.instruction_sets())
def instruction_set(request):
    before = machine.instruction_set()
    assert _cpu.choose_instruction_set(request.param)
    yield request.param
    _cpu.choose_instruction_set(before)
