"""How cost grows with the stream's length, the window, alpha, the queries and the image."""

from collections.abc import Callable, Sequence
import dataclasses
import html
from pathlib import Path
import time

import torch
from tqdm import tqdm

from virst_model.bench.measure import Load, fill_window, stream_pictures
from virst_model.model.virst import Virst
from virst_model.stream.options import SessionOptions
from virst_model.stream.session import Session

# Camera frames that are measured at each point, on a full window.
MEASURED = 60
# What a sweep counts, where its name does not say it; all that is measured is in ms.
UNITS = {"window size": "frames", "alpha": "anchors", "image width": "pixels"}

Point = dict[str, float]


def _stream(model: Virst, load: Load, options: SessionOptions) -> Point:
    """A synchronous stream: milliseconds of a frame, groundings included, and of a grounding."""
    images = stream_pictures(load)
    with torch.inference_mode(), Session(model, options) as session:
        full = fill_window(session, images, load)
        start_s = time.perf_counter()
        for t in range(full, full + load.frames):
            session.step(images[t % len(images)], t / load.rate_hz)
        ms = 1000 * (time.perf_counter() - start_s) / load.frames
        return {"ms a frame": ms, "ms a grounding": session.stats()["grounding_ms_p50"]}


def sweeps(most_frames: int = 10_000) -> dict[str, tuple[Sequence[int], Callable]]:
    """Name -> the points, and what each changes: (load, options, x) -> (load, options)."""
    lengths = [x for x in (100, 1_000, 10_000) if x <= most_frames]

    def changed(field: str) -> Callable:
        return lambda load, options, x: (load, dataclasses.replace(options, **{field: x}))

    def loaded(**of: Callable[[int], int]) -> Callable:
        return lambda load, options, x: (
            dataclasses.replace(load, **{name: value(x) for name, value in of.items()}),
            options,
        )

    return {
        "frames of the stream": (lengths, loaded(frames=lambda x: x)),
        "window size": ((8, 16, 24, 32), changed("window_size")),
        "alpha": ((2, 3, 4, 6, 8), changed("alpha")),
        "queries": ((1, 2, 4, 8, 16), loaded(queries=lambda x: x)),
        "image width": (
            (320, 640, 1280, 1920),
            loaded(width=lambda x: x, height=lambda x: x * 3 // 4),
        ),
    }


def measure(model: Virst, most_frames: int = 10_000) -> dict[str, list[tuple[int, Point]]]:
    """All sweeps; each changes one thing and leaves the rest as it is by default."""
    swept: dict[str, list[tuple[int, Point]]] = {}
    load, options = Load(frames=MEASURED), SessionOptions(sync=True)
    for name, (points, change) in sweeps(most_frames).items():
        swept[name] = [
            (x, _stream(model, *change(load, options, x))) for x in tqdm(points, desc=name)
        ]
    return swept


def plot(path: Path, name: str, points: Sequence[tuple[int, Point]]) -> None:
    """An SVG with one line for each measure, from 0 up, in ms; `name` is that of the sweep."""
    width, height, left, low = 420, 260, 50, 40
    xs = [x for x, _ in points]
    most = max(max(point.values()) for _, point in points) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
    ]

    def place(index: int, value: float) -> tuple[float, float]:
        along = index / max(1, len(xs) - 1)
        x = left + along * (width - left - 20)
        return round(x, 1), round(20 + (1 - value / most) * (height - low - 20), 1)

    for index, x in enumerate(xs):
        at, bottom = place(index, 0.0)
        parts.append(f'<text x="{at}" y="{bottom + 16}" text-anchor="middle">{x}</text>')
    for value in (0.0, most / 2, most):
        _, at = place(0, value)
        parts.append(f'<line x1="{left}" x2="{width - 20}" y1="{at}" y2="{at}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{at + 4}" text-anchor="end">{value:.0f}</text>')
    for number, measure_name in enumerate(points[0][1]):
        colour = ("#c0178c", "#1f6fb4")[number % 2]
        line = [place(i, point[measure_name]) for i, (_, point) in enumerate(points)]
        text = " ".join(f"{x},{y}" for x, y in line)
        parts.append(f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(
            f'<text x="{left + 8}" y="{16 + 14 * number}" fill="{colour}">'
            f"{html.escape(measure_name)}</text>"
        )
    title = html.escape(f"{name}, {UNITS[name]}" if name in UNITS else name)
    parts.append(f'<text x="{width / 2}" y="{height - 6}" text-anchor="middle">{title}</text>')
    parts.append(f'<text x="{left - 6}" y="11" text-anchor="end">ms</text>')
    path.write_text("".join(parts) + "</svg>\n", encoding="utf-8")
