"""Pickles of data sets: plain ones are read, and no other one runs."""

import os
from pathlib import Path
import pickle

import pytest

from virst_model.data.pickles import load_plain
from virst_model.errors import FileError

PLAIN = {"1": [{"size": [48, 64], "counts": b"PPk0"}, None], "nested": ({1, 2}, 0.5, "täxt", True)}


class Hostile:
    """Makes a folder where it is unpickled by the ordinary way."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.folder,)


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "mask_dict.pkl"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", [4, 5])
def test_plain_content_is_read_as_it_was_written(tmp_path, protocol):
    path = written(tmp_path, pickle.dumps(PLAIN, protocol))
    assert load_plain(path) == PLAIN


def test_strings_of_python_2_are_text(tmp_path):
    # pickle.dumps({"sent": "caf\xc3\xa9"}, 2) of Python 2.7.
    path = written(tmp_path, b"\x80\x02}q\x00U\x04sentq\x01U\x05caf\xc3\xa9q\x02s.")
    assert load_plain(path) == {"sent": "café"}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_is_an_error_and_does_not_run(tmp_path, protocol):
    trap = tmp_path / "trap"
    path = written(tmp_path, pickle.dumps({"1": [Hostile(trap)]}, protocol))
    with pytest.raises(FileError, match=r"mask_dict\.pkl: asks for .*\.mkdir.*not run"):
        load_plain(path)
    assert not trap.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps(PLAIN)[:-5],
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f",  # a frame of 2^63 bytes
        b"\x80\x02}U\x01\xe9Ns.",  # no UTF-8
        b"Pname\n.",  # an object that is elsewhere
    ],
)
def test_a_damaged_pickle_is_an_error_that_names_it(tmp_path, content):
    with pytest.raises(FileError, match=r"mask_dict\.pkl: is not a whole pickle"):
        load_plain(written(tmp_path, content))


def test_a_missing_pickle_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileError, match="refs"):
        load_plain(tmp_path / "refs(unc).p")
