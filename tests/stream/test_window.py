"""The window of a stream: rules 2 and 3 of docs/stream.md, and the schedule of rule 4."""

import numpy as np
import pytest
from streams import ColourModel, frame

from virst_model.stream.window import Window, next_size


def offered(window, stamps):
    """Stamps of the frames that the window sampled."""
    for t, stamp_s in enumerate(stamps):
        window.offer(t, stamp_s, frame(t))
    return [f.stamp_s for f in window.frames()]


@pytest.mark.parametrize("rate_hz", [5, 7.3, 10, 15, 24, 30, 60])
def test_samples_keep_the_period_at_any_frame_rate(rate_hz):
    stamps = np.arange(0, 7, 1 / rate_hz)

    sampled = offered(Window(32, 0.25), stamps)

    # Each sample is the frame nearest to its point of the grid: half a gap off at most.
    grid = 0.25 * np.arange(len(sampled))
    assert np.abs(np.array(sampled) - grid).max() <= 0.5 / rate_hz + 1e-9
    assert len(sampled) == pytest.approx(7 / 0.25, abs=1)


def test_samples_keep_the_period_under_jitter_and_drops():
    rng = np.random.default_rng(0)
    stamps = np.arange(0, 7, 1 / 15) + rng.uniform(0, 0.02, 105)
    stamps = stamps[rng.uniform(size=105) > 0.3]

    sampled = np.array(offered(Window(32, 0.25), stamps))

    assert np.diff(sampled).mean() == pytest.approx(0.25, rel=0.05)


def test_a_camera_slower_than_the_period_is_sampled_whole():
    stamps = np.arange(20) * 0.4

    assert offered(Window(32, 0.25), stamps) == list(stamps)


def test_after_a_stall_the_grid_starts_anew():
    stamps = [0.0, 0.25, 5.0, 5.1, 5.15, 5.25]

    assert offered(Window(32, 0.25), stamps) == [0.0, 0.25, 5.0, 5.25]


def test_a_repeated_stamp_is_not_sampled():
    assert offered(Window(32, 0.0), [0.0, 0.0, 1.0, 1.0]) == [0.0, 1.0]


def test_a_stamp_behind_the_newest_is_not_sampled_and_moves_no_grid():
    stamps = [0.0, 0.2, 0.1, 0.15, 0.3, 0.4, 0.35, 0.5]

    assert offered(Window(32, 0.0), stamps) == [0.0, 0.2, 0.3, 0.4, 0.5]
    assert offered(Window(32, 0.2), stamps) == [0.0, 0.2, 0.4]


def test_window_slides_by_whole_clips_and_never_exceeds_its_size():
    window = Window(8, 0.0)
    model = ColourModel()

    held = []
    for t in range(40):
        window.offer(t, float(t), frame(t)).encode(model)
        held.append(len(window.frames()))
        assert {clip.frames[0].t % 4 for clip in window.snapshot()} <= {0}

    assert max(held) == 8 + 3
    assert [f.t for clip in window.snapshot() for f in clip.frames] == list(range(32, 40))


def test_a_snapshot_outlives_its_place_in_the_window():
    window = Window(4, 0.0)
    model = ColourModel()
    for t in range(4):
        window.offer(t, float(t), frame(t)).encode(model)
    snapshot = window.snapshot()

    for t in range(4, 12):
        window.offer(t, float(t), frame(t)).encode(model)

    assert [f.t for f in snapshot[0].frames] == [0, 1, 2, 3]
    assert all(f.features is not None for f in snapshot[0].frames)


def test_images_of_an_idle_stream_are_encoded_newest_first():
    window = Window(32, 0.0)
    model = ColourModel()
    for t in range(12):
        window.offer(t, float(t), frame(t))
    assert window.snapshot() == ()

    window.encode(model, at_most=4)
    assert model.encoded == [11, 10, 9, 8]
    assert [clip.frames[0].t for clip in window.snapshot()] == [8]

    window.encode(model, at_most=100)
    assert [clip.frames[0].t for clip in window.snapshot()] == [0, 4, 8]
    assert all(f.image_HW3 is None for f in window.frames())


def test_a_frame_is_encoded_once():
    window = Window(32, 0.0)
    model = ColourModel()
    sampled = window.offer(0, 0.0, frame())

    sampled.encode(model)
    window.encode(model, at_most=4)

    assert model.encoded == [0]


def test_the_window_keeps_a_copy_of_the_frame():
    window = Window(32, 0.0)
    model = ColourModel()
    image = frame(5)
    window.offer(5, 0.0, image)

    image[:] = 0
    window.encode(model, at_most=1)

    assert model.encoded == [5]


def test_groundings_grow_by_a_clip_then_by_eight_frames_up_to_the_window():
    following = [next_size(size, 32) for size in (0, 4, 8, 12, 16, 20, 24, 28)]
    assert following == [4, 8, 16, 16, 24, 24, 32, 32]
    assert [next_size(size, 12) for size in (0, 4, 8)] == [4, 8, 12]
