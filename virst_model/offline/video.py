"""VIRST on a whole video: sampled frames to the VLM, anchors, then every frame in order.

The video is read twice, frame by frame: once for the sampled frames, once to be segmented.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
import logging

import numpy as np
import torch

from virst_model.answer import TRACKING, Query, StepResult
from virst_model.config import CLIP_FRAMES
from virst_model.errors import FileError
from virst_model.frames import Frame, Frames, StillImage, unreadable
from virst_model.model.anchors import anchor_candidates
from virst_model.model.features import Decoded, FrameFeatures, VisualTokens
from virst_model.model.memory import Memory
from virst_model.model.prompt import draw_wording
from virst_model.model.seen import Seen
from virst_model.model.tracking import track_anchor, track_frame
from virst_model.model.virst import Virst
from virst_model.offline.sampling import WHOLE_IMAGE, sample_frames
from virst_model.stream.compose import compose, read

# How the fusion's frames are resized, whatever `behaviour.tracking_resize` says.
FUSION_RESIZE = "bilinear"
# Masks of several queries meet in one uint8 image of labels.
MOST_TEXTS = 255

# How well a frame (uint8 RGB) shows what a sentence says; CLIP in Table 5. The scale is its own.
Scorer = Callable[[np.ndarray, str], float]

_log = logging.getLogger(__name__)


@dataclass
class View:
    """What the model saw of a video's sampled frames.

    Attributes:
        length: frames of the video.
        clips: visual tokens of each clip, or of the image.
        fused: frames that the fusion sees, in order, repeats included.
        places: which of the clips' frames each of them is.
        features: of the fused frames, B = 1, by frame number, as the fusion sees them.
        tracked: of all sampled frames, as they are segmented; the same objects but where
            `behaviour.tracking_resize` resizes them in another way (as the release does).
        scores: a scorer's judgement of each frame, one value a sentence, by frame number.
        seen: what the questions about the video share.
    """

    length: int
    clips: list[VisualTokens]
    fused: list[int]
    places: list[int]
    features: dict[int, FrameFeatures]
    tracked: dict[int, FrameFeatures]
    scores: dict[int, list[float]]
    seen: Seen = field(default_factory=Seen)


def clip_tokens(model: Virst, frames: Frames, seed: int = 0) -> list[VisualTokens]:
    """Visual tokens of a video's sampled clips; FileError if nothing is readable.

    Those of an image are of its one frame. For questions in words, which need no segmenter.
    """
    return _look(model, frames, seed, lambda index, image_HW3, fused, view: None).clips


@torch.inference_mode()
def view_video(
    model: Virst,
    frames: Frames,
    texts: Sequence[str] = (),
    seed: int = 0,
    scorer: Scorer | None = None,
) -> View:
    """Reads and encodes the sampled frames; FileError if nothing is readable."""
    resize = model.config.behaviour.tracking_resize
    newest: dict[int, np.ndarray] = {}

    def keep(index: int, image_HW3: np.ndarray, fused: bool, view: View) -> None:
        newest.clear()
        newest[index] = image_HW3
        view.tracked[index] = model.encode_frame(image_HW3, resize)
        if fused:
            same = resize == FUSION_RESIZE
            view.features[index] = view.tracked[index] if same else model.encode_frame(image_HW3)
        if scorer is not None:
            view.scores[index] = [scorer(image_HW3, text) for text in texts]

    view = _look(model, frames, seed, keep)
    # The last readable frame stands for fused ones behind it, whether it is fused itself or not.
    for index in set(view.fused) - view.features.keys():
        view.features[index] = model.encode_frame(newest[index])
    return view


# What a view keeps of a frame: its number, its pixels, whether the fusion sees it.
Keep = Callable[[int, np.ndarray, bool, View], None]


@torch.inference_mode()
def _look(model: Virst, frames: Frames, seed: int, keep: Keep) -> View:
    """A view of what `keep` puts into it; the sample is drawn again if the file is shorter."""
    while True:
        length = frames.length
        if length < 1:
            raise FileError(frames.path, "holds no frame")
        sample = WHOLE_IMAGE
        if not isinstance(frames, StillImage):
            sample = sample_frames(length, model.config.behaviour, seed)
        view = View(length, [], [], [], {}, {}, {})
        fused = set(sample.fused)
        clip_pixels = {}
        stands = {}
        for wanted, index, image_HW3 in _readable(frames, sorted(set(sample.vlm))):
            clip_pixels[index] = model.clip_pixels(image_HW3)
            keep(index, image_HW3, not fused.isdisjoint(wanted), view)
            stands |= dict.fromkeys(wanted, index)
        if frames.length >= length:
            break
    if not stands:
        raise unreadable(frames)
    last = max(clip_pixels)
    vlm = [stands.get(index, last) for index in sample.vlm]
    view.clips = [
        model.encode_clip([clip_pixels[index] for index in vlm[start : start + CLIP_FRAMES]])
        for start in range(0, len(vlm), CLIP_FRAMES)
    ]
    view.places = sample.places
    view.fused = [stands.get(index, last) for index in sample.fused]
    return view


def _readable(
    frames: Frames, wanted: Sequence[int]
) -> Iterator[tuple[list[int], int, np.ndarray]]:
    """Pictures of the wanted frames; the next one that can be read stands in for one that cannot.

    Yields:
        the wanted numbers that it stands for, its own number, its pixels.
    """
    todo = set(wanted)
    waiting: list[int] = []
    for frame in frames:
        if frame.index in todo:
            waiting.append(frame.index)
        if not waiting:
            continue
        try:
            image_HW3 = frame.read()
        except FileError:
            continue  # said when the video is segmented
        yield waiting, frame.index, image_HW3
        if frame.index >= wanted[-1]:
            return
        waiting = []


@dataclass(frozen=True)
class Picture:
    """A frame of the video as it is segmented.

    Attributes:
        index: its place in the video.
        name: what its mask file is called.
        time_s: seconds after the first frame.
        image_HW3: uint8 RGB; of frame `source`, another one where this could not be read.
        source: the frame that the pixels are of.
    """

    index: int
    time_s: float
    name: str
    image_HW3: np.ndarray
    source: int


def pictures(frames: Frames) -> Iterator[Picture]:
    """Every frame in order; one that cannot be read repeats the picture before it, with a warning.

    Where there is none before it, the first that can be read is shown instead.

    Raises:
        FileError: no frame can be read.
    """
    last: Picture | None = None
    waiting = []
    for frame in frames:
        try:
            image_HW3 = frame.read()
        except FileError as error:
            _log.warning("%s; its mask is propagated from memory", error)
            if last is None:
                waiting.append(frame)
            else:
                last = _shown(frame, last.image_HW3, last.source)
                yield last
            continue
        for early in waiting:
            yield _shown(early, image_HW3, frame.index)
        waiting = []
        last = _shown(frame, image_HW3, frame.index)
        yield last
    if last is None:
        raise unreadable(frames)


def _shown(frame: Frame, image_HW3: np.ndarray, source: int) -> Picture:
    return Picture(frame.index, frame.time_s, frame.name, image_HW3, source)


@dataclass
class VideoTrack:
    """One query on the video: its memory, its anchors' masks, and its current mask."""

    query: Query
    memory: Memory
    anchors: dict[int, Decoded] = field(default_factory=dict)
    state: str = TRACKING
    decoded: Decoded | None = None


