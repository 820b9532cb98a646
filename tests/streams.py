"""What the tests of the stream share: a model that sees colours, small real ones, and frames."""

from dataclasses import replace
import json
from pathlib import Path
import shutil
from threading import Event

import numpy as np
import torch
import torch.nn.functional as F

from virst_model import Query, Session, SessionOptions, Virst, build
from virst_model.checkpoints.load import TINY
from virst_model.config import VirstConfig, tiny
from virst_model.model.features import (
    ABSENT_LOGIT,
    Decoded,
    FrameFeatures,
    MemoryEntry,
    MemoryRead,
)
from virst_model.model.memory import Memory
from virst_model.model.virst import Cancelled

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
CELLS = 8  # the colour model looks at 8 x 8 points of a frame
SIZE = (48, 64)


def query(id: int, text: str = "red") -> Query:
    """A query whose label is its id."""
    return Query(id, text, id)


def frame(t: int = 0, **columns: int) -> np.ndarray:
    """A grey frame with a bar of each named colour, one of the 8 columns wide.

    `t` is written into the corner, where the colour model reads it.
    """
    image = np.full((*SIZE, 3), 90, np.uint8)
    width = SIZE[1] // CELLS
    for colour, column in columns.items():
        image[18:, column * width : (column + 1) * width] = COLOURS[colour]
    image[0, 0] = (t % 250, t // 250, 7)
    return image


def bars(mask_HW: np.ndarray) -> list[int]:
    """The columns of `frame` in which the mask has a bar."""
    width = SIZE[1] // CELLS
    return [c for c in range(CELLS) if mask_HW[3 * SIZE[0] // 4, c * width + width // 2]]


class ColourModel:
    """Knows an object by its colour, and follows the newest memory it is given.

    It has the interface of `Virst` and its memory's shapes, so that the rules of the stream are
    seen in the masks. `says` maps sentences to the colour that the VLM finds for them.
    """

    def __init__(self) -> None:
        self.config = tiny()
        self.says = {colour: colour for colour in COLOURS}
        self.encoded: list[int] = []  # frame numbers, in the order of the calls
        self.decoded: list[int] = []
        self.replayed: list[int] = []  # also the tracked ones
        self.clips = 0
        self.grounded: list[tuple[str, list[int]]] = []
        self.gate: Event | None = None  # the VLM waits for it, or for a cancel
        self.asked = Event()  # the VLM has been asked

    def encode_frame(self, image: np.ndarray, resize: str = "bilinear") -> FrameFeatures:
        step_y, step_x = image.shape[0] // CELLS, image.shape[1] // CELLS
        points = torch.from_numpy(image[::step_y, ::step_x].astype(np.float32)).permute(2, 0, 1)
        features = FrameFeatures(points[None], points[None], points[None])
        self.encoded.append(_time(features))
        return features

    def clip_pixels(self, image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(image[0, :1].astype(np.float32))

    def encode_clip(self, pixels) -> torch.Tensor:
        self.clips += 1
        return torch.cat(list(pixels))

    def ground(
        self, clip_tokens, features, text, cancelled=lambda: False, wording=(0, 0)
    ) -> torch.Tensor:
        self.grounded.append((text, [_time(f) for f in features]))
        self.asked.set()
        while self.gate is not None and not self.gate.wait(0.002):
            if cancelled():
                raise Cancelled(text)
        colour = torch.tensor(COLOURS[self.says[text]], dtype=torch.float32)
        return colour.expand(len(features), 10, 3)

    def decode_anchor(
        self, features: FrameFeatures, prompts_NC: torch.Tensor, before=None
    ) -> Decoded:
        self.decoded.append(_time(features))
        return _find(features, prompts_NC[:1])

    def propagate(self, features: FrameFeatures, reads: list[MemoryRead]) -> Decoded:
        self.replayed.append(_time(features))
        read = MemoryRead.batch(list(reads))
        alpha = self.config.behaviour.alpha
        order = [*range(alpha, read.maps.shape[1]), *range(alpha)]  # the FIFO first
        newest = [next(s for s in order if valid[s]) for valid in read.map_valid]
        return _find(features, torch.stack([m[s, 0] for m, s in zip(read.maps, newest)]))

    def encode_memory(self, features: FrameFeatures, decoded: Decoded) -> MemoryEntry:
        return MemoryEntry(decoded.pointer[:, None], decoded.pointer)


def _time(features: FrameFeatures) -> int:
    low, high, _ = features.s2[0, :, 0, 0].int().tolist()
    return low + 250 * high


def _find(features: FrameFeatures, colours_B3: torch.Tensor) -> Decoded:
    same = (features.s2 == colours_B3[:, :, None, None]).all(1)
    present = same.flatten(1).any(1)
    raw = torch.where(same, 10.0, -10.0)
    return Decoded(
        logits=torch.where(present[:, None, None], raw, ABSENT_LOGIT),
        raw_logits=raw,
        score=torch.full((len(colours_B3),), 0.9),
        object_score=torch.where(present, 5.0, -5.0),
        pointer=colours_B3,
    )


def session(model=None, **options):
    """In sync mode, each frame sampled, unless `options` say otherwise."""
    options = {"sync": True, "window_period_s": 0.0, "window_size": 8, **options}
    return Session(model or ColourModel(), SessionOptions(**options))


def run(stream, frames, start=0):
    """The results of frames a second apart."""
    return [stream.step(f, float(start + i)) for i, f in enumerate(frames)]


def states(results):
    return [result.results[0].state for result in results]


def real_model(config: VirstConfig | None = None) -> Virst:
    """Random weights of seed 0, and an object score that says "visible"."""
    model = build(config or tiny(), seed=0)
    show_object(model)
    return model


def show_object(model: Virst, logit: float = 5.0) -> None:
    """Sets what the untrained object score says of each frame."""
    head = model.segmenter.sam_mask_decoder.pred_obj_score_head.layers[-1]
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.constant_(head.bias, logit)


def packaged_with(folder: Path, **behaviour: object) -> Path:
    """A copy of the packaged weights whose config has other values of `behaviour`."""
    copy = Path(shutil.copytree(TINY, folder / "weights"))
    config = json.loads((copy / "config.json").read_text())
    config["behaviour"] |= behaviour
    (copy / "config.json").write_text(json.dumps(config))
    return copy


def upsample(decoded: Decoded, height: int, width: int) -> torch.Tensor:
    """Mask logits (B, height, width) at the camera's size; > 0 is the mask."""
    return F.interpolate(decoded.logits[:, None], (height, width), mode="bilinear")[:, 0]


def fifo_times(memory: Memory) -> tuple[int, ...]:
    """Times of the frames whose maps the FIFO holds, ascending."""
    return tuple(sorted(memory._recent_maps))


def smallest() -> VirstConfig:
    """Every part of the tiny preset at the least size, for streams of thousands of frames."""
    config = tiny()
    return replace(
        config,
        umt=replace(config.umt, side=32, dim=32, depth=1, heads=2, base_grid=2),
        tome=replace(config.tome, heads=2, tokens=8),
        llm=replace(config.llm, hidden=32, layers=1, heads=2, kv_heads=1, intermediate=64),
        segmenter=replace(
            config.segmenter,
            side=32,
            embed_dim=8,
            stages=(1, 1, 1, 1),
            global_att_blocks=(),
            window_spec=(8, 4, 4, 2),
            dim=32,
            memory_dim=8,
            memory_layers=1,
            memory_feedforward=32,
            decoder_feedforward=32,
            iou_head_hidden=16,
        ),
        fusion=replace(config.fusion, grid=2, heads=2),
    )


def noise_frames(count: int, seed: int = 0) -> list[np.ndarray]:
    """Frames of a drifting random texture, different at each time."""
    base = np.random.default_rng(seed).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    return [np.roll(base, 3 * i, axis=1) for i in range(count)]
