"""Whether a model reads the video: masks with its own clip tokens, with others, and with none.

Masks that are the same with another video's clip tokens come from the words and from the
segmenter's features alone. Every sentence is grounded on one window; the masks of two anchors are
decoded from the window's prompts, without memory, under the video's own features. They are looked
at as published and from the raw logits: a model that only learns to call everything absent on a
foreign video looks as if it saw, but for the raw logits.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
import itertools
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from virst_model.config import CLIP_FRAMES, LEAST_FRAMES
from virst_model.evaluate.score import markdown
from virst_model.model.features import Decoded, FrameFeatures, VisualTokens
from virst_model.synthetic import grammar
from virst_model.synthetic.grammar import Phrase
from virst_model.synthetic.scenes import Scene
from virst_model.synthetic.sentence import Sentence
from virst_model.synthetic.world import MAKERS, World, render_all

# own: of the window; other: of the next video; zero: nothing of any video, no places either;
# reversed: of the window played backwards. The features that fusions see are the own ones.
BACKWARDS = "reversed"
TOKENS = ("own", "other", "zero", BACKWARDS)
LOGITS = ("published", "raw")
WINDOWS = (4, 8, 16, 32)
MIRRORED = {"left": "right", "right": "left", "up": "down", "down": "up"}
MIRRORED_SENTENCES = 100  # so many are counted at least
_MOST_SCENES = 2000  # that are searched for them
ALL = "overall"


class Sighted(Protocol):
    """What is asked of a model (`virst_model.model.virst.Virst`)."""

    def encode_frame(self, frame_HW3: np.ndarray) -> FrameFeatures: ...

    def clip_pixels(self, frame_HW3: np.ndarray) -> torch.Tensor: ...

    def encode_clip(self, pixels_T: Sequence[torch.Tensor]) -> VisualTokens: ...

    def join_clips(self, clips: Sequence[VisualTokens]) -> VisualTokens: ...

    def ground_tokens(
        self, tokens: VisualTokens, features: Sequence[FrameFeatures], text: str
    ) -> torch.Tensor: ...

    def decode_anchor(self, features: FrameFeatures, prompts_NC: torch.Tensor) -> Decoded: ...


@dataclass(frozen=True)
class SightRun:
    """Which worlds, and how they are filmed.

    Attributes:
        worlds: "scenes" or "stories".
        first: seed of the first; the others follow. Disjoint ranges are disjoint samples.
        window: frames of the window; of these a multiple of 4.
        tokens: which of TOKENS but "reversed", of which `measure_reversed` is.
        per_kind: sentences of each kind about each.
    """

    worlds: str = "scenes"
    split: str = "test"
    first: int = 5000
    videos: int = 48
    window: int = 16
    period_s: float = 0.25
    tokens: tuple[str, ...] = ("own", "other", "zero")
    per_kind: int = 2
    height: int = 240
    width: int = 320

    def __post_init__(self) -> None:
        """Raises ValueError for a window or tokens that cannot be."""
        if self.window % CLIP_FRAMES or self.window < CLIP_FRAMES:
            raise ValueError(f"window is {self.window}, must be a multiple of {CLIP_FRAMES}")
        if "own" not in self.tokens and self.tokens:
            raise ValueError("clip-tokens: the others are compared with own")

    @property
    def anchors(self) -> tuple[int, ...]:
        """The frames whose masks are decoded: a quarter and three quarters into the window.

        Of a window that is padded it is the newest, the one anchor that a stream has of it.
        """
        if self.window < LEAST_FRAMES:
            return (self.window - 1,)
        return (self.window // 4, 3 * self.window // 4)


@dataclass(frozen=True)
class Window:
    """A window of a world as a model takes it.

    Attributes:
        ids_THW: uint8, what is visible.
        features: of each frame, and the newest again where the window is padded.
        clips: tokens of its clips; backwards: of the window played backwards, or none.
    """

    world: World
    times_s: tuple[float, ...]
    ids_THW: np.ndarray
    features: list[FrameFeatures]
    clips: list[VisualTokens]
    backwards: list[VisualTokens]


def measure(model: Sighted, run: SightRun) -> dict[str, dict]:
    """Mean IoU in percent by kind of sentence and over all, sentences without a target left out.

    Returns:
        kind -> {"number": sentences, tokens: {"published": IoU, "raw": IoU}, "margin":
        {"published": own less the largest of the others, "raw": ...}}.
    """
    kinds = collect(model, run)
    return {kind: _row(values) for kind, values in sorted(kinds.items(), key=_all_last)}


def collect(model: Sighted, run: SightRun) -> dict[str, dict[str, dict[str, list[float]]]]:
    """What `measure` takes the means of: kind -> tokens -> LOGITS -> IoU 0..1 of each sentence."""
    kinds: dict = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for window, other in _pairs(_windows(model, run), run):
        sentences = [s for s in window.world.sentences(per_kind=run.per_kind) if s.kind != "none"]
        for sentence in sentences:
            truths = sentence.masks(window.ids_THW, window.times_s)
            for name in run.tokens:
                tokens = _tokens(model, name, window, other)
                for logits, ious in _ious(model, window, tokens, sentence, truths, run).items():
                    for kind in (sentence.kind, ALL):
                        kinds[kind][name][logits].append(float(np.mean(ious)))
    return kinds


@torch.inference_mode()
def score_objects(model: Sighted, run: SightRun) -> Iterator[tuple[float, bool]]:
    """The object score at each anchor of each sentence, and whether its target is to be seen.

    Of all sentences, those without a target too, with the video's own clip tokens.
    """
    for window in _windows(model, run):
        tokens = model.join_clips(window.clips)
        for sentence in window.world.sentences(per_kind=run.per_kind):
            truths = sentence.masks(window.ids_THW, window.times_s)
            prompts_TNC = model.ground_tokens(tokens, window.features, sentence.text)
            for t in run.anchors:
                decoded = model.decode_anchor(window.features[t], prompts_TNC[t])
                yield float(decoded.object_score[0]), bool(truths[t].any())


def check_reversed(run: SightRun) -> None:
    """Raises ValueError where `measure_reversed` says nothing of such a window.

    Backwards, one that is padded with its newest frame would begin with a clip that stands still.
    """
    if run.window < LEAST_FRAMES:
        raise ValueError(f"window is {run.window}, {BACKWARDS} needs {LEAST_FRAMES} or more")


def measure_reversed(model: Sighted, run: SightRun) -> dict[str, float]:
    """What `collect_reversed` finds, in percent: "share" on the other, "own", and the "number"."""
    other, own = (100 * np.array(hits) for hits in collect_reversed(model, run).values())
    shares = {"share": other, "own": own}
    means = {name: float(np.mean(hits)) if len(hits) else 0.0 for name, hits in shares.items()}
    return means | {"number": len(other)}


def collect_reversed(model: Sighted, run: SightRun) -> dict[str, list[bool]]:
    """Of sentences about a motion, where the mask goes when the clips run backwards.

    Counted are sentences whose mirrored one ("moving left" of "moving right", same noun) means
    another object. The features stay as they are, and the masks are those of the two middle
    frames, where a place that is read backwards is right to within a frame.

    Returns:
        "mask on the other", of each sentence, and "forwards on its own": on the right object with
        the clips as they are.

    Raises:
        ValueError: as `check_reversed`.
    """
    check_reversed(run)
    over, right = [], []
    middle = (run.window // 2 - 1, run.window // 2)
    seeds = itertools.count(run.first)
    searched = itertools.islice(seeds, max(run.videos, _MOST_SCENES))
    with tqdm(total=MIRRORED_SENTENCES, unit="sentence", desc="reversed") as bar:
        for seed in searched:
            if seed >= run.first + run.videos and len(over) >= MIRRORED_SENTENCES:
                break
            scene = MAKERS["scenes"](seed, run.split, duration_s=run.window * run.period_s)
            pairs = mirrored(scene)
            if not pairs:
                continue
            window = _look(model, scene, run, backwards=True)
            for text, own_ids, mirrored_ids in pairs:
                own, backwards = (
                    _masks(model, window, model.join_clips(clips), text, middle)["published"]
                    for clips in (window.clips, window.backwards)
                )
                ids = window.ids_THW[list(middle)]
                truth, mirror = (np.isin(ids, each) for each in (own_ids, mirrored_ids))
                over.append(bool(_iou(backwards, mirror).mean() > _iou(backwards, truth).mean()))
                right.append(bool(_iou(own, truth).mean() > _iou(own, mirror).mean()))
                bar.update()
    return {"mask on the other": over, "forwards on its own": right}


def mirrored(scene: Scene) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Sentences about a motion, the object that each means, and the one of its mirrored sentence.

    Of every pair of motions and every noun that fits both, in both directions.
    """
    found = []
    rng = np.random.default_rng(scene.seed)
    looks = {(None, None)}
    for item in scene.objects:
        looks |= {(item.colour, None), (None, item.shape), (item.colour, item.shape)}
    for colour, shape in sorted(looks, key=repr):
        for way in MIRRORED:
            text, other = (
                grammar.word(Phrase(colour=colour, shape=shape, motion=motion), rng)
                for motion in (way, MIRRORED[way])
            )
            ids, mirrored_ids = scene.answer(text), scene.answer(other)
            if ids and mirrored_ids and len(ids) == len(mirrored_ids) == 1:
                found.append((text, ids, mirrored_ids))
    return found


