"""Pickles that data sets come in (`refs(unc).p`, `mask_dict.pkl`), read without running them.

A pickle may name any function of the machine and have it called. Nothing of what these files hold
needs a name: dict, list, tuple, set, str, bytes and numbers have their own codes.
"""

from pathlib import Path
import pickle
import struct

from virst_model.errors import FileError

# What the pickle module raises for a stream that is damaged or was made up, beside its own error.
_DAMAGED = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


class _Code(Exception):
    """The pickle asks for something that has to be imported."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> None:
        raise _Code(f"{module}.{name}")


def load_plain(path: str | Path) -> object:
    """What is pickled in `path`: plain containers, numbers, str and bytes, nested as they are.

    Strings of Python 2 pickles, which `refs(unc).p` is, are read as UTF-8.

    Raises:
        FileError: there is no such file, it is no pickle, or it holds anything else, none of which
            is run or imported.
    """
    try:
        with Path(path).open("rb") as file:
            return _PlainUnpickler(file, encoding="utf-8").load()
    except OSError as error:
        raise FileError(path, error.strerror or str(error)) from None
    except _Code as error:
        raise FileError(
            path,
            f"asks for {error}, which is not run: only plain containers, numbers and text are "
            "read; get the file again from the data set's own site",
        ) from None
    except _DAMAGED as error:
        raise FileError(
            path, f"is not a whole pickle ({error or type(error).__name__}); get the file again"
        ) from None
