"""ReasonSeg: polygons of labelme, several texts a picture, regions that do not count."""

from __future__ import annotations

import image_miniatures as miniatures
import numpy as np
import pytest

from virst_model.data.reason import load_reason_seg, read_regions
from virst_model.data.record import Records
from virst_model.errors import FileError


@pytest.fixture
def folder(tmp_path):
    miniatures.make_reason_seg(tmp_path)
    return tmp_path / "reason_seg/ReasonSeg"


def texts(records: Records) -> list[str]:
    return [e.text for record in records.records for e in record.expressions]


def test_every_text_of_a_picture_means_the_same_pixels(folder):
    first = load_reason_seg(folder, "train").records[0]
    assert [e.text for e in first.expressions] == ["What keeps the rain off?", "the dry place"]
    one, other = (e.mask(0) for e in first.expressions)
    np.testing.assert_array_equal(one, other)


def test_ignored_regions_are_no_target_and_can_be_asked_for(folder):
    record = load_reason_seg(folder, "train").records[0]
    ignored = np.zeros(miniatures.SIZE, bool)
    ignored[8:12, 10:14] = True
    mask = record.expressions[0].mask(0)
    np.testing.assert_array_equal(mask, miniatures.box("a") & ~ignored)
    regions = read_regions(folder / "train/1.json", folder / "train/1.jpg")
    np.testing.assert_array_equal(regions == 255, ignored)


def test_questions_are_told_from_phrases(folder):
    records = load_reason_seg(folder, "train")
    assert [r.expressions[0].kind for r in records.records] == ["sentence", "phrase"]


def test_an_annotation_in_cp1252_is_read(folder):
    assert texts(load_reason_seg(folder, "train"))[-1] == "the café’s sign"


def test_a_small_target_above_a_large_ignored_region_counts(folder):
    annotation = {
        "text": ["the core"],
        "is_sentence": False,
        "shapes": [
            {"label": "target", "points": [[20, 20], [29, 20], [29, 29], [20, 29]]},
            {"label": "ignore", "points": [[10, 10], [40, 10], [40, 40], [10, 40]]},
        ],
    }
    miniatures.save_json(folder / "train/1.json", annotation)
    mask = load_reason_seg(folder, "train").records[0].expressions[0].mask(0)
    assert mask.sum() == 100 and mask[20:30, 20:30].all()


def test_what_lacks_its_other_half_is_counted(folder):
    (folder / "train/1.jpg").unlink()
    (folder / "train/2.json").unlink()
    records = load_reason_seg(folder, "train")
    assert not records.records
    assert records.skipped == {"annotation is not there": 1, "picture is not there": 1}


@pytest.mark.parametrize("content", ["{", '{"text": []}', "[]", '{"text": 3, "is_sentence": 1}'])
def test_a_damaged_annotation_is_counted(folder, content):
    (folder / "train/1.json").write_text(content)
    records = load_reason_seg(folder, "train")
    assert records.skipped == {"annotation cannot be read": 1}
    assert texts(records) == ["the café’s sign"]


def test_an_annotation_may_begin_with_a_mark(folder):
    path = folder / "train/1.json"
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert len(load_reason_seg(folder, "train").records[0].expressions) == 2


def test_what_a_mac_leaves_beside_pictures_is_not_counted(folder):
    for name in ("._1.jpg", "._1.json", ".DS_Store"):
        (folder / "train" / name).write_bytes(b"\x00\x05\x16\x07")
    records = load_reason_seg(folder, "train")
    assert len(records.records) == 2 and not records.skipped


def test_a_split_that_is_not_there_is_named(folder):
    with pytest.raises(FileError, match="ReasonSeg/val: No such file"):
        load_reason_seg(folder, "val")
