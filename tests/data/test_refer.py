"""RefCOCO, RefCOCO+ and RefCOCOg: sentences of a pickle, segmentations of COCO."""

from __future__ import annotations

import json
import pickle

import image_miniatures as miniatures
from image_miniatures import box
import numpy as np
import pytest

from virst_model.data.refer import load_refer
from virst_model.errors import FileError


@pytest.fixture
def root(tmp_path):
    miniatures.make_refer(tmp_path)
    return tmp_path / "refer_seg"


def test_a_picture_holds_all_that_is_said_of_it(root):
    records = load_refer(root, "refcoco", "train").records
    assert [r.id for r in records] == ["9", "25"]
    said = [(e.id, e.text) for e in records[0].expressions]
    assert said == [("10", "left box"), ("11", "the box on the left"), ("20", "both others")]


def test_the_picture_is_found_by_its_image_and_not_by_the_name_in_the_ref(root):
    record = load_refer(root, "refcoco", "val").records[0]
    assert [path.name for path in record.frames] == ["COCO_train2014_000000000030.jpg"]
    assert record.frames[0].is_file()


@pytest.mark.parametrize(
    ("split", "sentence", "boxes"),
    [
        ("train", "left box", ("a",)),
        ("train", "both others", ("b", "c")),
        ("train", "box", ("a",)),
        ("val", "top right", ("c",)),
    ],
    ids=["a polygon", "several, one without area", "plain run lengths", "compressed run lengths"],
)
def test_masks_come_from(root, split, sentence, boxes):
    records = load_refer(root, "refcoco", split).records
    masks = {e.text: e.mask for record in records for e in record.expressions}
    np.testing.assert_array_equal(masks[sentence](0), box(*boxes))


@pytest.mark.parametrize("name", ["refcoco+", "refcocog"])
def test_its_sisters_are_read_the_same_way(tmp_path, name):
    miniatures.make_refer(tmp_path, name)
    assert load_refer(tmp_path / "refer_seg", name, "train").expressions == 4


def test_a_picture_that_is_not_there_is_counted(root):
    (root / "images/mscoco/images/train2014/COCO_train2014_000000000009.jpg").unlink()
    records = load_refer(root, "refcoco", "train")
    assert [r.id for r in records.records] == ["25"]
    assert records.skipped == {"picture is not there": 1}


def test_an_object_without_a_segmentation_is_counted(root):
    path = root / "refcoco/instances.json"
    instances = json.loads(path.read_text())
    instances["annotations"][2]["segmentation"] = []
    miniatures.save_json(path, instances)
    records = load_refer(root, "refcoco", "train")
    assert [r.id for r in records.records] == ["9"]
    assert records.skipped == {"object without a segmentation": 1}


def test_a_split_that_is_not_there_is_refused_with_those_that_are(root):
    with pytest.raises(
        FileError, match=r"refs\(unc\)\.p: has no split 'testC'; it has testA, testB, train, val"
    ):
        load_refer(root, "refcoco", "testC")


def test_an_entry_without_a_field_is_an_error_that_names_it(root):
    path = root / "refcoco/refs(unc).p"
    path.write_bytes(pickle.dumps([{"image_id": 1, "split": "train", "sentences": []}]))
    with pytest.raises(FileError, match="has an entry without 'ann_id'"):
        load_refer(root, "refcoco", "train")


def test_a_segmentation_of_another_size_is_an_error_when_it_is_read(root):
    picture = root / "images/mscoco/images/train2014/COCO_train2014_000000000009.jpg"
    miniatures.save_picture(picture, size=(40, 64))
    record = load_refer(root, "refcoco", "train").records[0]
    with pytest.raises(FileError, match="is 64x40, but its mask is 64x48"):
        record.expressions[0].mask(0)


def test_a_missing_file_is_named(root):
    (root / "refcoco/instances.json").unlink()
    with pytest.raises(FileError, match=r"refcoco/instances\.json: No such file"):
        load_refer(root, "refcoco", "train")


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [48, 64], "counts": [10, 20]},
        {"size": [48, 64], "counts": "PP2"},
        {"size": [48, 64], "counts": None},
        {"size": [64, 48], "counts": "PP3"},
        [[0, 0, 1e12, 0, 5, 5]],
        [["a", "b", "c", "d", "e", "f"]],
    ],
    ids=["too short", "compressed", "no counts", "turned", "far off", "words"],
)
def test_a_damaged_segmentation_is_an_error_when_it_is_read(root, segmentation):
    path = root / "refcoco/instances.json"
    instances = json.loads(path.read_text())
    instances["annotations"][0]["segmentation"] = segmentation
    miniatures.save_json(path, instances)
    record = load_refer(root, "refcoco", "train").records[0]
    with pytest.raises(FileError, match=r"000000000009\.jpg: its segmentation cannot be read"):
        record.expressions[0].mask(0)
