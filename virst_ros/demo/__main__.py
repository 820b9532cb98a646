"""The main job in one command: a camera, the node, a client; out come a video, a contact sheet and
a report.

    python -m virst_ros.demo --query "the blue square" --seconds 20 --out out/demo
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import random
import shutil
import signal
import subprocess
import sys
import time

import cv2
from lifecycle_msgs.srv import GetState
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from tqdm import tqdm

from virst_interfaces.srv import SetQuery
from virst_model.synthetic.scenes import DEMO_QUERIES, Scene
from virst_ros.demo import report
from virst_ros.demo.recorder import OverlayVideo, Recorder

RATE_HZ = 15.0
START_LIMIT_S = 120.0
ANSWER_LIMIT_S = 60.0
# Of camera frames before the first query: a robot's node is there before its task is.
LEAD_IN_S = 1.5
# For answers that are still under way at the end of a query.
TAIL_S = 0.5
MODULES = {"virst-camera": "virst_ros.camera", "virst-segment": "virst_ros.node"}
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")


class DemoError(RuntimeError):
    """The demo cannot go on; `str()` says why."""


def main(args: list[str] | None = None) -> int:
    """The exit status: 0 where everything was right, 1 with the reasons on stderr."""
    options = _parse(remove_ros_args(sys.argv if args is None else ["virst-demo", *args])[1:])
    set_environment(options.out)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        with Interrupts() as interrupts:
            measured, faults = _run(options, interrupts)
    except (DemoError, OSError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("demo: interrupted\n")
        return 130
    sys.stdout.write(f"\n{report.table(measured)}\n\n{options.out}: overlay.mp4 ")
    sys.stdout.write("contact_sheet.png report.json\n")
    for fault in faults:
        sys.stderr.write(f"demo: {fault}\n")
    return 1 if faults else 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="virst-demo", description=__doc__.split("\n\n")[0])
    parser.add_argument("--query", help="what to look for first")
    parser.add_argument("--video", type=Path, help="a video file instead of the synthetic scene")
    parser.add_argument("--seconds", type=float, default=20.0, help="default: %(default)g")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the scene; default: %(default)s")
    parser.add_argument("--model", default="", help="folder with weights; default: the package's")
    parsed = parser.parse_args(arguments)
    if parsed.seconds < 4:
        parser.error("--seconds must be at least 4")
    if parsed.video and not parsed.video.is_file():
        parser.error(f"--video {parsed.video}: no such file")
    return parsed


def set_environment(out: Path) -> None:
    """The DDS profile, a domain of our own and no network, where the user has not set them."""
    if not any(os.environ.get(name) for name in PROFILE_VARIABLES):
        old = os.environ.get("ROS_DISTRO") in ("humble", "jazzy")
        for name in PROFILE_VARIABLES if old else PROFILE_VARIABLES[:1]:
            os.environ[name] = str(_dds_profile())
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randint(1, 101)))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_LOG_DIR", str(out.absolute() / "ros_log"))


def _dds_profile() -> Path:
    """config/fastdds.xml, of the checkout or of the installed package."""
    checkout = Path(__file__).resolve().parents[2] / "config" / "fastdds.xml"
    if checkout.is_file():
        return checkout
    from ament_index_python.packages import get_package_share_directory

    return Path(get_package_share_directory("virst_ros")) / "config" / "fastdds.xml"


def _command(name: str) -> list[str]:
    """The installed executable, what a launch file starts; its module where there is none."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    places = [Path(prefix) / "lib" / "virst_ros" for prefix in prefixes if prefix]
    places.append(Path(sys.executable).parent)
    found = shutil.which(name, path=os.pathsep.join(map(str, places))) or shutil.which(name)
    return [found] if found else [sys.executable, "-m", MODULES[name]]


