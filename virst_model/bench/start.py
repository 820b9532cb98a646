"""What it costs to start a program that needs no model."""

import resource
import subprocess
import sys

STARTS = 3  # of which the least counts: the first one may read from a disk


def start_cpu_s(*arguments: str) -> float:
    """CPU seconds, user and system, of `virst ARGUMENTS` from its start to its end.

    Raises:
        subprocess.CalledProcessError: it ended with an error.
    """
    command = [sys.executable, "-m", "virst_model", *arguments]
    costs = []
    for _ in range(STARTS):
        before_s = _children_s()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        costs.append(_children_s() - before_s)
    return min(costs)


def _children_s() -> float:
    """CPU seconds of the processes that this one has started and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
