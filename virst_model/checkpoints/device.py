"""Where a model runs: what is asked for, or a GPU that is not only in sight but computes."""

import logging

import torch

from virst_model.errors import InputError

_log = logging.getLogger(__name__)


class DeviceError(InputError):
    """A device that was asked for cannot be used; `str()` is one line."""


def choose_device(name: str = "auto") -> str:
    """The device that is meant by "auto", "cpu", "cuda", "cuda:1", ...

    "auto" is a GPU where there is one. One that torch sees but cannot use (a driver too old, a
    card that its build has no code for) is named in a warning; the CPU stands in for it.

    Raises:
        DeviceError: `name` is no device, or not one that computes here.
    """
    if name != "auto":
        reason = _fault(name)
        if reason:
            raise DeviceError(f"device {name}: {reason}; leave it out, or say cpu")
        return name
    if not torch.cuda.is_available():
        return "cpu"
    reason = _fault("cuda")
    if reason:
        _log.warning("the GPU cannot be used (%s): running on the CPU", reason)
        return "cpu"
    return "cuda"


def _fault(name: str) -> str:
    """Why a device cannot compute; empty where it can."""
    try:
        torch.zeros(1, device=name).add(1).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ""
