"""Answers to images in a bag, on the topics and with the messages of the node `segment`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from virst_model.answer import SEARCHING, Query, StepResult
from virst_model.sources import bag_messages
from virst_model.sources.bag import RAW, BagImage
from virst_model.sources.bag_writer import BagWriter


@dataclass(frozen=True)
class Topics:
    """What the node's topics are called in a bag."""

    masks: str
    labels: str
    segmentations: str
    queries: str
    label_info: str

    @classmethod
    def below(cls, namespace: str) -> Topics:
        """Those of a namespace, as /virst."""
        return cls(*(f"{namespace}/{field.name}" for field in fields(cls)))

    def names(self) -> list[str]:
        """All of them."""
        return [getattr(self, field.name) for field in fields(self)]


class BagAnswers:
    """Writes what the node would publish of each image: with its header, recorded when it was.

    Queries and label_info are latched, and written where they change.
    """

    def __init__(self, writer: BagWriter, topics: Topics, queries: Sequence[Query]) -> None:
        """`queries`: those that are followed all the time."""
        self._writer, self._topics = writer, topics
        self._queries = {query.id: query for query in queries}
        self._lines: dict[int, Any] = {}
        writer.offer(topics.masks, RAW)
        writer.offer(topics.labels, RAW)
        writer.offer(topics.segmentations, bag_messages.SEGMENTATIONS)
        writer.offer(topics.queries, bag_messages.QUERIES, latched=True)
        writer.offer(topics.label_info, bag_messages.LABEL_INFO, latched=True)

    def write(self, image: BagImage, result: StepResult) -> None:
        """The answer to an image whose message can be read. Raises FileError."""
        if not self._lines:
            self._begin(image)
        header = image.header
        for topic, message in (
            (self._topics.masks, bag_messages.image(result.mask_HW, header)),
            (self._topics.labels, bag_messages.image(result.labels_HW, header)),
            (self._topics.segmentations, bag_messages.segmentations(result, header)),
        ):
            self._writer.write(topic, image.recorded_ns, message)
        changed = [a for a in result.results if a.state != self._lines[a.id].state]
        for answer in changed:
            self._lines[answer.id] = bag_messages.query(
                self._queries[answer.id],
                answer.state,
                bag_messages.stamp(image.time_ns),
                answer.score,
                answer.presence,
            )
        if changed:
            self._write_queries(image)

    def _begin(self, image: BagImage) -> None:
        """What the queries and their labels are, before the first answer."""
        header = bag_messages.header(image.time_ns)
        names = bag_messages.label_info(list(self._queries.values()), header)
        self._writer.write(self._topics.label_info, image.recorded_ns, names)
        self._lines = {
            number: bag_messages.query(query, SEARCHING, header.stamp, 0.0, 0.0)
            for number, query in self._queries.items()
        }
        self._write_queries(image)

    def _write_queries(self, image: BagImage) -> None:
        stamp = bag_messages.stamp(image.time_ns)
        message = bag_messages.queries(self._lines.values(), stamp)
        self._writer.write(self._topics.queries, image.recorded_ns, message)
