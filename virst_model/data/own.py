"""A team's own footage: videos, masks of the objects in them, and a table of sentences.

    videos/NAME.mp4 or videos/NAME/*.jpg
    masks/NAME/OBJECT/00000.png
    sentences.csv or sentences.json

docs/datasets.md, "Your own footage", is the contract.
"""

from collections import defaultdict
from functools import partial
from pathlib import Path
import re

import numpy as np

from virst_model.data.frame_cache import cached_frames
from virst_model.data.picture import fitting
from virst_model.data.record import Expression, Record, Records
from virst_model.data.sentences import OWN_SPLITS, OwnSentence, read_sentences
from virst_model.errors import FileError
from virst_model.frames import list_folder, list_images
from virst_model.image_file import picture_size, read_mask

# All numbers in the name of a frame or mask: cam2_0007.jpg and cam2_000007.png go together.
_Number = tuple[int, ...]


def load_own(root: str | Path, split: str) -> Records:
    """The videos that a sentence of `split` ("train" or "valid") is about, in order of the table.

    A record's frames are those that any object of the video has a mask for; an object that has
    none there is not visible. A video without masks, about which there are only sentences without
    an object, has all its frames. Frames of video files are written to `root`/frames first, once.

    Raises:
        FileError: anything is missing, misnamed or damaged; names the file and the row.
    """
    root = Path(root)
    if split not in OWN_SPLITS:
        raise FileError(root, f"has no split {split!r}; it has {', '.join(OWN_SPLITS)}")
    table, sentences = read_sentences(root)
    files = _list_videos(root / "videos")
    by_video: dict[str, list[OwnSentence]] = defaultdict(list)
    for sentence in sentences:
        by_video[_find(sentence, files, table)].append(sentence)
    contents = Records()
    for name, about in by_video.items():
        _check_split(about, table)
        if about[0].split == split:
            contents.records.append(_record(root, name, files[name], about, table, contents))
    for name in files:
        if name not in by_video:
            contents.leave_out(name, "video without a sentence")
    return contents


def _record(
    root: Path, name: str, file: Path, about: list[OwnSentence], table: Path, contents: Records
) -> Record:
    frames = _list_frames(root, name, file)
    objects = _list_masks(root / "masks" / name, frames)
    for sentence in about:
        for marked_object in sentence.objects:
            if marked_object not in objects:
                there = ", ".join(objects) or "none"
                reason = (
                    f"{sentence.where}: no folder masks/{name}/{marked_object}; there is {there}"
                )
                raise FileError(table, reason)
    marked = {number for masks in objects.values() for number in masks} or frames.keys()
    numbers = [number for number in frames if number in marked]
    contents.unmarked += len(frames) - len(numbers)
    pictures = tuple(frames[number] for number in numbers)
    expressions = []
    for place, sentence in enumerate(about):
        tracks = [objects[marked_object] for marked_object in sentence.objects]
        at_frames = [[track[n] for track in tracks if n in track] for n in numbers]
        mask = partial(_read_union, pictures, at_frames)
        expressions.append(Expression(str(place), sentence.text, mask))
    return Record(name, pictures, tuple(expressions))


def _read_union(pictures: tuple[Path, ...], masks: list[list[Path]], frame: int) -> np.ndarray:
    """What any of the frame's mask files marks."""
    union = np.zeros(picture_size(pictures[frame]), bool)
    for path in masks[frame]:
        union |= fitting(read_mask(path), pictures[frame])
    return union


def _list_videos(folder: Path) -> dict[str, Path]:
    """Name -> video file or folder of frames."""
    if not folder.is_dir():
        raise FileError(folder, "no such folder; videos, or folders of their frames, belong there")
    files: dict[str, Path] = {}
    for path in list_folder(folder):
        name = path.name if path.is_dir() else path.stem
        if name in files:
            raise FileError(path, f"is called {name} as {files[name].name} is; rename one of them")
        files[name] = path
    return files


def _find(sentence: OwnSentence, files: dict[str, Path], table: Path) -> str:
    """The name of the sentence's video, which may have been written with the file's suffix."""
    if sentence.video in files:
        return sentence.video
    named = [name for name, path in files.items() if path.name == sentence.video]
    if not named:
        there = ", ".join(files) or "none"
        raise FileError(table, f"{sentence.where}: no video {sentence.video!r}; there is {there}")
    return named[0]


def _check_split(about: list[OwnSentence], table: Path) -> None:
    first = about[0]
    other = next((sentence for sentence in about if sentence.split != first.split), None)
    if other is not None:
        raise FileError(
            table,
            f"{other.where}: {other.video!r} is in {other.split} here and in {first.split} in "
            f"{first.where}; a video must be in one",
        )


def _list_frames(root: Path, name: str, file: Path) -> dict[_Number, Path]:
    """By number, in the order that the folder has as a video (`frames.list_images`)."""
    if not file.is_dir():
        return _by_number(cached_frames(file, root / "frames" / name))
    return _by_number(list_images(file))


def _list_masks(folder: Path, frames: dict[_Number, Path]) -> dict[str, dict[_Number, Path]]:
    """Object -> number of the frame -> mask file; none where there is no folder."""
    objects = {}
    for path in list_folder(folder) if folder.is_dir() else ():
        if not path.is_dir():
            continue
        masks = _by_number(list_images(path, (".png",)))
        for number, mask in masks.items():
            if number not in frames:
                example = next(iter(frames.values()))
                raise FileError(
                    mask, f"there is no frame of that number; frames are named as {example.name}"
                )
        objects[path.name] = masks
    return objects


def _by_number(paths: list[Path]) -> dict[_Number, Path]:
    """Number -> path, in the order of `paths`."""
    numbered: dict[_Number, Path] = {}
    for path in paths:
        number = tuple(int(digits) for digits in re.findall(r"[0-9]+", path.stem))
        if not number:
            raise FileError(path, "has no number in its name; frames and masks are named by it")
        if number in numbered:
            raise FileError(path, f"has the same number as {numbered[number].name}; delete one")
        numbered[number] = path
    return numbered
