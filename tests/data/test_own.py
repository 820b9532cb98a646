"""A team's own footage: what is understood, and what is said of what is not."""

from __future__ import annotations

import json
from pathlib import Path
import shutil

import miniatures
import numpy as np
from PIL import Image
import pytest

from virst_model.data.own import load_own
from virst_model.data.record import Record
from virst_model.errors import FileError
from virst_model.frames import open_frames
from virst_model.image_file import read_image


@pytest.fixture
def own(tmp_path):
    miniatures.make_own(tmp_path)
    return tmp_path / "own"


def kitchen(own: Path) -> Record:
    (record,) = load_own(own, "train").records
    return record


def say(own: Path, *rows: str) -> None:
    """Writes another table of sentences."""
    (own / "sentences.csv").write_text("\n".join(("video,sentence,objects", *rows)))


def refused(own: Path, reason: str, split: str = "train") -> None:
    with pytest.raises(FileError, match=reason) as caught:
        load_own(own, split)
    assert "\n" not in str(caught.value)


def test_a_record_has_the_frames_that_a_mask_was_drawn_for(own):
    record = kitchen(own)
    assert record.id == "kitchen"
    assert [path.name for path in record.frames] == [
        f"{number}.jpg" for number in (0, 2, 4, 6, 8, 10)
    ]
    assert load_own(own, "train").skipped == {"frame without a mask": 5}


def test_frames_are_in_the_order_that_the_folder_has_as_a_video(tmp_path):
    names = ["a_2", "a_10", "b_1"]  # as text, a_10 comes first; by the numbers alone, b_1
    miniatures.save_frames(tmp_path / "own/videos/yard", names)
    (tmp_path / "own/sentences.csv").write_text("video,sentence,objects\nyard,the dog,")

    (record,) = load_own(tmp_path / "own", "train").records

    assert [path.stem for path in record.frames] == names
    assert [frame.name for frame in open_frames(tmp_path / "own/videos/yard")] == names


def test_a_sentence_about_several_objects_means_all_of_them(own):
    sentences = {e.text: e for e in kitchen(own).expressions}
    mask = sentences["the dishes"].mask(1)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, miniatures.box(2, 1, 2))


def test_an_object_without_a_mask_is_not_visible(own):
    dishes = kitchen(own).expressions[1].mask(5)
    np.testing.assert_array_equal(dishes, miniatures.box(10, 1))


def test_a_sentence_without_an_object_has_empty_masks(own):
    nothing = kitchen(own).expressions[2]
    assert not any(nothing.mask(frame).any() for frame in range(6))


def test_frames_of_a_video_file_are_written_once(own):
    (hall,) = load_own(own, "valid").records
    assert hall.frames == tuple(own / f"frames/hall/0000{number}.jpg" for number in range(6))
    brightness = [read_image(path).mean() for path in hall.frames]
    # 20 + 20 n, and what the codec loses.
    np.testing.assert_allclose(brightness, np.arange(20, 140, 20), atol=6)
    written = hall.frames[0].stat().st_mtime_ns
    load_own(own, "valid")
    assert hall.frames[0].stat().st_mtime_ns == written


def test_a_video_is_not_touched_before_its_split_is_asked_for(own):
    (own / "videos/hall.mp4").write_bytes(b"no video")
    assert kitchen(own)
    refused(own, r"hall\.mp4: is not a video", "valid")
    assert not (own / "frames").exists()


def test_frames_of_another_video_of_that_name_are_an_error(own):
    load_own(own, "valid")
    miniatures.save_video(own / "videos/hall.mp4", 9)
    refused(own, "frames/hall: .*hall.mp4 was another.*delete the folder", "valid")
    shutil.rmtree(own / "frames/hall")
    assert len(load_own(own, "valid").records[0].frames) == 9


