"""report.html: one file without a server, for people. The worst cases come first."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
import html
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from virst_model.data.record import Expression, Record, reasons
from virst_model.evaluate.predictions import Predictions
from virst_model.evaluate.results import Report
from virst_model.evaluate.score import Row, Score

COLUMNS = 6
WIDTH = 200
# Of a plot of J&F: its width and height, and the room for numbers at its left and below.
PLOT, MARGIN = (1200, 150), 44
# RGB of the predicted mask and of the truth's outline.
PREDICTED, TRUTH = (255, 32, 208), (255, 255, 255)
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1280px; color: #222 }
table { border-collapse: collapse } td, th { padding: .2em .8em; border-bottom: 1px solid #ddd }
td { text-align: right } td:first-child { text-align: left }
section { margin: 2em 0; border-top: 2px solid #eee } h2 { font-size: 1.1em }
img { display: block; max-width: 100% } small { color: #777 }
"""

# Frame number -> (grid, grid) attention, or nothing.
Attention = Callable[[Record, Expression], dict[int, np.ndarray]]


@dataclass(frozen=True)
class ScoredExpression:
    """An expression with its score and where its pictures are."""

    score: Score
    record: Record
    expression: Expression


def write_page(
    path: Path,
    title: str,
    report: Report,
    cases: Sequence[ScoredExpression],
    predictions: Predictions,
    attention: Attention,
    most: int = 40,
) -> None:
    """Writes the report: the table, what was left out, and the `most` worst cases, worst first.

    A case has a contact sheet (mask tinted, truth outlined), J&F over time, and where the fusion
    looked. The cases without pictures are listed below.
    """
    ranked = sorted(cases, key=lambda case: case.score.jf)
    parts = [f"<h1>{html.escape(title)}</h1>", _table(report.rows), _left_out(report)]
    parts.append(
        "<p>Worst first. Tinted: the predicted mask; outlined in white: the truth; second row: "
        "attention of the fusion to each patch, brighter is more.</p>"
    )
    for rank, case in enumerate(tqdm(ranked[:most], desc="report", leave=False), start=1):
        parts.append(_section(rank, case, predictions, attention))
    if ranked[most:]:
        parts.append(_list(ranked[most:]))
    page = f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>"
    path.write_text(f"{page}<style>{STYLE}</style>{''.join(parts)}\n", encoding="utf-8")


def _table(rows: dict[str, Row]) -> str:
    columns = list(next(iter(rows.values())))
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(
        f"<tr><td>{html.escape(name)}</td>"
        + "".join(
            f"<td>{value if isinstance(value, int) else f'{value:.1f}'}</td>"
            for value in row.values()
        )
        + "</tr>"
        for name, row in rows.items()
    )
    return f"<table><tr><th></th>{head}</tr>{body}</table>"


def _left_out(report: Report) -> str:
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in reasons(report.left_out))
    return f"<p>Left out, and in no figure above:</p><ul>{lines}</ul>" if lines else ""


def _section(
    rank: int, case: ScoredExpression, predictions: Predictions, attention: Attention
) -> str:
    score = case.score
    answered = "never answered" if score.first is None else f"first answer at frame {score.first}"
    answered = "no prediction" if score.missing else answered
    kind = f"{score.kind}, " if score.kind else ""
    head = (
        f"<h2>{rank}. &ldquo;{html.escape(score.text)}&rdquo; &mdash; J&amp;F {100 * score.jf:.1f}"
        f"</h2><small>{html.escape(kind + score.record)}, expression "
        f"{html.escape(score.expression)}, {answered}</small>"
    )
    return (
        f"<section>{head}{_picture(_sheet(case, predictions, attention))}{_plot(score)}</section>"
    )


