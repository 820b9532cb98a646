"""Data sets whose files somebody, or a disk, has changed: FileErrors of ours, nothing else."""

from __future__ import annotations

import json
from pathlib import Path
import pickle
import shutil

from fuzzing import FUZZ, JSON, places, with_value
from hypothesis import given, settings
from hypothesis import strategies as st
import image_miniatures
import miniatures
import pytest

from virst_model.data.catalogue import CATALOGUE, locate, open_dataset
from virst_model.errors import FileError
from virst_model.image_file import read_image

# A data set, its split, and a file of it that holds values.
FILES = (
    ("mevis", "train", "mevis/train/meta_expressions.json"),
    ("mevis", "train", "mevis/train/mask_dict.json"),
    ("revos", "valid", "ReVOS/mask_dict_foreground.json"),
    ("ref-davis17", "train", "davis17/meta_expressions/train/meta_expressions.json"),
    ("ref-youtube-vos", "valid", "Ref-Youtube-VOS/meta_expressions/valid/meta_expressions.json"),
    ("lv-vis", "train", "lvvis/train/meta_expressions.json"),
    ("refcoco", "train", "refer_seg/refcoco/instances.json"),
    ("refcoco", "train", "refer_seg/refcoco/refs(unc).p"),
    ("reason-seg", "train", "reason_seg/ReasonSeg/train/1.json"),
    ("ade20k", "training", "ade20k/annotations/training.classes.json"),
    ("paco-lvis", "train", "vlpart/paco/annotations/paco_lvis_v1_train.json"),
    ("pascal-part", "train", "vlpart/pascal_part/train.json"),
    ("own", "train", "own/sentences.json"),
    ("own", "valid", "own/sentences.json"),
    (
        "video-vqa",
        "train",
        "LLaVA-Video-178K/0_30_s_academic_v0_1/0_30_s_academic_v0_1_cap_processed.json",
    ),
)
# What becomes of a file: bytes of it are others, its end is lost, nothing is left of it, it is not
# there, or a folder is in its place.
BYTES, CUT, EMPTY, GONE, FOLDER = "bytes", "cut", "empty", "gone", "folder"
WAYS = (BYTES, BYTES, CUT, EMPTY, GONE, FOLDER)
# A byte of these may stand for gigabytes that the pickle module sets aside, or for minutes of
# FFmpeg's; `test_pickles.py` and `offline/test_video.py` damage them by hand.
NO_BYTES = (".p", ".pkl", ".mp4")
TABLE = [
    {"video": "kitchen", "sentence": "the dishes", "objects": ["cup", "plate"], "split": "train"},
    {"video": "hall.mp4", "sentence": "a person", "objects": [], "split": "valid"},
]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    for make in (
        *(miniatures.make_mevis, miniatures.make_revos, miniatures.make_lv_vis),
        *(miniatures.make_ref_davis17, miniatures.make_ref_youtube_vos),
        *(miniatures.make_video_qa, miniatures.make_own),
        *(image_miniatures.make_refer, image_miniatures.make_reason_seg),
        *(image_miniatures.make_ade20k, image_miniatures.make_coco_stuff),
        *(image_miniatures.make_paco_lvis, image_miniatures.make_pascal_part),
    ):
        make(folder)
    # The other form of its table; the first one is among the miniatures.
    (folder / "own/sentences.csv").unlink()
    (folder / "own/sentences.json").write_text(json.dumps(TABLE))
    for name, split, _ in FILES:  # which keeps beside some what was found
        open_dataset(name, folder, split)
    return folder


def read_all(name: str, root: Path, split: str) -> int:
    """Every mask of the first and the last frame of what can be used, and the frames; how many."""
    masks = 0
    for record in open_dataset(name, root, split).records:
        for frame in {0, len(record.frames) - 1}:
            read_image(record.frames[frame])
            for expression in record.expressions:
                for reader in filter(None, (expression.mask, record.foreground, record.ignored)):
                    reader(frame)
                    masks += 1
    return masks


def refused_in_one_line_or_read(name: str, root: Path, split: str) -> None:
    try:
        read_all(name, root, split)
    except FileError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(("name", "split", "path"), FILES)
def test_the_sets_are_read_as_they_are(root, name, split, path):
    assert read_all(name, root, split) or name in ("video-vqa", "ref-youtube-vos")


@pytest.mark.parametrize(("name", "split", "path"), FILES)
def test_any_value_in_a_data_set_is_taken_or_refused_in_one_line(root, name, split, path):
    before = (root / path).read_bytes()
    pickled = path.endswith(".p")
    whole = pickle.loads(before) if pickled else json.loads(before)

    @settings(FUZZ, max_examples=60)
    @given(st.sampled_from(places(whole)), JSON)
    def fuzz(place, value):
        content = with_value(whole, place, value)
        said = pickle.dumps(content, 4) if pickled else json.dumps(content).encode()
        (root / path).write_bytes(said)
        refused_in_one_line_or_read(name, root, split)

    try:
        fuzz()
    finally:
        (root / path).write_bytes(before)


@pytest.mark.parametrize("name", sorted({name for name, _, _ in FILES} | {"coco-stuff"}))
def test_any_damage_to_a_file_of_a_data_set_is_borne_or_refused_in_one_line(root, name):
    folder = locate(name, root)
    splits = [split for n, split, _ in FILES if n == name] or [CATALOGUE[name].splits[0]]
    files = sorted(path for path in folder.rglob("*") if path.is_file())

    @settings(FUZZ, max_examples=60)
    @given(
        st.sampled_from(files),
        st.sampled_from(WAYS),
        st.integers(0, 2**20),
        st.binary(min_size=1, max_size=6),
    )
    def fuzz(path, way, at, found):
        before = path.read_bytes()
        damage(path, CUT if way == BYTES and path.suffix in NO_BYTES else way, at, found)
        try:
            for split in splits:
                refused_in_one_line_or_read(name, root, split)
        finally:
            if path.is_dir():
                shutil.rmtree(path)
            path.write_bytes(before)

    fuzz()


def damage(path: Path, way: str, at: int, found: bytes) -> None:
    """What a `way` says, at a place of the file, where `found` is the other bytes."""
    before = path.read_bytes()
    start = at % max(1, len(before))
    if way in (GONE, FOLDER):
        path.unlink()
    if way == FOLDER:
        path.mkdir()
    if way == BYTES:
        path.write_bytes(before[:start] + found + before[start + len(found) :])
    if way in (CUT, EMPTY):
        path.write_bytes(before[: start if way == CUT else 0])
