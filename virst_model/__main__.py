"""virst VERB ...: one front door to every program, `python -m virst_model VERB ...` as well.

A verb's own module is imported when it is called, so that none pays for what another needs. Other
packages' verbs, those that need ROS among them, come by entry points of the group `virst.verbs`.
"""

from collections.abc import Sequence
import importlib
from importlib.metadata import EntryPoint, entry_points
import sys

from virst_model.errors import UsageError, program
from virst_model.verb import Verb

GROUP = "virst.verbs"

VERBS = {
    "segment": Verb("virst_model.offline.segment", "masks of a video, an image or a folder"),
    "ask": Verb("virst_model.offline.ask", "an answer in words about a video"),
    "bag": Verb("virst_model.offline.bag", "masks of every image of a bag of ROS 2, in a new bag"),
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


def offered() -> dict[str, EntryPoint]:
    """Other packages' verbs by name; a name of ours stays ours. None is loaded."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in VERBS}


def usage() -> str:
    """What `virst --help` writes: each verb in a line."""
    summaries = {name: verb.summary for name, verb in VERBS.items()}
    summaries |= {name: _summary(point) for name, point in offered().items()}
    lines = [f"  {name:<9} {summary}" for name, summary in summaries.items()]
    return "\n".join(["usage: virst VERB ...", "", *lines, "", "More: virst VERB --help", ""])


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb; its exit status, or 2 where there is no such verb."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(usage())
        return 0
    verb = _find(arguments[0])
    try:
        module = importlib.import_module(verb.module)
    except ModuleNotFoundError as error:
        if not verb.needs:
            raise
        raise UsageError(f"virst {arguments[0]} needs {verb.needs} ({error})") from error
    return module.main([*verb.first, *arguments[1:]])


def _find(name: str) -> Verb:
    """Raises UsageError where there is no such verb, or its package cannot be loaded."""
    if name in VERBS:
        return VERBS[name]
    points = offered()
    if name not in points:
        raise UsageError(f"no verb {name!r}; there are {', '.join((*VERBS, *points))}")
    try:
        return _load(points[name])
    except Exception as error:
        raise UsageError(f"virst {name} {_unusable(points[name], error)}") from error


def _summary(point: EntryPoint) -> str:
    try:
        return _load(point).summary
    except Exception as error:  # another package's: the other verbs are there
        return _unusable(point, error)


def _load(point: EntryPoint) -> Verb:
    verb = point.load()
    if not isinstance(verb, Verb):
        raise TypeError(f"a {type(verb).__name__}, no virst_model.verb.Verb")
    return verb


def _unusable(point: EntryPoint, error: Exception) -> str:
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return f"cannot be used: its package's {point.value} does not load ({said})"


if __name__ == "__main__":
    sys.exit(main())
