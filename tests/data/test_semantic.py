"""Classes and parts of pictures: names from the data set's own files, complete truths."""

from __future__ import annotations

import image_miniatures as miniatures
from image_miniatures import box
import numpy as np
import pytest

from virst_model.data.record import Record, Records
from virst_model.data.semantic import (
    load_ade20k,
    load_coco_stuff,
    load_paco_lvis,
    load_pascal_part,
    wording,
)
from virst_model.errors import FileError


def truths(record: Record) -> dict[str, np.ndarray]:
    return {e.text: e.mask(0) for e in record.expressions}


def assert_truths(records: Records, index: int, **expected: tuple[str, ...]) -> None:
    """Class name (spaces as underscores) -> boxes that its mask consists of."""
    found = truths(records.records[index])
    assert set(found) == {name.replace("_", " ") for name in expected}
    for name, boxes in expected.items():
        np.testing.assert_array_equal(found[name.replace("_", " ")], box(*boxes), name)


def test_ade20k_shows_the_classes_of_a_picture_by_their_first_name(tmp_path):
    miniatures.make_ade20k(tmp_path)
    records = load_ade20k(tmp_path / "ade20k", "training")
    assert_truths(records, 0, wall=("a",), building=("b",))
    assert_truths(records, 1, building=("c",))


def test_coco_stuff_starts_to_count_at_a_person_and_leaves_out_names_with_a_dash(tmp_path):
    miniatures.make_coco_stuff(tmp_path)
    records = load_coco_stuff(tmp_path / "cocostuff", "train2017")
    assert_truths(records, 0, person=("a",), grass=("c",))


def test_paco_means_all_instances_and_leaves_out_what_is_not_complete(tmp_path):
    miniatures.make_paco_lvis(tmp_path)
    records = load_paco_lvis(tmp_path / "vlpart/paco", "train")
    assert_truths(records, 0, mug=("a", "b"), the_handle_of_the_mug=("c",), tape=("c",))


def test_pascal_part_unites_both_wings(tmp_path):
    miniatures.make_pascal_part(tmp_path)
    records = load_pascal_part(tmp_path / "vlpart/pascal_part", "train")
    expected = {"the_wing_of_the_bird": ("a", "b"), "the_beak_of_the_bird": ("c",)}
    assert_truths(records, 0, **expected)
    assert records.records[0].id == "2008000002"


@pytest.mark.parametrize(
    ("category", "text"),
    [
        ("trash_can", "trash can"),
        ("car_(automobile)", "car"),
        ("mouse_(computer_equipment):left_button", "the left button of the mouse"),
        ("potted plant:pot", "the pot of the potted plant"),
    ],
)
def test_a_category_is_worded(category, text):
    assert wording(category) == text


def test_a_missing_list_of_names_is_named(tmp_path):
    miniatures.make_ade20k(tmp_path)
    (tmp_path / "ade20k/objectInfo150.txt").unlink()
    with pytest.raises(FileError, match=r"objectInfo150\.txt: No such file"):
        load_ade20k(tmp_path / "ade20k", "training")


def test_pictures_are_looked_at_once(tmp_path):
    miniatures.make_ade20k(tmp_path)
    load_ade20k(tmp_path / "ade20k", "training")
    for label in (tmp_path / "ade20k/annotations/training").iterdir():
        label.write_bytes(b"")
    records = load_ade20k(tmp_path / "ade20k", "training")
    assert records.expressions == 3


def test_a_new_picture_joins_the_index_and_a_deleted_one_leaves_it(tmp_path):
    miniatures.make_ade20k(tmp_path)
    labels = tmp_path / "ade20k/annotations/training"
    load_ade20k(tmp_path / "ade20k", "training")
    (labels / "ADE_train_00000001.png").rename(labels / "ADE_train_00000003.png")
    miniatures.save_picture(tmp_path / "ade20k/images/training/ADE_train_00000003.jpg")
    records = load_ade20k(tmp_path / "ade20k", "training")
    assert [r.id for r in records.records] == ["ADE_train_00000002", "ADE_train_00000003"]


def test_without_leave_to_write_the_index_is_not_kept(tmp_path, monkeypatch):
    miniatures.make_ade20k(tmp_path)

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    assert load_ade20k(tmp_path / "ade20k", "training").expressions == 3
    assert not list(tmp_path.rglob("*.classes.json*"))


def test_a_damaged_label_picture_is_counted(tmp_path):
    miniatures.make_ade20k(tmp_path)
    (tmp_path / "ade20k/annotations/training/ADE_train_00000001.png").write_bytes(b"no picture")
    records = load_ade20k(tmp_path / "ade20k", "training")
    assert records.skipped == {"label picture cannot be read": 1}
    assert [r.id for r in records.records] == ["ADE_train_00000002"]


def test_a_picture_without_its_file_is_counted(tmp_path):
    miniatures.make_paco_lvis(tmp_path)
    (tmp_path / "coco/train2017/000000000007.jpg").rename(tmp_path / "coco/train2017/8.jpg")
    records = load_paco_lvis(tmp_path / "vlpart/paco", "train")
    assert records.skipped == {"picture is not there": 1}


def test_labels_of_another_size_than_the_picture_are_an_error(tmp_path):
    miniatures.make_ade20k(tmp_path)
    picture = tmp_path / "ade20k/images/training/ADE_train_00000001.jpg"
    miniatures.save_picture(picture, size=(48, 60))
    record = load_ade20k(tmp_path / "ade20k", "training").records[0]
    with pytest.raises(FileError, match="is 60x48, but its mask is 64x48"):
        record.expressions[0].mask(0)


def test_a_file_that_is_not_coco_is_named(tmp_path):
    miniatures.make_pascal_part(tmp_path)
    annotations = tmp_path / "vlpart/pascal_part/train.json"
    miniatures.save_json(annotations, {"images": []})
    with pytest.raises(FileError, match=r"train\.json: has an entry without 'categories'"):
        load_pascal_part(tmp_path / "vlpart/pascal_part", "train")
