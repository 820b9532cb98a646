"""What the host must know of tensors: one copy, one wait."""

from collections.abc import Sequence

import numpy as np
import torch


def to_host(tensors: Sequence[torch.Tensor]) -> list[np.ndarray]:
    """The tensors, all on one device, as float32 arrays of their shapes.

    They leave a device as one copy into pinned memory, and the thread sleeps until it is there.
    Each further look at a tensor (`bool`, `float`, `.cpu()`) would be a wait of its own. Integers
    are exact up to 2 ** 24.
    """
    if not tensors:
        return []
    packed = torch.cat([tensor.flatten().float() for tensor in tensors])
    if packed.device.type == "cuda":
        pinned = torch.empty(packed.shape, dtype=packed.dtype, pin_memory=True)
        pinned.copy_(packed, non_blocking=True)
        arrived = torch.cuda.Event(blocking=True)
        arrived.record(torch.cuda.current_stream(packed.device))
        arrived.synchronize()
        packed = pinned
    elif packed.device.type != "cpu":
        packed = packed.cpu()
    values = packed.numpy()
    ends = np.cumsum([tensor.numel() for tensor in tensors])
    return [
        part.reshape(tensor.shape)
        for part, tensor in zip(np.split(values, ends[:-1]), tensors, strict=True)
    ]