def _sheet(case: ScoredExpression, predictions: Predictions, attention: Attention) -> np.ndarray:
    """Evenly spaced frames with masks, and below them the attention of the nearest seen frame."""
    frames = case.record.frames
    chosen = np.unique(np.linspace(0, len(frames) - 1, COLUMNS).round().astype(int)).tolist()
    looked = attention(case.record, case.expression)
    brightest = max((map_gg.max() for map_gg in looked.values()), default=1.0)
    columns = []
    for t in chosen:
        bgr_HW3 = cv2.imread(str(frames[t]), cv2.IMREAD_COLOR)
        if bgr_HW3 is None:
            continue
        cells = [_small(_marked(bgr_HW3, case, t, predictions))]
        if looked:
            nearest = min(looked, key=lambda frame: abs(frame - t))
            cells.append(_small(_heat(bgr_HW3, looked[nearest] / brightest)))
        columns.append(np.concatenate(cells))
    if not columns:
        return np.zeros((8, WIDTH, 3), np.uint8)
    height = max(column.shape[0] for column in columns)
    return np.concatenate(
        [
            cv2.copyMakeBorder(c, 0, height - c.shape[0], 0, 4, cv2.BORDER_CONSTANT)
            for c in columns
        ],
        axis=1,
    )


def _marked(
    bgr_HW3: np.ndarray, case: ScoredExpression, t: int, predictions: Predictions
) -> np.ndarray:
    predicted_HW = predictions.mask(case.record, case.expression, t)
    out = bgr_HW3.copy()
    if predicted_HW is not None:
        tint = np.array(PREDICTED[::-1], np.float32)
        out[predicted_HW] = (0.5 * out[predicted_HW] + 0.5 * tint).astype(np.uint8)
    if case.expression.mask is not None:
        truth_HW = case.expression.mask(t).astype(np.uint8)
        outlines, _ = cv2.findContours(truth_HW, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(out, outlines, -1, TRUTH, max(1, out.shape[1] // 200))
    return out


def _heat(bgr_HW3: np.ndarray, share: np.ndarray) -> np.ndarray:
    size = bgr_HW3.shape[1::-1]
    grey_HW3 = cv2.cvtColor(cv2.cvtColor(bgr_HW3, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    bytes_gg = (255 * share.clip(0, 1)).astype(np.uint8)
    large = cv2.resize(bytes_gg, size, interpolation=cv2.INTER_NEAREST)
    return cv2.addWeighted(grey_HW3, 0.4, cv2.applyColorMap(large, cv2.COLORMAP_INFERNO), 0.8, 0)


def _small(image_HW3: np.ndarray) -> np.ndarray:
    height = max(1, round(WIDTH * image_HW3.shape[0] / image_HW3.shape[1]))
    return cv2.resize(image_HW3, (WIDTH, height), interpolation=cv2.INTER_AREA)


def _picture(image_HW3: np.ndarray) -> str:
    jpeg = cv2.imencode(".jpg", image_HW3, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    text = base64.b64encode(jpeg.tobytes()).decode()
    return f'<img alt="contact sheet" src="data:image/jpeg;base64,{text}">'


def _plot(score: Score) -> str:
    """J&F in percent by frame number, and a dashed line at the first answer."""
    last = max(1, len(score.course) - 1)
    width, height = PLOT

    def x(frame: float) -> float:
        return MARGIN + frame * (width - MARGIN - 8) / last

    def y(value: float) -> float:
        return 8 + (1 - value) * (height - MARGIN - 8)

    points = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(score.course))
    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="100%" font-size="12" fill="#777">',
        f'<rect x="{x(0)}" y="{y(1)}" width="{x(last) - x(0)}" height="{y(0) - y(1)}" '
        'fill="#f6f6f6"/>',
    ]
    for value in (0, 0.5, 1):
        parts.append(_label(x(0) - 6, y(value) + 4, f"{100 * value:.0f}", "end"))
    for frame in sorted({0, last // 2, last}):
        parts.append(_label(x(frame), y(0) + 16, str(frame), "middle"))
    parts.append(_label(x(last / 2), height - 2, "frame number", "middle"))
    parts.append(_label(0, y(0.5) - 14, "J&amp;F, %", "start"))
    if score.first:
        at = f"{x(score.first):.1f}"
        parts.append(
            f'<line x1="{at}" x2="{at}" y1="{y(1)}" y2="{y(0)}" stroke="#999" '
            'stroke-dasharray="4"/>'
        )
    line = f'<polyline points="{points}" fill="none" stroke="#c0178c" stroke-width="2"/></svg>'
    return "".join([*parts, line])


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _list(cases: Sequence[ScoredExpression]) -> str:
    lines = "".join(
        f"<li>{100 * case.score.jf:.1f} &mdash; {html.escape(case.score.text)} "
        f"<small>{html.escape(case.score.record)}</small></li>"
        for case in cases
    )
    return f"<section><h2>The others</h2><ol>{lines}</ol></section>"
