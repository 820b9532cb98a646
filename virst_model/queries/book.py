"""A stream's queries: which texts are taken, their ids and their label slots."""

from collections.abc import Callable, Collection
import dataclasses
from dataclasses import dataclass
import itertools
import threading
import unicodedata

from virst_model.answer import Query
from virst_model.queries.label_slots import LabelSlots
from virst_model.queries.nearby_words import unknown_words

MAX_QUERIES = 16
MAX_CHARACTERS = 1000


@dataclass(frozen=True)
class Verdict:
    """The answer to a request, as virst_interfaces/srv describes it; `full`: no label is free."""

    success: bool
    message: str
    query_id: int = 0
    full: bool = False


class QueryBook:
    """An immutable tuple of queries, edited under a lock. Ids count from 1 and never come back."""

    def __init__(self, on_change: Callable[[tuple[Query, ...]], None]) -> None:
        """`on_change` gets the whole new tuple, in the order of the changes; it must not wait."""
        self._on_change = on_change
        self._lock = threading.Lock()
        self._queries: tuple[Query, ...] = ()
        self._next_id = 1
        self._labels = LabelSlots(MAX_QUERIES)
        self.known_words: frozenset[str] = frozenset()

    @property
    def queries(self) -> tuple[Query, ...]:
        """The present queries, ordered by label."""
        return self._queries

    def clear(self) -> Verdict:
        """Forgets all queries, but not which ids were given."""
        with self._lock:
            self._labels.give_up(query.label for query in self._queries)
            self._replace(())
        return Verdict(True, "all queries are cleared")

    def submit(self, text: str, append: bool, name: str = "") -> Verdict:
        """Checks `text` and adds it to the queries, or puts it in their place; empty clears them.

        Special tokens of a language model are characters like any others here.

        Args:
            text: what to look for.
            append: the present queries stay.
            name: of the query; empty: the text, with a number behind it where that is taken.
        """
        text, name = text.strip(), name.strip()
        if not text and not append:
            return self.clear()
        fault = fault_of(text)
        if not fault and name:
            fault = fault_of(name, "name")
        if fault:
            return Verdict(False, fault)
        with self._lock:
            kept = self._queries if append else ()
            if len(kept) >= MAX_QUERIES:
                limit = f"there are {len(kept)} queries, the limit is {MAX_QUERIES}"
                return Verdict(False, limit, full=True)
            taken = {query.name: query.id for query in kept}
            if name in taken:
                return Verdict(False, f"the name {name!r} is taken by query {taken[name]}")
            if not append:
                self._labels.give_up(query.label for query in self._queries)
            query = Query(self._next_id, text, self._labels.take(), name or _unlike(text, taken))
            self._next_id += 1
            self._replace(tuple(sorted((*kept, query), key=lambda q: q.label)))
        return Verdict(True, self.remark(text), query.id)

    def remove(self, query_id: int) -> Verdict:
        """Forgets the query of this id; its label is free, its id never comes back."""
        with self._lock:
            query = self._find(query_id)
            if query is None:
                return self._unknown(query_id)
            self._labels.give_up([query.label])
            self._replace(tuple(q for q in self._queries if q is not query))
        return Verdict(True, "removed", query_id)

    def enable(self, query_id: int, enabled: bool) -> Verdict:
        """Lets the query of this id rest, or go on; no error where it does already."""
        with self._lock:
            query = self._find(query_id)
            if query is None:
                return self._unknown(query_id)
            if query.enabled != enabled:
                changed = dataclasses.replace(query, enabled=enabled)
                self._replace(tuple(changed if q is query else q for q in self._queries))
        return Verdict(True, "enabled" if enabled else "disabled", query_id)

    def _find(self, query_id: int) -> Query | None:
        return next((query for query in self._queries if query.id == query_id), None)

    def _unknown(self, query_id: int) -> Verdict:
        there = ", ".join(str(query.id) for query in self._queries) or "none"
        return Verdict(False, f"there is no query {query_id}; there are: {there}")

    def _replace(self, queries: tuple[Query, ...]) -> None:
        self._queries = queries
        self._on_change(queries)

    def remark(self, text: str) -> str:
        """What a person should know about an accepted text: words that are not known.

        Each with the known word that is nearest to it, if there is one.
        """
        unknown = unknown_words(text, self.known_words)
        if not unknown:
            return "accepted"
        return f"accepted, but the model was not trained on: {unknown}"


def _unlike(text: str, taken: Collection[str]) -> str:
    """The text as a name that is not taken: itself, or with " (2)", " (3)", ... behind it."""
    numbered = (f"{text} ({number})" for number in itertools.count(2))
    return next(name for name in itertools.chain([text], numbered) if name not in taken)


def fault_of(text: str, what: str = "query") -> str:
    """Why `text` cannot be a query, or another of a person's texts; empty where it can."""
    if not text:
        return "the query is empty: nothing to append"
    if len(text) > MAX_CHARACTERS:
        return f"the {what} has {len(text)} characters, the limit is {MAX_CHARACTERS}"
    for position, character in enumerate(text, start=1):
        # Controls, lone surrogates, line and paragraph separators.
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            code = f"U+{ord(character):04X}"
            return f"character {position} of the {what} is a control character ({code})"
    return ""
