"""The table of sentences of a team's own footage: `sentences.csv` or `sentences.json`."""

from collections.abc import Iterator
import csv
from dataclasses import dataclass
import io
from pathlib import Path

from virst_model.errors import FileError
from virst_model.text_file import read_json, read_text

TABLE_FILES = ("sentences.csv", "sentences.json")
OWN_SPLITS = ("train", "valid")
_COLUMNS = ("video", "sentence", "objects")
_OPTIONAL = ("split",)
# Between the objects of a cell.
_BETWEEN = "|"


@dataclass(frozen=True)
class OwnSentence:
    """A row of the table.

    Attributes:
        where: the row, for messages: "line 3" or "entry 2".
        video: as it is written, with or without the suffix of its file.
        objects: none where the sentence is about nothing that is there.
        split: one of OWN_SPLITS; train where the row has none.
    """

    where: str
    video: str
    text: str
    objects: tuple[str, ...]
    split: str


def read_sentences(root: Path) -> tuple[Path, list[OwnSentence]]:
    """The table in `root` and its rows.

    Raises:
        FileError: there is none or both, or a row is not as docs/datasets.md says; names the row.
    """
    paths = [root / name for name in TABLE_FILES if (root / name).exists()]
    if len(paths) != 1:
        reason = "has both" if paths else "has none of"
        raise FileError(root, f"{reason} {' and '.join(TABLE_FILES)}; must have one of them")
    path = paths[0]
    rows = _csv_rows(path) if path.suffix == ".csv" else _json_rows(path)
    return path, [_sentence(path, where, row) for where, row in rows]


def _csv_rows(path: Path) -> Iterator[tuple[str, dict]]:
    """Rows by column. What spreadsheets write is understood: a mark at the start, ; or tabs,
    empty rows."""
    text = read_text(path)
    between = max(",;\t", key=text.partition("\n")[0].count)
    last = 1
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True)
        columns = [name.strip() for name in next(reader, [])]
        _check_columns(path, "line 1", columns)
        for cells in reader:
            last = reader.line_num
            if not "".join(cells).strip():
                continue
            if len(cells) != len(columns):
                reason = f"line {last}: has {len(cells)} cells, must have {len(columns)}"
                remedy = f'put a sentence with "{between}" in it between double quotes'
                raise FileError(path, f"{reason}; {remedy}")
            row = dict(zip(columns, cells))
            objects = [name.strip() for name in row["objects"].split(_BETWEEN)]
            yield f"line {last}", row | {"objects": [name for name in objects if name]}
    except csv.Error as error:
        reason = f"after line {last}: {error}; is there a double quote that is not closed?"
        raise FileError(path, reason) from None


def _json_rows(path: Path) -> Iterator[tuple[str, dict]]:
    rows = read_json(path)
    if not isinstance(rows, list):
        raise FileError(path, "must be a list [...] of entries {...}")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise FileError(path, f"entry {number}: is {row!r}, must be {{...}}")
        _check_columns(path, f"entry {number}", list(row))
        objects = row["objects"]
        if not isinstance(objects, list):
            raise FileError(path, f"entry {number}: objects must be a list [...]; [] for none")
        yield f"entry {number}", row


def _check_columns(path: Path, where: str, names: list[str]) -> None:
    lacking = [name for name in _COLUMNS if name not in names]
    unknown = [name for name in names if name not in _COLUMNS + _OPTIONAL]
    if lacking or unknown or len(set(names)) < len(names):
        columns = f"{', '.join(_COLUMNS)} and, if wanted, {', '.join(_OPTIONAL)}"
        raise FileError(path, f"{where}: has {', '.join(names) or 'nothing'}; must have {columns}")


def _sentence(path: Path, where: str, row: dict) -> OwnSentence:
    """Raises FileError."""
    cells = [row["video"], row["sentence"], row.get("split") or OWN_SPLITS[0], *row["objects"]]
    for cell in cells:
        if not isinstance(cell, str):
            raise FileError(path, f"{where}: {cell!r} must be text")
    video, text, split, *objects = (cell.strip() for cell in cells)
    if not text:
        raise FileError(path, f"{where}: has no sentence")
    if split not in OWN_SPLITS:
        raise FileError(path, f"{where}: split is {split!r}, must be {' or '.join(OWN_SPLITS)}")
    return OwnSentence(where, video, text, tuple(objects), split)
