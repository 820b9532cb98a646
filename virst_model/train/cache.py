"""Windows whose encoders' work is done: drawn once, kept in files, and drawn from by number.

Encoders that do not train make the same of a window in every step, and drawing it costs as much
as they do. A `Window` is what is left of it; the number of a window says all about it, so that
windows from the files and windows made anew are the same to the last bit. The files' name is a
hash of all that a window hangs on: the encoders' weights, the settings, the photographs, the
code that draws and asks, and a few windows that are drawn to see what comes of it here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
import functools
import hashlib
import json
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file
import torch
from tqdm import tqdm

from virst_model import synthetic
from virst_model.config import CLIP_FRAMES
from virst_model.model.prompt import plain_sentence
from virst_model.model.virst import Virst
from virst_model.synthetic.photographs import NOTHING, Photographs
from virst_model.synthetic.sentence import Question
from virst_model.synthetic.world import World, render_all, sentences_of_piece
from virst_model.train.batches import Batch, Encodings, Frames, Sentences
from virst_model.train.drawers import drawn_ahead
from virst_model.train.stage import CachedDraws
from virst_model.train.synthetic import (
    ask_in_words,
    draw_any_world,
    normalise,
)

# Windows in a file; the windows of a batch are of one file, and so of one length.
SHARD = 32
_FORMAT = 2  # of the files
# The windows that are drawn to see what is drawn: scenes and stories, drawn and filmed, of eight
# shards, which differ in their length.
_PROBES = tuple(SHARD * shard + shard for shard in range(8))
_OPEN_SHARDS = 256
# Questions about a window, of which each batch that asks some chooses.
_QUESTIONS = 12
_SAID = ("sentences", "questions")


@dataclass(frozen=True)
class Window:
    """A window of T frames of a synthetic world, as frozen encoders leave it.

    Attributes:
        clips: (K, L, U) float16, the clip encoder's tokens.
        s0, s1, s2: (frames, ...) float16, the features of its frames `fused_frames`.
        ids: (T, s, s) uint8, what is visible.
        sentences: of each: text, kind, and the ids of its target at each of the T frames.
        questions: about all of a world; none where that is longer.
    """

    clips: np.ndarray
    s0: np.ndarray
    s1: np.ndarray
    s2: np.ndarray
    ids: np.ndarray
    sentences: tuple[tuple[str, str, tuple[tuple[int, ...], ...]], ...]
    questions: tuple[Question, ...]


class WindowMaker:
    """Makes windows by number: a function of the model's encoders and the draws."""

    def __init__(
        self, model: Virst, draws: CachedDraws, photographs: Photographs = NOTHING
    ) -> None:
        self._model, self._draws, self._photographs = model, draws.of_windows, photographs

    @torch.inference_mode()
    def make(self, number: int) -> Window:
        """Window `number`: the same whenever it is made."""
        rng = np.random.default_rng([self._draws.seed, number])
        draws, side = self._draws, self._model.config.segmenter.side
        count = length_of(draws, number)
        period_s = float(rng.uniform(*draws.periods_s))
        duration_s = max(draws.least_s, count * period_s)
        whole = count * period_s >= draws.least_s  # questions are about all that happens
        world = draw_any_world(draws.stories, draws.filmed, duration_s, rng, self._photographs)
        start_s = float(rng.uniform(0, duration_s - (count - 1) * period_s))
        times_s = [start_s + i * period_s for i in range(count)]
        pictures_THW3, ids_THW = render_all(world, times_s, side, side)
        # Encoders that do not train may be rounded to half precision.
        encoder = next(self._model.vlm.umt.parameters())
        pixels = normalise(pictures_THW3[None])[0].to(encoder)
        clips = torch.stack(
            [
                self._model.vlm.see(pixels[i : i + CLIP_FRAMES][None])[0]
                for i in range(0, count, CLIP_FRAMES)
            ]
        )
        features = self._model.segmenter.encode(pixels[fused_frames(draws, number)])
        levels = (features.s0, features.s1, features.s2)
        return Window(
            clips.half().cpu().numpy(),
            *(level.half().cpu().numpy() for level in levels),
            ids=ids_THW,
            sentences=_sentences(world, times_s, rng),
            questions=world.questions(rng, _QUESTIONS) if whole else (),
        )

    @functools.cached_property
    def key(self) -> str:
        """A hash of all that a window hangs on, in 16 letters."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self._model.state_dict().items()):
            if name.startswith(("vlm.umt.", "segmenter.image_encoder.")) or ".conv_s" in name:
                digest.update(name.encode() + tensor.float().cpu().numpy().tobytes())
        config = self._model.config
        settings = [asdict(config.umt), asdict(config.segmenter), asdict(self._draws)]
        digest.update(json.dumps([_FORMAT, _QUESTIONS, *settings]).encode())
        draws = (Path(__file__), Path(__file__).with_name("synthetic.py"))
        for source in (*draws, *sorted(Path(synthetic.__file__).parent.glob("*.py"))):
            digest.update(source.read_bytes())
        for picture in self._photographs.backgrounds:
            digest.update(picture.tobytes())
        for cutout in self._photographs.cutouts:
            digest.update(cutout.rgba.tobytes())
        for probe in map(self.make, _PROBES):
            digest.update(probe.clips.tobytes() + probe.ids.tobytes())
            digest.update(repr((probe.sentences, probe.questions)).encode())
        return digest.hexdigest()[:16]


class CachedWindows:
    """The windows of a maker, from files where they are; what is missing is made and kept."""

    def __init__(self, maker: WindowMaker, folder: Path, count: int) -> None:
        """`folder` gets a folder of its own for what the maker makes now."""
        self._maker, self._count = maker, count
        self._folder = folder / maker.key

    def fill(self, drawers: int = 1) -> None:
        """Makes all shards that are missing, `drawers` processes at once, with a bar."""
        missing = [n for n in range(self._count // SHARD) if not self._path(n).exists()]
        self._folder.mkdir(parents=True, exist_ok=True)
        made = drawn_ahead(self._write, missing, drawers, apart=True)
        for _ in tqdm(made, total=len(missing), unit="shard", desc="windows"):
            pass

    def read(self, number: int) -> Window:
        """Window `number`."""
        shard, place = divmod(number, SHARD)
        opened = _open(self._path(shard))
        arrays = {name: opened.get_slice(name)[place] for name in opened.keys()}  # noqa: SIM118
        said, asked = (json.loads(opened.metadata()[name])[place] for name in _SAID)
        sentences = tuple((t, k, tuple(tuple(ids) for ids in at)) for t, k, at in said)
        questions = tuple(Question(text, answer, tuple(ids)) for text, answer, ids in asked)
        return Window(**arrays, sentences=sentences, questions=questions)

    def _path(self, shard: int) -> Path:
        return self._folder / f"{shard:05d}.safetensors"

    def _write(self, shard: int) -> None:
        windows = [self._maker.make(shard * SHARD + i) for i in range(SHARD)]
        names = ("clips", "s0", "s1", "s2", "ids")
        stacks = {name: np.stack([getattr(w, name) for w in windows]) for name in names}
        # safetensors writes an array that lies in memory in another order as if it did not.
        arrays = {name: np.ascontiguousarray(stack) for name, stack in stacks.items()}
        said = {
            "sentences": json.dumps([window.sentences for window in windows]),
            "questions": json.dumps([[astuple(q) for q in w.questions] for w in windows]),
        }
        unfinished = self._path(shard).with_suffix(".part")
        save_file(arrays, unfinished, said)
        unfinished.rename(self._path(shard))


@functools.lru_cache(maxsize=_OPEN_SHARDS)
def _open(path: Path):
    """An opened file of windows, mapped into memory."""
    return safe_open(path, "numpy")


class CachedBatches:
    """Batches of windows and sentences about them, by number."""

    apart = False

    def __init__(
        self, windows: WindowMaker | CachedWindows, draws: CachedDraws, seed: int
    ) -> None:
        self._read = windows.read if isinstance(windows, CachedWindows) else windows.make
        self._draws, self._seed = draws, seed

    def draw(self, number: int) -> Batch:
        """Batch `number` (0, 1, ...): the same whenever it is drawn, from files or not."""
        rng = np.random.default_rng([self._seed, number, 2])
        draws = self._draws
        shard = int(rng.integers(draws.count // SHARD))
        places = rng.choice(SHARD, draws.scenes, replace=False)
        windows = [self._read(shard * SHARD + int(place)) for place in places]
        if draws.in_words and rng.random() < draws.in_words:
            asked = [_some(window.questions, draws.sentences, rng) for window in windows]
            if any(asked):
                ids_STHW = np.stack([window.ids for window in windows])
                return ask_in_words(_frames(windows, [], []), asked, ids_STHW)
        video, chosen = [], []
        for index, window in enumerate(windows):
            for place in _choose([s[1] for s in window.sentences], draws, rng):
                video.append(index)
                chosen.append(window.sentences[place])
        truth = [
            [np.isin(ids, at) for ids, at in zip(windows[index].ids, targets, strict=True)]
            for index, (_, _, targets) in zip(video, chosen, strict=True)
        ]
        truth = np.array(truth, np.uint8).reshape(-1, *windows[0].ids.shape)
        fused = fused_frames(draws, shard * SHARD)
        frames = _frames(windows, fused, _draw_anchors(fused, draws, rng))
        sentences = Sentences(
            video=torch.tensor(video, dtype=torch.long),
            texts=tuple(text for text, _, _ in chosen),
            wordings=((0, 0),) * len(chosen),
            kinds=tuple(kind for _, kind, _ in chosen),
        )
        return Batch(frames, sentences, torch.from_numpy(truth))


def length_of(draws: CachedDraws, number: int) -> int:
    """Frames of window `number`: those of a shard are alike."""
    rng = np.random.default_rng([draws.seed, number // SHARD, 3])
    return int(rng.choice(draws.windows))


def fused_frames(draws: CachedDraws, number: int) -> list[int]:
    """The frames of window `number` that the fusion sees: those of a shard are alike."""
    rng = np.random.default_rng([draws.seed, number // SHARD, 4])
    count = length_of(draws, number)
    return sorted(rng.choice(count, min(draws.fused, count), replace=False).tolist())


def _draw_anchors(fused: Sequence[int], draws: CachedDraws, rng: np.random.Generator) -> list[int]:
    return sorted(rng.choice(fused, min(draws.anchors, len(fused)), replace=False).tolist())


def _frames(windows: Sequence[Window], fused: Sequence[int], anchors: Sequence[int]) -> Frames:
    count, side = windows[0].ids.shape[:2]
    levels = {
        name: torch.from_numpy(np.stack([getattr(w, name) for w in windows])).float()
        for name in ("clips", "s0", "s1", "s2")
    }
    return Frames(
        pixels=torch.empty(len(windows), 0, 3, side, side),
        times=list(range(count)),
        clips=torch.empty(len(windows), 0, CLIP_FRAMES, 3, 0, 0),
        clip_frames=tuple(tuple(range(i, i + CLIP_FRAMES)) for i in range(0, count, CLIP_FRAMES)),
        window=list(fused),
        anchors=list(anchors),
        tracked=[],
        stream=True,
        known=Encodings(**levels),
    )


def _sentences(
    world: World, times_s: Sequence[float], rng: np.random.Generator
) -> tuple[tuple[str, str, tuple[tuple[int, ...], ...]], ...]:
    found: Iterator = (
        sentence
        for _ in range(2)
        for sentence in sentences_of_piece(world, times_s[0], times_s[-1], rng)
    )
    by_text = {plain_sentence(sentence.text): sentence for sentence in found}
    return tuple(
        (text, sentence.kind, tuple(sentence.object_ids(t_s) for t_s in times_s))
        for text, sentence in by_text.items()
    )


def _some(questions: Sequence[Question], count: int, rng: np.random.Generator) -> list[Question]:
    return [questions[i] for i in rng.permutation(len(questions))[:count]]


def _choose(kinds: Sequence[str], draws: CachedDraws, rng: np.random.Generator) -> list[int]:
    if not kinds:  # a near view can leave nothing that is true of it
        return []
    weights = dict(draws.kinds)
    weight = np.array([weights.get(kind, 1.0) for kind in kinds])
    count = min(draws.sentences, len(kinds))
    return rng.choice(len(kinds), count, replace=False, p=weight / weight.sum()).tolist()
