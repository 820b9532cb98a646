"""How tests wait: for conditions, with a limit that no busy machine comes to."""

from collections.abc import Callable, Iterator
import time

LIMIT_S = 300.0


def tries(pause_s: float = 0.01) -> Iterator[int]:
    """Counts from 0, with a pause between two, until the limit."""
    end_s, number = time.monotonic() + LIMIT_S, 0
    while time.monotonic() < end_s:
        yield number
        time.sleep(pause_s)
        number += 1


def wait_until(condition: Callable[[], object]) -> bool:
    """Whether the condition came to hold within the limit."""
    return any(condition() for _ in tries())
