"""virst data check ROOT: what is found, what is missing, what is damaged."""

from __future__ import annotations

import json
import shutil

import image_miniatures as miniatures
import miniatures as videos
import numpy as np
from PIL import Image
import pytest

from virst_model.data.__main__ import main
from virst_model.data.catalogue import CATALOGUE, CATEGORY_WEIGHTS, locate, open_dataset
from virst_model.data.check import Finding, check
from virst_model.data.write_stories import Shot, write_stories
from virst_model.errors import FileError


def finding(root, dataset: str, split: str) -> Finding:
    found = [f for f in check(root) if (f.dataset, f.split) == (dataset, split)]
    assert len(found) == 1
    return found[0]


def make_all(root) -> None:
    """Everything but synthetic videos."""
    for name in ("refcoco", "refcoco+", "refcocog"):
        miniatures.make_refer(root, name)
    for image_set in (
        miniatures.make_ade20k,
        miniatures.make_coco_stuff,
        miniatures.make_paco_lvis,
        miniatures.make_pascal_part,
        miniatures.make_reason_seg,
    ):
        image_set(root)
    for video_set in (
        videos.make_mevis,
        videos.make_revos,
        videos.make_lv_vis,
        videos.make_ref_davis17,
        videos.make_ref_youtube_vos,
        videos.make_video_qa,
        videos.make_own,
    ):
        video_set(root)


def test_the_catalogue_has_the_fourteen_of_the_paper_own_footage_and_synthetic_videos():
    assert len(CATALOGUE) == 17
    assert {dataset.category for dataset in CATALOGUE.values()} == set(CATEGORY_WEIGHTS)


