"""/diagnostics by convention: a status for each task and each query."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from virst_model.answer import FAILED, TRACKING, Query
from virst_ros.diagnosis import ERROR, FAULTS, OK, STALE, TASK_OF, WARN, Snapshot, report
from virst_ros.meter import Meter
from virst_ros.notices import CAMERA, GROUNDER, MODEL, NODE, Trouble

ROOT = Path(__file__).resolve().parents[2]
TASKS = (NODE, CAMERA, GROUNDER, MODEL)
QUERIES = (Query(3, "red", 1, "cup"), Query(5, "blue", 2, "blue", enabled=False))


def statuses(meter: Meter | None = None, **known) -> dict:
    """By what follows the node's name."""
    node = Snapshot("/virst/segment", "active", "/image", meter or Meter(), 0, **known)
    return {status.name.split(": ")[1]: status for status in report(node).status}


def values(status) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def test_there_is_a_status_for_each_task_and_one_for_each_query():
    message = report(Snapshot("/virst/segment", "active", "/i", Meter(), 0, queries=QUERIES))

    names = [f"virst/segment: {name}" for name in (*TASKS, "query 3", "query 5")]
    assert [status.name for status in message.status] == names
    assert {status.level for status in message.status} == {OK}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_a_warning_of_its_task_and_of_no_other(fault):
    meter = Meter()
    meter.count(fault, "cut off")
    found = statuses(meter, queries=QUERIES)

    assert [task for task in found if found[task].level != OK] == [TASK_OF[fault]]
    assert found[TASK_OF[fault]].level == WARN
    assert found[TASK_OF[fault]].message == f"{fault}: cut off"
    assert values(found[TASK_OF[fault]])[fault] == "1"


def test_a_trouble_that_lasts_is_a_warning_and_so_is_a_fault_beside_it():
    meter = Meter()
    trouble = Trouble("overdue", "no answer", "", GROUNDER)
    lasting = statuses(meter, troubles=(trouble,))[GROUNDER]
    meter.count("failed_groundings", "no memory")
    both = statuses(meter, troubles=(trouble,))[GROUNDER]

    assert (lasting.level, lasting.message) == (WARN, "no answer")
    assert (both.level, both.message) == (WARN, "failed_groundings: no memory; no answer")


def test_without_images_the_camera_is_stale_and_so_is_what_is_known_of_queries():
    silence = Trouble("silence", "no images", "", CAMERA, stale=True)
    found = statuses(queries=QUERIES, states={3: TRACKING}, troubles=(silence,))

    assert (found[CAMERA].level, found[CAMERA].message) == (STALE, "no images")
    assert found["query 3"].level == STALE
    assert found["query 5"].level == OK, "it rests"
    assert {found[task].level for task in (NODE, GROUNDER, MODEL)} == {OK}


def test_what_ends_the_node_is_an_error():
    found = statuses(failure="no memory")

    assert (found[NODE].level, found[NODE].message) == (ERROR, "no memory")


def test_a_query_says_how_it_stands():
    found = statuses(queries=QUERIES, states={3: FAILED})

    assert (found["query 3"].level, found["query 3"].message) == (WARN, "failed")
    assert (found["query 5"].level, found["query 5"].message) == (OK, "disabled")
    wanted = {"query state": "failed", "label": "1", "name": "cup", "text": "red"}
    assert values(found["query 3"]) == wanted


def test_numbers_are_plain_and_no_name_comes_twice_among_the_tasks():
    session = {"frames": 7, "groundings": 2, "query_ms_p50": 1.23456, "grounding_ms_p50": 0.1}
    found = statuses(session=session)
    texts = {NODE: {"state"}, CAMERA: {"image topic"}}

    for task in TASKS:
        for key, text in values(found[task]).items():
            if key not in texts.get(task, ()):
                assert math.isfinite(float(text)) or text == "nan", key
                assert len(text) < 8
    keys = [pair.key for task in TASKS for pair in found[task].values]
    assert len(keys) == len(set(keys))
    assert values(found[GROUNDER])["session grounding_ms_p50"] == "0.1"
    assert values(found[MODEL])["session query_ms_p50"] == "1.2"


def test_the_analyzer_takes_all_that_the_node_says():
    yaml = pytest.importorskip("yaml")
    text = (ROOT / "config" / "diagnostics.yaml").read_text(encoding="utf-8")
    analyzer = yaml.safe_load(text)["analyzers"]["ros__parameters"]["virst"]

    assert analyzer["type"] == "diagnostic_aggregator/GenericAnalyzer"
    message = report(Snapshot("/virst/segment", "active", "/i", Meter(), 0, queries=QUERIES))
    (prefix,) = analyzer["startswith"]
    assert all(status.name.startswith(prefix) for status in message.status)
    assert analyzer["expected"] == [f"{prefix}: {task}" for task in TASKS]
    assert analyzer["discard_stale"] is True, "a query that was removed is no fault"
