"""What the host must know of tensors: one copy, one wait."""

from collections.abc import Sequence

import numpy as np
import torch


class Leaving:
    """Tensors, all on one device, on their way to the host.

    They leave a device as one copy into pinned memory, behind what was asked of it before; what is
    asked of it afterwards goes on meanwhile. Each further look at a tensor (`bool`, `float`,
    `.cpu()`) would be a wait of its own. Integers are exact up to 2 ** 24.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._shapes = [tensor.shape for tensor in tensors]
        self._arrived: torch.cuda.Event | None = None
        if not tensors:
            return
        self._packed = packed = torch.cat([tensor.flatten().float() for tensor in tensors])
        if packed.device.type == "cuda":
            self._packed = torch.empty(packed.shape, dtype=packed.dtype, pin_memory=True)
            self._packed.copy_(packed, non_blocking=True)
            self._arrived = torch.cuda.Event(blocking=True)
            self._arrived.record(torch.cuda.current_stream(packed.device))

    def arrive(self) -> list[np.ndarray]:
        """float32 arrays of their shapes; the thread sleeps until they are there."""
        if not self._shapes:
            return []
        if self._arrived is not None:
            self._arrived.synchronize()
        elif self._packed.device.type != "cpu":
            self._packed = self._packed.cpu()
        ends = np.cumsum([shape.numel() for shape in self._shapes])
        parts = np.split(self._packed.numpy(), ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)]


def to_host(tensors: Sequence[torch.Tensor]) -> list[np.ndarray]:
    """As `Leaving`, at once."""
    return Leaving(tensors).arrive()
