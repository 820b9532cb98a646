"""The window of a stream: frames sampled by their stamps, in clips of four."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import torch

from virst_model.config import CLIP_FRAMES
from virst_model.model.features import FrameFeatures, VisualTokens
from virst_model.model.pictures import bring
from virst_model.model.seen import Pooled
from virst_model.model.virst import Virst

# Sampled frames between groundings while the window grows.
GROWTH = 8


@dataclass
class WindowFrame:
    """A sampled frame: an image until it is encoded, what the model made of them afterwards.

    Written by the tracker thread only, and never again once it is encoded. A frame that could not
    be encoded stays in its place with neither image nor features: it is not tried again.

    Attributes:
        t: frame number.
        stamp_s: the camera's.
        image_HW3: uint8 RGB, the camera's; None once encoded, or where that failed.
        features: SAM 2 features, B = 1; None until encoded.
        clip_pixels: the clip encoder's input (3, u, u); None until encoded.
    """

    t: int
    stamp_s: float
    image_HW3: np.ndarray | None
    features: FrameFeatures | None = None
    clip_pixels: torch.Tensor | None = None

    def encode(self, model: Virst) -> None:
        """Encodes the frame, once for all who need it, and lets go of the image.

        Raises what the model raises; the image is gone then, too.
        """
        image_HW3, self.image_HW3 = self.image_HW3, None
        if image_HW3 is None:
            return
        picture = bring(image_HW3, model.device)
        features = model.encode_frame(picture)
        self.clip_pixels = model.clip_pixels(picture)
        self.features = features


@dataclass
class Clip:
    """Four sampled frames and, once a grounding has needed them, what the model makes of them.

    The frames are the tracker's to add, their tokens and what the fusions look at are the
    grounder's to fill in: groundings of all queries share them.
    """

    frames: list[WindowFrame] = field(default_factory=list)
    tokens: VisualTokens | None = None
    pooled: Pooled | None = None

    @property
    def complete(self) -> bool:
        """Whether all four frames are there; no more are added then."""
        return len(self.frames) == CLIP_FRAMES

    @property
    def encoded(self) -> bool:
        """Whether all four frames are there and encoded: a grounding may use the clip."""
        return self.complete and all(frame.features is not None for frame in self.frames)

    def see(self, model: Virst) -> None:
        """Makes its tokens, once; on the grounder's thread."""
        if self.tokens is None:
            self.tokens = model.encode_clip([frame.clip_pixels for frame in self.frames])


class Window:
    """The newest sampled frames of a stream; slides by whole clips, so clip tokens are reusable.

    Holds at most `size` frames in complete clips, and the clip that is being filled.
    """

    def __init__(self, size: int, period_s: float) -> None:
        """`size`: frames, a multiple of 4; `period_s`: between samples, in the stamps' time, which
        may be changed."""
        self._size = size
        self.period_s = period_s
        self._clips: deque[Clip] = deque()
        self.reset()

    def reset(self) -> None:
        """Forgets all frames and the sampling grid: the next frame is sampled."""
        self._clips.clear()
        self.newest_s: float | None = None  # the newest stamp that was offered
        self._due_s: float | None = None
        self.completed = 0  # sampled frames in complete clips, since the reset

    def offer(self, t: int, stamp_s: float, frame_HW3: np.ndarray) -> WindowFrame | None:
        """Keeps the frame (a copy) if its stamp is the nearest to the next point of the grid.

        The grid has one point each `period_s`; a frame half a frame gap early is taken, so that
        jitter and drops neither stretch nor shrink the window. After a gap in the stream the grid
        starts anew at the first frame. A frame that is not newer than all before is never kept.

        Args:
            t: frame number, ascending.
            stamp_s: in any order.
            frame_HW3: uint8 RGB.

        Returns:
            The sampled frame, not encoded, or None.
        """
        if self.newest_s is not None and stamp_s <= self.newest_s:
            return None
        gap_s = 0.0 if self.newest_s is None else stamp_s - self.newest_s
        self.newest_s = stamp_s
        if self._due_s is not None and stamp_s < self._due_s - min(gap_s, self.period_s) / 2:
            return None
        on_grid = self._due_s is not None and stamp_s < self._due_s + self.period_s / 2
        self._due_s = (self._due_s if on_grid else stamp_s) + self.period_s
        frame = WindowFrame(t, stamp_s, frame_HW3.copy())
        self._add(frame)
        return frame

    def _add(self, frame: WindowFrame) -> None:
        if not self._clips or self._clips[-1].complete:
            self._clips.append(Clip())
        self._clips[-1].frames.append(frame)
        if self._clips[-1].complete:
            self.completed += CLIP_FRAMES
            if len(self._clips) * CLIP_FRAMES > self._size:
                self._clips.popleft()

    def frames(self) -> list[WindowFrame]:
        """All frames that the window holds, oldest first."""
        return [frame for clip in self._clips for frame in clip.frames]

    def encode(self, model: Virst, at_most: int) -> None:
        """Encodes up to `at_most` frames that were kept as images, newest first."""
        for frame in self._images()[:at_most]:
            frame.encode(model)

    @property
    def is_encoded(self) -> bool:
        """Whether no frame is still kept as an image."""
        return not self._images()

    def _images(self) -> list[WindowFrame]:
        return [frame for frame in reversed(self.frames()) if frame.image_HW3 is not None]

    def snapshot(self) -> tuple[Clip, ...]:
        """The newest unbroken run of complete and encoded clips, oldest first; may be empty.

        A grounding holds on to it: its frames and tokens outlive their place in the window.
        """
        run: list[Clip] = []
        for clip in reversed(self._clips):
            if clip.encoded:
                run.append(clip)
            elif clip.complete:
                break
        return tuple(reversed(run))


def next_size(size: int, window_size: int) -> int:
    """Frames of the grounding that follows one of `size` frames: a clip, then each GROWTH."""
    following = CLIP_FRAMES if size < CLIP_FRAMES else GROWTH * (size // GROWTH + 1)
    return min(following, window_size)
