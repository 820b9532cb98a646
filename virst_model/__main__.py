"""virst VERB ...: one front door to every program, `python -m virst_model VERB ...` as well.

A verb's own module is imported when it is called, so that none pays for what another needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import importlib
import sys

from virst_model.errors import UsageError, program


@dataclass(frozen=True)
class Verb:
    """A program behind the front door.

    Attributes:
        module: which has `main(arguments) -> exit status`.
        summary: what it does, in a line.
        first: arguments before the user's.
    """

    module: str
    summary: str
    first: tuple[str, ...] = ()


VERBS = {
    "segment": Verb("virst_model.offline.segment", "masks of a video, an image or a folder"),
    "ask": Verb("virst_model.offline.ask", "an answer in words about a video"),
    "train": Verb("virst_model.train.__main__", "a stage of training, or goes on with it"),
    "evaluate": Verb("virst_model.evaluate.__main__", "scores on a data set, scenes or stories"),
    "compare": Verb("virst_model.evaluate.compare", "several models on all synthetic measures"),
    "tables": Verb("virst_model.evaluate.tables", "a table of the paper"),
    "bench": Verb("virst_model.bench.__main__", "rates, latencies and memory on this machine"),
    "data": Verb("virst_model.data.__main__", "checks data sets, writes synthetic ones"),
    "import": Verb(
        "virst_model.checkpoints.importer", "released files as a folder of weights", ("import",)
    ),
    "export": Verb("virst_model.stream.export", "graphs of the engine onnx, ahead of the node"),
    "inspect": Verb(
        "virst_model.checkpoints.importer", "what a file of weights holds", ("inspect",)
    ),
}


def usage() -> str:
    """What `virst --help` writes: each verb in a line."""
    lines = [f"  {name:<9} {verb.summary}" for name, verb in VERBS.items()]
    return "\n".join(["usage: virst VERB ...", "", *lines, "", "More: virst VERB --help", ""])


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb; its exit status, or 2 where there is no such verb."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(usage())
        return 0
    verb = VERBS.get(arguments[0])
    if verb is None:
        raise UsageError(f"no verb {arguments[0]!r}; there are {', '.join(VERBS)}")
    return importlib.import_module(verb.module).main([*verb.first, *arguments[1:]])


if __name__ == "__main__":
    sys.exit(main())
