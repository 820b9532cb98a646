"""The processes of the demo: their environment, their start, their end."""

from __future__ import annotations

from collections.abc import Sequence
import os
from pathlib import Path
import random
import shutil
import signal
import subprocess
import sys
import time

from virst_ros.dds import profile_environment

MODULES = {
    "virst-camera": "virst_ros.camera",
    "virst-segment": "virst_ros.segment",
    "virst-viewer": "virst_ros.viewer",
}


class DemoError(RuntimeError):
    """The demo cannot go on; `str()` says why."""


def set_environment(out: Path) -> None:
    """The DDS profile, a domain of our own and no network, where the user has not set them."""
    os.environ.update(profile_environment(os.environ))
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randint(1, 101)))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_LOG_DIR", str(out.absolute() / "ros_log"))


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
        """`folder` is where the files of their outputs go; it is there."""
        self._folder = folder
        self._interrupts = interrupts
        self._running: dict[str, subprocess.Popen] = {}

    def start(self, name: str, *arguments: str, options: Sequence[str] = ()) -> None:
        """Starts the program `name`, a key of MODULES, with ROS arguments (`-p`, `-r`) and with
        `options` of its own."""
        with open(self._log(name), "wb") as log:
            self._running[name] = subprocess.Popen(
                [*_command(name), *options, "--ros-args", *arguments],
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

    def said(self, name: str) -> str:
        """What it has written so far."""
        return self._log(name).read_text(errors="replace")

    def stop(self) -> None:
        """Ends all by SIGINT, so that shared memory is given back; by force after ten seconds.

        SIGINT comes again every second: an import that is under way can swallow one.
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


def _command(name: str) -> list[str]:
    """The installed executable, what a launch file starts; its module where there is none."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    places = [Path(prefix) / "lib" / "virst_ros" for prefix in prefixes if prefix]
    places.append(Path(sys.executable).parent)
    path = shutil.which(name, path=os.pathsep.join(map(str, places))) or shutil.which(name)
    return [path] if path else [sys.executable, "-m", MODULES[name]]
