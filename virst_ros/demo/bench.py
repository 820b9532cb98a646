"""From camera stamp to mask, end to end: camera, DDS, node and a subscriber, at several loads; how
soon a query is answered meanwhile; and what the small programs cost until their node is there.

    python -m virst_ros.demo.bench --json out/bench_ros.json
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
import json
from pathlib import Path
import statistics
import subprocess
import sys
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image
from tqdm import tqdm

from virst_interfaces.msg import SegmentationArray
from virst_model.answer import TRACKING
from virst_model.synthetic.scenes import DEMO_QUERIES
from virst_ros.demo import report
from virst_ros.demo.director import Director, stage
from virst_ros.demo.processes import DemoError, Interrupts, set_environment
from virst_ros.meter import Meter
from virst_ros.qos import EVERY_RESULT

# Before anything is counted, with the query set: the first answers and a full pipeline.
WARM_UP_S = 4.0
# Between two queries that are timed: the first one's grounding runs when the second one comes.
ASK_EVERY_S = 0.1
# Program -> what it does until its node is there.
STARTS = {
    "virst-camera": "from virst_ros.camera import Camera; node = Camera()",
    "virst-query": "import virst_ros.query; node = rclpy.create_node('virst_query')",
}
# Starts are short and vary: the median of so many.
STARTS_MEASURED = 5


@dataclass(frozen=True)
class Case:
    """One load: the camera's images, in pixels, and how many a second."""

    width: int
    height: int
    rate_hz: float


@dataclass(frozen=True)
class Extent:
    """How much is measured at each load: seconds of masks, then queries that are asked."""

    seconds: float
    asks: int


CASES = (Case(640, 480, 15.0), Case(640, 480, 30.0), Case(1280, 720, 15.0))


class Listener(Node):
    """A subscriber as a robot has it: masks and their states; counts camera frames by the node."""

    def __init__(self) -> None:
        super().__init__("virst_bench")
        self.meter = Meter()
        self.latencies_ms: list[float] = []
        self.tracking = 0
        self.memory_mib = 0.0
        self.state = ""
        self.create_subscription(Image, "/virst/masks", self._on_mask, EVERY_RESULT)
        self.create_subscription(
            SegmentationArray, "/virst/segmentations", self._on_segmentations, EVERY_RESULT
        )
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def reset(self) -> None:
        """Counts from here on."""
        self.latencies_ms.clear()
        self.tracking = 0

    def _on_mask(self, message: Image) -> None:
        stamp_s = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        self.latencies_ms.append(1000 * (time.time() - stamp_s))

    def _on_segmentations(self, message: SegmentationArray) -> None:
        self.tracking += all(answer.state == TRACKING for answer in message.segmentations)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        values = {v.key: v.value for status in message.status for v in status.values}
        if int(values.get("received_frames", 0)):
            self.meter.count("frames")
        self.memory_mib = float(values.get("memory_mib", 0.0))


def measure(
    case: Case, extent: Extent, out: Path, interrupts: Interrupts, model: str = ""
) -> dict[str, float]:
    """Starts everything, counts masks, times queries, ends everything.

    Returns:
        fps, tracking_percent, latency_ms p50/p95/p99, dropped (of the camera's frames), the node's
        memory, and set_query_ms p50/p99: from the call to the answer, as a client sees it.

    Raises:
        DemoError: a process ended, or nothing came.
    """
    with stage(out, interrupts, Listener, asdict(case), model) as director:
        listener = director.listener
        director.wait_until_active()
        director.ask(DEMO_QUERIES[0])
        director.spin_for(WARM_UP_S)
        listener.reset()
        director.spin_for(extent.seconds)
        latencies_ms, tracking = list(listener.latencies_ms), listener.tracking
        asked_ms = [_ask_ms(director, number) for number in range(extent.asks)]
    if not latencies_ms:
        raise DemoError(f"{case}: no mask came in {extent.seconds:g} s")
    p50, p95, p99 = np.percentile(latencies_ms, (50, 95, 99)).tolist()
    return {
        "fps": len(latencies_ms) / extent.seconds,
        "tracking_percent": min(100.0, 100 * tracking / len(latencies_ms)),
        "latency_ms p50": p50,
        "latency_ms p95": p95,
        "latency_ms p99": p99,
        "dropped": max(0, round(case.rate_hz * extent.seconds) - len(latencies_ms)),
        "node_mib": listener.memory_mib,
        "set_query_ms p50": float(np.percentile(asked_ms, 50)),
        "set_query_ms p99": float(np.percentile(asked_ms, 99)),
    }


