"""When a search ends, and how: answers in, an end out."""

from __future__ import annotations

import numpy as np
import pytest

from virst_model.answer import FAILED, LOST, SEARCHING, TRACKING, QueryResult
from virst_ros.search import Search

EMPTY_HW = np.zeros((2, 2), bool)


def answer(state: str, presence: float = 0.0) -> QueryResult:
    return QueryResult(1, 1, "red", state, 0.0, presence, EMPTY_HW, (0, 0, 0, 0), 0)


SEEN, HIDDEN = answer(TRACKING, 0.75), answer(TRACKING, 0.25)
LOOKING, GONE, BROKEN = answer(SEARCHING), answer(LOST), answer(FAILED)


def outcomes(answers: list[QueryResult], until_seen: bool = False) -> list[str]:
    """After each answer: the outcome, or "" where there is none yet."""
    search = Search(1, 0.5, until_seen)
    ends = [search.take(answer) for answer in answers]
    return [end.outcome if end else "" for end in ends]


def after_time(answers: list[QueryResult]) -> str:
    search = Search(1, 0.5, until_seen=True)
    for answer in answers:
        assert search.take(answer) is None
    return search.out_of_time().outcome


def test_it_is_seen_on_three_frames_in_a_row():
    assert outcomes([LOOKING, SEEN, SEEN, SEEN]) == ["", "", "", "succeeded"]


@pytest.mark.parametrize("between", [HIDDEN, LOOKING, BROKEN])
def test_a_frame_without_it_begins_the_row_anew(between):
    answers = [SEEN, SEEN, between, SEEN, SEEN, SEEN]
    assert outcomes(answers) == ["", "", "", "", "", "succeeded"]


def test_as_much_presence_as_is_asked_for_is_enough():
    assert outcomes([answer(TRACKING, 0.5)] * 3)[-1] == "succeeded"


def test_the_first_lost_is_the_end_and_says_whether_it_was_seen():
    assert outcomes([LOOKING, GONE]) == ["", "absent"]
    assert outcomes([HIDDEN, GONE]) == ["", "absent"]
    assert outcomes([SEEN, HIDDEN, GONE]) == ["", "", "lost"]


def test_until_it_is_seen_lost_is_not_the_end():
    answers = [GONE, GONE, SEEN, GONE, SEEN, SEEN, SEEN]
    assert outcomes(answers, until_seen=True) == ["", "", "", "", "", "", "succeeded"]


def test_when_time_is_over_it_matters_what_was_answered():
    assert after_time([]) == "timeout"
    assert after_time([LOOKING, BROKEN]) == "timeout"
    assert after_time([LOOKING, GONE]) == "absent"
    assert after_time([HIDDEN]) == "absent"
    assert after_time([SEEN, GONE, LOOKING]) == "lost"
    assert after_time([SEEN, SEEN]) == "lost"
