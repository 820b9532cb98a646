"""Files of torch.save, read without running them, and in no more memory than they are long."""

from pathlib import Path
import pickle
import re
import struct
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch

from virst_model.errors import FileError

ZIP = b"PK\x03\x04"  # how a file of torch.save begins
# Names, shapes and places of tensors: the release's are some hundred kilobytes.
PICKLE_BYTES = 64 << 20
# What torch and the pickle module raise for a stream that is damaged or was made up.
_DAMAGED = (
    RuntimeError,
    pickle.UnpicklingError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
    struct.error,
)


class SavedError(FileError):
    """A file of torch.save cannot be used."""


def load_saved(path: Path, mapped: bool = False) -> object:
    """What is in the file, on the CPU; nothing but tensors and plain values is made of it.

    Args:
        mapped: tensors stay in the file until they are read.

    Raises:
        SavedError: there is no such file, it is damaged or compressed, or holds pickled code.
    """
    _check_archive(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except OSError as error:
        raise SavedError(path, f"cannot be read ({error.strerror or error})") from None
    except _DAMAGED as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and named:
            code = f"holds pickled code ({named[1]}), which is not executed"
            raise SavedError(path, f"{code}; only tensors are loaded") from None
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise SavedError(path, f"is damaged or incomplete ({printable(reason[:200])})") from None


def _check_archive(path: Path) -> None:
    """torch.save compresses nothing: what is compressed could unpack to any size."""
    if not path.is_file():
        raise SavedError(path, "is not a file" if path.exists() else "no such file")
    try:
        with path.open("rb") as file:
            if file.read(len(ZIP)) != ZIP:
                raise SavedError(path, "is not a file that torch.save wrote")
        with ZipFile(path) as archive:
            entries = archive.infolist()
    except OSError as error:
        raise SavedError(path, f"cannot be read ({error.strerror or error})") from None
    except (BadZipFile, NotImplementedError, EOFError, ValueError, struct.error) as error:
        raise SavedError(path, f"is damaged or incomplete ({error})") from None
    for entry in entries:
        if entry.compress_type != ZIP_STORED or entry.file_size != entry.compress_size:
            reason = f"holds {entry.filename!r} compressed, as torch.save does not: not unpacked"
            raise SavedError(path, reason)
        if entry.filename.endswith("data.pkl") and entry.file_size > PICKLE_BYTES:
            reason = f"describes its tensors in {entry.file_size >> 20} MiB: no checkpoint does"
            raise SavedError(path, reason)


def printable(name: str) -> str:
    """A text of a file, without what a terminal would obey or a stream cannot encode."""
    return name if name.isprintable() else ascii(name)
