"""Text from outside, as it is shown in log lines and diagnostics: cut, and one clean line."""

import traceback

MOST_CHARACTERS = 600
# Of an error that says what to type.
LONGEST_ADVICE = 2000
# Of a traceback: lines, of which the first and the last are shown, and characters of a line.
MOST_LINES = 40
MOST_OF_A_LINE = 300


def shown(text: str, at_most: int = MOST_CHARACTERS) -> str:
    """`text` as one line of `at_most` characters or few more, which say how many are left out.

    What a terminal would obey and what nobody can see (controls, line ends, marks that turn the
    writing direction, half characters) is written as Python writes it: "\\x1b".
    """
    left_out = len(text) - at_most
    line = "".join(c if c.isprintable() else _escaped(c) for c in text[:at_most])
    return line if left_out <= 0 else f"{line}... ({left_out} more characters)"


def shown_error(error: BaseException) -> str:
    """The error's kind and what it says, as `shown`."""
    return shown(f"{type(error).__name__}: {error}")


def shown_traceback(error: BaseException) -> str:
    """The error's traceback and those of its causes, with no long line and not many lines."""
    report = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    lines = report[:-1].split("\n")
    left_out = len(lines) - MOST_LINES
    if left_out > 0:
        half = MOST_LINES // 2
        lines[half:-half] = [f"... ({left_out} more lines)"]
    return "\n".join(shown(line, MOST_OF_A_LINE) for line in lines)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
