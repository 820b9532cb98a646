"""Which numbers weights are made of where nobody says it, and whether memory has room for them."""

from collections.abc import Iterator
import contextlib
from pathlib import Path

import torch

from virst_model.checkpoints.device import DeviceError
from virst_model.dtypes import DTYPES

# Weights that are more than this as float32 are bfloat16 on a CPU, too: 33 GB of the 7B's.
FLOAT32_BYTES = 8 << 30
# What the work takes beside the weights, as a share of them.
WORK = 0.1
GIB = 2**30


def dtype_of(name: str | None) -> torch.dtype | None:
    """torch's dtype of one of DTYPES; None of None."""
    return None if name is None else getattr(torch, DTYPES[name])


def default_dtype(parameters: int, device: str) -> torch.dtype:
    """bfloat16 on a GPU, and on a CPU of what is large as float32; else float32."""
    large = parameters * torch.float32.itemsize > FLOAT32_BYTES
    return torch.bfloat16 if large or torch.device(device).type == "cuda" else torch.float32


def check_room(weights_bytes: int, dtype: torch.dtype, device: str) -> None:
    """Refuses a CPU weights that its memory does not take, before they are made.

    Linux would make room by ending programs. A GPU says so itself.

    Raises:
        DeviceError: how much they take, and how much there is.
    """
    left = memory_left() if torch.device(device).type == "cpu" else None
    needed = (1 + WORK) * weights_bytes
    if left is None or needed <= left:
        return
    name = str(dtype).removeprefix("torch.")
    way = f"say dtype bfloat16 ({needed / 2 / GIB:.1f} GiB)"
    if dtype.itemsize < torch.float32.itemsize:
        way = "say quantize int8 where it is off, or take a machine with more"
    raise DeviceError(
        f"device {device}: the model takes {needed / GIB:.1f} GiB of memory as {name}, "
        f"and {left / GIB:.1f} are left: {way}"
    )


def memory_left(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take, of the machine and of its control groups.

    Pages of files count as left: they are given up for others. None where the system does not say.

    Args:
        root: of the file system in which Linux says it.
    """
    left = [_available(root / "proc/meminfo"), *_of_groups(root)]
    return min((bytes_ for bytes_ in left if bytes_ is not None), default=None)


def _available(path: Path) -> int | None:
    kib = _numbers(path).get("MemAvailable:")
    return None if kib is None else 1024 * kib


def _of_groups(root: Path) -> Iterator[int | None]:
    """Of each control group that the process is in, down from the mount; of either version."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, group = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            mount, limit, used, prefix = "", "memory.max", "memory.current", ""
        elif "memory" in controllers.split(","):
            mount, limit, used = "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            prefix = "total_"
        else:
            continue
        folder = root / "sys/fs/cgroup" / mount
        for part in ("", *Path(group).parts[1:]):
            folder = folder / part
            most, taken = _number(folder / limit), _number(folder / used)
            if most is not None and taken is not None:
                pages = _numbers(folder / "memory.stat")
                files = [pages.get(f"{prefix}{age}_file", 0) for age in ("inactive", "active")]
                yield max(0, most - max(0, taken - sum(files)))


def _number(path: Path) -> int | None:
    """The number in a file; None where it has none, as the "max" of no limit."""
    (text,) = _lines(path)[:1] or [""]
    return int(text) if text.isdecimal() else None


def _numbers(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    pairs = [line.split()[:2] for line in _lines(path)]
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _lines(path: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    return []
