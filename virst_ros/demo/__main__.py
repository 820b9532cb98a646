"""The main job in one command: a camera, the node, a client; out come a video, a contact sheet and
a report.

    python -m virst_ros.demo --query "the blue square" --seconds 20 --out out/demo
    python -m virst_ros.demo --scene photo --photographs DIR
    python -m virst_ros.demo --video RECORDING --topic /cam/image_raw --query "the cup"
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import sys
import time
from typing import Any

import cv2
from tqdm import tqdm

from virst_model.errors import InputError
from virst_model.synthetic.scenes import DEMO_QUERIES
from virst_ros.demo import report
from virst_ros.demo.director import ANSWER_LIMIT_S, Director, stage
from virst_ros.demo.film import RATE_HZ, add_film_options, check_film, film_of
from virst_ros.demo.processes import DemoError, Interrupts, set_environment
from virst_ros.demo.recorder import Recorder, StampedVideo
from virst_ros.ros_context import ContextError, own_arguments

# For answers that are still under way at the end of a query.
TAIL_S = 0.5


def main(args: list[str] | None = None) -> int:
    """The exit status: 0 where everything was right, 1 with the reasons on stderr."""
    try:
        options = _parse(own_arguments(args, "virst-demo"))
    except ContextError as error:
        sys.stderr.write(f"demo: {error}\n")
        return 2
    set_environment(options.out)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        with Interrupts() as interrupts:
            measured, faults = _run(options, interrupts)
    except (DemoError, InputError, OSError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("demo: interrupted\n")
        return 130
    sys.stdout.write(f"\n{report.text_table(measured)}\n\n{report.legend()}\n")
    sys.stdout.write(f"\n{options.out}: overlay.mp4 ")
    sys.stdout.write("contact_sheet.png report.json\n")
    for fault in faults:
        sys.stderr.write(f"demo: {fault}\n")
    return 1 if faults else 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="virst-demo", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--query", help="what to look for, all the time; default: two things, one after the other"
    )
    add_film_options(parser)
    parser.add_argument("--seconds", type=float, default=20.0, help="default: %(default)g")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="default: %(default)s")
    parsed = parser.parse_args(arguments)
    if parsed.seconds < 4:
        parser.error("--seconds must be at least 4")
    check_film(parser, parsed)
    if parsed.query is not None and not parsed.query.strip():
        parser.error("--query: a query without words")
    return parsed


def _run(
    options: argparse.Namespace, interrupts: Interrupts
) -> tuple[list[dict[str, Any]], list[str]]:
    """Films, asks and writes the files; the reports of the queries, and what is wrong."""
    machine = report.machine()
    source, camera = film_of(options)
    video = StampedVideo(options.out / "overlay.mp4", RATE_HZ)
    make_recorder = lambda: Recorder(video)  # noqa: E731
    with stage(options.out, interrupts, make_recorder, camera, options.model) as director:
        recorder = director.listener
        director.wait_until_active()
        if not options.video:
            known = lambda: recorder.scene is not None  # noqa: E731
            director.spin_until(known, ANSWER_LIMIT_S, "/camera/truth/scene")
        # A person's own query has all the time.
        queries = DEMO_QUERIES if options.query is None else (options.query,)
        spans = [_follow(director, query, options.seconds / len(queries)) for query in queries]
        director.spin_for(TAIL_S)
    records = list(recorder.records.values())
    measured = [report.measure(span, records) for span in spans]
    faults = report.faults(measured)
    if not video.close():
        faults.append(f"{video.path} does not open again")
    sheet = report.contact_sheet(spans, [recorder.samples.get(s.query_id, []) for s in spans])
    if not cv2.imwrite(str(options.out / "contact_sheet.png"), sheet):
        faults.append("contact_sheet.png could not be written")
    whole = {"passed": not faults, "faults": faults, "machine": machine, "camera_hz": RATE_HZ}
    whole |= {"source": source, "queries": measured}
    (options.out / "report.json").write_text(json.dumps(whole, indent=2) + "\n")
    return measured, faults


def _follow(director: Director, query: str, seconds: float) -> report.Span:
    """Asks for `query` and records for `seconds`."""
    query_id = director.ask(query)
    start_s = time.time()
    with tqdm(total=round(seconds), desc=query[:32], unit="s") as bar:
        director.spin_for(seconds, bar)
    scene = director.listener.scene
    answerable = None if scene is None else bool(scene.answer(query))
    return report.Span(query, query_id, start_s, start_s + seconds, answerable)


if __name__ == "__main__":
    sys.exit(main())
