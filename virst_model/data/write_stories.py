"""Writes stories to disk, in the layouts of MeViS and, for questions, of LLaVA-Video.

OUT/SPLIT/JPEGImages/VIDEO/00000.jpg, meta_expressions.json and mask_dict.json are MeViS's; every
expression has two keys more: `kind`, and `decided`, the frame of the deciding event of a sentence
about time (0 for all others). questions.json is a list of conversations as in LLaVA-Video-178K,
whose `video` without its suffix is a folder of JPEGImages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
import json
import os
from pathlib import Path
import shutil

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from tqdm import tqdm

from virst_model.errors import FileError
from virst_model.synthetic.sentence import Question
from virst_model.synthetic.stories import Story, make_story

_JPEG_QUALITY = 92
_PARTS = "parts"  # folder of the annotations of each video, until all are there
_ARGUMENTS = "synthetic.json"
_FINISHED = ("mask_dict.json", "questions.json", "meta_expressions.json")


@dataclass(frozen=True)
class Shot:
    """How each story is filmed: how many frames, how many a second, and their size in pixels."""

    frames: int = 60
    fps: int = 10
    width: int = 320
    height: int = 240

    @property
    def times(self) -> list[float]:
        """When each frame is taken, in s."""
        return [number / self.fps for number in range(self.frames)]


def write_stories(out: Path, split: str, count: int, seed: int, shot: Shot | None = None) -> Path:
    """Writes the stories `seed` to `seed + count - 1` of `split` and gives their folder.

    The same arguments give the same bytes. A video is either there with all its frames or not at
    all; called again after it was interrupted it goes on with the next.

    Raises:
        FileError: the folder holds what was written with other arguments, or cannot be written.
    """
    shot = shot or Shot()
    folder = out / split
    arguments = {"split": split, "count": count, "seed": seed} | asdict(shot)
    try:
        _claim(folder, arguments)
        if not all((folder / name).exists() for name in _FINISHED):
            with tqdm(total=count * shot.frames, desc=str(folder), unit="frame") as bar:
                for number in range(seed, seed + count):
                    _write_video(folder, number, split, shot)
                    bar.update(shot.frames)
            _join(folder, [f"{number:08d}" for number in range(seed, seed + count)])
        shutil.rmtree(folder / _PARTS)
    except OSError as error:
        raise FileError(folder, f"cannot be written: {error}; choose another folder") from error
    return folder


def _claim(folder: Path, arguments: dict) -> None:
    """Makes the folder, or finds that it is for the same arguments."""
    note, text = folder / _ARGUMENTS, json.dumps(arguments)
    if note.exists():
        before = note.read_text(encoding="utf-8")
        if before != text:
            reason = f"was written with other arguments: {before}; remove the folder or write "
            raise FileError(folder, f"{reason}elsewhere")
    elif folder.exists() and any(folder.iterdir()):
        raise FileError(folder, "is not empty and holds no stories; choose another folder")
    (folder / _PARTS).mkdir(parents=True, exist_ok=True)
    (folder / "JPEGImages").mkdir(exist_ok=True)
    _write(note, [text])


def _write_video(folder: Path, number: int, split: str, shot: Shot) -> None:
    """Its frames, then its annotations: where these are, the video is complete."""
    video = f"{number:08d}"
    part = folder / _PARTS / f"{video}.json"
    if part.exists():
        return
    story = make_story(number, split, shot.frames / shot.fps)
    final, pictures = folder / "JPEGImages" / video, folder / _PARTS / video
    for stale in (final, pictures):
        shutil.rmtree(stale, ignore_errors=True)
    pictures.mkdir()
    ids_THW = np.zeros((shot.frames, shot.height, shot.width), np.uint8)
    for frame, t_s in enumerate(shot.times):
        picture, ids_THW[frame] = story.render(t_s, shot.height, shot.width)
        options = (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)
        _, code = cv2.imencode(".jpg", picture[:, :, ::-1], options)
        (pictures / f"{frame:05d}.jpg").write_bytes(code.tobytes())
    os.replace(pictures, final)
    _write(part, [json.dumps(_annotate(story, video, ids_THW, shot))])


def _annotate(story: Story, video: str, ids_THW: np.ndarray, shot: Shot) -> dict:
    """What the three files say of a video; `anno_id` counts from 0 in each video."""
    tracks = [_track(ids_THW == actor.id) for actor in story.objects]
    expressions = {}
    for number, sentence in enumerate(story.sentences()):
        meant = [sentence.object_ids(t_s) for t_s in shot.times]
        ids = sorted({actor for now in meant for actor in now})
        anno_ids = [actor - 1 for actor in ids]
        if len(set(meant)) > 1:  # a truth of its own
            anno_ids = [len(tracks)]
            tracks.append(_track(sentence.masks(ids_THW, shot.times)))
        expressions[str(number)] = {
            "exp": sentence.text,
            "obj_id": ids,
            "anno_id": anno_ids,
            "kind": sentence.kind,
            "decided": min(round(sentence.decided_s * shot.fps), shot.frames - 1),
        }
    frames = [f"{frame:05d}" for frame in range(shot.frames)]
    questions = [_converse(video, i, q) for i, q in enumerate(story.questions())]
    about = {"vid_id": video, "frames": frames, "expressions": expressions}
    return {"video": about, "tracks": tracks, "questions": questions}


def _converse(video: str, number: int, question: Question) -> dict:
    return {
        "id": f"{video}_{number}",
        "conversations": [
            {"from": "human", "value": f"<image>\n{question.text}"},
            {"from": "gpt", "value": question.answer},
        ],
        "data_source": "synthetic",
        "video": f"{video}.mp4",
    }


def _track(mask_THW: np.ndarray) -> list[dict | None]:
    """COCO's run-length code of every frame; None where there is nothing."""
    codes = coco_mask.encode(np.asfortranarray(mask_THW.transpose(1, 2, 0).astype(np.uint8)))
    is_there = mask_THW.any(axis=(1, 2))
    return [
        {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")}
        if there_now
        else None
        for code, there_now in zip(codes, is_there)
    ]


def _join(folder: Path, videos: list[str]) -> None:
    """Makes the three files of the annotations of all videos."""
    about, questions, first = {}, [], 0
    for video in videos:
        part = _read_part(folder, video)
        for expression in part["video"]["expressions"].values():
            expression["anno_id"] = [first + anno for anno in expression["anno_id"]]
        first += len(part["tracks"])
        about[video] = part["video"]
        questions += part["questions"]
    _write(folder / "mask_dict.json", _mask_dict(folder, videos))
    _write(folder / "questions.json", [json.dumps(questions)])
    _write(folder / "meta_expressions.json", [json.dumps({"videos": about})])


def _mask_dict(folder: Path, videos: list[str]) -> Iterator[str]:
    """The file's text, piece by piece: of many videos it is too much for memory."""
    yield "{"
    number = 0
    for video in videos:
        for track in _read_part(folder, video)["tracks"]:
            yield ", " * (number > 0) + f'"{number}": ' + json.dumps(track)
            number += 1
    yield "}"


def _read_part(folder: Path, video: str) -> dict:
    return json.loads((folder / _PARTS / f"{video}.json").read_text(encoding="utf-8"))


def _write(path: Path, pieces: Iterable[str]) -> None:
    """All of it or nothing."""
    new = path.with_suffix(".new")
    with new.open("w", encoding="utf-8") as file:
        file.writelines(pieces)
    os.replace(new, path)
