"""Referring video segmentation: MeViS, ReVOS, Ref-YouTube-VOS, Ref-DAVIS17 and LV-VIS.

All five are one family: a `meta_expressions.json` with the frames and sentences of every video,
JPEG frames, and masks. What differs is data: DATA_SETS. Layouts of henghuiding/MeViS,
cilinyan/ReVOS-api, cilinyan/VISA (LV-VIS, the `mask_dict.pkl` files) and wjn922/ReferFormer
(Ref-YouTube-VOS, Ref-DAVIS17), all on github.com, as VIRST (arXiv 2603.27060) takes them. What
`virst data synthetic` writes is a sixth.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from virst_model.data.meta_expressions import Video, read_videos
from virst_model.data.picture import picture_size
from virst_model.data.record import Expression, MaskReader, Record, Records
from virst_model.data.truth import (
    MaskDict,
    Palettes,
    Shown,
    Truth,
    Unusable,
    missing,
    read_foregrounds,
)
from virst_model.errors import FileError


@dataclass(frozen=True)
class _Split:
    """Where a split lies, below the data set's folder.

    Attributes:
        sentences: the `meta_expressions.json`.
        frames: folders that may hold a folder of frames for each video; the first that is there.
        truth: likewise; none of a test split.
        foreground: a file of all objects of a frame, which evaluation asks for.
        published: the truth is part of the data set: it is an error if none is there.
        others: a file whose videos are in `sentences` too and do not belong to the split.
    """

    sentences: str
    frames: tuple[str, ...]
    truth: tuple[MaskDict | Palettes, ...] = ()
    foreground: str = ""
    published: bool = True
    others: str = ""


@dataclass(frozen=True)
class _DataSet:
    """A data set of the family.

    Attributes:
        kinds: the word for each `type_id`.
        spaced: sentences are class names with "_" for spaces.
    """

    splits: Mapping[str, _Split]
    kinds: Mapping[int, str] = field(default_factory=dict)
    spaced: bool = False


def _mevis(split: str, *frames: str, truth: bool = True) -> _Split:
    """All of it in the split's folder; `frames` are other places of the frames."""
    sentences, codes = f"{split}/meta_expressions.json", MaskDict(f"{split}/mask_dict.json")
    return _Split(sentences, (f"{split}/JPEGImages", *frames), (codes,) if truth else ())


def _revos(split: str, foreground: str = "") -> _Split:
    """Frames and masks of both splits are in one place."""
    sentences = f"meta_expressions_{split}_.json"
    return _Split(sentences, ("JPEGImages",), (MaskDict("mask_dict.json"),), foreground)


def _youtube(split: str, *truth: MaskDict | Palettes, **more: object) -> _Split:
    sentences = f"meta_expressions/{split}/meta_expressions.json"
    return _Split(sentences, (f"{split}/JPEGImages",), truth, **more)


def _youtube_palettes(split: str) -> _Split:
    """Label pictures first, which need no number. VISA's numbers sort sentence ids as text."""
    codes = MaskDict(f"{split}/mask_dict.pkl", numbered=sorted)
    return _youtube(split, Palettes(f"{split}/Annotations"), codes)


# The truth is on a server only. VIRST's converter, for those who have it, numbers the sentences in
# the order of the file.
_YOUTUBE_VALID = _youtube(
    "valid",
    MaskDict("valid/mask_dict_valid.pkl", numbered=list),
    published=False,
    others="meta_expressions/test/meta_expressions.json",
)

DATA_SETS = {
    "MeViS": _DataSet(
        {
            "train": _mevis("train"),
            "valid_u": _mevis("valid_u"),
            "valid": _mevis("valid", truth=False),
        }
    ),
    "ReVOS": _DataSet(
        {"train": _revos("train"), "valid": _revos("valid", "mask_dict_foreground.json")},
        kinds={0: "referring", 1: "reasoning", 2: "none"},
    ),
    "Ref-YouTube-VOS": _DataSet(
        {"train": _youtube_palettes("train"), "valid": _YOUTUBE_VALID, "test": _youtube("test")}
    ),
    "Ref-DAVIS17": _DataSet(
        {"train": _youtube_palettes("train"), "valid": _youtube_palettes("valid")}
    ),
    "LV-VIS": _DataSet({"train": _mevis("train", "JPEGImages/train")}, spaced=True),
    "synthetic": _DataSet({split: _mevis(split) for split in ("train", "valid", "test")}),
}


def load_mevis(root: str | Path, split: str) -> Records:
    """MeViS: train, valid_u, or valid (no truth). `load_split` says more, also for the others."""
    return load_split("MeViS", root, split)


def load_revos(root: str | Path, split: str) -> Records:
    """ReVOS: train or valid; an expression's kind is referring, reasoning, or none (no target).

    Records of valid have a foreground where `mask_dict_foreground.json` is there.
    """
    return load_split("ReVOS", root, split)


