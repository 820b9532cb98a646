"""The five RVOS sets, from folders as they are unpacked: frames, sentences and their masks."""

from __future__ import annotations

import json
from pathlib import Path
import shutil

import miniatures
import numpy as np
from PIL import Image
import pytest

from virst_model.data.record import Record, Records
from virst_model.data.rvos import (
    load_lv_vis,
    load_mevis,
    load_ref_davis17,
    load_ref_youtube_vos,
    load_revos,
    load_synthetic,
)
from virst_model.errors import FileError


def record(found: Records, id: str) -> Record:
    return next(one for one in found.records if one.id == id)


def edit(path: Path, change) -> None:
    """Writes a JSON file anew, as `change` left what was in it."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def masks_of(one: Record) -> dict[str, list[np.ndarray]]:
    """Sentence id -> its mask at each frame."""
    return {e.id: [e.mask(frame) for frame in range(len(one.frames))] for e in one.expressions}


def assert_boxes(masks: list[np.ndarray], *objects: int) -> None:
    """The masks are those of `objects`, at every frame."""
    for frame, mask in enumerate(masks):
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, miniatures.box(frame, *objects))


@pytest.fixture
def mevis(tmp_path):
    miniatures.make_mevis(tmp_path)
    return tmp_path / "mevis"


@pytest.fixture
def revos(tmp_path):
    miniatures.make_revos(tmp_path)
    return tmp_path / "ReVOS"


@pytest.fixture
def davis(tmp_path):
    miniatures.make_ref_davis17(tmp_path)
    return tmp_path / "davis17"


@pytest.fixture
def youtube(tmp_path):
    miniatures.make_ref_youtube_vos(tmp_path)
    return tmp_path / "Ref-Youtube-VOS"


def test_a_video_is_a_record_with_its_frames_and_sentences(mevis):
    found = load_mevis(mevis, "train")
    assert [one.id for one in found.records] == ["d56a6ec78cfa", "377b1c5f365c"]
    lizard = found.records[1]
    folder = mevis / "train/JPEGImages/377b1c5f365c"
    assert lizard.frames == tuple(folder / f"0000{number}.jpg" for number in range(5))
    assert [(e.id, e.text, e.kind) for e in lizard.expressions] == [("0", "lizard turning", "")]
    assert (found.expressions, not found.skipped) == (4, True)


@pytest.mark.parametrize("name", ["meta_expressions.json", "mask_dict.json"])
def test_a_file_may_begin_with_a_mark(mevis, name):
    path = mevis / "train" / name
    before = load_mevis(mevis, "train")
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")

    after = load_mevis(mevis, "train")

    assert after.expressions == before.expressions and after.skipped == before.skipped


def test_a_sentence_about_two_objects_means_both_of_them(mevis):
    masks = masks_of(load_mevis(mevis, "train").records[0])["0"]
    assert_boxes(masks[:5], 1, 2)
    np.testing.assert_array_equal(masks[5], miniatures.box(5, 1))


def test_an_object_that_is_gone_has_an_empty_mask_of_the_frames_size(mevis):
    mask = load_mevis(mevis, "train").records[0].expressions[1].mask(6)
    assert (mask.shape, mask.dtype, mask.any()) == (miniatures.SIZE, bool, False)


def test_a_sentence_about_nothing_has_empty_masks(mevis):
    masks = masks_of(load_mevis(mevis, "valid_u").records[0])["2"]
    assert not np.any(masks)


def test_a_split_without_truth_says_so(mevis):
    expressions = load_mevis(mevis, "valid").records[0].expressions
    assert [e.mask for e in expressions] == [None, None, None]


def test_frames_are_in_the_order_of_their_numbers_and_masks_with_them(mevis):
    names = ["10", "9", "8", "11", "7"]  # as text: 10, 11, 7, 8, 9
    sentences = mevis / "train/meta_expressions.json"
    edit(sentences, lambda c: c["videos"]["377b1c5f365c"].update(frames=names))
    miniatures.save_frames(mevis / "train/JPEGImages/377b1c5f365c", names)
    lizard = record(load_mevis(mevis, "train"), "377b1c5f365c")
    assert [path.stem for path in lizard.frames] == ["7", "8", "9", "10", "11"]
    masks = masks_of(lizard)["0"]
    # Frame "9" is second in the file, and so is its mask.
    np.testing.assert_array_equal(masks[2], miniatures.box(1, 3))
    np.testing.assert_array_equal(masks[3], miniatures.box(0, 3))


def test_a_video_without_its_frames_is_left_out_and_counted(mevis):
    shutil.rmtree(mevis / "train/JPEGImages/377b1c5f365c")
    (mevis / "train/JPEGImages/d56a6ec78cfa/00003.jpg").unlink()
    found = load_mevis(mevis, "train")
    assert not found.records
    assert found.skipped == {"video without all its frames": 2}


def test_sentences_whose_masks_do_not_fit_are_left_out_and_counted(mevis):
    edit(mevis / "train/mask_dict.json", lambda codes: (codes["1"].pop(), codes.pop("2")))
    found = load_mevis(mevis, "train")
    assert [[e.id for e in one.expressions] for one in found.records] == [["2"]]
    assert found.skipped == {
        "sentence with masks of another number of frames": 2,
        "sentence whose masks are not in mask_dict.json": 1,
    }


def test_a_sentence_that_does_not_name_its_objects_is_not_one_about_nothing(mevis, davis):
    def forget(content):
        for video in content["videos"].values():
            for name in ("anno_id", "obj_id"):
                video["expressions"]["0"].pop(name, None)

    edit(mevis / "train/meta_expressions.json", forget)
    edit(davis / "meta_expressions/train/meta_expressions.json", forget)
    for found in (load_mevis(mevis, "train"), load_ref_davis17(davis, "train")):
        assert found.skipped == {"sentence that names no object": 2}


def test_a_mask_of_another_size_than_its_frame_is_an_error_when_it_is_read(mevis):
    picture = mevis / "train/JPEGImages/377b1c5f365c/00002.jpg"
    Image.new("RGB", (30, 20)).save(picture)
    mask = record(load_mevis(mevis, "train"), "377b1c5f365c").expressions[0].mask
    assert mask(1).any()
    with pytest.raises(FileError, match=r"00002\.jpg: .*48, 64.*20, 30"):
        mask(2)


def test_a_damaged_code_is_an_error_when_it_is_read(mevis):
    edit(mevis / "train/mask_dict.json", lambda codes: codes["2"][1].update(counts="R::V1nS2" * 9))
    mask = record(load_mevis(mevis, "train"), "377b1c5f365c").expressions[0].mask
    with pytest.raises(FileError, match=r"00001\.jpg: .*segmentation cannot be read"):
        mask(1)


@pytest.mark.parametrize("file", ["meta_expressions.json", "mask_dict.json"])
def test_a_missing_or_broken_annotation_file_is_an_error_that_names_it(mevis, file):
    path = mevis / "train" / file
    for broken in ('{"videos": {"a"', '["no", "videos"]', '{"videos": {"2": 5}, "2": ["code"]}'):
        path.write_text(broken)
        with pytest.raises(FileError, match=file):
            load_mevis(mevis, "train")
    path.unlink()
    with pytest.raises(FileError, match=rf"{file}.*[Nn]o such file"):
        load_mevis(mevis, "train")


def test_missing_frames_of_all_videos_are_an_error(mevis):
    shutil.rmtree(mevis / "train/JPEGImages")
    with pytest.raises(FileError, match="JPEGImages: no such folder; MeViS's frames"):
        load_mevis(mevis, "train")


def test_a_video_id_that_leads_out_of_the_folder_is_an_error(mevis):
    def lead_out(content):
        content["videos"]["../../elsewhere"] = content["videos"].pop("377b1c5f365c")

    edit(mevis / "train/meta_expressions.json", lead_out)
    with pytest.raises(FileError, match=r"meta_expressions\.json: .*elsewhere.*out of its folder"):
        load_mevis(mevis, "train")


def test_an_unknown_split_is_an_error_that_names_the_known_ones(mevis):
    with pytest.raises(FileError, match="no split 'test'; it has train, valid_u, valid"):
        load_mevis(mevis, "test")


def test_revos_names_the_kind_of_each_sentence(revos):
    (dog,) = load_revos(revos, "train").records
    assert dog.id == "UVO/all/-CiPki3XuVI"
    assert [e.kind for e in dog.expressions] == ["referring", "reasoning", "none"]
    masks = masks_of(dog)
    assert_boxes(masks["1"], 1)
    assert not np.any(masks["2"])


def test_both_splits_of_revos_share_frames_and_masks(revos):
    (cat,) = load_revos(revos, "valid").records
    assert cat.frames[0] == revos / "JPEGImages/TAO/train/a/b/00000.jpg"
    assert_boxes(masks_of(cat)["0"], 2)


def test_valid_of_revos_names_all_objects_of_a_frame_where_the_file_is_there(revos):
    (cat,) = load_revos(revos, "valid").records
    assert_boxes([cat.foreground(frame) for frame in range(5)], 1, 2)
    (revos / "mask_dict_foreground.json").unlink()
    (cat,) = load_revos(revos, "valid").records
    assert cat.foreground is None
    assert load_revos(revos, "train").records[0].foreground is None


@pytest.mark.parametrize("frames", ["train/JPEGImages", "JPEGImages/train"])
def test_class_names_of_lv_vis_are_words(tmp_path, frames):
    miniatures.make_lv_vis(tmp_path)
    root = tmp_path / "lvvis"
    shutil.move(root / "train/JPEGImages", tmp_path / "frames")
    (root / frames).parent.mkdir(exist_ok=True)
    shutil.move(tmp_path / "frames", root / frames)
    (video,) = load_lv_vis(root, "train").records
    assert [e.text for e in video.expressions] == ["traffic light", "dog"]
    assert_boxes(masks_of(video)["0"], 1, 2)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_label_pictures_give_the_object_of_each_sentence(davis, split):
    fish = record(load_ref_davis17(davis, split), "gold-fish")
    assert len(fish.expressions) == 12
    for number, masks in masks_of(fish).items():
        assert_boxes(masks, int(number) // 4 + 1)


def test_a_mask_dict_gives_the_same_masks_as_the_label_pictures(davis):
    # VISA's file: a running number over sorted videos and over sentence ids sorted as text, which
    # is 0, 1, 10, 11, 2, ... for the twelve sentences of gold-fish. blackswan's four come first.
    expected = masks_of(record(load_ref_davis17(davis, "valid"), "gold-fish"))
    sorted_as_text = ["0", "1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9"]
    codes = [miniatures.track(1, 5, text=False)] * 4
    codes += [miniatures.track(int(id) // 4 + 1, 7, text=False) for id in sorted_as_text]
    content = {str(number): one for number, one in enumerate(codes)}
    miniatures.save_pickle(davis / "valid/mask_dict.pkl", content)
    shutil.rmtree(davis / "valid/Annotations")
    found = masks_of(record(load_ref_davis17(davis, "valid"), "gold-fish"))
    np.testing.assert_equal(found, expected)


def test_a_video_that_is_left_out_moves_no_running_number(davis):
    test_a_mask_dict_gives_the_same_masks_as_the_label_pictures(davis)
    shutil.rmtree(davis / "valid/JPEGImages/blackswan")
    (fish,) = load_ref_davis17(davis, "valid").records
    assert_boxes(masks_of(fish)["2"], 1)


def test_a_mask_dict_of_other_sentences_is_an_error(davis):
    shutil.rmtree(davis / "train/Annotations")
    miniatures.save_pickle(davis / "train/mask_dict.pkl", {"0": miniatures.track(1, 5)})
    with pytest.raises(FileError, match=r"mask_dict\.pkl: holds masks of 1 sentences.* are 16"):
        load_ref_davis17(davis, "train")


def test_masks_that_are_nowhere_are_an_error_that_names_both_places(davis):
    shutil.rmtree(davis / "train/Annotations")
    with pytest.raises(FileError, match=r"train/Annotations: no such .*train/mask_dict\.pkl"):
        load_ref_davis17(davis, "train")


def test_a_video_without_all_its_label_pictures_is_left_out(davis):
    (davis / "train/Annotations/blackswan/00002.png").unlink()
    found = load_ref_davis17(davis, "train")
    assert [one.id for one in found.records] == ["gold-fish"]
    assert found.skipped == {"sentence of a video without all its label pictures": 4}


def test_a_label_picture_in_colours_is_an_error(davis):
    path = davis / "train/Annotations/blackswan/00002.png"
    Image.open(path).convert("RGB").save(path)
    mask = record(load_ref_davis17(davis, "train"), "blackswan").expressions[0].mask
    with pytest.raises(FileError, match=r"00002\.png: is no label picture"):
        mask(2)


def test_ref_youtube_vos_trains_on_label_pictures(youtube):
    first, second = load_ref_youtube_vos(youtube, "train").records
    assert [path.stem for path in first.frames] == miniatures.numbered(6, step=5)
    assert_boxes(masks_of(first)["5"], 2)
    assert_boxes(masks_of(second)["0"], 2)


def test_videos_of_test_are_not_in_valid(youtube):
    (video,) = load_ref_youtube_vos(youtube, "valid").records
    assert video.id == "0062f687f1"
    assert all(e.mask is None for e in video.expressions)
    (video,) = load_ref_youtube_vos(youtube, "test").records
    assert video.id == "00f88c4f0a"


def test_truth_of_valid_is_taken_from_those_who_have_it(youtube):
    # VIRST's converter numbers in the order of the file: sentence 2 is number 2.
    codes = {str(n): miniatures.track(n % 3 + 1, 6, text=False) for n in range(12)}
    miniatures.save_pickle(youtube / "valid/mask_dict_valid.pkl", codes)
    (video,) = load_ref_youtube_vos(youtube, "valid").records
    for number, masks in masks_of(video).items():
        assert_boxes(masks, int(number) % 3 + 1)


def test_synthetic_videos_say_when_a_sentence_is_decided(mevis):
    def tell(content):
        lizard = content["videos"]["377b1c5f365c"]["expressions"]["0"]
        lizard.update(kind="order", decided=3)

    edit(mevis / "train/meta_expressions.json", tell)
    (mevis / "train").rename(mevis / "test")
    expressions = record(load_synthetic(mevis, "test"), "377b1c5f365c").expressions
    assert [(e.kind, e.decided) for e in expressions] == [("order", 3)]