def _ask_ms(director: Director, number: int) -> float:
    director.spin_for(ASK_EVERY_S)
    start_s = time.monotonic()
    director.ask(DEMO_QUERIES[number % len(DEMO_QUERIES)])
    return 1e3 * (time.monotonic() - start_s)


def start_cpu_s(program: str) -> float:
    """CPU seconds, user and system, of a program of STARTS until its node is there; a median.

    Raises DemoError where it does not come to that.
    """
    code = (
        f"import rclpy; rclpy.init(); {STARTS[program]}; "
        "import sys, time; sys.stdout.write(str(time.process_time())); rclpy.shutdown()"
    )
    times_s = []
    for _ in range(STARTS_MEASURED):
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        if process.returncode:
            raise DemoError(f"{program} does not start:\n{process.stderr[-2000:]}")
        times_s.append(float(process.stdout))
    return statistics.median(times_s)


def markdown_table(loads: Sequence[dict[str, Any]]) -> str:
    """For people: a row a load."""
    names = [name for name in loads[0] if name not in ("width", "height", "rate_hz")]
    lines = ["| camera |" + "|".join(f" {name} " for name in names) + "|"]
    lines.append("|---" * (len(names) + 1) + "|")
    for load in loads:
        cells = "|".join(f" {load[name]:.1f} " for name in names)
        lines.append(f"| {load['width']}x{load['height']} at {load['rate_hz']:g} Hz |{cells}|")
    return "\n".join(lines) + "\n"


def main(args: list[str] | None = None) -> int:
    """The exit status, as of `exit_status`."""
    parser = argparse.ArgumentParser(
        prog="python -m virst_ros.demo.bench", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="counted, each load")
    parser.add_argument("--asks", type=int, default=200, help="queries that are timed, each load")
    parser.add_argument("--cases", type=int, default=len(CASES), help="how many of the loads")
    parser.add_argument("--model", default="", help="folder with weights; default: the package's")
    parser.add_argument("--out", type=Path, default=Path("out/bench_ros"))
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(args)
    if options.asks < 1:
        parser.error("--asks: one at least")
    return exit_status(lambda: _bench(options))


def _bench(options: argparse.Namespace) -> None:
    extent = Extent(options.seconds, options.asks)
    options.out.mkdir(parents=True, exist_ok=True)
    set_environment(options.out)
    loads = []
    starts_cpu_s = {program: start_cpu_s(program) for program in STARTS}
    with Interrupts() as interrupts:
        for case in tqdm(CASES[: options.cases], unit="load"):
            numbers = measure(case, extent, options.out, interrupts, options.model)
            loads.append(asdict(case) | numbers)
    if options.json:
        write_numbers(options.json, loads=loads, start_cpu_s=starts_cpu_s)
    sys.stdout.write(markdown_table(loads))
    for program, cpu_s in starts_cpu_s.items():
        sys.stdout.write(f"{program}: {cpu_s:.2f} s of CPU until its node is there\n")


def exit_status(bench: Callable[[], None]) -> int:
    """0, or with the reason on stderr 1 for what went wrong, 130 for Ctrl-C."""
    try:
        bench()
    except (DemoError, OSError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("bench: interrupted\n")
        return 130
    return 0


def write_numbers(path: Path, **numbers: Any) -> None:
    """As JSON, with the machine that they were measured on. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"machine": report.machine()} | numbers
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
