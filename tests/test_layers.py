"""Which part may import which, read from the syntax trees: nothing is imported here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
import re
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROS_PACKAGES = {
    "action_msgs",
    "ament_index_python",
    "bondpy",
    "builtin_interfaces",
    "cv_bridge",
    "diagnostic_msgs",
    "geometry_msgs",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rclpy",
    "rosgraph_msgs",
    "sensor_msgs",
    "std_msgs",
    "virst_interfaces",
    "virst_ros",
    "vision_msgs",
}
# The floors of virst_model, lowest first: a module imports from its own room, a folder or a file
# at the root, and from those of the lines above. Rooms of one line do not know each other.
FLOORS = (
    ("answer", "config", "dtypes", "encodings", "errors", "processor", "verb"),
    ("arguments", "compressed", "configure", "image_file"),
    ("overlay", "queries", "text_file", "video_writer", "watching"),
    ("frames",),
    ("sources",),
    ("synthetic",),
    ("model",),
    ("checkpoints",),
    ("stream",),
    ("offline",),
    ("data", "bench", "live"),
    ("evaluate",),
    ("train",),
    ("__init__", "__main__"),
)
# What virst_ros may import: rooms without a torch of their own, and what stands in a stream.
OF_ROS = (
    *("answer", "arguments", "compressed", "dtypes", "encodings", "errors", "frames"),
    "image_file",
    *("overlay", "queries", "sources", "synthetic", "stream", "text_file", "verb"),
    *("video_writer", "watching"),
)
# What virst_viewer may import: what a page shows. Its own program has its source, too.
OF_VIEWER = ("arguments", "errors", "verb", "watching")
# And of other packages:
BESIDE_VIEWER = {"aiohttp", "yarl", "numpy", "virst_model", "virst_viewer"}
# Nothing outside of them imports them.
CLOSED = ("train", "bench", "__main__")
OURS = re.compile(r"virst_(model|ros|viewer)(\.\w+)+")
IMPORTERS = ("import_module", "__import__", "find_spec")
FORBIDDEN_NAMES = re.compile(r"^_*(utils?|misc|commons?|helpers?|base|managers?)$")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def sources(package: str) -> dict[str, Path]:
    """Module name -> file, of one of our packages."""
    return {module_name(path): path for path in sorted((ROOT / package).rglob("*.py"))}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(path: Path) -> Iterator[str]:
    """Dotted names that the file imports, anywhere in it, down to `from x import name`."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and OURS.fullmatch(str(node.value)):
            yield str(node.value)  # an import that is made by a name


def ours(path: Path) -> set[str]:
    """The modules of ours that the file imports."""
    known = all_modules()
    found = set()
    for name in imported(path):
        while name and name not in known:
            name = name.rpartition(".")[0]
        found.add(name)
    return found - {"", module_name(path)}


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def room(module: str) -> str:
    """The folder or the file at the root of virst_model that a module lies in, or its package."""
    package, *inside = module.split(".")
    return [*inside, "__init__"][0] if package == "virst_model" else package


def floor(module: str) -> int:
    (height,) = (height for height, rooms in enumerate(FLOORS) if room(module) in rooms)
    return height


def all_modules() -> dict[str, Path]:
    return sources("virst_model") | sources("virst_ros") | sources("virst_viewer")


def test_the_model_imports_no_ros():
    for name, path in sources("virst_model").items():
        roots = {imported_name.split(".")[0] for imported_name in imported(path)}
        assert not roots & ROS_PACKAGES, name


def test_the_node_holds_no_network():
    for name, path in sources("virst_ros").items():
        names = set(imported(path))
        assert not any(is_in(found, "torch.nn") for found in names), name
        attributes = {ast.unparse(n) for n in ast.walk(tree(path)) if isinstance(n, ast.Attribute)}
        assert not any(is_in(found, "torch.nn") for found in attributes), name


def test_the_worker_knows_neither_ros_nor_torch():
    path = sources("virst_ros").get("virst_ros.worker")
    if path is None:
        pytest.skip("virst_ros/worker.py is not there")
    roots = {name.split(".")[0] for name in imported(path)}
    assert not roots & (ROS_PACKAGES - {"virst_ros"} | {"torch"})


def test_only_the_segmenter_and_the_peer_of_the_bench_import_sam2():
    for name, path in sources("virst_model").items():
        if any(is_in(found, "sam2") for found in imported(path)):
            assert name in ("virst_model.model.segmenter", "virst_model.bench.peer")


