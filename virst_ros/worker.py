"""One-slot mailboxes and the thread that empties one. Knows neither ROS nor torch."""

from collections.abc import Callable
import threading
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Closed(Exception):
    """The mailbox was closed: nothing more will come."""


class Mailbox(Generic[T]):
    """One slot between threads; a new item takes the place of one that nobody took yet."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._items: list[T] = []  # at most one; None is an item like any other
        self._closed = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Items that were replaced before anybody took them."""
        return self._dropped

    def put(self, item: T) -> None:
        """Fills the slot; never waits. After `close` the item is ignored."""
        with self._condition:
            if self._closed:
                return
            self._dropped += len(self._items)
            self._items = [item]
            self._condition.notify()

    def take(self) -> T:
        """Waits for an item and empties the slot. Raises Closed, also while waiting."""
        with self._condition:
            self._condition.wait_for(lambda: self._items or self._closed)
            if self._closed:
                raise Closed
            return self._items.pop()

    def take_now(self) -> T | None:
        """The item, or None where the slot is empty."""
        with self._condition:
            return self._items.pop() if self._items else None

    def clear(self) -> None:
        """Empties the slot; what was in it does not count as dropped."""
        with self._condition:
            self._items.clear()

    def close(self) -> None:
        """Wakes everybody who waits; what is in the slot is thrown away."""
        with self._condition:
            self._closed = True
            self._items.clear()
            self._condition.notify_all()


class Handler(Protocol[T]):
    """What a worker makes of its items, all on the worker's thread."""

    def handle(self, item: T) -> None:
        """Works on one item. An exception ends the worker."""

    def close(self) -> None:
        """Called once at the end, whatever that was."""


class Worker(Generic[T]):
    """A thread that sets itself up once and then handles what comes into its mailbox.

    Setting up, handling and closing happen on that one thread, as compiled models want it.
    """

    def __init__(
        self,
        name: str,
        mailbox: Mailbox[T],
        set_up: Callable[[], Handler[T]],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """`on_failure` is called on the worker's thread with what `handle` or `close` raised."""
        self._mailbox = mailbox
        self._set_up = set_up
        self._on_failure = on_failure
        self._done = threading.Event()
        self._left = False
        self._handler: Handler[T] | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        """Starts the thread, which sets itself up."""
        self._thread.start()

    def wait_until_set_up(self, timeout_s: float) -> bool:
        """Whether it is set up within `timeout_s`; raises what setting up raised."""
        if not self._done.wait(timeout_s):
            return False
        if self._error is not None:
            raise self._error
        return True

    @property
    def handler(self) -> Handler[T] | None:
        """What `set_up` returned; None until then."""
        return self._handler

    @property
    def alive(self) -> bool:
        """Whether the thread is there."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Closes the mailbox and waits for the thread, that is for the call under way.

        Returns:
            Whether the thread has ended; False after `timeout_s`: it is left behind, to end when
            its call returns, and its failures are not reported.
        """
        self._mailbox.close()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        self._left = self.alive
        return not self._left

    def _run(self) -> None:
        try:
            handler = self._handler = self._set_up()
        except Exception as error:
            self._error = error  # raised again by wait_until_set_up
            return
        finally:
            self._done.set()
        try:
            self._empty_mailbox(handler)
        except Exception as error:
            if not self._left:
                self._on_failure(error)

    def _empty_mailbox(self, handler: Handler[T]) -> None:
        try:
            while True:
                handler.handle(self._mailbox.take())
        except Closed:
            return
        finally:
            handler.close()
