"""Which arguments of a launch file are off their defaults, and who gave them. Knows no ROS.

ROS 2 does not scope an include: arguments that another launch file has declared or was given
become those of ours that have the same names.
"""

from collections.abc import Iterable, Mapping

from virst_ros.text import shown

COMMAND_LINE, ANOTHER_FILE = "command line", "another launch file"


def off_default(
    given: Mapping[str, str], defaults: Mapping[str, str], typed: Iterable[str]
) -> list[str]:
    """NAME:='VALUE' (where it comes from), of each argument that is not as by default.

    Args:
        given: the values by name; names that are not in `defaults` are others' arguments.
        defaults: of every argument, in their order.
        typed: the command line, NAME:=VALUE.
    """
    pairs = {tuple(words.split(":=", 1)) for words in typed}
    lines = []
    for name, default in defaults.items():
        value = given.get(name, default)
        if value != default:
            source = COMMAND_LINE if (name, value) in pairs else ANOTHER_FILE
            lines.append(f"{name}:='{shown(value, 100)}' ({source})")
    return lines
