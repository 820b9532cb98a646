"""Times of frames whose clock stands still, late frames, cuts, and names that come in turn."""

from __future__ import annotations

import pytest

from virst_ros.stamps import Cuts, Timeline, Turns


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
