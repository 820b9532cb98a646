"""Questions about videos: conversations, and frames that are found and put in order."""

from __future__ import annotations

import json
import shutil

import miniatures
import pytest

from virst_model.data.video_qa import load_synthetic_questions, load_video_qa
from virst_model.errors import FileError

CAPTIONS = "0_30_s_academic_v0_1_cap_processed.json"


@pytest.fixture
def folder(tmp_path):
    miniatures.make_video_qa(tmp_path)
    return tmp_path / "LLaVA-Video-178K/0_30_s_academic_v0_1"


def rewrite(folder, change) -> None:
    entries = json.loads((folder / CAPTIONS).read_text())
    change(entries)
    (folder / CAPTIONS).write_text(json.dumps(entries))


def test_a_question_comes_without_its_placeholder_and_with_its_answer(folder):
    (expression,) = load_video_qa(folder, "train").records[0].expressions
    assert expression.text == "What happens?"
    assert expression.answer == "Three boxes go to the right."
    assert expression.mask is None


def test_every_round_of_a_conversation_is_an_expression(folder):
    record = load_video_qa(folder, "train").records[1]
    assert record.id == "1"
    assert [(e.id, e.text, e.answer) for e in record.expressions] == [
        ("0", "How many boxes are there?", "Three."),
        ("1", "Which way do they go?", "To the right."),
    ]


def test_frames_are_in_the_order_of_their_numbers(folder):
    frames = load_video_qa(folder, "train").records[0].frames
    assert [path.name for path in frames] == [f"{number}.jpg" for number in range(11)]
    where = "JPEGImages/academic_source/youcook2/103/8lqdPpg3w08/split_3"
    assert frames[0].parent == folder / where


def test_a_video_without_frames_is_left_out_and_counted(folder):
    shutil.rmtree(folder / "JPEGImages/academic_source/Charades")
    found = load_video_qa(folder, "train")
    assert [record.id for record in found.records] == ["0"]
    assert found.skipped == {"video without frames": 1}


def test_messages_that_stand_alone_are_left_out_and_counted(folder):
    rewrite(folder, lambda entries: entries[1]["conversations"].pop(1))
    found = load_video_qa(folder, "train")
    assert [e.text for e in found.records[1].expressions] == ["Which way do they go?"]
    assert found.skipped == {"message without a question or an answer": 1}


def test_a_damaged_file_is_an_error_that_names_it(folder):
    rewrite(folder, lambda entries: entries[0].pop("video"))
    with pytest.raises(FileError, match=rf"{CAPTIONS}: has an entry without 'video'"):
        load_video_qa(folder, "train")
    (folder / CAPTIONS).write_text("[{")
    with pytest.raises(FileError, match=rf"{CAPTIONS}: is not JSON"):
        load_video_qa(folder, "train")


def test_a_video_outside_of_the_folder_is_an_error(folder):
    rewrite(folder, lambda entries: entries[0].update(video="../../../secret.mp4"))
    with pytest.raises(FileError, match=rf"{CAPTIONS}: .*secret\.mp4' leads out of its folder"):
        load_video_qa(folder, "train")


@pytest.mark.parametrize("name", [CAPTIONS, "JPEGImages"])
def test_what_is_missing_is_named(folder, name):
    (folder / name).rename(folder.parent / name)
    with pytest.raises(FileError, match=r"cap.*\.json|JPEGImages: No such file"):
        load_video_qa(folder, "train")


def test_an_unknown_split_is_an_error(folder):
    with pytest.raises(FileError, match="no split 'valid'; it has train"):
        load_video_qa(folder, "valid")


def test_questions_about_synthetic_videos_have_the_same_form(folder):
    split = folder.parent / "valid"
    folder.rename(split)
    (split / CAPTIONS).rename(split / "questions.json")
    found = load_synthetic_questions(folder.parent, "valid")
    assert [len(record.expressions) for record in found.records] == [1, 2]
