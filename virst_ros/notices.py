"""Troubles that last: each has a line in the log when it begins, and one when it is over."""

from collections.abc import Callable
from dataclasses import dataclass

# Tasks of the node: each has a status on /diagnostics.
NODE, CAMERA, GROUNDER, MODEL = "node", "camera", "grounder", "model"


@dataclass(frozen=True)
class Trouble:
    """Something that may be wrong, as it is now.

    Attributes:
        name: of its kind.
        text: what is wrong, for people; empty: nothing is.
        over: what to say once it is over.
        task: NODE, CAMERA, GROUNDER or MODEL, whose it is.
        stale: what is known has an end: nothing new comes.
    """

    name: str
    text: str
    over: str
    task: str = NODE
    stale: bool = False


class Notices:
    """Remembers which troubles were said."""

    def __init__(self, begun: Callable[[str], None], over: Callable[[str], None]) -> None:
        """Both take a line for the log."""
        self._begun, self._over = begun, over
        self._lasting: set[str] = set()

    def look(self, *troubles: Trouble) -> tuple[Trouble, ...]:
        """Says what has begun or ended since the last look; those that last."""
        for trouble in troubles:
            if trouble.text and trouble.name not in self._lasting:
                self._lasting.add(trouble.name)
                self._begun(trouble.text)
            elif not trouble.text and trouble.name in self._lasting:
                self._lasting.discard(trouble.name)
                self._over(trouble.over)
        return tuple(trouble for trouble in troubles if trouble.text)
