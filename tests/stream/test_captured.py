"""What was captured gives the masks of the plain model, and nothing is captured in a stream."""

import logging

import numpy as np
import pytest
from recorded import TracedRecorder
from streams import noise_frames, query, real_model, session, smallest
import torch

from virst_model.answer import TRACKING
from virst_model.bench.engines import twin_of
from virst_model.model.features import Decoded, FrameFeatures
from virst_model.model.memory import Memory
from virst_model.model.tracking import track_anchor
from virst_model.stream.captured import ROWS, Captured, capturing
from virst_model.stream.compiled import compile_frames
from virst_model.stream.engine import EngineError, engine_of, use_engine

OURS = "virst_model.stream.captured"


@pytest.fixture
def recorder():
    return TracedRecorder()


@pytest.fixture
def model(recorder):
    model = real_model(smallest())
    Captured(model.segmenter, recorder)
    return model


def follow(model, queries, frames=30, warm=True, **options):
    """(frames, queries) masks of a stream whose queries come one after the other."""
    masks = []
    options = {"window_size": 8, "grounding_delay_frames": 1, "max_queries": 8, **options}
    with session(model, **options) as stream:
        if warm:
            stream.warm_up(48, 64)
        for t, image in enumerate(noise_frames(frames)):
            asked = queries[min(t // 4, len(queries) - 1)]
            stream.set_queries(tuple(query(i, f"red circle {i}") for i in range(1, asked + 1)))
            result = stream.step(image, float(t))
            masks.append([answer.mask_HW for answer in result.results])
    assert all(answer.state == TRACKING for answer in result.results)
    return masks


def assert_same(found, expected):
    """Sums of a padded batch are in another order."""
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert np.mean(one != other) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [None, 1, 5])
def test_captured_frames_are_those_of_the_plain_model(model, recorder, alpha):
    queries = (1, 3, 2, 5, 4)  # padded, and with fewer than before
    plain = follow(real_model(smallest()), queries, alpha=alpha)
    # encode; anchors; memory; reads with and without a mask; memories of more than one anchor
    made = 1 + 4 * len(ROWS[:4]) + len(ROWS[1:4])

    found = follow(model, queries, alpha=alpha)

    assert recorder.recordings == made and recorder.replays > 50
    assert_same(found, plain)
    assert any(mask.any() and not mask.all() for masks in plain for mask in masks)


# 1 row, 1 and 2 anchors, and memories of 2; 1, 2 and 4 rows, 1, 2, 4 and 8 anchors, and memories
# of as many but one, which is a query's.
@pytest.mark.parametrize(("most", "sizes", "anchors"), [(1, 1, 2 + 1), (3, 3, 4 + 3)])
def test_only_as_many_queries_as_a_session_takes_are_captured_for(
    model, recorder, most, sizes, anchors
):
    for _ in range(2):  # what is there is not captured again
        with session(model, max_queries=most) as stream:
            stream.warm_up(48, 64)
    assert recorder.recordings == 1 + 3 * sizes + anchors


@torch.inference_mode()
def test_anchors_of_several_frames_are_one_launch_of_what_was_captured(model, recorder):
    frames = [model.encode_frame(image) for image in noise_frames(3)]
    prompts = torch.randn(3, 10, model.config.segmenter.dim)
    expected = [model.decode_anchor(f, p) for f, p in zip(frames, prompts, strict=True)]
    with capturing(model, 1, 4):
        model.decode_anchors(frames[0], prompts[:1])
    assert recorder.recordings == 3  # for 1, 2 and 4

    before = recorder.replays
    found = model.decode_anchors(FrameFeatures.join(frames), prompts)

    assert recorder.replays == before + 1
    for row, one in enumerate(expected):
        torch.testing.assert_close(found.logits[row], one.logits[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found.object_score[row], one.object_score[0])


@torch.inference_mode()
def test_memories_of_anchors_of_several_frames_are_one_launch_of_what_was_captured(
    model, recorder
):
    frames = [model.encode_frame(image) for image in noise_frames(3)]
    prompts = torch.randn(3, 10, model.config.segmenter.dim)
    masks = [model.decode_anchor(f, p) for f, p in zip(frames, prompts, strict=True)]
    expected = [model.encode_memory(f, mask) for f, mask in zip(frames, masks, strict=True)]
    both = FrameFeatures.join(frames[:2]), Decoded.join(masks[:2])
    with capturing(model, 1, 4):
        model.encode_memory(*both)
    assert recorder.recordings == 2  # for 2 and 4

    before = recorder.replays
    found = model.encode_memory(FrameFeatures.join(frames), Decoded.join(masks))

    assert recorder.replays == before + 1
    for one, other in zip(found.split(), expected, strict=True):
        torch.testing.assert_close(one.maps, other.maps, atol=1e-4, rtol=1e-4)
        assert torch.equal(one.pointer, other.pointer)


def test_a_session_captures_for_the_queries_that_it_is_told(model, recorder):
    with session(model, max_queries=16, captured_queries=1) as stream:
        stream.warm_up(48, 64)
    assert recorder.recordings == 1 + 3 + 2 + 1  # as of one that takes no more

    plain = follow(real_model(smallest()), (1, 2), 30)
    assert_same(follow(model, (1, 2), 30, warm=False), plain)
    assert recorder.recordings == 7 and recorder.replays > 0


def test_nothing_is_captured_while_a_stream_runs(model, recorder):
    with session(model, max_queries=1, grounding_delay_frames=1) as stream:
        for t, image in enumerate(noise_frames(8)):  # never warmed up
            stream.set_queries((query(1),))
            assert stream.step(image, float(t)) is not None
    assert recorder.recordings == 0


def test_more_queries_than_were_captured_run_as_they_are(model, recorder):
    plain = follow(real_model(smallest()), (3,), 30)
    with session(model, max_queries=1) as stream:
        stream.warm_up(48, 64)
    made = recorder.recordings

    found = follow(model, (3,), 30, warm=False)

    assert recorder.recordings == made
    assert_same(found, plain)


@torch.inference_mode()
def test_answers_are_copies_and_rows_know_nothing_of_each_other(model, recorder):
    segmenter, config = model.segmenter, model.config
    one, other = (model.encode_frame(image) for image in noise_frames(2))
    prompts = torch.randn(2, 10, config.segmenter.dim)
    memories = [Memory(config) for _ in prompts]
    for memory, prompts_NC in zip(memories, prompts, strict=True):
        track_anchor(model, 0, one, prompts_NC, memory)
    reads = [memory.read(1) for memory in memories]
    with capturing(model, 2, 0):
        model.propagate(other, reads)
    assert recorder.recordings == 2

    both = model.propagate(other, reads)
    before = both.logits.clone()
    again = model.propagate(one, reads[::-1])

    assert torch.equal(both.logits, before) and not torch.equal(again.logits, before)
    expected = type(segmenter).decode_tracked(segmenter, other, reads[0])
    torch.testing.assert_close(both.logits[:1], expected.logits, atol=1e-4, rtol=1e-4)
    # What a row beyond the last one has from before, and be it no number, reaches no other.
    broken = type(reads[0])(**vars(reads[0]) | {"maps": reads[0].maps * float("nan")})
    model.propagate(other, [reads[1], broken])
    alone = model.propagate(other, [reads[0]])
    torch.testing.assert_close(alone.logits, expected.logits, atol=1e-4, rtol=1e-4)


def test_what_cannot_be_captured_runs_as_it_is_and_says_so_once(model, recorder, caplog):
    plain = follow(real_model(smallest()), (2,), 20)

    def refused(work):
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    recorder.record = refused
    with caplog.at_level(logging.WARNING, OURS):
        found = follow(model, (2,), 20)

    lines = [record.getMessage() for record in caplog.records if record.name == OURS]
    assert lines == [
        "encode cannot be captured, torch runs without graphs: "
        "operation not permitted when stream is capturing"
    ]
    assert np.array_equal(found, plain)
    assert engine_of(model) == "torch"


def test_a_look_at_a_value_cannot_be_captured(model, caplog, monkeypatch):
    plain = type(model.segmenter).encode_memory

    def looks(self, features, decoded):
        assert float(decoded.score[0]) < 1e9
        return plain(self, features, decoded)

    Captured.leave(model.segmenter.encode.__self__)
    monkeypatch.setattr(type(model.segmenter), "encode_memory", looks)
    Captured(model.segmenter, TracedRecorder())

    follow(model, (1,), 12)

    assert "encode_memory cannot be captured" in caplog.text


def test_a_wrong_argument_is_no_reason_to_give_up(model):
    side = model.config.segmenter.side
    with pytest.raises(ValueError, match="image side"), capturing(model, 1, 1):
        model.segmenter.encode(torch.zeros(1, 3, side, side - 2))
    assert engine_of(model) == "graphs"


def test_graphs_need_a_gpu_and_are_left_again(model):
    with pytest.raises(EngineError, match="engine graphs: a GPU runs them, and the model is on"):
        use_engine(real_model(smallest()), "graphs")

    assert engine_of(model) == "graphs"
    assert engine_of(twin_of(model)) == "torch"  # of the same weights, with methods of its own
    assert engine_of(model) == "graphs"
    assert engine_of(use_engine(model, "torch")) == "torch"
    assert "encode" not in vars(model.segmenter)


@pytest.mark.slow
def test_a_session_s_alpha_is_compiled_once_and_not_in_the_stream():
    compilations = []

    def backend(graph, inputs):
        compilations.append(graph)
        return graph

    torch._dynamo.reset()
    model = compile_frames(real_model(smallest()), backend=backend, alpha=5)
    made = len(compilations)

    follow(model, (1, 3, 2), 30, alpha=5)

    assert made > 0 and len(compilations) == made
