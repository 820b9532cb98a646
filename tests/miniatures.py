"""Video data sets of two or three videos, in the layout and format of the real ones.

One function a data set. Frames are 64x48 and grey; objects are 12x10 rectangles that start at
STARTS[obj] (top, left) and go SPEED columns to the right a frame: a test knows every pixel.
"""

from __future__ import annotations

from collections.abc import Iterable
import json
from pathlib import Path
import pickle

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as rle

SIZE = (48, 64)
STARTS = {1: (2, 2), 2: (18, 4), 3: (34, 6)}
SPEED = 3
# A DAVIS-like palette; what counts are the indices.
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]


def box(frame: int, *objects: int) -> np.ndarray:
    """The truth at a frame: bool (H, W), what is inside any of the objects."""
    mask = np.zeros(SIZE, bool)
    for one in objects:
        top, left = STARTS[one]
        mask[top : top + 10, left + SPEED * frame : left + SPEED * frame + 12] = True
    return mask


def save_frames(folder: Path, names: Iterable[str], size: tuple[int, int] = SIZE) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for frame, name in enumerate(names):
        pixels = np.full((*size, 3), 90, np.uint8)
        if size == SIZE:
            for one in STARTS:
                pixels[box(frame, one)] = 60 * one
        Image.fromarray(pixels).save(folder / f"{name}.jpg")


def save_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def code(mask: np.ndarray, text: bool = True) -> dict | None:
    """As `pycocotools` writes it; `text` counts are what JSON can hold. None where empty."""
    if not mask.any():
        return None
    found = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    counts = found["counts"]
    return {"size": list(found["size"]), "counts": counts.decode() if text else counts}


def track(obj: int, length: int, absent: Iterable[int] = (), text: bool = True) -> list:
    """Codes of an object at each frame."""
    gone = set(absent)
    return [None if frame in gone else code(box(frame, obj), text) for frame in range(length)]


def numbered(length: int, step: int = 1) -> list[str]:
    """Frame names: 00000, 00001, ... or, as YouTube-VOS has them, 00000, 00005, ..."""
    return [f"{step * frame:05d}" for frame in range(length)]


def make_mevis(root: Path) -> None:
    """ROOT/mevis: train (8 and 5 frames), valid_u, and valid without masks."""
    parrots = {
        "vid_id": 0,
        "frames": numbered(8),
        "expressions": {
            "0": {"exp": "The two that walk", "obj_id": [0, 1], "anno_id": [0, 1]},
            "1": {"exp": "it disappears", "obj_id": [1], "anno_id": [1]},
            "2": {"exp": "nobody dances", "obj_id": [], "anno_id": []},
        },
    }
    lizard = {
        "vid_id": 1,
        "frames": numbered(5),
        "expressions": {"0": {"exp": "lizard turning", "obj_id": [0], "anno_id": [2]}},
    }
    videos = {"d56a6ec78cfa": parrots, "377b1c5f365c": lizard}
    masks = {
        "0": track(1, 8),
        "1": track(2, 8, absent=(5, 6, 7)),
        "2": track(3, 5),
        "3": track(1, 5),  # of no sentence
    }
    for split in ("train", "valid_u"):
        save_json(root / f"mevis/{split}/meta_expressions.json", {"videos": videos})
        save_json(root / f"mevis/{split}/mask_dict.json", masks)
    blind = {
        id: video
        | {"expressions": {n: {"exp": e["exp"]} for n, e in video["expressions"].items()}}
        for id, video in videos.items()
    }
    save_json(root / "mevis/valid/meta_expressions.json", {"videos": blind})
    for split in ("train", "valid_u", "valid"):
        for id, video in videos.items():
            save_frames(root / f"mevis/{split}/JPEGImages/{id}", video["frames"])


def make_revos(root: Path) -> None:
    """ROOT/ReVOS: two videos in folders of their sources, three types of sentences."""
    said = {
        "0": {"exp": "the dog", "obj_id": [0], "anno_id": [0], "type_id": 0},
        "1": {"exp": "What may bite?", "obj_id": [0], "anno_id": [0], "type_id": 1},
        "2": {"exp": "the elephant", "obj_id": [], "anno_id": [], "type_id": 2},
    }
    cat = {"0": {"exp": "the cat", "obj_id": [1], "anno_id": [1], "type_id": 0}}
    train = {"UVO/all/-CiPki3XuVI": {"vid_id": 0, "frames": numbered(6), "expressions": said}}
    valid = {"TAO/train/a/b": {"vid_id": 1, "frames": numbered(5), "expressions": cat}}
    for split, videos in (("train", train), ("valid", valid)):
        save_json(root / f"ReVOS/meta_expressions_{split}_.json", {"videos": videos})
        for id, video in videos.items():
            save_frames(root / "ReVOS/JPEGImages" / id, video["frames"])
    save_json(root / "ReVOS/mask_dict.json", {"0": track(1, 6), "1": track(2, 5)})
    foreground = {
        id: {"masks_rle": [code(box(frame, 1, 2)) for frame in range(len(video["frames"]))]}
        for id, video in (train | valid).items()
    }
    save_json(root / "ReVOS/mask_dict_foreground.json", foreground)


def make_lv_vis(root: Path) -> None:
    """ROOT/lvvis, in VISA's form."""
    said = {
        "0": {"exp": "traffic_light", "obj_id": [0, 1], "anno_id": [0, 1]},
        "1": {"exp": "dog", "obj_id": [2], "anno_id": [2]},
    }
    videos = {"00000": {"vid_id": 0, "frames": numbered(5), "expressions": said}}
    save_json(root / "lvvis/train/meta_expressions.json", {"videos": videos})
    masks = {str(anno_id): track(anno_id + 1, 5) for anno_id in range(3)}
    save_json(root / "lvvis/train/mask_dict.json", masks)
    save_frames(root / "lvvis/train/JPEGImages/00000", numbered(5))