def test_all_data_sets_are_found_where_their_own_pages_unpack_them(tmp_path, capsys):
    make_all(tmp_path)
    assert main(["check", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "15 of 17 data sets found, 0 damaged"


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_written_synthetic_videos_and_their_questions_are_read_with_their_truth(tmp_path, split):
    shot = Shot(frames=12, fps=4, width=64, height=48)
    write_stories(tmp_path / "synthetic", split, 2, 0, shot)

    found = open_dataset("synthetic", tmp_path, split)
    assert len(found.records) == 2 and not found.skipped
    said = [one for record in found.records for one in record.expressions]
    assert {"attribute", "none"} <= {one.kind for one in said}
    for one in said:
        area = sum(int(one.mask(t).sum()) for t in range(12))
        assert (area == 0) == (one.kind == "none"), one.text
    questions = open_dataset("synthetic-vqa", tmp_path, split).records
    assert len(questions) == 8  # four a video
    assert all(one.answer for record in questions for one in record.expressions)


def test_what_is_found_is_counted(tmp_path):
    miniatures.make_refer(tmp_path)
    found = finding(tmp_path, "refcoco", "train")
    assert (found.records, found.expressions, found.broken) == (2, 4, "")


def test_what_is_missing_is_named_by_its_file(tmp_path):
    miniatures.make_ade20k(tmp_path)
    (tmp_path / "ade20k/objectInfo150.txt").unlink()
    found = finding(tmp_path, "ade20k", "training")
    assert found.missing.startswith(f"{tmp_path}/ade20k/objectInfo150.txt: ")
    assert not found.broken


def test_what_is_skipped_is_counted_by_reason(tmp_path, capsys):
    miniatures.make_reason_seg(tmp_path)
    (tmp_path / "reason_seg/ReasonSeg/train/1.json").unlink()
    assert main(["check", str(tmp_path)]) == 0
    assert "    left out 1, annotation is not there: 1 (1.json)\n" in capsys.readouterr().out


def test_a_picture_that_is_damaged_is_found(tmp_path):
    miniatures.make_pascal_part(tmp_path)
    picture = next(tmp_path.rglob("*.jpg"))
    picture.write_bytes(picture.read_bytes()[:300])
    assert finding(tmp_path, "pascal-part", "train").broken.startswith(f"{picture}: ")


def test_a_mask_that_does_not_fit_its_picture_is_found(tmp_path):
    miniatures.make_coco_stuff(tmp_path)
    miniatures.save_picture(tmp_path / "coco/train2017/000000000009.jpg", size=(48, 60))
    assert "its mask is 64x48" in finding(tmp_path, "coco-stuff", "train2017").broken


def test_masks_of_another_size_than_their_video_are_named(tmp_path, capsys):
    videos.make_mevis(tmp_path)
    path = tmp_path / "mevis/train/mask_dict.json"
    small = videos.code(np.ones((24, 32), bool))
    codes = json.loads(path.read_text()) | {"2": [small] * 5}
    path.write_text(json.dumps(codes))
    assert main(["check", str(tmp_path)]) == 0
    said = "left out 1, sentence with masks of another size than its frames: 377b1c5f365c/0 "
    assert f"{said}(masks 32x24, frames 64x48)" in capsys.readouterr().out


def test_label_pictures_of_another_size_than_their_video_are_named(tmp_path, capsys):
    videos.make_ref_davis17(tmp_path)
    for path in (tmp_path / "davis17/train/Annotations/blackswan").iterdir():
        Image.new("P", (32, 24)).save(path)
    assert main(["check", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "left out 4, sentence with masks of another size than its frames: blackswan/0 " in said


def test_a_mask_of_another_size_is_found_in_any_record(tmp_path):
    miniatures.make_coco_stuff(tmp_path)
    picture = tmp_path / "coco/train2017/000000000009.jpg"
    label = next((tmp_path / "cocostuff/train2017").glob("*.png"))
    for number in range(10, 20):
        shutil.copy(picture, picture.with_stem(f"{number:012d}"))
        shutil.copy(label, label.with_stem(f"{number:012d}"))
    other = picture.with_stem(f"{15:012d}")
    miniatures.save_picture(other, size=(48, 60))
    broken = finding(tmp_path, "coco-stuff", "train2017").broken
    assert broken == f"{other}: is 60x48, but its mask is 64x48"


@pytest.mark.parametrize("deep", ["mevis", "mevis/train", "mevis/train/JPEGImages", "refer_seg"])
def test_a_root_that_is_inside_a_data_set_is_told_which_was_meant(tmp_path, capsys, deep):
    videos.make_mevis(tmp_path)
    miniatures.make_refer(tmp_path)
    assert main(["check", str(tmp_path / deep)]) == 1
    assert f"virst data check {tmp_path}\n" in capsys.readouterr().out
    with pytest.raises(FileError, match=f"the folder of the data sets is {tmp_path}"):
        open_dataset("lv-vis", tmp_path / deep, "train")


def test_one_data_set_is_enough_for_success(tmp_path, capsys):
    miniatures.make_coco_stuff(tmp_path)
    assert main(["check", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  train2017: 1 records, 2 expressions" in lines
    assert "mevis [rvos]: not found (mevis or MeViS)" in lines
    assert lines[-1] == "1 of 17 data sets found, 0 damaged"


def test_a_damaged_data_set_is_no_success(tmp_path, capsys):
    miniatures.make_coco_stuff(tmp_path)
    miniatures.make_refer(tmp_path)
    (tmp_path / "refer_seg/refcoco/refs(unc).p").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert main(["check", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "DAMAGED: " in out and "1 of 17 data sets found, 1 damaged" in out


def test_an_empty_root_is_no_success(tmp_path):
    assert main(["check", str(tmp_path)]) == 1


def test_a_root_that_is_no_folder_is_refused(tmp_path):
    assert main(["check", str(tmp_path / "nowhere")]) == 2


@pytest.mark.parametrize("gathered_in", ["", "LISA", "LISA/sem_seg"])
def test_the_released_code_s_folders_are_known(tmp_path, gathered_in):
    miniatures.make_paco_lvis(tmp_path / gathered_in)
    assert locate("paco-lvis", tmp_path) == tmp_path / gathered_in / "vlpart/paco"
    assert open_dataset("paco-lvis", tmp_path, "train").expressions == 3


def test_reason_seg_may_lie_without_its_inner_folder(tmp_path):
    miniatures.make_reason_seg(tmp_path)
    (tmp_path / "reason_seg/ReasonSeg/train").rename(tmp_path / "reason_seg/train")
    (tmp_path / "reason_seg/ReasonSeg").rmdir()
    assert open_dataset("reason-seg", tmp_path, "train").expressions == 3


@pytest.mark.parametrize(
    ("name", "split", "reason"),
    [
        ("cityscapes", "train", "no data set is called 'cityscapes'; ade20k, "),
        ("mevis", "test", "mevis has no split 'test'; it has train, valid_u, valid"),
        ("mevis", "train", "no mevis here: it would lie in mevis or MeViS"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_what_can(tmp_path, name, split, reason):
    with pytest.raises(FileError, match=reason):
        open_dataset(name, tmp_path, split)
