"""Processes that meet in torch.distributed (gloo): started once, and asked again and again."""

from __future__ import annotations

import datetime
import multiprocessing
import queue
import traceback

import torch
import torch.distributed as dist

PATIENCE = datetime.timedelta(seconds=60)
#: No answer takes this long, on however busy a machine; the first waits for PyTorch to be imported.
LONGEST = 600


class Ranks:
    """``ranks(size, function, *arguments)`` gives the list of ``function(rank, *arguments)`` of ``size`` processes."""

    def __init__(self, count, folder):
        context = multiprocessing.get_context("spawn")
        self.folder, self.meetings, self.size, self.asked = folder, 0, 0, 0
        self.orders = [context.Queue() for _ in range(count)]
        self.answers = context.Queue()
        self.processes = [
            context.Process(target=_serve, args=(rank, orders, self.answers), daemon=True)
            for rank, orders in enumerate(self.orders)
        ]
        for process in self.processes:
            process.start()

    def __call__(self, size, function, *arguments):
        if size != self.size:
            self.meetings, self.size = self.meetings + 1, size
        self.asked += 1
        for orders in self.orders[:size]:
            orders.put((self.asked, size, str(self.folder / f"meeting{self.meetings}"), function, arguments))
        answers = {}
        while len(answers) < size:
            try:
                asked, rank, answer = self.answers.get(timeout=LONGEST)
            except queue.Empty:
                self.part()
                raise
            if asked == self.asked:  # and not the late answer to a question that was given up
                answers[rank] = answer
        failures = [text for text, _ in answers.values() if text]
        if failures:
            self.part()
        assert not failures, "\n".join(failures)
        return [answers[rank][1] for rank in range(size)]

    def part(self):
        """Forget the meeting: the next call has a new one."""
        self.size = 0

    def close(self):
        for orders in self.orders:
            orders.put(None)
        for process in self.processes:
            process.join(20)


def _serve(rank, orders, answers):
    torch.set_num_threads(1)
    here = None
    while (order := orders.get()) is not None:
        asked, size, meeting, function, arguments = order
        try:
            if meeting != here:
                if dist.is_initialized():
                    dist.destroy_process_group()
                dist.init_process_group("gloo", f"file://{meeting}", PATIENCE, size, rank)
                here = meeting
            answers.put((asked, rank, ("", function(rank, *arguments))))
        except BaseException:
            answers.put((asked, rank, (f"rank {rank} of {size}\n{traceback.format_exc()}", None)))
    if dist.is_initialized():
        dist.destroy_process_group()
