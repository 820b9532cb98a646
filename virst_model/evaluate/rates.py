"""How fast the whole pipeline is and what memory it takes (Tables 10 and 11)."""

from collections.abc import Iterable, Iterator
import time

from virst_model.data.record import Record
from virst_model.evaluate.predict import frames_of
from virst_model.evaluate.score import Row
from virst_model.evaluate.synthetic import SyntheticRun, films, frame_bar
from virst_model.frames import Frames
from virst_model.model.machine import peak_mib, reset_peak
from virst_model.model.virst import Virst
from virst_model.offline.video import Scorer, segment_video

# A video and a sentence about it.
Task = tuple[Frames, str]


def story_tasks(run: SyntheticRun) -> Iterator[Task]:
    """A task for every sentence about every story, story by story, filmed as it is asked for."""
    with frame_bar(run) as bar:
        for film, sentences in films(run, bar):
            yield from ((film, sentence.text) for sentence in sentences)
            bar.update(film.length)


def record_tasks(records: Iterable[Record]) -> Iterator[Task]:
    """A task for every sentence about every record, record by record."""
    for record in records:
        frames = frames_of(record)
        yield from ((frames, expression.text) for expression in record.expressions)


def rate(model: Virst, tasks: Iterable[Task], scorer: Scorer | None = None) -> Row:
    """Frames a second over all tasks: a sentence at a time, from the first look to the last mask.

    Reading, sampling, the language model, the anchors and every frame count; writing masks does
    not. The first task is run once before, uncounted: kernels are chosen and caches filled by it.

    Returns:
        "sentences" and "frames" that were run, "FPS", and "peak MiB" (`machine.peak_mib`).

    Raises:
        FileError: a video cannot be read.
    """
    sentences, frames, seconds = 0, 0, 0.0
    for video, text in tasks:
        if not sentences:
            _run(model, video, text, scorer)
            reset_peak(model.device)
        start_s = time.perf_counter()
        frames += _run(model, video, text, scorer)
        # Masks are on the CPU by now: nothing is left to wait for.
        seconds += time.perf_counter() - start_s
        sentences += 1
    fps = frames / seconds if seconds else 0.0
    return {
        "sentences": sentences,
        "frames": frames,
        "FPS": fps,
        "peak MiB": peak_mib(model.device),
    }


def _run(model: Virst, video: Frames, text: str, scorer: Scorer | None) -> int:
    return sum(1 for _ in segment_video(model, video, [text], scorer=scorer))
