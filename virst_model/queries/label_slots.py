"""Label slots: pixel values that queries have for as long as they are there."""

from collections import deque
from collections.abc import Iterable


class LabelSlots:
    """The labels 1 to `count`; of those that are free the one that was given up first comes next.

    So what a map has kept under a label takes the name of another query as late as can be.
    """

    def __init__(self, count: int) -> None:
        self._free = deque(range(1, count + 1))

    def take(self) -> int:
        """The next label. Raises IndexError where none is free."""
        return self._free.popleft()

    def give_up(self, labels: Iterable[int]) -> None:
        """These are free again, in this order."""
        self._free.extend(labels)
