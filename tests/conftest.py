"""What every test has: the engines, and one reproducible hypothesis profile."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.adapters import ENGINES

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=12, database=None)
settings.register_profile(
    "explore", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("slow", settings.get_profile("explore"), max_examples=150)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # what a shell runs in the background has no Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def ranks(tmp_path_factory):
    """Three processes that meet in torch.distributed."""
    from tests.ranks import Ranks

    ranks = Ranks(3, tmp_path_factory.mktemp("meetings"))
    yield ranks
    ranks.close()


@pytest.fixture(scope="session", params=ENGINES, ids=lambda engine: engine.name)
def engine(request):
    return request.param


@pytest.fixture(autouse=True)
def _as_many_examples_as_the_engine_has_time_for(request):
    """A slow engine sees fewer of hypothesis's examples."""
    callspec = getattr(request.node, "callspec", None)
    engine = callspec.params.get("engine") if callspec else None
    test = getattr(request.node, "obj", None)
    if engine is None or engine.thinning == 1 or not hasattr(test, "hypothesis"):
        yield
        return
    usual = test._hypothesis_internal_use_settings
    fewer = max(3, usual.max_examples // engine.thinning)  # the first one that is drawn is trivial
    test._hypothesis_internal_use_settings = settings(usual, max_examples=fewer)
    yield
    test._hypothesis_internal_use_settings = usual
