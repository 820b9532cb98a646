"""Times of frames whose clock stands still, late and lost frames, cuts, names in turn."""

from __future__ import annotations

from collections.abc import Iterable
import random

import pytest

from virst_ros.stamps import KEPT_STAMPS, Cuts, Gaps, Stamps, Timeline, Turns


def test_a_clock_that_runs_is_left_alone():
    timeline = Timeline()

    # A bag's clock ticks ten times a second, its camera comes at 30 Hz, twice as fast.
    clocks = [100.0 + (frame // 3) / 10 for frame in range(60)]
    assert [timeline.at(clock_s, i / 60) for i, clock_s in enumerate(clocks)] == clocks


def test_time_goes_on_while_the_clock_stands_still_and_never_back_afterwards():
    timeline = Timeline()
    times = [timeline.at(100.0, float(second)) for second in range(6)]
    times += [timeline.at(100.0 + tenth / 10, 5.0 + tenth / 10) for tenth in (1, 2)]

    assert times == pytest.approx([100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 105.2, 105.3])
    assert not timeline.still


def test_time_goes_on_through_a_second_stop():
    timeline = Timeline()
    for second in range(4):
        timeline.at(100.0, float(second))
    stopped = [timeline.at(101.0, 4.0 + second) for second in range(3)]

    assert stopped == [105.0, 106.0, 107.0]


def test_steps_back_are_measured_from_the_newest():
    cuts = Cuts(1.0)
    steps = [cuts.back_s(time_s) for time_s in (10.0, 9.5, 9.25, 9.0, 8.75, 9.0)]

    assert steps == [
        (0.0, False),
        (0.5, False),
        (0.75, False),
        (1.0, False),
        (1.25, True),
        (0, False),
    ]


def test_another_size_forgets_the_newest():
    cuts = Cuts(1.0)
    assert cuts.resized((4, 3)) is None
    cuts.back_s(10.0)

    assert cuts.resized((8, 6)) == (4, 3)
    assert cuts.back_s(1.0) == (0.0, False)
    assert cuts.resized((8, 6)) is None


def test_names_in_turn_are_seen_and_one_change_is_not():
    turns = Turns()

    assert [turns.seen(name) for name in "aabbb"] == [None] * 5
    assert turns.seen("a") == ("a", "b")
    assert turns.seen("a") is None
    assert turns.seen("c") is None


def lost_of(stamps_s: Iterable[float]) -> tuple[int, Gaps]:
    """All that are lost among these, and who has seen it."""
    gaps = Gaps(reset_after_s=1.0)
    return sum(gaps.lost(stamp_s) for stamp_s in stamps_s), gaps


def camera(frames: Iterable[int], hz: float = 15.0, jitter: float = 0.0) -> list[float]:
    """Stamps of these frames; `jitter` in periods."""
    noise = random.Random(0)
    return [1_700_000_000.0 + (frame + noise.uniform(-jitter, jitter)) / hz for frame in frames]


@pytest.mark.parametrize("jitter", [0.0, 0.08, 0.3])
@pytest.mark.parametrize("hz", [4.0, 15.0, 60.0])
def test_a_camera_without_losses_has_none(hz, jitter):
    lost, gaps = lost_of(camera(range(600), hz, jitter))

    assert (lost, gaps.share) == (0, 0.0)


@pytest.mark.parametrize("hz", [4.0, 30.0])
@pytest.mark.parametrize("jitter", [0.0, 0.05])
@pytest.mark.parametrize("arriving", [0.9, 0.5, 0.4])
def test_what_is_missing_is_counted(hz, jitter, arriving):
    chance = random.Random(1)
    frames = [frame for frame in range(2000) if chance.random() < arriving]
    lost, gaps = lost_of(camera(frames, hz, jitter))

    assert lost == pytest.approx(2000 - len(frames), rel=0.05)
    assert gaps.share == pytest.approx(1 - arriving, abs=0.2)


def test_the_share_is_of_the_last_frames():
    frames = [*range(0, 100, 2), *range(100, 200)]
    _, gaps = lost_of(camera(frames))
    assert gaps.share == 0.0

    for stamp_s in camera(range(200, 260, 2)):
        gaps.lost(stamp_s)
    assert gaps.share > 0.3


def test_a_loss_is_told_with_the_frame_after_the_next():
    gaps = Gaps(reset_after_s=1.0)
    found = [gaps.lost(stamp_s) for stamp_s in camera([*range(20), 23, 24, 25])]

    assert found == [0] * 21 + [3, 0]


def test_a_frame_that_the_next_one_overtakes_is_not_lost():
    frames = list(range(400))
    for i in range(8, 400, 8):
        frames[i - 1], frames[i] = frames[i], frames[i - 1]
    lost, _ = lost_of(camera(frames))

    assert lost == 0


def test_frames_of_two_publishers_with_the_same_stamps_are_not_lost():
    lost, _ = lost_of(camera([i for frame in range(100) for i in (frame, frame)]))

    assert lost == 0


def test_pauses_and_new_starts_are_no_losses():
    frames = [*range(100), *range(300, 400), *range(100), *range(50, 120)]
    lost, _ = lost_of(camera(frames))

    assert lost == 0


def test_another_rate_is_the_usual_one_soon():
    """A webcam in the dark halves its rate."""
    bright, dark = camera(range(200), 30.0), camera(range(100, 400), 15.0)
    lost, gaps = lost_of([*bright, *dark])

    assert lost <= 60 and gaps.share == 0.0


def test_a_camera_that_is_triggered_by_hand_loses_nothing():
    chance, stamp_s = random.Random(2), 100.0
    stamps_s = [stamp_s := stamp_s + chance.expovariate(4.0) for _ in range(1000)]

    assert lost_of(stamps_s)[0] <= 10


def test_heavy_losses_stay_heavy_until_they_are_nearly_over():
    gaps = Gaps(reset_after_s=1.0)
    seen = []
    frames = [*range(40), *range(40, 120, 2), *range(120, 240)]
    for stamp_s in camera(frames):
        gaps.lost(stamp_s)
        seen.append((gaps.share, gaps.heavy_share()))

    began = next(i for i, (_, heavy) in enumerate(seen) if heavy)
    ended = next(i for i, (_, heavy) in enumerate(seen) if i > began and not heavy)
    assert seen[began][1] == seen[began][0] >= 0.1 > seen[began - 1][0]
    assert seen[ended][0] < 0.02 <= seen[ended - 1][0]
    assert not any(heavy for _, heavy in seen[ended:])


def test_a_stamp_is_found_by_its_time_and_the_oldest_are_forgotten():
    stamps: Stamps[str] = Stamps()
    for second in range(KEPT_STAMPS + 1):
        stamps.keep(second + 0.1, f"stamp {second}")

    assert stamps.at(0.1) is None and stamps.at(0.2) is None
    assert stamps.at(1.1) == "stamp 1"
    assert stamps.at(KEPT_STAMPS + 0.1) == f"stamp {KEPT_STAMPS}"