def table(rows: dict[str, dict]) -> str:
    """The rows of `measure`, as markdown."""
    flat = {}
    for kind, row in rows.items():
        columns = [name for name in (*TOKENS, "margin") if name in row]
        flat[kind] = {"number": row["number"]} | {
            name if logits == "published" else f"{name}, raw": row[name][logits]
            for logits in LOGITS
            for name in columns
        }
    return markdown(flat)


def describe_reversed(shares: dict[str, float]) -> str:
    """The answer of `measure_reversed`, in a line."""
    return (
        f"{shares['number']} sentences with a mirrored one: {shares['own']:.1f} % on their "
        f"object; with the clips backwards, {shares['share']:.1f} % on the other\n"
    )


def _windows(model: Sighted, run: SightRun) -> Iterator[Window]:
    duration_s = run.window * run.period_s
    with tqdm(total=run.videos * run.window, unit="frame", desc=run.worlds) as bar:
        for seed in range(run.first, run.first + run.videos):
            world = MAKERS[run.worlds](seed, run.split, duration_s=duration_s)
            yield _look(model, world, run, seen=bar.update)


@torch.inference_mode()
def _look(
    model: Sighted,
    world: World,
    run: SightRun,
    backwards: bool = False,
    seen: Callable[[], object] = lambda: None,
) -> Window:
    """A window of a world; `seen` is called for each of its frames."""
    times_s = tuple(i * run.period_s for i in range(run.window))
    pictures, ids_THW = render_all(world, times_s, run.height, run.width)
    pad = max(0, LEAST_FRAMES - run.window)
    features = []
    for picture in pictures:
        features.append(model.encode_frame(picture))
        seen()
    pixels = [model.clip_pixels(picture) for picture in pictures]
    return Window(
        world=world,
        times_s=times_s,
        ids_THW=ids_THW,
        features=features + features[-1:] * pad,
        clips=_clips(model, pixels + pixels[-1:] * pad),
        backwards=_clips(model, (pixels + pixels[-1:] * pad)[::-1]) if backwards else [],
    )


