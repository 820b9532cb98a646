"""A program behind the front door, described without being imported."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """What `virst VERB` runs.

    Another package offers one by an entry point of the group `virst.verbs`: the verb's name, and
    where one of these is.

    Attributes:
        module: which has `main(arguments) -> exit status`.
        summary: what it does, in a line.
        first: arguments before the user's.
        needs: what the module imports and pip does not bring, and the way out; empty: nothing.
    """

    module: str
    summary: str
    first: tuple[str, ...] = ()
    needs: str = ""
