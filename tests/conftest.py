"""Fixtures of the tests that talk ROS: a domain a test, real processes, a node in this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import fcntl
import itertools
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

from patience import LIMIT_S
import pytest

from virst_ros.dds import profile_environment

ROOT = Path(__file__).resolve().parents[1]
# Above it the ports of a domain run into those that the system hands out.
LAST_DOMAIN = 101


def pytest_configure() -> None:
    # Fast DDS reads the profile once a process, before the first participant.
    os.environ.update(profile_environment(os.environ))
    # In the processes of tests, too.
    os.environ.setdefault("OMP_NUM_THREADS", os.environ.get("VIRST_THREADS", "1"))
    # What a shell starts behind an `&` is deaf to Ctrl-C, and so would be all that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Iterator[None]:
    """What a test printed may be no text, and a worker can hand on nothing but text."""
    return _as_text((yield))


def _as_text(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _as_text(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_as_text(each) for each in value)
    return value


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The worst difference of each kind that `golden.Near` kept, of all workers."""
    worst: dict[str, float] = {}
    for report in itertools.chain(*terminalreporter.stats.values()):
        for name, value in getattr(report, "user_properties", ()):
            if name.startswith("parity, "):
                worst[name] = max(worst.get(name, 0.0), value)
    for name, value in sorted(worst.items()):
        terminalreporter.write_line(f"{name}: worst difference {value:.1e}")


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    """The parts are small: more threads wait for each other longer than they help.

    VIRST_THREADS is another number (`make settings`).
    """
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(int(os.environ.get("VIRST_THREADS", "1")))


@pytest.fixture(scope="session", autouse=True)
def _own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Graphs of the engine onnx are made anew by each run of the tests, and shared within it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def ros_log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ros_log")


@pytest.fixture
def ros_domain() -> Iterator[int]:
    """A ROS domain (0..101) that no other test on this machine holds while this one runs."""
    folder = Path(tempfile.gettempdir()) / f"virst_ros_domains_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for domain in random.SystemRandom().sample(range(LAST_DOMAIN + 1), LAST_DOMAIN + 1):
        with open(folder / str(domain), "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain
            return
    pytest.fail("every ROS domain is taken by another test run")


@pytest.fixture
def ros_env(ros_domain: int, ros_log_dir: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment for processes of this test, also set in this one; needs an installed ROS."""
    pytest.importorskip("rclpy", reason="needs ROS 2")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(ros_domain))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_LOG_DIR", str(ros_log_dir))
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    return dict(os.environ)


@dataclass
class Process:
    """A process of a test, its output in a file."""

    popen: subprocess.Popen
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self) -> int:
        """Asks by SIGINT, as Ctrl-C does, so that shared memory is given back; the exit status.

        Raises subprocess.TimeoutExpired, after a kill, if that does not end it.
        """
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGINT)
        try:
            return self.popen.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise


@pytest.fixture
def start_process(ros_env: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """start_process("-m", "virst_ros.segment", "--ros-args", ...) -> Process, of this Python.

    Everything still running when the test ends is stopped; `env=` adds variables.
    """
    started: list[Process] = []

    def start(*arguments: str, env: dict[str, str] | None = None) -> Process:
        log = tmp_path / f"process_{len(started)}.log"
        with open(log, "wb") as out:
            popen = subprocess.Popen(
                [sys.executable, *arguments],
                env=ros_env | (env or {}),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        started.append(Process(popen, log))
        return started[-1]

    yield start
    hung = []
    for process in started:
        try:
            process.stop()
        except subprocess.TimeoutExpired:
            hung.append(process)
    for process in started:
        sys.stderr.write(f"--- {process.popen.args[1:]}\n{process.output[-8000:]}\n")
    assert not hung, f"not ended by SIGINT: {[process.popen.args for process in hung]}"


@pytest.fixture
def ros_context(ros_env: dict[str, str], ros_domain: int):
    """An rclpy context of this process on the test's domain."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    context = rclpy.Context()
    rclpy.init(
        context=context, domain_id=ros_domain, signal_handler_options=SignalHandlerOptions.NO
    )
    yield context
    context.try_shutdown()


@pytest.fixture
def ros_node(ros_context):
    """A node of this process; spin it by `spin_until`."""
    import rclpy

    node = rclpy.create_node("virst_test", context=ros_context)
    yield node
    node.destroy_node()


@pytest.fixture
def spin_until(ros_context, ros_node) -> Iterator[Callable[..., bool]]:
    """spin_until(condition) spins ros_node until the condition holds: did it, in LIMIT_S?"""
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor(context=ros_context)
    executor.add_node(ros_node)

    def spin(condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > deadline:
                return False
            executor.spin_once(timeout_sec=0.05)
        return True

    yield spin
    executor.shutdown()


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of the least size that has learned nothing."""
    from streams import real_model, smallest

    from virst_model.checkpoints.load import save

    folder = tmp_path_factory.mktemp("weights")
    save(real_model(smallest()), folder)
    return folder
