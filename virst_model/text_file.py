"""Text and JSON of files, in the encodings that programs write them in."""

import json
from pathlib import Path
import re

from virst_model.errors import FileError

# An escape of JSON that is half of a character, unless its other half is beside it.
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def read_text(path: Path, otherwise: str | None = None) -> str:
    """The text of a file in UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    Args:
        otherwise: encoding of files that are not UTF-8, where it is known; such files are refused
            where it is None.

    Raises:
        FileError: it cannot be opened, or is in no such encoding.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(path, error.strerror or str(error)) from None
    encoding = json.detect_encoding(data)  # looks at the first four bytes; the rest is any text
    if otherwise is not None and encoding == "utf-8" and not _decodes(data, encoding):
        encoding = otherwise
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise FileError(path, _misread(error)) from None


def read_json(path: Path, otherwise: str | None = None) -> object:
    """What a JSON file holds; `otherwise` as in `read_text`.

    Raises:
        FileError: it is not there, damaged, no JSON, or nested deeper than Python can follow.
    """
    text = read_text(path, otherwise)
    try:
        content = json.loads(text)
        if _HALF.search(text):
            json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise FileError(path, f"holds half a character, {half!r}; get the file again") from None
    except ValueError as error:
        raise FileError(path, f"is not JSON ({error}); get the file again") from None
    except RecursionError:
        raise FileError(path, "is nested too deeply; get the file again") from None
    return content


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _misread(error: UnicodeDecodeError) -> str:
    """Names the encoding that it was taken for, the byte, and what it mostly is then."""
    byte = f"byte {error.start} is 0x{error.object[error.start]:02x}"
    if error.encoding == "utf-8":
        return f"is not UTF-8 ({byte}; cp1252, perhaps): save it as UTF-8"
    return f"is not {error.encoding.upper()}, as its first bytes say ({byte}): save it as UTF-8"
