"""The rules of docs/stream.md on the real tiny model with random weights (seed 0)."""

from dataclasses import replace
import os
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest
from streams import (
    SIZE,
    fifo_times,
    noise_frames,
    query,
    real_model,
    run,
    session,
    show_object,
    smallest,
    states,
    upsample,
)
import torch

from virst_model.answer import LOST, SEARCHING, TRACKING
from virst_model.model.memory import Memory

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
FRAMES = noise_frames(32)


@pytest.fixture(scope="module")
def model():
    return real_model()


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


def asked(stream, *texts):
    stream.set_queries(tuple(query(i, text) for i, text in enumerate(texts, 1)))
    return stream


def logits(stream):
    """The current low-resolution mask logits of the first query."""
    return stream.tracks[0].decoded.logits


def masks(results):
    return [result.labels_HW for result in results]


def prompts_of(model, frames, text):
    """What a grounding of 4 or 8 frames says, without a session."""
    frames = frames + frames[-1:] * (8 - len(frames))
    clips = [frames[:4], frames[4:]]
    tokens = [model.encode_clip([model.clip_pixels(f) for f in clip]) for clip in clips]
    return model.ground(tokens, [model.encode_frame(f) for f in frames], text)


def anchor_of(model, memory, t, prompts_NC):
    """Decodes frame `t` as an anchor and writes it into the bank."""
    features = model.encode_frame(FRAMES[t])
    decoded = model.decode_anchor(features, prompts_NC)
    entry = model.encode_memory(features, decoded)
    memory.write_anchor(t, entry)
    return decoded, entry


def track_of(model, memory, t):
    """Tracks frame `t` from the memory and writes it into the FIFO."""
    features = model.encode_frame(FRAMES[t])
    decoded = model.propagate(features, [memory.read(t)])
    memory.write(t, model.encode_memory(features, decoded))
    return decoded


def test_rule_1_time_counts_processed_frames_whatever_their_stamps(model):
    stream = asked(session(model), "the red circle")
    for image, stamp_s in zip(FRAMES, (0.0, 0.1, 5.0, 5.1, 60.0, 61.0)):
        stream.step(image, stamp_s)

    memory = stream.tracks[0].memory
    assert memory.anchor_times == (3,) and fifo_times(memory) == (3, 4, 5)
    times = memory.read(6).pointer_time[0]
    assert times[0] == pytest.approx(3 / 15)  # of the anchor
    assert times[memory.read(6).pointers.shape[1] - 15] == pytest.approx(1 / 15)


def test_rule_4_grounds_4_frames_padded_to_8_then_8_16_24_and_32(model, monkeypatch):
    sizes = []
    ground = model.ground

    def spy(tokens, features, *rest, **named):
        prompts_TNC = ground(tokens, features, *rest, **named)
        sizes.append((len(tokens), len(features), len(prompts_TNC)))
        return prompts_TNC

    monkeypatch.setattr(model, "ground", spy)

    results = run(asked(session(model, window_size=32), "the red circle"), FRAMES)

    assert sizes == [(2, 8, 8), (2, 8, 8), (4, 16, 16), (6, 24, 24), (8, 32, 32)]
    assert states(results) == [SEARCHING] * 3 + [TRACKING] * 29


def test_rule_7_an_anchor_keeps_its_time_and_encodes_its_own_features(model):
    stream = asked(session(model, grounding_delay_frames=2), "the red circle")
    run(stream, FRAMES[:6])

    memory = Memory(model.config)
    prompts_TNC = prompts_of(model, FRAMES[:4], "the red circle")
    _, entry = anchor_of(model, memory, 3, prompts_TNC[3])

    read = stream.tracks[0].memory.read(6)
    torch.testing.assert_close(read.maps[:, 0], entry.maps, atol=1e-4, rtol=0)
    torch.testing.assert_close(read.pointer_time[0, 0].item(), 3 / 15)


