"""What a person gave and no program can use: said in one line, with exit status 2."""

from collections.abc import Callable, Sequence
import functools
import os
import sys

BAD_INPUT = 2  # exit status
INTERRUPTED = 130  # likewise, as shells have it for SIGINT

Main = Callable[[Sequence[str] | None], int]


class InputError(Exception):
    """A file, a setting or an option cannot be used. `str()` is one line: what, why, the way out.

    The parent of all such errors of ours, so that `program` knows them.
    """


class FileError(InputError):
    """A file or a folder cannot be used, or what a data set says of one: its path, and why.

    Attributes:
        path: of the file, or the name of the record that is at fault.
        reason: what is wrong, in one line.
        advice: of a kind of file: the way out, which the message ends with.
    """

    advice = ""

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        self.path = str(path)
        self.reason = " ".join(reason.split())
        super().__init__(path, reason)

    def __str__(self) -> str:
        return f"{visible(self.path)}: {self.reason}{self.advice}"


class UsageError(InputError):
    """An option cannot be followed; `str()` is one line."""


def visible(text: object) -> str:
    """`str(text)` in one line of characters that can be seen, and written anywhere.

    A path's line ends, controls and bytes that are no text come as Python writes them: "\\n".
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in str(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def fail(error: Exception) -> int:
    """Writes what is wrong as one line on stderr; the exit status."""
    message = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        message = f"{visible(error.filename)}: {error.strerror}"
    line = " ".join(part.strip() for part in message.splitlines())
    sys.stderr.write(f"error: {visible(line)}\n")
    return BAD_INPUT


def program(main: Main) -> Callable[..., int]:
    """`main(arguments) -> exit status` that ends in one line for all that it cannot use.

    That is every InputError and, of the system, every OSError: a file that is not there, no
    permission, a full disk. Anything else is a fault of ours and keeps its traceback. Ctrl-C ends
    in a line, too.
    """

    @functools.wraps(main)
    def run(arguments: Sequence[str] | None = None) -> int:
        try:
            return main(arguments)
        except (InputError, OSError) as error:
            return fail(error)
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
            return INTERRUPTED

    return run
