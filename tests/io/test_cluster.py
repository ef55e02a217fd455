"""What a cluster loses is sent anew, a few times; the results are those of a cluster that loses nothing."""

import threading
import time

import pytest

from focalkit.io import cluster

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def address():
    """A scheduler and a worker of two threads, in this process."""
    settings = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as here:
        yield here.scheduler_address


@pytest.fixture
def client(address):
    with cluster.connected(address, "dask", "be an address") as client:
        yield client


released = threading.Event()


def held(shared, piece):
    released.wait(60)


def add(shared, piece):
    time.sleep(0.02)
    return shared + piece


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("scatters", [False, True])
def test_a_connection_that_breaks_costs_no_result(client, ordered, scatters):
    found = []
    work = cluster.Work(client, add, 10, scatters=scatters)
    for piece, result in work.results(range(12), ordered=ordered):
        found.append((piece, result))
        if len(found) in (2, 5):
            before = client.scheduler_comm
            client.loop.add_callback(before.comm.abort)
            while client.scheduler_comm is before:  # until that is noticed
                time.sleep(0.001)
    assert (found if ordered else sorted(found)) == [(piece, 10 + piece) for piece in range(12)]


def test_data_that_all_workers_lost_is_sent_anew(client):
    found = []
    work = cluster.Work(client, add, 10, scatters=True)
    for piece, result in work.results(range(6)):
        found.append((piece, result))
        if len(found) == 2:
            client.cancel([work._there], force=True)
    assert sorted(found) == [(piece, 10 + piece) for piece in range(6)]


def test_what_is_lost_again_and_again_is_given_up_in_one_line(client):
    sent = []

    class Losing(cluster.Work):
        def _send(self, number, piece, losses):
            super()._send(number, piece, losses)
            sent.append(losses)
            client.cancel([self._sent[number].future])

    try:
        with (
            pytest.raises(ChildProcessError, match=r"^a worker was killed$"),
            cluster.losses_said("a worker was killed"),
        ):
            list(Losing(client, held, None).results([1]))
    finally:
        released.set()
    assert sent == list(range(cluster.LOSSES + 1))


def test_the_error_of_a_piece_is_its_own(client):
    def fails(shared, piece):
        raise TimeoutError(110, "the file's server is gone")

    with pytest.raises(TimeoutError, match="the file's server is gone"), cluster.losses_said("a worker was killed"):
        list(cluster.Work(client, fails, None).results([1, 2]))


def test_workers_that_do_not_answer_are_left_out_while_others_do(client):
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as two:
        first = two.workers[0].address

        def asked(dask_worker):
            if dask_worker.address == first:
                raise TimeoutError
            return 3

        with distributed.Client(two, set_as_default=False) as of_two:
            assert cluster.everywhere(of_two, asked) == {two.workers[1].address: 3}

    def dead():
        raise OSError(5, "it was killed")

    with pytest.raises(ChildProcessError, match="no worker of the Dask cluster answers"):
        cluster.everywhere(client, dead)
