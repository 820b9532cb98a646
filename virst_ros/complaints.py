"""What libjpeg and libpng write to stderr about a damaged picture: kept out of the log.

OpenCV has no switch for it. The pictures that cannot be read are counted and named by the node.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import functools
import os
import re
import tempfile
import threading
from typing import IO

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

    Afterwards all that is no complaint goes on to stderr: lines that other threads have written
    meanwhile come late by the time that a picture takes, and none is lost.
    """
    with _lock:
        try:
            stderr = os.dup(STDERR)
        except OSError:  # there is none: nobody reads the complaints
            yield
            return
        spool = _spool()
        os.dup2(spool.fileno(), STDERR)
        try:
            yield
        finally:
            os.dup2(stderr, STDERR)
            os.close(stderr)
            _pass_on(spool)


def _pass_on(spool: IO[bytes]) -> None:
    size = spool.seek(0, os.SEEK_END)
    if not size:
        return
    written = os.pread(spool.fileno(), size, 0)
    spool.truncate(0)
    spool.seek(0)
    lines = written.splitlines(keepends=True)
    rest = b"".join(line for line in lines if not COMPLAINTS.match(line))
    if rest:
        os.write(STDERR, rest)


@functools.cache
def _spool() -> IO[bytes]:
    """One file for the process, without a name and without a buffer."""
    return tempfile.TemporaryFile(buffering=0)