def test_rule_8_a_catch_up_equals_tracking_the_cached_frames_by_hand(model):
    stream = asked(session(model, grounding_delay_frames=4), "the red circle")
    results = run(stream, FRAMES[:9])

    memory = Memory(model.config)
    anchor_of(model, memory, 3, prompts_of(model, FRAMES[:4], "the red circle")[3])
    by_hand = [track_of(model, memory, t) for t in range(4, 9)]

    # Answered at 7, which replays 4 and 5; 8 replays 6 and 7 and is tracked.
    assert states(results) == [SEARCHING] * 8 + [TRACKING]
    torch.testing.assert_close(logits(stream), by_hand[-1].logits, atol=1e-3, rtol=0)
    assert not any(result.mask_HW.any() for result in results[:8])


def test_rule_9_a_stream_equals_a_clip_given_the_same_anchors(model):
    stream = asked(session(model, reground_every=8), "the red circle")
    run(stream, FRAMES[:8])
    at_7 = logits(stream)
    run(stream, FRAMES[8:10], start=8)

    memory = Memory(model.config)
    first = prompts_of(model, FRAMES[:4], "the red circle")
    memory.write(3, anchor_of(model, memory, 3, first[3])[1])
    for t in (4, 5, 6):
        track_of(model, memory, t)
    memory.drop_anchors(0, 7)
    second = prompts_of(model, FRAMES[:8], "the red circle")
    anchor_of(model, memory, 0, second[0])
    decoded, _ = anchor_of(model, memory, 7, second[7])
    track_of(model, memory, 8)
    by_hand = track_of(model, memory, 9)

    # Frame 7 shows its anchor's mask; the FIFO has a hole there and keeps the rest.
    torch.testing.assert_close(at_7, decoded.logits, atol=1e-3, rtol=0)
    torch.testing.assert_close(logits(stream), by_hand.logits, atol=1e-3, rtol=0)
    fifo = stream.tracks[0].memory.read(10).map_valid[0, 3:]  # of frames 9 to 4
    assert fifo.tolist() == [True, True, False, True, True, True]


def test_rule_10_anchors_of_another_object_clear_the_fifo(model, monkeypatch):
    stream = asked(session(model, reground_every=4), "the red circle")
    run(stream, FRAMES[:11])
    decode = model.decode_anchors

    def inverted(features, prompts_BNC):
        decoded = decode(features, prompts_BNC)
        return replace(decoded, logits=-decoded.logits)

    monkeypatch.setattr(model, "decode_anchors", inverted)
    run(stream, FRAMES[11:12], start=11)

    # Anchors of frames 4..11 are 4 and 11; the track's own mask of 4 is the opposite.
    assert stream.stats()["contradictions"] == 1
    assert stream.tracks[0].memory.anchor_times == (4, 11)
    assert fifo_times(stream.tracks[0].memory) == (11,)
    assert stream.tracks[0].state == TRACKING


def test_rule_10_two_answers_without_the_object_lose_it_and_the_next_with_it_finds_it(model):
    stream = asked(session(model, reground_every=4), "the red circle")
    try:
        show_object(model, -5.0)
        before = run(stream, FRAMES[:9])
        memory = stream.tracks[0].memory
        assert (memory.anchor_times, fifo_times(memory)) == ((), ())
    finally:
        show_object(model)
    after = run(stream, FRAMES[9:14], start=9)

    assert states(before + after) == [SEARCHING] * 7 + [LOST] * 4 + [TRACKING] * 3
    assert not any(result.mask_HW.any() for result in before)
    assert all(result.results[0].presence == 0.0 for result in before)
    assert after[-1].results[0].presence == pytest.approx(0.9933, abs=1e-3)  # sigmoid(5)


def test_rule_11_a_changed_query_sees_nothing_of_the_one_before(model):
    options = {"grounding_delay_frames": 3, "encode_when_idle": True}
    changed = asked(session(model, **options), "the red circle")
    fresh = session(model, **options)
    run(changed, FRAMES[:9])
    run(fresh, FRAMES[:9])
    assert changed.tracks[0].state == TRACKING
    assert changed.tracks[0].grounding is not None  # of 8 frames, on its way

    for stream in (changed, fresh):
        stream.set_queries((query(2, "the blue square"),))
    results, expected = (run(x, FRAMES[9:16], start=9) for x in (changed, fresh))

    assert states(results) == states(expected)
    assert states(results)[-1] == TRACKING
    assert all((a == b).all() for a, b in zip(masks(results), masks(expected)))
    assert changed.stats()["stale"] == 1


