"""The masks of an RVOS split: run-length codes in a `mask_dict`, or palette PNGs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from virst_model.data.coco import form_of, read_union
from virst_model.data.meta_expressions import MetaExpression, Video
from virst_model.data.pickles import load_plain
from virst_model.data.picture import fitting, names_in, read_labels
from virst_model.data.record import MaskReader
from virst_model.errors import FileError
from virst_model.image_file import picture_size
from virst_model.text_file import read_json

# A frame's run-length code {size, counts}, or None where the object is absent.
Code = dict | None


class Unusable(Exception):
    """A sentence has no masks that fit its frames: `reason` and `detail` of a LeftOut."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Shown:
    """A video with its frames on disk.

    Attributes:
        pictures: of its `names`, in their order.
        size: (H, W) of the first one.
    """

    video: Video
    pictures: tuple[Path, ...]
    size: tuple[int, int]


class Truth(Protocol):
    """The masks of a split, opened: what it says of one sentence at a time."""

    def reader(self, shown: Shown, sentence: MetaExpression) -> MaskReader:
        """The union of the masks of a sentence's objects, read frame by frame when asked for.

        Raises Unusable where the sentence has no masks, not as many as there are frames, or of
        another size than the first frame.
        """


@dataclass(frozen=True)
class MaskDict:
    """A file anno_id -> run-length code of each frame, .json or .pkl.

    Attributes:
        path: below the data set's folder.
        numbered: None where the sentences name their anno_ids. Else the file was made with a
            running number over the videos, sorted, and over each one's sentence ids in the order
            that this gives: they are numbers as text, and sorted "10" comes before "2".
    """

    path: str
    numbered: Callable[[Iterable[str]], Iterable[str]] | None = None

    def open(self, root: Path, videos: list[Video]) -> _Codes:
        """Reads the file and keeps, of what may be gigabytes, the tracks that a sentence names.

        Raises FileError where it is not there, damaged, or of other sentences.
        """
        path = root / self.path
        content = load_plain(path) if path.suffix == ".pkl" else read_json(path)
        if self.numbered is None:
            anno_ids = {(v.id, s.id): s.anno_ids for v in videos for s in v.sentences}
        else:
            anno_ids = _number(videos, self.numbered)
        with form_of(path):
            if self.numbered is not None and len(content) != len(anno_ids):
                raise FileError(
                    path,
                    f"holds masks of {len(content)} sentences, but there are {len(anno_ids)}: it "
                    "was made for other sentences; get both from one source",
                )
            named = {anno_id for ids in anno_ids.values() for anno_id in ids or ()}
            tracks = {name: _checked(track) for name, track in content.items() if name in named}
        return _Codes(path.name, anno_ids, tracks)


@dataclass(frozen=True)
class Palettes:
    """A folder VIDEO/FRAME.png of label pictures, in which a sentence's object is its obj_id."""

    path: str

    def open(self, root: Path, videos: list[Video]) -> _LabelPictures:
        """Reads nothing: pictures are looked for sentence by sentence, as `reader` has it."""
        return _LabelPictures(root / self.path)


def read_foregrounds(
    path: Path, videos: list[Video], pictures: Callable[[Video], tuple[Path, ...]]
) -> dict[str, MaskReader]:
    """Video id -> all objects of its frames, of ReVOS's `mask_dict_foreground.json`.

    Videos that the file lacks, or has another number of frames of, are lacking. Raises FileError.
    """
    content = read_json(path)
    with form_of(path):
        tracks = {v.id: _checked(content[v.id]["masks_rle"]) for v in videos if v.id in content}
    return {
        video.id: partial(_read_codes, pictures(video), video.places, [tracks[video.id]])
        for video in videos
        if len(tracks.get(video.id, ())) == len(video.names)
    }


@dataclass(frozen=True)
class _Codes:
    """A `mask_dict` in memory; `anno_ids` are those of (video id, sentence id)."""

    name: str
    anno_ids: Mapping[tuple[str, str], tuple[str, ...] | None]
    tracks: Mapping[str, list[Code]]

    def reader(self, shown: Shown, sentence: MetaExpression) -> MaskReader:
        video, pictures = shown.video, shown.pictures
        anno_ids = self.anno_ids[video.id, sentence.id]
        if anno_ids is None:
            raise Unusable("sentence that names no object")
        tracks = [self.tracks.get(anno_id) for anno_id in anno_ids]
        if None in tracks:
            raise Unusable(f"sentence whose masks are not in {self.name}")
        if any(len(track) != len(pictures) for track in tracks):
            raise Unusable("sentence with masks of another number of frames")
        for size in {_size(code) for track in tracks for code in track if code}:
            _check_size(size, shown)
        return partial(_read_codes, pictures, video.places, tracks)


@dataclass(frozen=True)
class _LabelPictures:
    folder: Path

    def reader(self, shown: Shown, sentence: MetaExpression) -> MaskReader:
        if sentence.obj_id is None:
            raise Unusable("sentence that names no object")
        folder, names = self.folder / shown.video.id, shown.video.names
        lacking = missing(folder, names, ".png")
        if lacking:
            raise Unusable("sentence of a video without all its label pictures", lacking)
        _check_size(picture_size(folder / f"{names[0]}.png"), shown)
        return partial(_read_label, shown.pictures, folder, sentence.obj_id)


def missing(folder: Path, names: Iterable[str], suffix: str) -> str:
    """Which of the files NAME + SUFFIX are not in `folder`, in words; empty where all are."""
    try:
        present = names_in(folder, "frames")
    except FileError as error:
        return str(error)
    lacking = [f"{name}{suffix}" for name in names if f"{name}{suffix}" not in present]
    if len(lacking) > 1:
        return f"without {lacking[0]} and {len(lacking) - 1} more"
    return f"without {lacking[0]}" if lacking else ""


def _size(code: dict) -> tuple[int, ...]:
    """(H, W) that a run-length code says; what is no size is found when it is read."""
    size = code.get("size")
    is_size = isinstance(size, (list, tuple)) and all(type(number) is int for number in size)
    return tuple(size) if is_size else ()


def _check_size(size: tuple[int, ...], shown: Shown) -> None:
    """Raises Unusable where masks of `size` (H, W) do not fit the video's first frame."""
    if len(size) == 2 and size != shown.size:
        theirs, its = ("{1}x{0}".format(*one) for one in (size, shown.size))
        detail = f"masks {theirs}, frames {its}"
        raise Unusable("sentence with masks of another size than its frames", detail)


def _checked(track: list[Code]) -> list[Code]:
    if not all(code is None or isinstance(code, dict) for code in track):
        raise TypeError("a run-length code must be an object or null")
    return track


def _number(
    videos: list[Video], order: Callable[[Iterable[str]], Iterable[str]]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """(video id, sentence id) -> its running number, as a `mask_dict` has it."""
    keys = (
        (video.id, id)
        for video in sorted(videos, key=lambda video: video.id)
        for id in order([sentence.id for sentence in video.sentences])
    )
    return {key: (str(number),) for number, key in enumerate(keys)}


def _read_codes(
    pictures: tuple[Path, ...], places: tuple[int, ...], tracks: list[list[Code]], frame: int
) -> np.ndarray:
    codes = [track[places[frame]] for track in tracks if track[places[frame]]]
    return read_union(pictures[frame], codes, picture_size(pictures[frame]), frame)


def _read_label(pictures: tuple[Path, ...], folder: Path, obj_id: int, frame: int) -> np.ndarray:
    labels = read_labels(folder / f"{pictures[frame].stem}.png")
    return fitting(labels == obj_id, pictures[frame])
