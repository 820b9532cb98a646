"""What is drawn ahead of a step: in order, by threads or by processes."""

import itertools
import os
import signal

import pytest
import torch

from virst_model.train.batches import Batch
from virst_model.train.drawers import drawn_ahead
from virst_model.train.snapshots import TrainingError
from virst_model.train.stages import EYES
from virst_model.train.synthetic import SyntheticBatches

BOTH = pytest.mark.parametrize("apart", [False, True], ids=["threads", "processes"])


def take(numbers_and_drawn, count):
    return list(itertools.islice(numbers_and_drawn, count))


@BOTH
def test_numbers_come_in_order(apart):
    drawn = drawn_ahead(lambda number: number**2, itertools.count(3), 3, apart)
    assert take(drawn, 4) == [(3, 9), (4, 16), (5, 25), (6, 36)]
    drawn.close()


@BOTH
def test_a_row_that_ends_is_drawn_to_its_end(apart):
    assert list(drawn_ahead(str, range(5), 2, apart)) == [(n, str(n)) for n in range(5)]


@BOTH
def test_what_drawing_raises_is_raised(apart):
    def draw(number):
        raise FileNotFoundError(f"number {number}")

    with pytest.raises(FileNotFoundError, match="number 7"):
        take(drawn_ahead(draw, [7], 2, apart), 1)


def test_processes_are_others_than_this_one():
    drawn = dict(drawn_ahead(lambda number: os.getpid(), range(2), 1, apart=True))
    assert os.getpid() not in drawn.values()


def test_a_process_that_is_killed_ends_the_run_with_a_line():
    def draw(number):
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(TrainingError, match="lack of memory: give fewer than drawers=2"):
        take(drawn_ahead(draw, range(4), 2, apart=True), 1)


def test_ctrl_c_does_not_reach_the_processes():
    """A terminal sends it to all; the training ends after its step, which needs what is drawn."""

    def draw(number):
        os.kill(os.getpid(), signal.SIGINT)
        return number

    assert take(drawn_ahead(draw, range(3), 1, apart=True), 3) == [(0, 0), (1, 1), (2, 2)]


def test_no_process_is_left():
    pids = {pid for _, pid in drawn_ahead(lambda number: os.getpid(), range(4), 2, apart=True)}
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def tensors_of(record):
    if isinstance(record, torch.Tensor):
        return [record]
    parts = vars(record).values() if hasattr(record, "__dataclass_fields__") else ()
    return [tensor for part in parts for tensor in tensors_of(part)]


def test_batches_of_processes_are_those_of_threads_to_the_last_bit():
    """After OpenCV and torch have had threads of their own here, which no fork takes along."""
    torch.randn(512, 512) @ torch.randn(512, 512)
    batches = SyntheticBatches(EYES[0].draws, side=64, seed=5, drawn=True)
    here = [batches.draw(number) for number in range(2)]
    there = [batch for _, batch in drawn_ahead(batches.draw, range(2), 2, batches.apart)]

    for own, other in zip(here, there, strict=True):
        assert isinstance(other, Batch)
        pairs = list(zip(tensors_of(own), tensors_of(other), strict=True))
        assert len(pairs) > 5
        assert all(torch.equal(a, b) for a, b in pairs)
