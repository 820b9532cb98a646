"""What libjpeg, libpng and Pillow say on stderr about a damaged picture: kept out of the log.

OpenCV has no switch for it. The pictures that cannot be read are counted and named by the node.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
import functools
import os
import re
import tempfile
import threading
import warnings

# A warning for each damaged header, with its numbers; Python remembers them all.
warnings.filterwarnings("ignore", module=r"PIL\.")

STDERR = 2
# Warnings of libjpeg's jerror.h that reading can bring, libpng's, and OpenCV's own log.
COMPLAINTS = re.compile(
    rb"Corrupt JPEG data|Premature end of JPEG|Invalid SOS parameters|Invalid progressive param"
    rb"|Inconsistent progression|Unknown Adobe color|Warning: unknown JFIF"
    rb"|libpng (error|warning):|\[ ?(ERROR|WARN|INFO|DEBUG|FATAL):\d+@"
)

_lock = threading.Lock()


@contextmanager
def kept_out() -> Iterator[None]:
    """While OpenCV reads a picture, stderr of the process goes to a file.

    Afterwards all that is no complaint goes on to stderr. Lines that other threads have written
    meanwhile come late by the time that a picture takes, and none is lost; a line that is written
    in the very moment of handing back may come after the next one.
    """
    with _lock:
        try:
            spool, stderr = _spool(), os.dup(STDERR)
        except OSError:  # nowhere to keep them, or no stderr: nobody reads the complaints
            yield
            return
        spool.pass_on(stderr)  # what a thread was writing when the last picture had been read
        spool.empty()
        os.dup2(spool.file.fileno(), STDERR)
        try:
            yield
        finally:
            spool.pass_on(stderr)
            os.dup2(stderr, STDERR)
            spool.pass_on(stderr)
            os.close(stderr)


class _Spool:
    """A file without a name and without a buffer, and how much of it has been passed on."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115, as long as the process
        self.passed = 0

    def pass_on(self, stderr: int) -> None:
        """Writes all lines that are no complaints, and have not been written, to `stderr`."""
        size = os.fstat(self.file.fileno()).st_size
        written = os.pread(self.file.fileno(), size - self.passed, self.passed)
        self.passed += len(written)
        lines = written.splitlines(keepends=True)
        rest = b"".join(line for line in lines if not COMPLAINTS.match(line))
        if rest:
            with suppress(OSError):  # its reader has gone: nobody is left to tell
                os.write(stderr, rest)

    def empty(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.passed = 0


@functools.cache
def _spool() -> _Spool:
    """One for the process."""
    return _Spool()
