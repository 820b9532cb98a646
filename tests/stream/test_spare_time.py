"""How much time work beside a stream takes, by a clock that is set."""

import pytest

from virst_model.stream.spare_time import SHARE, SpareTime


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def spare(clock):
    return SpareTime(clock)


def work(spare, clock, seconds):
    """A piece, whenever nothing is owed."""
    clock.now_s += seconds
    spare.spend(seconds)


def test_while_no_frame_comes_one_piece_follows_the_other(spare, clock):
    for _ in range(100):
        assert spare.wait_s == 0
        work(spare, clock, 0.01)


def test_beside_frames_without_a_pause_pieces_take_their_share(spare, clock):
    spent_s = 0.0
    spare.begin_frame()
    for _ in range(20_000):
        if spare.wait_s == 0:
            work(spare, clock, 0.004)
            spent_s += 0.004
        clock.now_s += 0.001
        spare.end_frame()
        spare.begin_frame()

    assert spent_s / (clock.now_s - 100.0) == pytest.approx(SHARE, rel=0.05)
    assert SHARE < 0.05


def test_what_a_frame_had_to_spare_is_paid_back_after_it(spare, clock):
    spare.begin_frame()
    work(spare, clock, 0.01)
    assert spare.wait_s == pytest.approx((0.01 - 0.01 * SHARE) / SHARE)

    spare.end_frame()
    assert spare.wait_s == pytest.approx(0.01 - 0.01 * SHARE)
    clock.now_s += 0.02
    assert spare.wait_s == 0


def test_nothing_is_saved_up(spare, clock):
    clock.now_s += 1000.0
    spare.begin_frame()
    work(spare, clock, 0.01)
    assert spare.wait_s > 0.1
