"""The end-to-end bench runs at minimum length; its structure is looked at, never its times."""

import json

import pytest

pytest.importorskip("rclpy")


@pytest.mark.slow
def test_a_load_is_measured_from_camera_to_mask(start_process, tmp_path):
    path = tmp_path / "bench.json"
    process = start_process(
        *("-m", "virst_ros.bench", "--cases", "1", "--seconds", "3"),
        *("--out", str(tmp_path), "--json", str(path)),
    )
    process.popen.wait(180)
    assert process.popen.returncode == 0, process.output

    found = json.loads(path.read_text())

    (load,) = found["loads"]
    assert (load["width"], load["height"], load["rate_hz"]) == (640, 480, 15.0)
    assert load["fps"] > 0 and load["latency_ms p50"] > 0
    assert load["tracking_percent"] > 0 and load["node_mib"] > 0
    assert "latency_ms p99" in process.output