class Interrupts:
    """Ctrl-C and SIGTERM, noted while it is entered and acted on where `check` is called.

    As exceptions out of nowhere they may be raised within a callback of a library, which swallows
    them, or between a fork and the line that notes the child.
    """

    def __init__(self) -> None:
        self._came = False

    def __enter__(self) -> Interrupts:
        numbers = (signal.SIGINT, signal.SIGTERM)
        self._before = [(number, signal.signal(number, self._note)) for number in numbers]
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)

    def check(self) -> None:
        """Raises KeyboardInterrupt where one came."""
        if self._came:
            raise KeyboardInterrupt

    def _note(self, *received: object) -> None:
        self._came = True


class Processes:
    """Our children; each writes its output to a file of its name."""

    def __init__(self, folder: Path, interrupts: Interrupts) -> None:
        self._folder = folder
        self._interrupts = interrupts
        self._running: dict[str, subprocess.Popen] = {}

    def start(self, name: str, *arguments: str) -> None:
        """With ROS arguments."""
        with open(self._log(name), "wb") as log:
            self._running[name] = subprocess.Popen(
                [*_command(name), "--ros-args", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C comes to us; we stop them in order
            )

    def check(self) -> None:
        """Raises DemoError where one has ended by itself, KeyboardInterrupt after a Ctrl-C."""
        self._interrupts.check()
        for name, process in self._running.items():
            if process.poll() is not None:
                tail = self._log(name).read_text(errors="replace")[-2000:].strip()
                raise DemoError(f"{name} ended with status {process.returncode}:\n{tail}")

    def stop(self) -> None:
        """By SIGINT, so that shared memory is given back; by force only after ten seconds.

        Asked again every second: an import that is under way can swallow an interrupt.
        """
        last = time.monotonic() + 10.0
        running = list(self._running.values())
        while any(process.poll() is None for process in running) and time.monotonic() < last:
            for process in running:
                process.send_signal(signal.SIGINT)
            pause = time.monotonic() + 1.0
            while any(p.poll() is None for p in running) and time.monotonic() < pause:
                time.sleep(0.05)
        for process in running:
            process.kill()  # does nothing to one that has ended
            process.wait()

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


class Director:
    """Waits, asks and records, on one executor."""

    def __init__(self, recorder: Recorder, processes: Processes) -> None:
        self.recorder = recorder
        self._processes = processes
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(recorder)
        self._set_query = recorder.create_client(SetQuery, "/virst/set_query")
        self._get_state = recorder.create_client(GetState, "/virst/segment/get_state")

    def close(self) -> None:
        self._executor.shutdown()

    def spin_until(self, done: Callable[[], bool], limit_s: float, what: str) -> None:
        """Raises DemoError after `limit_s` or where a child has ended."""
        end_s = time.monotonic() + limit_s
        while not done():
            self._processes.check()
            if time.monotonic() > end_s:
                raise DemoError(f"{what}: nothing after {limit_s:g} s")
            self._executor.spin_once(timeout_sec=0.1)

    def spin_for(self, seconds: float, bar: tqdm | None = None) -> None:
        start_s = time.monotonic()
        while (passed_s := time.monotonic() - start_s) < seconds:
            self._processes.check()
            self._executor.spin_once(timeout_sec=min(0.1, seconds - passed_s))
            if bar is not None:
                self._show(bar, passed_s)
        if bar is not None:
            self._show(bar, seconds)

    def wait_until_active(self) -> None:
        """Until the node is active and camera frames have come for the lead-in."""
        self.spin_until(self._get_state.service_is_ready, START_LIMIT_S, "virst-segment")
        while self._call(self._get_state, GetState.Request()).current_state.label != "active":
            self.spin_for(0.2)
        meter = self.recorder.meter
        self.spin_until(lambda: meter.counted("frames") > 0, START_LIMIT_S, "camera images")
        self.spin_for(LEAD_IN_S)

    def ask(self, query: str) -> int:
        """Sets the query; its id. Raises DemoError where it is refused."""
        self.spin_until(self._set_query.service_is_ready, ANSWER_LIMIT_S, "/virst/set_query")
        answer = self._call(self._set_query, SetQuery.Request(query=query))
        if not answer.success:
            raise DemoError(f"query {query!r} was refused: {answer.message}")
        if answer.message != "accepted":
            tqdm.write(f"{query!r}: {answer.message}")
        return answer.query_id

    def _call(self, client, request):
        future = client.call_async(request)
        self.spin_until(future.done, ANSWER_LIMIT_S, client.srv_name)
        return future.result()

    def _show(self, bar: tqdm, passed_s: float) -> None:
        whole = int(passed_s)
        if whole > bar.n:
            last = self.recorder.last
            masks_hz = self.recorder.meter.rate_hz("masks")
            bar.set_postfix_str(f"{last.state if last else '-'}, {masks_hz:.1f} masks/s", False)
            bar.update(whole - bar.n)


@contextmanager
def _stage(
    options: argparse.Namespace, video: OverlayVideo, interrupts: Interrupts
) -> Iterator[Director]:
    """Camera and node as processes, and our own node; all ended and joined afterwards."""
    processes = Processes(options.out, interrupts)
    source = str(options.video) if options.video else "scene"
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        recorder = Recorder(video)
        director = Director(recorder, processes)
        processes.start("virst-segment", *_node_arguments(options))
        camera = ("-p", f"source:={source}", "-p", f"rate_hz:={RATE_HZ}")
        processes.start("virst-camera", *camera, "-p", f"seed:={options.seed}")
        yield director
        director.close()
    finally:
        processes.stop()
        rclpy.try_shutdown()


def _node_arguments(options: argparse.Namespace) -> list[str]:
    model = ["-p", f"model:={options.model}"] if options.model else []
    return ["-r", "image:=/camera/image_raw", *model]


def _run(options: argparse.Namespace, interrupts: Interrupts) -> tuple[list[dict], list[str]]:
    """Films, asks and writes the files; the reports of the queries, and what is wrong."""
    machine = report.machine()
    video = OverlayVideo(str(options.out / "overlay.mp4"), RATE_HZ)
    with _stage(options, video, interrupts) as director:
        director.wait_until_active()
        if not options.video:
            known = lambda: director.recorder.scene is not None  # noqa: E731
            director.spin_until(known, ANSWER_LIMIT_S, "/camera/truth/scene")
        queries = choose_queries(options.query, director.recorder.scene)
        spans = [_follow(director, query, options.seconds / len(queries)) for query in queries]
        director.spin_for(TAIL_S)
        recorder = director.recorder
    records = list(recorder.records.values())
    measured = [report.measure(span, records) for span in spans]
    faults = report.faults(measured)
    if not video.close():
        faults.append(f"{video.path} does not open again")
    sheet = report.contact_sheet(spans, [recorder.samples.get(s.query_id, []) for s in spans])
    if not cv2.imwrite(str(options.out / "contact_sheet.png"), sheet):
        faults.append("contact_sheet.png could not be written")
    whole = {"passed": not faults, "faults": faults, "machine": machine, "camera_hz": RATE_HZ}
    whole |= {"source": str(options.video or "scene"), "queries": measured}
    (options.out / "report.json").write_text(json.dumps(whole, indent=2) + "\n")
    return measured, faults


def choose_queries(first: str | None, scene: Scene | None) -> tuple[str, str]:
    """`first`, or the demo's own, and then another one; one that the scene can answer, if any."""
    if first is None:
        return DEMO_QUERIES[0], DEMO_QUERIES[1]
    if scene is None:
        return first, next(query for query in DEMO_QUERIES if query != first)
    others = [*DEMO_QUERIES, *(sentence.text for sentence in scene.sentences())]
    wanted = scene.answer(first)
    for other in others:
        if scene.answer(other) and scene.answer(other) != wanted:
            return first, other
    raise DemoError(f"the scene has nothing else to look for than {first!r}")


def _follow(director: Director, query: str, seconds: float) -> report.Span:
    """Asks for `query` and records for `seconds`."""
    query_id = director.ask(query)
    start_s = time.time()
    with tqdm(total=round(seconds), desc=query[:32], unit="s") as bar:
        director.spin_for(seconds, bar)
    scene = director.recorder.scene
    answerable = None if scene is None else bool(scene.answer(query))
    return report.Span(query, query_id, start_s, start_s + seconds, answerable)


if __name__ == "__main__":
    sys.exit(main())
