"""Questions about videos that are answered in words: "VideoLLaVA-Instruct" of VIRST.

The conversations of LLaVA-Video-178K (lmms-lab on Hugging Face) in the folder of one of its parts,
with the videos' frames as VIRST (arXiv 2603.27060) lays them out:

    0_30_s_academic_v0_1/0_30_s_academic_v0_1_cap_processed.json
    0_30_s_academic_v0_1/JPEGImages/<path of the video without its suffix>/*.jpg
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from virst_model.data.coco import form_of
from virst_model.data.names import contained
from virst_model.data.picture import names_in
from virst_model.data.record import Expression, Record, Records
from virst_model.errors import FileError
from virst_model.frames import is_left_by_people, list_images
from virst_model.text_file import read_json

QA_SPLITS = ("train",)
# Captions, which VIRST trains on; the other files hold short answers (oe) and choices (mc).
CONVERSATIONS = "*cap*.json"
# Stands for the video in the first question; a prompt puts its own there.
_PLACEHOLDER = "<image>"


def load_video_qa(root: str | Path, split: str) -> Records:
    """The conversations of all files CONVERSATIONS in `root`: a record each, in their order.

    Each question with its answer is an expression, numbered from 0; `text` is the question without
    "<image>" and the line break after it. Frames are in the order of the numbers in their names.
    Videos without frames and messages that are no question with an answer are left out and counted
    in `Records.left_out`.

    Raises:
        FileError: `split` is not "train", or no file of conversations or no folder of frames is
            there, or a file is damaged.
    """
    root = Path(root)
    if split not in QA_SPLITS:
        raise FileError(root, f"has no split {split!r}; it has {', '.join(QA_SPLITS)}")
    paths = sorted(path for path in root.glob(CONVERSATIONS) if is_left_by_people(path.name))
    if not paths:
        raise FileError(root, f"holds no conversations ({CONVERSATIONS})")
    return _load(paths, root / "JPEGImages")


def load_synthetic_questions(root: str | Path, split: str) -> Records:
    """The conversations about synthetic videos, `root`/`split`/questions.json, in the same form.

    Raises:
        FileError: that file or the folder of frames beside it is missing, or the file is damaged.
    """
    folder = Path(root) / split
    return _load([folder / "questions.json"], folder / "JPEGImages")


def _load(paths: list[Path], frames: Path) -> Records:
    names_in(frames, "a folder of frames for each video")
    contents = Records()
    for path in paths:
        entries = read_json(path)
        with form_of(path):
            for entry in entries:
                _add(entry, frames, contents)
    return contents


def _add(entry: dict, frames: Path, contents: Records) -> None:
    pictures = _pictures(frames / PurePosixPath(contained(entry["video"])).with_suffix(""))
    if not pictures:
        contents.leave_out(str(entry["id"]), "video without frames", str(entry["video"]))
        return
    expressions = []
    for question, answer in _pairs(entry["conversations"]):
        if answer is None:
            contents.leave_out(str(entry["id"]), "message without a question or an answer")
        else:
            number = str(len(expressions))
            text = question.replace(_PLACEHOLDER, "").strip("\n")
            expressions.append(Expression(number, text, answer=answer))
    if expressions:
        contents.records.append(Record(str(entry["id"]), pictures, tuple(expressions)))


def _pairs(messages: list[dict]) -> Iterator[tuple[str, str | None]]:
    """Each question with the answer that follows it; None where a message stands alone."""
    waiting = None
    for message in messages:
        text = message["value"]
        if not isinstance(text, str):
            raise TypeError(f"a message is {text!r}, must be text")
        if message["from"] == "gpt":
            yield (text, None) if waiting is None else (waiting, text)
            waiting = None
        else:
            if waiting is not None:
                yield waiting, None
            waiting = text
    if waiting is not None:
        yield waiting, None


def _pictures(folder: Path) -> tuple[Path, ...]:
    """Empty where there is no such folder, or nothing in it."""
    try:
        return tuple(list_images(folder, (".jpg",)))
    except FileError:
        return ()
