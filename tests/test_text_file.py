"""Text and JSON of files: encodings, damage, and messages that are one line."""

import codecs
import json
from pathlib import Path

import pytest

from virst_model.errors import FileError, UsageError, fail, visible
from virst_model.text_file import read_json, read_text

ROWS = [{"sentence": "the café’s sign"}]


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"],
)
def test_json_is_read_in_every_encoding_of_unicode(tmp_path, encoding):
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(ROWS, ensure_ascii=False).encode(encoding))
    assert read_json(path) == ROWS


def test_a_mark_is_no_part_of_a_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(codecs.BOM_UTF8 + "video\r\nø".encode())
    assert read_text(tmp_path / "a.csv") == "video\r\nø"


def test_another_encoding_is_named_and_read_where_it_is_known(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(ROWS, ensure_ascii=False).encode("cp1252"))
    with pytest.raises(FileError, match=r"a\.json: is not UTF-8 \(byte \d+ is 0xe9; cp1252, "):
        read_json(path)
    assert read_json(path, "cp1252") == ROWS


def test_a_file_that_is_not_what_its_mark_says_is_named(tmp_path):
    (tmp_path / "a.json").write_bytes(codecs.BOM_UTF16_LE + b"{")
    with pytest.raises(FileError, match=r"is not UTF-16-LE, as its first bytes say"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("<!DOCTYPE html>", "is not JSON"),
        ("9" * 5000, "is not JSON"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"a":' * 100_000, "is nested too deeply"),
        (r'["a \ud83d cup"]', r"holds half a character, '\\ud83d'"),
    ],
)
def test_what_is_no_json_is_one_line(tmp_path, text, reason):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FileError, match=rf"a\.json: {reason}") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_a_character_in_two_halves_is_whole(tmp_path):
    (tmp_path / "a.json").write_text(r'["\ud83d\ude00"]')
    assert read_json(tmp_path / "a.json") == ["😀"]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileError, match=r"none\.json: No such file"):
        read_json(tmp_path / "none.json")


NAMES = ["two  blanks", "a\nline", "tab\there", "\x1b[31mred", "caf\udce9", "café"]


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_one_line_that_can_be_written(name, capsys):
    for error in (
        FileError(Path(name), "is none"),
        OSError(13, "Permission denied", name),
        UsageError(f"--out: {name}"),
    ):
        assert fail(error) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.endswith("\n")
        assert said[:-1].isprintable() and said.encode()


def test_blanks_and_letters_of_a_path_stay():
    assert visible("two  blanks/café") == "two  blanks/café"
    assert visible("a\nb\udce9\x1b") == r"a\nb\udce9\x1b"
