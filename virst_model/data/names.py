"""Names that a data set gives to its parts: files are looked for, and written, under them."""

from pathlib import PurePosixPath


def contained(name: str) -> str:
    """`name` itself; it may have slashes. Raises ValueError where it leads out of a folder."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} leads out of its folder")
    return name
