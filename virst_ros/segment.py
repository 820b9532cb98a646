"""`virst-segment`: the node as a program. It takes its signals before it imports anything slow."""

from __future__ import annotations

from collections.abc import Callable
import traceback
from typing import TYPE_CHECKING, NoReturn

from virst_ros.ending import LIMIT_S, Ending, leave

if TYPE_CHECKING:
    from virst_ros.parameters import Parameters
    from virst_ros.tracker import Stream


def main(
    args: list[str] | None = None,
    open_stream: Callable[[Parameters], Stream] | None = None,
    limit_s: float = LIMIT_S,
) -> NoReturn:
    """Ends the process: with 0 after a signal, with 1 where the node could not start or go on.

    `open_stream` makes the stream that is followed; without it the parameters' model does.
    `limit_s` after a signal the process is gone, whatever holds it.
    """
    ending = Ending(limit_s)
    ending.take_signals()
    try:
        from virst_ros.running import run  # rclpy and more: a second

        status = run(ending.asked, args, open_stream)
    except Exception:
        traceback.print_exc()
        status = 1
    leave(status)


if __name__ == "__main__":
    main()
