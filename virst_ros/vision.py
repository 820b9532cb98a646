"""What vision_msgs has for queries and their answers. Importing this needs vision_msgs."""

from __future__ import annotations

from collections.abc import Sequence

from std_msgs.msg import Header
from vision_msgs.msg import (
    BoundingBox2D,
    Detection2D,
    Detection2DArray,
    LabelInfo,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    Point2D,
    Pose2D,
    VisionClass,
)

from virst_model.answer import Query, QueryResult, StepResult

# Of the probability; from it on a pixel is in the mask.
THRESHOLD = 0.5


def label_info(queries: Sequence[Query], header: Header) -> LabelInfo:
    """The names of the labels: one entry a query, none for 0."""
    names = [VisionClass(class_id=query.label, class_name=query.name) for query in queries]
    return LabelInfo(header=header, class_map=names, threshold=THRESHOLD)


def detections(result: StepResult | None, header: Header) -> Detection2DArray:
    """A box around each mask that has a pixel; `header` is passed on as it is.

    `id` is the query's id as a text, `class_id` its name, `score` the mask's predicted IoU.
    """
    answers = result.results if result is not None else ()
    boxes = [_detection(answer, header) for answer in answers if answer.area]
    return Detection2DArray(header=header, detections=boxes)


def _detection(answer: QueryResult, header: Header) -> Detection2D:
    x, y, width, height = answer.box
    centre = Pose2D(position=Point2D(x=x + width / 2, y=y + height / 2))
    hypothesis = ObjectHypothesis(class_id=answer.name, score=float(answer.score))
    return Detection2D(
        header=header,
        results=[ObjectHypothesisWithPose(hypothesis=hypothesis)],
        bbox=BoundingBox2D(center=centre, size_x=float(width), size_y=float(height)),
        id=str(answer.id),
    )
