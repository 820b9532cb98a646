"""One search for what a query names: when it is seen, and how else it ends. Knows no ROS."""

from dataclasses import dataclass

from virst_model.answer import LOST, TRACKING, QueryResult

# Frames on which it has to be seen, one after the other: a single one may be an error.
SEEN_IN_A_ROW = 3


@dataclass(frozen=True)
class End:
    """How a search has ended.

    Attributes:
        outcome: as virst_interfaces/action/Find has it.
        message: why it was not seen, for people.
    """

    outcome: str
    message: str = ""


class Search:
    """Takes the answers to one query, frame by frame.

    Attributes:
        query_id: the query's.
        answer: the newest; None until one comes.
    """

    def __init__(self, query_id: int, min_presence: float, until_seen: bool) -> None:
        """`min_presence`: less is not seen; `until_seen`: `lost` is not the end."""
        self.query_id = query_id
        self.answer: QueryResult | None = None
        self._min_presence = min_presence
        self._until_seen = until_seen
        self._in_a_row = 0
        self._was_seen = False
        self._was_answered = False  # by the language model, with or without the object

    def take(self, answer: QueryResult) -> End | None:
        """The end, where this answer brings it."""
        self.answer = answer
        is_seen = answer.state == TRACKING and answer.presence >= self._min_presence
        self._in_a_row = self._in_a_row + 1 if is_seen else 0
        self._was_seen |= is_seen
        self._was_answered |= answer.state in (TRACKING, LOST)
        if self._in_a_row == SEEN_IN_A_ROW:
            return End("succeeded")
        if answer.state == LOST and not self._until_seen:
            return self._missed()
        return None

    def out_of_time(self) -> End:
        """The end where the time is over."""
        if self._was_answered:
            return self._missed()
        state = self.answer.state if self.answer is not None else "no image was processed"
        return End("timeout", f"time was over before there was an answer: {state}")

    def _missed(self) -> End:
        if self._was_seen:
            return End("lost", f"seen, but not on {SEEN_IN_A_ROW} frames in a row")
        return End("absent", "looked for and not seen")
