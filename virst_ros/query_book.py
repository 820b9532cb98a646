"""The node's queries: which texts are taken, their ids and their label slots. Knows no ROS."""

from collections.abc import Callable
from dataclasses import dataclass
import re
import threading
import unicodedata

from virst_model.answer import Query
from virst_ros.nearby_words import nearest

MAX_QUERIES = 16
MAX_CHARACTERS = 1000
# Unknown words that a message names; a thousand characters hold hundreds.
NAMED_WORDS = 8


@dataclass(frozen=True)
class Verdict:
    """The answer to a request, as SetQuery.srv and RemoveQuery.srv describe it."""

    success: bool
    message: str
    query_id: int = 0


class QueryBook:
    """An immutable tuple of queries, edited under a lock. Ids count from 1 and never come back."""

    def __init__(self, on_change: Callable[[tuple[Query, ...]], None]) -> None:
        """`on_change` gets the whole new tuple, in the order of the changes; it must not wait."""
        self._on_change = on_change
        self._lock = threading.Lock()
        self._queries: tuple[Query, ...] = ()
        self._next_id = 1
        self.known_words: frozenset[str] = frozenset()

    @property
    def queries(self) -> tuple[Query, ...]:
        """The present queries, ordered by label."""
        return self._queries

    def clear(self) -> Verdict:
        """Forgets all queries, but not which ids were given."""
        with self._lock:
            self._replace(())
        return Verdict(True, "all queries are cleared")

    def submit(self, text: str, append: bool) -> Verdict:
        """Checks `text` and adds it to the queries, or puts it in their place; empty clears them.

        Special tokens of a language model are characters like any others here.
        """
        text = text.strip()
        if not text and not append:
            return self.clear()
        fault = _fault(text)
        if fault:
            return Verdict(False, fault)
        with self._lock:
            kept = self._queries if append else ()
            if len(kept) >= MAX_QUERIES:
                return Verdict(False, f"there are {len(kept)} queries, the limit is {MAX_QUERIES}")
            labels = {query.label for query in kept}
            label = next(n for n in range(1, MAX_QUERIES + 1) if n not in labels)
            query = Query(self._next_id, text, label)
            self._next_id += 1
            self._replace(tuple(sorted((*kept, query), key=lambda q: q.label)))
        return Verdict(True, self.remark(text), query.id)

    def remove(self, query_id: int) -> Verdict:
        """Forgets the query of this id; its label is free, its id never comes back."""
        with self._lock:
            kept = tuple(query for query in self._queries if query.id != query_id)
            if len(kept) == len(self._queries):
                there = ", ".join(str(query.id) for query in kept) or "none"
                return Verdict(False, f"there is no query {query_id}; there are: {there}")
            self._replace(kept)
        return Verdict(True, "removed", query_id)

    def _replace(self, queries: tuple[Query, ...]) -> None:
        self._queries = queries
        self._on_change(queries)

    def remark(self, text: str) -> str:
        """What a person should know about an accepted text: words that are not known.

        Each with the known word that is nearest to it, if there is one.
        """
        words = dict.fromkeys(re.findall(r"[^\W_]+", text.lower()))
        unknown = [word for word in words if word not in self.known_words]
        if not self.known_words or not unknown:
            return "accepted"
        words_named = ", ".join(self._with_nearest(word) for word in unknown[:NAMED_WORDS])
        more = len(unknown) - NAMED_WORDS
        return f"accepted, but the model was not trained on: {words_named}" + (
            f" and {more} more" if more > 0 else ""
        )

    def _with_nearest(self, word: str) -> str:
        near = nearest(word, self.known_words)
        return word if near is None else f"{word} (try: {near})"


def _fault(text: str) -> str:
    """Why `text` cannot be a query; empty where it can."""
    if not text:
        return "the query is empty: nothing to append"
    if len(text) > MAX_CHARACTERS:
        return f"the query has {len(text)} characters, the limit is {MAX_CHARACTERS}"
    for position, character in enumerate(text, start=1):
        # Controls, lone surrogates, line and paragraph separators.
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            code = f"U+{ord(character):04X}"
            return f"character {position} of the query is a control character ({code})"
    return ""
