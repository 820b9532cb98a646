"""Frames as the encoders are given them: square, in grey levels, resized on the host or there."""

import numpy as np
from PIL import Image
import torch
import torch.nn.functional as F

# A frame, uint8 RGB (H, W, 3): on the host, or what `bring` made of it.
Picture = np.ndarray | torch.Tensor
RESIZES = ("bilinear", "bicubic")


def check_frame(frame_HW3: np.ndarray) -> None:
    """Raises ValueError for what is not uint8 RGB with pixels."""
    if frame_HW3.dtype != np.uint8 or frame_HW3.ndim != 3 or frame_HW3.shape[2] != 3:
        raise ValueError(
            f"a frame must be uint8 (H, W, 3), not {frame_HW3.dtype} {frame_HW3.shape}"
        )
    if 0 in frame_HW3.shape:
        raise ValueError(f"a frame must have pixels, not the shape {frame_HW3.shape}")


def bring(frame_HW3: np.ndarray, device: torch.device) -> Picture:
    """The frame where a model is that wants it in two sizes.

    To a GPU it is copied once, from pinned memory and without a wait; a CPU's is the frame itself.

    Raises:
        ValueError: not uint8 RGB.
    """
    check_frame(frame_HW3)
    if device.type != "cuda":
        return frame_HW3
    # The allocator takes pinned memory back when its copy is over: a few pieces go round.
    pinned = torch.empty(frame_HW3.shape, dtype=torch.uint8, pin_memory=True)
    pinned.numpy()[:] = frame_HW3
    return pinned.to(device, non_blocking=True)


def resized(frame_HW3: Picture, side: int, resize: str) -> torch.Tensor:
    """Grey levels (1, 3, side, side), with antialiasing.

    A frame of the host is resized as Pillow does it, uint8; another where it is, in float32 and
    rounded after each of Pillow's two passes: its picture but for one level here and there.

    Raises:
        ValueError: not uint8 RGB, or `resize` is none of RESIZES.
    """
    if resize not in RESIZES:
        raise ValueError(f"unknown resize {resize!r}; known are {', '.join(RESIZES)}")
    if isinstance(frame_HW3, torch.Tensor):
        image = frame_HW3.permute(2, 0, 1)[None].float()
        for size in ((len(frame_HW3), side), (side, side)):  # along x, then along y
            image = F.interpolate(image, size, mode=resize, antialias=True)
            image = (image + 0.5).floor().clamp(0, 255)  # halves go up, as Pillow's
        return image
    check_frame(frame_HW3)
    if resize == "bicubic":
        # Pillow itself: torch's bicubic on bytes is off by two levels here and there.
        image = Image.fromarray(frame_HW3).resize((side, side), Image.BICUBIC)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    if not frame_HW3.flags.writeable:
        frame_HW3 = frame_HW3.copy()
    image = torch.from_numpy(frame_HW3).permute(2, 0, 1)[None]
    # uint8 in, uint8 out: this is Pillow's resampling, to one grey level, and much faster.
    return F.interpolate(image, (side, side), mode="bilinear", antialias=True)