def _clips(model: Sighted, pixels: Sequence[torch.Tensor]) -> list[VisualTokens]:
    starts = range(0, len(pixels), CLIP_FRAMES)
    return [model.encode_clip(pixels[start : start + CLIP_FRAMES]) for start in starts]


def _pairs(windows: Iterator[Window], run: SightRun) -> Iterator[tuple[Window, Window]]:
    """Each window with the next one; the last with the first."""
    first = before = None
    for window in windows:
        if before is not None:
            yield before, window
        first, before = first or window, window
    if first is not None and run.videos > 1:
        yield before, first


def _tokens(model: Sighted, name: str, window: Window, other: Window) -> VisualTokens:
    tokens = model.join_clips(other.clips if name == "other" else window.clips)
    return tokens.blank() if name == "zero" else tokens


def _ious(
    model: Sighted,
    window: Window,
    tokens: VisualTokens,
    sentence: Sentence,
    truths_THW: np.ndarray,
    run: SightRun,
) -> dict[str, np.ndarray]:
    masks = _masks(model, window, tokens, sentence.text, run.anchors)
    truth = truths_THW[list(run.anchors)]
    return {logits: _iou(mask, truth) for logits, mask in masks.items()}


@torch.inference_mode()
def _masks(
    model: Sighted,
    window: Window,
    tokens: VisualTokens,
    text: str,
    frames: Sequence[int],
) -> dict[str, np.ndarray]:
    """bool (frames, H, W), as published and from the raw logits."""
    prompts_TNC = model.ground_tokens(tokens, window.features, text)
    decoded = [model.decode_anchor(window.features[t], prompts_TNC[t]) for t in frames]
    size = window.ids_THW.shape[1:]
    maps = {
        "published": torch.cat([each.logits for each in decoded]),
        "raw": torch.cat([each.raw_logits for each in decoded]),
    }
    return {
        name: (F.interpolate(logits[:, None], size, mode="bilinear")[:, 0] > 0).cpu().numpy()
        for name, logits in maps.items()
    }


def _iou(masks_AHW: np.ndarray, truths_AHW: np.ndarray) -> np.ndarray:
    """(A,); 1 where both are empty."""
    both = (masks_AHW & truths_AHW).sum(axis=(1, 2))
    union = (masks_AHW | truths_AHW).sum(axis=(1, 2))
    return np.where(union > 0, both / np.maximum(union, 1), 1.0)


def _row(values: dict[str, dict[str, list[float]]]) -> dict:
    means = {
        name: {logits: 100 * float(np.mean(ious)) for logits, ious in each.items()}
        for name, each in values.items()
    }
    others = [name for name in ("other", "zero") if name in means]
    margin = {
        logits: means["own"][logits] - max((means[name][logits] for name in others), default=0.0)
        for logits in LOGITS
        if "own" in means
    }
    return {"number": len(values["own"]["raw"]), **means, "margin": margin}


def _all_last(item: tuple[str, dict]) -> tuple[bool, str]:
    return item[0] == ALL, item[0]