def save_labels(folder: Path, names: Iterable[str], objects: Iterable[int]) -> None:
    """Palette PNGs, as DAVIS and YouTube-VOS have them."""
    folder.mkdir(parents=True, exist_ok=True)
    for frame, name in enumerate(names):
        labels = np.zeros(SIZE, np.uint8)
        for one in objects:
            labels[box(frame, one)] = one
        image = Image.fromarray(labels)
        image.putpalette(PALETTE)
        image.save(folder / f"{name}.png")


def davis_sentences(objects: int) -> dict[str, dict]:
    """Four an object, numbered as ReferFormer's converter does: 12 for 3 objects."""
    return {
        str(4 * obj + by): {"exp": f"object {obj + 1}, wording {by}", "obj_id": str(obj + 1)}
        for obj in range(objects)
        for by in range(4)
    }


def make_ref_davis17(root: Path) -> None:
    """ROOT/davis17: train and valid of one video of 3 objects (12 sentences) and one of 1."""
    videos = {
        "gold-fish": {"expressions": davis_sentences(3), "frames": numbered(7)},
        "blackswan": {"expressions": davis_sentences(1), "frames": numbered(5)},
    }
    for split in ("train", "valid"):
        make_youtube_split(root / "davis17", split, videos)


def make_ref_youtube_vos(root: Path) -> None:
    """ROOT/Ref-Youtube-VOS: train of two videos; valid, whose file holds test's videos, too."""
    folder, names = root / "Ref-Youtube-VOS", numbered(6, step=5)
    train = {
        "003234408d": {"expressions": davis_sentences(2), "frames": names},
        "0043f083b5": {"expressions": {"0": {"exp": "a man", "obj_id": "2"}}, "frames": names},
    }
    make_youtube_split(folder, "train", train)
    said = {str(number): {"exp": f"sentence {number}"} for number in range(12)}
    test = {"00f88c4f0a": {"expressions": {"0": {"exp": "a dog"}}, "frames": names}}
    valid = {"0062f687f1": {"expressions": said, "frames": names}}
    for split, videos in (("valid", valid | test), ("test", test)):
        save_json(folder / f"meta_expressions/{split}/meta_expressions.json", {"videos": videos})
    save_frames(folder / "valid/JPEGImages/0062f687f1", names)
    save_frames(folder / "test/JPEGImages/00f88c4f0a", names)


def make_youtube_split(folder: Path, split: str, videos: dict[str, dict]) -> None:
    """A split in the form of Ref-YouTube-VOS, with PNGs."""
    save_json(folder / f"meta_expressions/{split}/meta_expressions.json", {"videos": videos})
    meta = {}
    for id, video in videos.items():
        objects = sorted({int(one["obj_id"]) for one in video["expressions"].values()})
        meta[id] = {"objects": {str(obj): {"category": "thing"} for obj in objects}}
        save_frames(folder / split / "JPEGImages" / id, video["frames"])
        save_labels(folder / split / "Annotations" / id, video["frames"], objects)
    save_json(folder / split / "meta.json", {"videos": meta})


def save_pickle(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))


def make_video_qa(root: Path) -> None:
    """ROOT/LLaVA-Video-178K/0_30_s_academic_v0_1: a caption, and a conversation of two rounds."""
    folder = root / "LLaVA-Video-178K/0_30_s_academic_v0_1"
    ask, say = "human", "gpt"
    caption = [(ask, "<image>\nWhat happens?"), (say, "Three boxes go to the right.")]
    rounds = [
        (ask, "<image>\nHow many boxes are there?"),
        (say, "Three."),
        (ask, "Which way do they go?"),
        (say, "To the right."),
    ]
    entries = [
        {
            "id": id,
            "conversations": [{"from": who, "value": said} for who, said in messages],
            "data_source": "0_30_s_academic_v0_1",
            "video": video,
        }
        for id, video, messages in (
            ("0", "academic_source/youcook2/103/8lqdPpg3w08/split_3.mp4", caption),
            ("1", "academic_source/Charades/T3O7W.mp4", rounds),
        )
    ]
    save_json(folder / "0_30_s_academic_v0_1_cap_processed.json", entries)
    for entry in entries:
        frames = folder / "JPEGImages" / entry["video"].removesuffix(".mp4")
        save_frames(frames, [str(number) for number in range(11)])


def make_own(root: Path) -> None:
    """ROOT/own: a folder of frames and a video file, with masks of a cup and a plate.

    kitchen (11 frames) has a mask of the cup at each even frame and of the plate at 0 and 2, hall
    (6 frames, an .mp4) none.
    """
    folder = root / "own"
    names = [str(number) for number in range(11)]  # as text, 10 comes before 2
    save_frames(folder / "videos/kitchen", names)
    for thing, obj, marked in (("cup", 1, range(0, 11, 2)), ("plate", 2, (0, 2))):
        for frame in marked:
            path = folder / f"masks/kitchen/{thing}/{frame:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(box(frame, obj).astype(np.uint8) * 255).save(path)
    save_video(folder / "videos/hall.mp4", 6)
    (folder / "sentences.csv").write_text(
        "video,sentence,objects,split\n"
        "kitchen,the cup that moves,cup,\n"
        "kitchen,the dishes,cup|plate,train\n"
        "kitchen,the dog,,\n"
        'hall,"a person, if there is one",,valid\n'
    )


def save_video(path: Path, length: int) -> None:
    """Frame number n is as bright as 20 + 20 n."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = SIZE
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (width, height))
    for frame in range(length):
        writer.write(np.full((height, width, 3), 20 + 20 * frame, np.uint8))
    writer.release()
