"""Draws answers onto a frame."""

import cv2
import numpy as np

from virst_model.answer import TRACKING, QueryResult, StepResult

# RGB of the labels 1, 2, ...; they repeat.
COLOURS = (
    (255, 32, 208),
    (64, 160, 255),
    (64, 220, 96),
    (255, 200, 32),
    (208, 96, 255),
    (32, 220, 220),
    (255, 128, 32),
    (255, 96, 96),
)
# How much of the label's colour a masked pixel takes.
TINT = 0.5
# Of a picture's width, what an outline's line has.
OUTLINE = 1 / 320
# Beside an outline's line: on an object of the label's own colour this is what shows.
EDGE = (0, 0, 0)
FONT = cv2.FONT_HERSHEY_SIMPLEX
SMALLEST = 0.01  # of letters, of which a picture of some pixels has none


def colour_of(label: int) -> tuple[int, int, int]:
    """RGB of the masks of a label, from 1 on."""
    return COLOURS[(label - 1) % len(COLOURS)]


def draw_overlay(frame_HW3: np.ndarray, result: StepResult | None) -> np.ndarray:
    """A BGR copy (H, W, 3) of an RGB frame with tinted, outlined masks and a caption a query.

    Args:
        frame_HW3: uint8 RGB.
        result: the frame's answers, masks at its size; None draws nothing.
    """
    canvas_HW3 = cv2.cvtColor(frame_HW3, cv2.COLOR_RGB2BGR)
    for row, answer in enumerate(result.results if result else ()):
        colour = colour_of(answer.label)[::-1]
        if answer.area:
            _tint(canvas_HW3, answer, colour)
        _caption(canvas_HW3, row, _words(answer), colour)
    return canvas_HW3


def draw_outline(
    canvas_HW3: np.ndarray,
    mask_HW: np.ndarray,
    colour: tuple[int, ...],
    offset: tuple[int, int] = (0, 0),
) -> None:
    """Outlines what a mask marks by a line with dark edges, which shows on any colour.

    Args:
        canvas_HW3: uint8 BGR, drawn on.
        mask_HW: uint8, not 0 where it marks.
        colour: BGR.
        offset: x and y of the mask's first pixel on the canvas.
    """
    line = max(1, round(canvas_HW3.shape[1] * OUTLINE))
    outlines, _ = cv2.findContours(mask_HW, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for of_what, width in ((EDGE, 3 * line), (colour, line)):
        cv2.drawContours(canvas_HW3, outlines, -1, of_what, width, cv2.LINE_8, offset=offset)


def _tint(canvas_HW3: np.ndarray, answer: QueryResult, colour: tuple[int, ...]) -> None:
    x, y, width, height = answer.box
    part = canvas_HW3[y : y + height, x : x + width]
    mask = np.ascontiguousarray(answer.mask_HW[y : y + height, x : x + width]).view(np.uint8)
    cv2.copyTo(cv2.addWeighted(part, 1 - TINT, np.full_like(part, colour), TINT, 0), mask, part)
    draw_outline(canvas_HW3, mask, colour, (x, y))


def _words(answer: QueryResult) -> str:
    text = answer.text if len(answer.text) <= 40 else answer.text[:37] + "..."
    # The font draws ASCII only.
    text = text.encode("ascii", "replace").decode()
    score = f" {answer.score:.2f}" if answer.state == TRACKING else ""
    return f"{answer.label}: {text} [{answer.state}{score}]"


def _caption(canvas_HW3: np.ndarray, row: int, words: str, colour: tuple[int, ...]) -> None:
    scale = max(canvas_HW3.shape[1] / 1200, SMALLEST)
    (width, height), under = cv2.getTextSize(words, FONT, scale, 1)
    bottom = (row + 1) * (height + under + 6)
    cv2.rectangle(
        canvas_HW3, (0, bottom - height - under - 6), (width + 12, bottom), (0, 0, 0), -1
    )
    cv2.putText(canvas_HW3, words, (6, bottom - under), FONT, scale, colour, 1, cv2.LINE_AA)
