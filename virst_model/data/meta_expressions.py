"""`meta_expressions.json`, in which the RVOS data sets list their videos, frames and sentences.

{"videos": {id: {"frames": ["00000", ...], "expressions": {"0": {"exp": text, ...}, ...}}}, ...}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from virst_model.data.coco import form_of
from virst_model.data.names import contained
from virst_model.frames import natural
from virst_model.text_file import read_json


@dataclass(frozen=True)
class MetaExpression:
    """A sentence about a video.

    Attributes:
        kind: the word for its type, or empty.
        decided: frame of the deciding event of a sentence about time, which only synthetic videos
            say; 0 for all others.
        anno_ids: of its objects in a `mask_dict`, none of a sentence about nothing; None where the
            file does not say.
        obj_id: of its object in the palette PNGs, or None where the file does not say.
    """

    id: str
    text: str
    kind: str
    decided: int
    anno_ids: tuple[str, ...] | None
    obj_id: int | None


@dataclass(frozen=True)
class Video:
    """A video of the file.

    Attributes:
        id: its folder below the frames; may have slashes, never leads out of there.
        names: of its frames without a suffix, in the order of their numbers.
        places: of each name, which one it is in the file's list; masks follow that list.
    """

    id: str
    names: tuple[str, ...]
    places: tuple[int, ...]
    sentences: tuple[MetaExpression, ...]


def read_videos(path: Path, kinds: Mapping[int, str], spaced: bool) -> list[Video]:
    """The videos in the order of the file.

    Args:
        kinds: the word for each `type_id`; where it is empty, a sentence may have a `kind`.
        spaced: texts have "_" for spaces.

    Raises:
        FileError: the file is missing, damaged or of another form.
    """
    content = read_json(path)
    with form_of(path):
        return [_video(id, entry, kinds, spaced) for id, entry in content["videos"].items()]


def _video(id: str, entry: dict, kinds: Mapping[int, str], spaced: bool) -> Video:
    listed = [contained(name) for name in entry["frames"]]
    places = sorted(range(len(listed)), key=lambda place: natural(Path(listed[place])))
    sentences = []
    for number, expression in entry["expressions"].items():
        text = _text(expression["exp"])
        obj_id, anno_ids = expression.get("obj_id"), expression.get("anno_id")
        sentence = MetaExpression(
            contained(number),
            text.replace("_", " ") if spaced else text,
            kinds.get(expression["type_id"], "") if kinds else expression.get("kind", ""),
            int(expression.get("decided", 0)),
            None if anno_ids is None else tuple(map(str, anno_ids)),
            None if obj_id is None or isinstance(obj_id, list) else int(obj_id),
        )
        sentences.append(sentence)
    names = tuple(listed[place] for place in places)
    return Video(contained(id), names, tuple(places), tuple(sentences))


def _text(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError(f"a sentence is {text!r}, must be text")
    return text