def test_only_bags_are_read_by_rosbags():
    for name, path in sources("virst_model").items():
        if any(is_in(found, "rosbags") for found in imported(path)):
            assert name.startswith("virst_model.sources.bag"), name


def test_model_imports_go_down_or_stay_in_their_room():
    for name, path in sources("virst_model").items():
        for found in ours(path):
            assert is_in(found, "virst_model"), (name, found)
            assert room(found) == room(name) or floor(found) < floor(name), (name, found)


def test_every_room_has_a_floor_and_every_floor_its_rooms():
    listed = [name for rooms in FLOORS for name in rooms]
    assert sorted(listed) == sorted({room(name) for name in sources("virst_model")})


def test_imports_by_a_name_are_seen():
    """Of a name that is put together nobody sees the room: only the topmost floor makes one."""
    for name, path in all_modules().items():
        calls = [n for n in ast.walk(tree(path)) if isinstance(n, ast.Call)]
        made = [n for n in calls if ast.unparse(n.func).split(".")[-1] in IMPORTERS]
        if any(not isinstance(argument, ast.Constant) for n in made for argument in n.args[:1]):
            assert is_in(name, "virst_model") and floor(name) == len(FLOORS) - 1, name


def test_the_node_imports_what_needs_no_network():
    for name, path in sources("virst_ros").items():
        for found in ours(path):
            rooms = (*OF_ROS, "__init__")
            mine = is_in(found, "virst_ros") or is_in(found, "virst_viewer")
            assert mine or room(found) in rooms, (name, found)


def test_a_page_knows_neither_a_model_nor_ros():
    """Its sources are handed in: torch and rclpy are theirs."""
    for name, path in sources("virst_viewer").items():
        roots = {found.split(".")[0] for found in imported(path)}
        assert roots <= BESIDE_VIEWER | set(sys.stdlib_module_names), name
        own_source = ("live",) if name == "virst_viewer.live" else ()
        for found in ours(path):
            rooms = (*OF_VIEWER, *own_source)
            assert is_in(found, "virst_viewer") or room(found) in rooms, (name, found)


def test_only_the_programs_of_a_page_import_the_viewer():
    programs = ("virst_ros.viewer", "virst_ros.demo.run", "virst_ros.demo.bench_viewer")
    for name, path in all_modules().items():
        if not is_in(name, "virst_viewer") and name not in programs:
            assert not any(is_in(found, "virst_viewer") for found in ours(path)), name


def test_model_imports_have_no_circle():
    graph = {name: ours(path) - {"virst_model"} for name, path in sources("virst_model").items()}
    while graph:
        free = {name for name, needs in graph.items() if not needs & graph.keys()}
        assert free, f"circle among {sorted(graph)}"
        graph = {name: needs for name, needs in graph.items() if name not in free}


def test_nothing_imports_a_verb_but_the_front_door():
    defined = {
        name: {n.name for n in tree(path).body if isinstance(n, ast.FunctionDef)}
        for name, path in sources("virst_model").items()
    }
    verbs = {name for name, functions in defined.items() if "main" in functions}
    front = "virst_model.__main__"
    assert ours(sources("virst_model")[front]) >= verbs - {front}
    for name, path in all_modules().items():
        assert name == front or not ours(path) & verbs, name


@pytest.mark.parametrize("closed", CLOSED)
def test_nothing_imports_what_only_runs(closed):
    for name, path in all_modules().items():
        if room(name) not in (closed, "__main__"):
            assert not any(room(found) == closed for found in ours(path)), name
            assert not any(found.endswith(".__main__") for found in ours(path)), name


def test_no_file_is_named_after_nothing():
    for package in ("virst_model", "virst_ros", "virst_viewer", "tests", "launch"):
        for path in (ROOT / package).rglob("*"):
            assert not FORBIDDEN_NAMES.match(path.name.split(".")[0]), path


def test_tests_wait_for_conditions_and_never_for_times():
    """A pause is right on the machine that it was tried on; patience.py holds the one there is."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        calls = [ast.unparse(n.func) for n in ast.walk(tree(path)) if isinstance(n, ast.Call)]
        sleeps = [call for call in calls if call.split(".")[-1] == "sleep"]
        assert not sleeps or path.name == "patience.py", path


def test_files_stay_short():
    for name, path in all_modules().items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 400, f"{name} has {lines} lines"