def test_rule_14_after_a_reset_the_stream_is_as_new(model):
    stream = asked(session(model, grounding_delay_frames=1), "the red circle")
    run(stream, FRAMES[20:29], start=1000)

    results = run(stream, FRAMES[:10])

    expected = run(asked(session(model, grounding_delay_frames=1), "the red circle"), FRAMES[:10])
    assert states(results) == states(expected)
    assert all((a == b).all() for a, b in zip(masks(results), masks(expected)))


def test_rule_15_nothing_grows_beyond_its_bound():
    stream = asked(session(real_model(smallest()), reground_every=4), "the red circle")

    most = np.zeros(4, int)
    for t in range(200):
        stream.step(FRAMES[t % 32], float(t))
        track = stream.tracks[0]
        sizes = (
            len(stream._window.frames()),
            len(track.memory.anchor_times),
            len(fifo_times(track.memory)),
            len(track._past_masks),
        )
        most = np.maximum(most, sizes)

    # 8 frames and a clip in the making; 8 anchors; P-1 = 6 frames; two windows of masks.
    assert (most <= [8 + 3, 8, 6, 2 * 8]).all()


@pytest.mark.slow
def test_rule_15_thousands_of_frames_leave_the_process_as_large_as_hundreds():
    grown = subprocess.run(
        [sys.executable, str(FIXTURES / "grow.py"), "2500"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(FIXTURES)])},
        check=True,
        stdout=subprocess.PIPE,
    )

    # Frames alone would be 18 MB, their features several times that; 1 MB is the allocator's.
    assert int(grown.stdout) < 1e6


def test_rule_16_the_past_does_not_depend_on_the_future(model):
    future = noise_frames(6, seed=1)
    streams = [asked(session(model, grounding_delay_frames=2), "the red circle") for _ in "ab"]

    known = run(streams[0], FRAMES[:16])
    changed = run(streams[1], FRAMES[:10] + future)

    assert all((a == b).all() for a, b in zip(masks(known[:10]), masks(changed[:10])))
    assert any((a != b).any() for a, b in zip(masks(known[10:]), masks(changed[10:])))


def test_equal_input_gives_equal_output_in_sync_mode(model):
    first, second = (
        run(asked(session(model, grounding_delay_frames=1), "the red circle"), FRAMES[:12])
        for _ in "ab"
    )

    assert all((a == b).all() for a, b in zip(masks(first), masks(second)))
    assert [r.results[0].score for r in first] == [r.results[0].score for r in second]


def test_queries_side_by_side_equal_each_alone(model):
    texts = ("the red circle", "the large blue square moving left")
    together = asked(session(model), *texts)
    run(together, FRAMES[:10])

    for i, text in enumerate(texts):
        alone = asked(session(model), text)
        run(alone, FRAMES[:10])
        mine = together.tracks[i].decoded.logits
        torch.testing.assert_close(mine, logits(alone), atol=1e-3, rtol=0)


@pytest.mark.parametrize("size", [(90, 160), (33, 47), SIZE])
def test_masks_are_the_bilinear_upsampling_of_the_logits(model, size):
    frames = [np.random.default_rng(t).integers(0, 255, (*size, 3), np.uint8) for t in range(5)]
    stream = asked(session(model), "the red circle")

    result = run(stream, frames)[-1]

    expected = upsample(stream.tracks[0].decoded, *size)[0].numpy() > 0
    assert (result.results[0].mask_HW != expected).mean() < 1e-3


def test_alpha_overrides_the_models(model):
    stream = asked(session(model, alpha=2), "the red circle")
    run(stream, FRAMES[:5])

    assert stream.tracks[0].memory.read(5).maps.shape[1] == 2 + 6
    assert model.config.behaviour.alpha == 3


def test_warming_up_leaves_no_trace(model):
    warm = session(model)
    warm.warm_up(*SIZE)

    results = run(asked(warm, "the red circle"), FRAMES[:5])

    expected = run(asked(session(model), "the red circle"), FRAMES[:5])
    assert all((a == b).all() for a, b in zip(masks(results), masks(expected)))
    assert warm.stats()["frames"] == 5
