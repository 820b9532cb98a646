"""The end-to-end bench runs at minimum length; its structure is looked at, never its times."""

import json

from patience import LIMIT_S
import pytest

pytest.importorskip("rclpy")


@pytest.mark.slow
def test_a_load_is_measured_from_camera_to_mask(start_process, tmp_path):
    path = tmp_path / "bench.json"
    for seconds in ("3", "12", "48"):  # until it tracks, which a busy machine takes longer for
        process = start_process(
            *("-m", "virst_ros.demo.bench", "--cases", "1", "--seconds", seconds, "--asks", "3"),
            *("--out", str(tmp_path), "--json", str(path)),
        )
        assert process.popen.wait(LIMIT_S) == 0, process.output
        measured = json.loads(path.read_text())
        (load,) = measured["loads"]
        if load["tracking_percent"] > 0:
            break

    assert (load["width"], load["height"], load["rate_hz"]) == (640, 480, 15.0)
    assert load["fps"] > 0 and load["latency_ms p50"] > 0
    assert load["tracking_percent"] > 0 and load["node_mib"] > 0
    assert 0 < load["set_query_ms p50"] <= load["set_query_ms p99"]
    assert "latency_ms p99" in process.output and "set_query_ms p99" in process.output
    assert measured["start_cpu_s"].keys() == {"virst-camera", "virst-query"}
    assert all(0 < cpu_s < 60 for cpu_s in measured["start_cpu_s"].values())
    assert "virst-query: " in process.output


@pytest.mark.slow
def test_masks_are_counted_with_nobody_one_who_looks_and_one_who_stalls(start_process, tmp_path):
    pytest.importorskip("aiohttp", reason="needs the extra viewer")
    path = tmp_path / "bench.json"
    process = start_process(
        *("-m", "virst_ros.demo.bench_viewer", "--rounds", "1", "--seconds", "3"),
        *("--out", str(tmp_path), "--json", str(path)),
    )

    assert process.popen.wait(LIMIT_S) == 0, process.output
    measured = json.loads(path.read_text())["masks_hz"]
    assert measured.keys() == {"nobody", "looks", "stalls"}
    assert [len(rates) for rates in measured.values()] == [1, 1, 1]
    assert all(rate > 0 for rates in measured.values() for rate in rates), measured
    assert "| stalls |" in process.output
