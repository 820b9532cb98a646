"""Compiled or not, the masks are the same; and what cannot be compiled runs as it is."""

import logging

import numpy as np
import pytest

from virst_model.checkpoints.load import load
from virst_model.evaluate.film import Film, follow
from virst_model.evaluate.metrics import region
from virst_model.stream.compiled import PARTS, compile_frames
from virst_model.synthetic.scenes import demo_scene

OURS = "virst_model.stream.compiled"  # torch says much more
QUERIES = ("the red circle", "the blue square")


@pytest.fixture(scope="module")
def film():
    return Film(demo_scene().render, frames=16, fps=10, size=(120, 160))


@pytest.fixture(scope="module")
def eager(film):
    return follow(load(), film, QUERIES, delay=1)[0]


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records if record.name == OURS]


@pytest.mark.slow
def test_compiled_and_eager_give_the_same_masks(film, eager, caplog):
    model = compile_frames(load())

    masks = follow(model, film, QUERIES, delay=1).masks

    assert not warnings_in(caplog)
    for expected, mask in zip(eager, masks, strict=True):
        assert np.count_nonzero(expected) > 100
        assert region(expected, mask).mean() >= 0.999


def test_what_cannot_be_compiled_runs_as_it_is_and_says_so(film, eager, caplog):
    def broken(graph, inputs):
        raise RuntimeError("no compiler here")

    with caplog.at_level(logging.WARNING):
        model = compile_frames(load(), backend=broken)
    masks = follow(model, film, QUERIES, delay=1).masks

    lines = warnings_in(caplog)
    assert len(lines) == len(PARTS)
    assert all("no compiler here" in line for line in lines), lines
    assert np.array_equal(masks, eager)


def test_a_wrong_argument_is_no_reason_to_stop_compiling(caplog):
    model = compile_frames(load(), backend="eager")
    side = model.config.segmenter.side

    with pytest.raises(ValueError, match="image side"):
        model.segmenter.encode(
            model.frame_pixels(np.zeros((8, 8, 3), np.uint8))[None, :, :-1, :-1]
        )

    assert not warnings_in(caplog)
    assert model.encode_frame(np.zeros((side, side, 3), np.uint8)).s2.isfinite().all()
