"""Which processor a figure was measured on. Needs no torch."""

import platform


def processor_name() -> str:
    """The model name that the system has for its CPU, else Python's word for it; may be empty."""
    try:
        with open("/proc/cpuinfo") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor()