def load_ref_youtube_vos(root: str | Path, split: str) -> Records:
    """Ref-YouTube-VOS: train, valid (no truth, or that of one's own), or test (no truth)."""
    return load_split("Ref-YouTube-VOS", root, split)


def load_ref_davis17(root: str | Path, split: str) -> Records:
    """Ref-DAVIS17: train or valid."""
    return load_split("Ref-DAVIS17", root, split)


def load_lv_vis(root: str | Path, split: str) -> Records:
    """LV-VIS in VISA's form: train. Sentences are class names."""
    return load_split("LV-VIS", root, split)


def load_synthetic(root: str | Path, split: str) -> Records:
    """Synthetic videos: train, valid or test, all with kinds of sentences and deciding frames."""
    return load_split("synthetic", root, split)


def load_split(name: str, root: str | Path, split: str) -> Records:
    """A split of the data set `name`: a record a video, in the order of its file.

    Ids are those of the data set; ReVOS's videos have slashes in theirs. Frames are in the order
    of the numbers in their names. The mask of a sentence about several objects is their union,
    that of one about none is empty.

    What does not fit together is in `Records.left_out`: videos without their frames, sentences
    whose masks are missing, of another number of frames, or of another size than the first one. A
    frame of another size than the first is found when its mask is read.

    Args:
        name: one of DATA_SETS.
        root: the data set's own folder.

    Raises:
        FileError: there is no such split, or an annotation file or the whole folder of frames is
            missing or damaged.
    """
    root, data_set = Path(root), DATA_SETS[name]
    if split not in data_set.splits:
        known = ", ".join(data_set.splits)
        raise FileError(root, f"{name} has no split {split!r}; it has {known}")
    place = data_set.splits[split]
    videos = _read_split(root, place, data_set)
    frames = next((root / path for path in place.frames if (root / path).is_dir()), None)
    if frames is None:
        raise FileError(root / place.frames[0], f"no such folder; {name}'s frames should be there")
    truth = _open_truth(root, place, videos)
    foregrounds = _open_foregrounds(root, place, frames, videos)
    contents = Records()
    for video in videos:
        lacking = missing(frames / video.id, video.names, ".jpg")
        if not video.names or lacking:
            contents.leave_out(video.id, "video without all its frames", lacking)
            continue
        pictures = _pictures(frames, video)
        try:
            size = picture_size(pictures[0])
        except FileError as error:
            contents.leave_out(video.id, "video whose first frame cannot be read", str(error))
            continue
        expressions = _expressions(Shown(video, pictures, size), truth, contents)
        if expressions:
            foreground = foregrounds.get(video.id)
            contents.records.append(Record(video.id, pictures, expressions, foreground))
    return contents


def _pictures(frames: Path, video: Video) -> tuple[Path, ...]:
    return tuple(frames / video.id / f"{name}.jpg" for name in video.names)


def _read_split(root: Path, place: _Split, data_set: _DataSet) -> list[Video]:
    videos = read_videos(root / place.sentences, data_set.kinds, data_set.spaced)
    if not place.others or not (root / place.others).exists():
        return videos
    others = {video.id for video in read_videos(root / place.others, {}, False)}
    return [video for video in videos if video.id not in others]


def _open_truth(root: Path, place: _Split, videos: list[Video]) -> Truth | None:
    """None where it was not published. Raises FileError."""
    for source in place.truth:
        if (root / source.path).exists():
            return source.open(root, videos)
    if place.truth and place.published:
        first, *rest = place.truth
        also = "".join(f", nor {root / source.path}" for source in rest)
        raise FileError(root / first.path, f"no such file or folder{also}; masks should be there")
    return None


def _open_foregrounds(
    root: Path, place: _Split, frames: Path, videos: list[Video]
) -> dict[str, MaskReader]:
    """Of no video where there is no file of them. Raises FileError."""
    if not place.foreground or not (root / place.foreground).exists():
        return {}
    return read_foregrounds(root / place.foreground, videos, partial(_pictures, frames))


def _expressions(shown: Shown, truth: Truth | None, contents: Records) -> tuple[Expression, ...]:
    """Those whose truth can be theirs; the others are left out of `contents`."""
    expressions = []
    for sentence in shown.video.sentences:
        try:
            mask = truth.reader(shown, sentence) if truth else None
        except Unusable as error:
            name = f"{shown.video.id}/{sentence.id}"
            contents.leave_out(name, error.reason, error.detail)
        else:
            expressions.append(
                Expression(
                    sentence.id,
                    sentence.text,
                    mask,
                    kind=sentence.kind,
                    decided=sentence.decided,
                )
            )
    return tuple(expressions)
