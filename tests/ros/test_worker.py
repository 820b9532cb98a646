"""Mailboxes and the worker thread."""

from __future__ import annotations

import threading

from patience import LIMIT_S
import pytest

from virst_ros.worker import Closed, Mailbox, Worker


class Recording:
    """A handler that keeps what it gets; fails on "bad"."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self.threads: set[str] = set()
        self.closed = threading.Event()
        self.handled = threading.Semaphore(0)

    def handle(self, item: str) -> None:
        self.threads.add(threading.current_thread().name)
        if item == "bad":
            raise ValueError(item)
        self.items.append(item)
        self.handled.release()

    def close(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.closed.set()


def start(set_up, failures: list[Exception] | None = None) -> tuple[Mailbox, Worker]:
    mailbox: Mailbox[str] = Mailbox()
    worker = Worker("tracker", mailbox, set_up, (failures if failures is not None else []).append)
    worker.start()
    return mailbox, worker


def test_newest_item_wins_and_the_others_are_counted():
    mailbox: Mailbox[int] = Mailbox()
    for item in range(5):
        mailbox.put(item)

    assert mailbox.take() == 4
    assert mailbox.dropped == 4
    assert mailbox.take_now() is None


def test_what_is_cleared_was_not_dropped():
    mailbox: Mailbox[int] = Mailbox()
    mailbox.put(1)
    mailbox.clear()

    assert mailbox.take_now() is None
    assert mailbox.dropped == 0


def test_an_empty_tuple_is_an_item():
    mailbox: Mailbox[tuple] = Mailbox()
    mailbox.put(())

    assert mailbox.take_now() == ()


def test_closing_wakes_who_waits():
    mailbox: Mailbox[int] = Mailbox()
    woken = threading.Event()

    def wait() -> None:
        with pytest.raises(Closed):
            mailbox.take()
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    mailbox.close()
    thread.join(LIMIT_S)

    assert woken.is_set()
    mailbox.put(1)  # ignored
    with pytest.raises(Closed):
        mailbox.take()


def test_everything_happens_on_one_thread_and_the_thread_is_joined():
    handler = Recording()
    mailbox, worker = start(lambda: handler)
    assert worker.wait_until_set_up(LIMIT_S)
    mailbox.put("a")
    assert handler.handled.acquire(timeout=LIMIT_S)
    worker.stop()

    assert worker.handler is handler
    assert (handler.items, handler.threads) == (["a"], {"tracker"})
    assert handler.closed.is_set()
    assert "tracker" not in {thread.name for thread in threading.enumerate()}


def test_a_failed_set_up_is_raised_where_it_is_waited_for():
    def set_up():
        raise OSError("no weights")

    _, worker = start(set_up)
    with pytest.raises(OSError, match="no weights"):
        worker.wait_until_set_up(LIMIT_S)
    worker.stop()
    assert worker.handler is None


def test_waiting_for_a_slow_set_up_can_be_given_up():
    go_on = threading.Event()

    def set_up() -> Recording:
        go_on.wait(LIMIT_S)
        return Recording()

    _, worker = start(set_up)
    assert not worker.wait_until_set_up(0.01)
    go_on.set()
    worker.stop()


def test_a_failure_is_reported_once_and_the_handler_closed():
    handler, failures = Recording(), []
    mailbox, worker = start(lambda: handler, failures)
    mailbox.put("bad")
    assert handler.closed.wait(LIMIT_S)
    worker.stop()

    assert [str(failure) for failure in failures] == ["bad"]


def test_a_call_that_takes_too_long_is_left_behind_and_nobody_hears_of_it():
    go_on, failures = threading.Event(), []

    class Slow(Recording):
        def handle(self, item: str) -> None:
            self.handled.release()
            go_on.wait(LIMIT_S)
            raise ValueError(item)

    handler = Slow()
    mailbox, worker = start(lambda: handler, failures)
    mailbox.put("a")
    assert handler.handled.acquire(timeout=LIMIT_S)

    assert not worker.stop(0.01)
    assert worker.alive
    go_on.set()
    assert handler.closed.wait(LIMIT_S)
    assert worker.stop(LIMIT_S)
    assert failures == []