@torch.inference_mode()
def segment_video(
    model: Virst,
    frames: Frames,
    texts: Sequence[str],
    seed: int = 0,
    scorer: Scorer | None = None,
) -> Iterator[tuple[Picture, StepResult]]:
    """Masks of all frames for every sentence; query i has id and label i + 1.

    The whole video is looked at first (one VLM pass a sentence) and all anchors are segmented, so
    that a frame is tracked from anchors on both sides (Sec. 3.4, eq. (12)); the rest follows in
    order. An anchor frame has the anchor's mask. Memory holds the sampled frames, the anchors and
    the FIFO: it does not grow with the video.

    Args:
        model: its `config.behaviour` says how frames and anchors are chosen.
        frames: the video, or a `StillImage`: one frame, which is the one anchor.
        texts: 1..255 sentences; they share the frames' features.
        seed: of whatever is drawn by lot.
        scorer: of behaviour.anchors "guided".

    Yields:
        Each frame and its answers. A query's score of 0 and an empty mask mean nothing but that.

    Raises:
        FileError: no frame can be read.
        ValueError: no text or too many, or guided anchors without a scorer.
    """
    if not 1 <= len(texts) <= MOST_TEXTS:
        raise ValueError(f"texts must be 1..{MOST_TEXTS}, not {len(texts)}")
    if model.config.behaviour.anchors == "guided" and scorer is None:
        raise ValueError("behaviour.anchors is 'guided', which needs a scorer")
    view = view_video(model, frames, texts, seed, scorer)
    tracks = [
        start_track(model, view, Query(i + 1, text, i + 1), seed) for i, text in enumerate(texts)
    ]
    view.features.clear()  # grounded: from here on only `tracked` is needed
    resize = model.config.behaviour.tracking_resize
    features, source = None, -1
    for picture in pictures(frames):
        if picture.source != source:
            features, source = view.tracked.pop(picture.source, None), picture.source
            if features is None:
                features = model.encode_frame(picture.image_HW3, resize)
        t = picture.index
        following = [track for track in tracks if t not in track.anchors]
        if following:
            memories = [track.memory for track in following]
            masks = track_frame(model, t, features, memories, view.length)
            for track, decoded in zip(following, masks, strict=True):
                track.decoded = decoded
        for track in tracks:
            track.decoded = track.anchors.get(t, track.decoded)
        yield picture, compose(t, picture.time_s, read(tracks), *picture.image_HW3.shape[:2])


@torch.inference_mode()
def start_track(model: Virst, view: View, query: Query, seed: int = 0) -> VideoTrack:
    """Grounds a query and segments its anchors, each from its prompts alone.

    Where padding puts two anchors on one frame, the second is decoded with the first one's logits
    as a mask prompt and replaces it, as in the release.
    """
    features = [view.features[index] for index in view.fused]
    behaviour = model.config.behaviour
    wording = draw_wording(query.text, seed) if behaviour.random_templates else (0, 0)
    prompts_TNC = model.ground(
        view.clips, features, query.text, wording=wording, fused=view.places, seen=view.seen
    )
    track = VideoTrack(query, Memory(model.config, capacity=None))
    scores = None
    if view.scores:
        scores = [view.scores[index][query.id - 1] for index in view.fused]
    for place in anchor_candidates(behaviour.anchors, len(view.fused), seed, scores):
        index = view.fused[place]
        track.anchors[index] = track_anchor(
            model,
            index,
            view.tracked[index],
            prompts_TNC[place],
            track.memory,
            before=track.anchors.get(index),
        )
    return track
