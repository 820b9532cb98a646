"""How a program of ours ends: its signals are taken before anything slow is imported, and it is
gone in time. Knows neither ROS nor torch.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import NoReturn

# For a call of the model's that is under way; one that takes longer is left behind.
PATIENCE_S = 1.0
# From the signal, where the program does not come to its end by itself: one that hangs in an
# import, or in DDS. `ros2 launch` kills after five.
LIMIT_S = 4.0


class Ending:
    """The wish that the process ends, from a signal or from within.

    Attributes:
        asked: set once somebody wishes it.
    """

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        """`limit_s` after a signal the process is gone, whatever holds it."""
        self.asked = threading.Event()
        self._limit_s = limit_s

    def take_signals(self) -> None:
        """From now on SIGINT, SIGTERM and SIGHUP set `asked`, and nothing else; main thread only.

        SIGINT is taken where it was ignored, as shells do with what they start in the background;
        SIGHUP is not, since nobody ignores it but on purpose (nohup).
        """
        # A thread reads them: the main thread may be in a library for long, and an Event that is
        # set by a handler while its own thread waits for it can wait for itself.
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _go_on)
        threading.Thread(target=self._watch, args=(reader,), name="signals", daemon=True).start()

    def _watch(self, reader: int) -> None:
        os.read(reader, 1)
        self.asked.set()
        threading.Event().wait(self._limit_s)
        sys.stderr.write(f"not ended {self._limit_s:g} s after the signal: leaving all behind\n")
        leave(0)


def leave(status: int) -> NoReturn:
    """Ends the process now, with the threads that are left behind; logs are flushed.

    The interpreter's own end would wait for these, and would take signals as the system does.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _go_on(*received: object) -> None:
    """Does nothing: the number has gone to the wakeup descriptor."""