def test_masks_of_a_video_file_are_named_by_the_number_of_the_frame(own):
    path = own / "masks/hall/door/frame_000003.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(miniatures.box(3, 1)).save(path)
    say(own, "hall.mp4,the door,door")
    (hall,) = load_own(own, "train").records
    assert [frame.name for frame in hall.frames] == ["00003.jpg"]
    np.testing.assert_array_equal(hall.expressions[0].mask(0), miniatures.box(3, 1))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_a_mask_is_what_is_not_black(own, mode):
    path = own / "masks/kitchen/cup/00000.png"
    image = Image.fromarray(miniatures.box(0, 1).astype(np.uint8) * 255)
    image.convert(mode).save(path)
    np.testing.assert_array_equal(kitchen(own).expressions[0].mask(0), miniatures.box(0, 1))


def test_a_table_in_json_says_the_same(own):
    before = kitchen(own)
    (own / "sentences.csv").unlink()
    rows = [
        {"video": "kitchen", "sentence": "the cup that moves", "objects": ["cup"]},
        {"video": "kitchen", "sentence": "the dishes", "objects": ["cup", "plate"]},
        {"video": "kitchen", "sentence": "the dog", "objects": [], "split": "train"},
    ]
    (own / "sentences.json").write_text(json.dumps(rows))
    after = kitchen(own)
    assert after.frames == before.frames
    assert [e.text for e in after.expressions] == [e.text for e in before.expressions]


def test_tables_that_spreadsheets_write_are_understood(own):
    table = '\ufeffvideo;sentence;objects\r\nkitchen;"the cup, the blue one";cup | plate\r\n;;\r\n'
    (own / "sentences.csv").write_bytes(table.encode())
    (expression,) = kitchen(own).expressions
    assert expression.text == "the cup, the blue one"
    np.testing.assert_array_equal(expression.mask(0), miniatures.box(0, 1, 2))


def test_a_video_that_nobody_speaks_of_is_counted(own):
    say(own, "kitchen,the cup,cup")
    assert load_own(own, "train").skipped["video without a sentence"] == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("kitchn,the cup,cup", r"line 2: no video 'kitchn'; there is hall, kitchen"),
        ("kitchen,the cup,mug", r"line 2: no folder masks/kitchen/mug; there is cup, plate"),
        (
            "kitchen,the cup, the blue one,cup",
            r"line 2: has 4 cells, must have 3; .*double quotes",
        ),
        ("kitchen,the cup", r"line 2: has 2 cells, must have 3"),
        ("kitchen, ,cup", r"line 2: has no sentence"),
        ('kitchen,"the cup,cup', r"after line 1: .*double quote that is not closed"),
    ],
)
def test_a_row_that_is_wrong_is_an_error_that_names_it(own, row, reason):
    say(own, row)
    refused(own, rf"sentences\.csv: {reason}")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ({}, r"must be a list"),
        (["the cup"], r"entry 1: is 'the cup'"),
        (
            [{"video": "kitchen", "sentence": "the cup"}],
            r"entry 1: has video, sentence; must have",
        ),
        ([{"video": "kitchen", "sentence": "a", "objects": "cup"}], r"entry 1: objects must be a"),
        ([{"video": "kitchen", "sentence": 5, "objects": []}], r"entry 1: 5 must be text"),
    ],
)
def test_an_entry_that_is_wrong_is_an_error_that_names_it(own, rows, reason):
    (own / "sentences.csv").unlink()
    (own / "sentences.json").write_text(json.dumps(rows))
    refused(own, rf"sentences\.json: {reason}")


def test_columns_that_are_misspelt_are_an_error(own):
    (own / "sentences.csv").write_text("video,sentence,object\nkitchen,the cup,cup\n")
    refused(own, "line 1: has video, sentence, object; must have video, sentence, objects")


def test_a_table_in_another_encoding_is_an_error(own):
    (own / "sentences.csv").write_bytes(
        "video,sentence,objects\nkitchen,a café,\n".encode("cp1252")
    )
    refused(own, r"sentences\.csv: is not UTF-8")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["sentences.csv", "sentences.json"])
