"""Compiled or not, the masks are the same; and what cannot be compiled runs as it is."""

import logging

import numpy as np
import pytest
from streams import real_model, smallest
import torch

from virst_model.checkpoints.load import load
from virst_model.evaluate.film import Film, follow
from virst_model.evaluate.metrics import region
from virst_model.stream.compiled import PARTS, compile_frames
from virst_model.synthetic.scenes import demo_scene

OURS = "virst_model.stream.compiled"  # torch says much more
QUERIES = ("the red circle", "the blue square")


@pytest.fixture(autouse=True)
def _nothing_compiled_before():
    """A process compiles a method eight times at the most, and then says nothing more."""
    torch._dynamo.reset()


@pytest.fixture(scope="module")
def film():
    return Film(demo_scene().render, frames=16, fps=10, size=(120, 160))


@pytest.fixture(scope="module")
def eager(film):
    return follow(model(), film, QUERIES, delay=1)[0]


def model():
    """Of the least size: what takes minutes of the packaged one is compiling its layers."""
    return real_model(smallest())


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records if record.name == OURS]


def test_what_was_traced_gives_the_same_masks(film, eager, caplog):
    compiled = compile_frames(model(), backend="aot_eager")

    masks = follow(compiled, film, QUERIES, delay=1).masks

    assert not warnings_in(caplog)
    same(eager, masks)


@pytest.mark.long
@pytest.mark.parametrize("whose", [load, model], ids=["the packaged model", "the smallest"])
def test_compiled_and_eager_give_the_same_masks(whose, film, caplog):
    """C++ for minutes, whatever the model's size, where the compiler's cache is cold."""
    expected = follow(whose(), film, QUERIES, delay=1).masks

    masks = follow(compile_frames(whose()), film, QUERIES, delay=1).masks

    assert not warnings_in(caplog)
    same(expected, masks)


def same(expected, found):
    for ours, theirs in zip(expected, found, strict=True):
        assert 100 < np.count_nonzero(ours) < ours.size
        assert region(ours, theirs).mean() >= 0.999


def test_what_cannot_be_compiled_runs_as_it_is_and_says_so(film, eager, caplog):
    def broken(graph, inputs):
        raise RuntimeError("no compiler here")

    with caplog.at_level(logging.WARNING):
        compiled = compile_frames(model(), backend=broken)
    masks = follow(compiled, film, QUERIES, delay=1).masks

    lines = warnings_in(caplog)
    assert len(lines) == len(PARTS)
    assert all("no compiler here" in line for line in lines), lines
    assert np.array_equal(masks, eager)


def test_a_wrong_argument_is_no_reason_to_stop_compiling(caplog):
    compiled = compile_frames(model(), backend="eager")
    side = compiled.config.segmenter.side

    with pytest.raises(ValueError, match="image side"):
        pixels = compiled.frame_pixels(np.zeros((8, 8, 3), np.uint8))
        compiled.segmenter.encode(pixels[None, :, :-1, :-1])

    assert not warnings_in(caplog)
    assert compiled.encode_frame(np.zeros((side, side, 3), np.uint8)).s2.isfinite().all()
