"""Data sets whose files somebody, or a disk, has changed: FileErrors of ours, nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from fuzzing import FUZZ, JSON, places, with_value
from hypothesis import given, settings
from hypothesis import strategies as st
import image_miniatures
import miniatures
import pytest

from virst_model.data.catalogue import open_dataset
from virst_model.errors import FileError

# A data set, its split, and a file of it.
FILES = (
    ("mevis", "train", "mevis/train/meta_expressions.json"),
    ("mevis", "train", "mevis/train/mask_dict.json"),
    ("revos", "valid", "ReVOS/mask_dict_foreground.json"),
    ("refcoco", "train", "refer_seg/refcoco/instances.json"),
    ("reason-seg", "train", "reason_seg/ReasonSeg/train/1.json"),
    ("paco-lvis", "train", "vlpart/paco/annotations/paco_lvis_v1_train.json"),
    (
        "video-vqa",
        "train",
        "LLaVA-Video-178K/0_30_s_academic_v0_1/0_30_s_academic_v0_1_cap_processed.json",
    ),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    for make in (miniatures.make_mevis, miniatures.make_revos, miniatures.make_video_qa):
        make(folder)
    for make in (
        image_miniatures.make_refer,
        image_miniatures.make_reason_seg,
        image_miniatures.make_paco_lvis,
    ):
        make(folder)
    return folder


def read_all(name: str, root: Path, split: str) -> int:
    """Every mask of the first frame of what can be used; how many."""
    masks = 0
    for record in open_dataset(name, root, split).records:
        for expression in record.expressions:
            for reader in filter(None, (expression.mask, record.foreground, record.ignored)):
                reader(0)
                masks += 1
    return masks


@pytest.mark.parametrize(("name", "split", "path"), FILES)
def test_the_sets_are_read_as_they_are(root, name, split, path):
    assert read_all(name, root, split) or name == "video-vqa"


@pytest.mark.parametrize(("name", "split", "path"), FILES)
def test_any_value_in_a_data_set_is_taken_or_refused_in_one_line(root, name, split, path):
    whole = json.loads((root / path).read_text())

    @settings(FUZZ, max_examples=60)
    @given(st.sampled_from(places(whole)), JSON)
    def fuzz(place, value):
        (root / path).write_text(json.dumps(with_value(whole, place, value)))
        try:
            read_all(name, root, split)
        except FileError as error:
            assert "\n" not in str(error)

    try:
        fuzz()
    finally:
        (root / path).write_text(json.dumps(whole))
