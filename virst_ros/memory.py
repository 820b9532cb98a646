"""Memory of the process that nobody needs any more."""

import ctypes


def give_back() -> None:
    """Gives what was freed back to the system, where the C library can.

    glibc keeps it for the thread that had it. Each `configure` has new threads, and so a node
    that is configured again and again holds as many models' worth as there are such stores.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