def test_a_table_may_begin_with_a_mark(own, name, encoding):
    """Windows programs write one."""
    text = "video;sentence;objects\nkitchen;the café’s cup;cup"
    if name == "sentences.json":
        row = {"video": "kitchen", "sentence": "the café’s cup", "objects": ["cup"]}
        text = json.dumps([row], ensure_ascii=False)
    (own / "sentences.csv").unlink()
    (own / name).write_text(text, encoding=encoding)
    assert [e.text for e in kitchen(own).expressions] == ["the café’s cup"]


def test_one_table_is_needed(own):
    (own / "sentences.json").write_text("[]")
    refused(own, r"has both sentences\.csv and sentences\.json")
    (own / "sentences.json").unlink()
    (own / "sentences.csv").unlink()
    refused(own, r"has none of sentences\.csv and sentences\.json")


def test_a_video_is_in_one_split_only(own):
    (own / "sentences.csv").write_text(
        "video,sentence,objects,split\nkitchen,the cup,cup,train\nkitchen,the plate,plate,valid\n"
    )
    refused(own, "line 3: 'kitchen' is in valid here and in train in line 2")


def test_a_split_that_is_misspelt_is_an_error(own):
    (own / "sentences.csv").write_text("video,sentence,objects,split\nkitchen,the cup,cup,vaild\n")
    refused(own, "line 2: split is 'vaild', must be train or valid")
    refused(own, "no split 'test'; it has train, valid", "test")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("00011.png", "no frame of that number; frames are named as 0.jpg"),
        ("cup.png", "has no number in its name"),
        ("0002.png", "has the same number as"),
    ],
)
def test_a_mask_that_is_named_as_no_frame_is_an_error(own, name, reason):
    folder = own / "masks/kitchen/cup"
    shutil.copy(folder / "00002.png", folder / name)
    refused(own, rf"masks/kitchen/cup/\w+\.png: .*{reason}")


def test_a_mask_may_be_a_cut_out(own):
    path = own / "masks/kitchen/cup/00002.png"
    inside = np.array(Image.open(path)).astype(bool)
    pixels = np.dstack([np.full((*inside.shape, 3), 200), 255 * inside]).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    np.testing.assert_array_equal(kitchen(own).expressions[0].mask(1), inside)


def test_a_mask_of_another_size_is_an_error_when_it_is_read(own):
    Image.new("L", (30, 20)).save(own / "masks/kitchen/cup/00002.png")
    mask = kitchen(own).expressions[0].mask
    assert mask(0).any()
    with pytest.raises(FileError, match=r"2\.jpg: is 64x48, but its mask is 30x20"):
        mask(1)


@pytest.mark.parametrize("folder", ["videos", "videos/kitchen", "masks/kitchen/cup"])
def test_a_folder_that_is_missing_or_empty_is_named(own, folder):
    shutil.rmtree(own / folder)
    if folder != "videos":
        (own / folder).mkdir()
    refused(own, f"{folder}: (no such folder|holds no)")


def test_two_videos_of_one_name_are_an_error(own):
    miniatures.save_frames(own / "videos/hall", ["0"])
    refused(own, "hall.mp4: is called hall as hall is; rename one of them")


def test_the_example_in_the_documentation_is_understood(tmp_path):
    page = (Path(__file__).parents[2] / "docs/datasets.md").read_text(encoding="utf-8")
    table = page.split("```csv\n")[1].split("```")[0]
    own = tmp_path / "own"
    miniatures.save_video(own / "videos/kitchen.mp4", 5)
    miniatures.save_frames(own / "videos/hall", ["000000", "000001"])
    for mask in ("cup/00001", "cup/00003", "plate/00001"):
        path = own / f"masks/kitchen/{mask}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(miniatures.box(1, 1)).save(path)
    (own / "sentences.csv").write_text(table)
    (kitchen,) = load_own(own, "train").records
    assert [frame.name for frame in kitchen.frames] == ["00001.jpg", "00003.jpg"]
    assert kitchen.expressions[3].text == "the plate, behind the cup"
    (hall,) = load_own(own, "valid").records
    assert not any(hall.expressions[0].mask(frame).any() for frame in range(2))
