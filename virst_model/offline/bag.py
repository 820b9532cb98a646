"""virst bag IN OUT --query "the red ball": masks of every image of a bag of ROS 2, in a new bag.

    virst bag recording masks --query "the red circle" --query "the blue square"
    virst bag robot.mcap with_masks --topic /cam/image_raw --query "the cup" --together

IN is a folder of rosbag2, or its .db3 or .mcap file. OUT gets masks, labels and segmentations of
every image, queries and label_info, on the topics of the node `segment` and stored as IN is. An
answer has the header of its image, and was recorded when that was. It needs no ROS and drops no
frame, and twice gives the same masks. Ctrl-C ends after a frame, with a bag of what is done.
"""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
import logging
from pathlib import Path
import re
import signal
import sys
from threading import Event

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from virst_model.answer import Query
from virst_model.arguments import Parser, sentence, whole
from virst_model.checkpoints.options import add_model_options, load_model, set_up_logging
from virst_model.errors import INTERRUPTED, FileError, InputError, UsageError, program, visible
from virst_model.sources.bag import Bag, BagImage, check_path, is_bag
from virst_model.sources.bag_answers import BagAnswers, Topics
from virst_model.sources.bag_writer import BagWriter
from virst_model.stream.engine import add_engine_option, use_engine
from virst_model.stream.options import SessionOptions
from virst_model.stream.session import Session

INCOMPLETE = 1  # exit status: an image has no mask
# Whose time a frame has: its header's stamp, or that of its recording.
HEADER, RECORDED = "header", "recorded"
_NAMESPACE = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")

_log = logging.getLogger(__name__)


@dataclass
class Count:
    """What became of the images of a bag.

    Attributes:
        images: those that were looked at.
        masks: those that got one.
        stopped: whether the rest was left out because somebody asked for an end.
    """

    images: int = 0
    masks: int = 0
    stopped: bool = False


def answer_bag(
    session: Session, bag: Bag, answers: BagAnswers, others: BagWriter | None, times: str
) -> Count:
    """Steps through all images of a bag and writes what comes of each; SIGINT ends it early.

    An image that cannot be read, or at which the model fails, has no mask: a warning names it.

    Args:
        session: a synchronous one, with its queries.
        others: where all messages of the bag go that it has adopted; None: nowhere.
        times: HEADER or RECORDED, whose time is the session's; that of the first image is 0.

    Raises:
        FileError: the bag cannot be read, or the new one not be written.
    """
    count = Count()
    start_ns: int | None = None
    topics = [bag.topic] if others is None else [c.topic for c in bag.connections]
    bar = tqdm(total=bag.length, unit="frame", leave=False)
    with bar, _asked_to_end() as asked:
        for record in bag.records(topics):
            if asked.is_set():
                break
            if others is not None:
                others.copy(record)
            if record.topic != bag.topic:
                continue
            image = bag.image(count.images, record)
            time_ns = image.recorded_ns if times == RECORDED else image.time_ns
            start_ns = time_ns if start_ns is None else start_ns
            count.images += 1
            count.masks += _answer(session, image, (time_ns - start_ns) / 1e9, answers)
            bar.update()
        count.stopped = asked.is_set()
    return count


def _answer(session: Session, image: BagImage, time_s: float, answers: BagAnswers) -> bool:
    """Whether there is an answer."""
    try:
        result = session.step(image.to_rgb(), time_s)
    except FileError as error:
        _log.warning("%s: it has no mask", error)
        return False
    except InputError:  # of the engine: no other image would do
        raise
    except (RuntimeError, MemoryError, FloatingPointError) as error:  # after which it can go on
        reason = str(error) or type(error).__name__
        _log.warning("%s has no mask: %s", image.name, visible(reason))
        return False
    answers.write(image, result)
    return True


@contextmanager
def _asked_to_end() -> Iterator[Event]:
    """Is set by SIGINT, which ends nothing meanwhile; a second one does, as ever."""
    asked = Event()

    def note(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _parser() -> Parser:
    parser = Parser(prog="virst bag", description=__doc__)
    parser.add_argument("bag", type=Path, metavar="IN", help="the bag with images")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the new bag")
    parser.add_argument("--topic", default="", help="of IN, where it has images on several")
    parser.add_argument(
        "--query",
        action="append",
        type=sentence,
        required=True,
        help="what to segment; several times for several objects",
    )
    parser.add_argument("--together", action="store_true", help="OUT has the topics of IN as well")
    parser.add_argument(
        "--namespace", type=_namespace, default="/virst", help="of the topics of the answers"
    )
    parser.add_argument(
        "--times",
        choices=(HEADER, RECORDED),
        default=HEADER,
        help="of the frames: the stamps of the camera, or when they were recorded",
    )
    parser.add_argument(
        "--delay", type=whole(0), default=1, help="frames that an answer of the model takes"
    )
    add_model_options(parser)
    add_engine_option(parser)
    return parser


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 1 where an image has no mask, 2 where input or an option cannot be used, said
    in one line, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    set_up_logging()
    queries = _queries(options.query)
    topics = Topics.below(options.namespace)
    bag = _open(options, topics)
    model = use_engine(load_model(options), options.engine)
    most, delay = len(queries), options.delay
    how = SessionOptions(sync=True, grounding_delay_frames=delay, max_queries=most)
    with Session(model, how) as session, BagWriter(options.out, bag.is_mcap) as writer:
        if options.engine == "graphs":
            session.warm_up()  # captures them
        session.set_queries(queries)
        answers = BagAnswers(writer, topics, queries)
        if options.together:
            writer.adopt(bag)
        with logging_redirect_tqdm():
            others = writer if options.together else None
            count = answer_bag(session, bag, answers, others, options.times)
    return _report(options.out, bag, topics, count)


def _report(out: Path, bag: Bag, topics: Topics, count: Count) -> int:
    """Says how many masks the new bag has, as read from it; the exit status."""
    written = Bag(out, topics.masks).length
    if written != count.masks:
        raise FileError(out, f"has {written} masks; {count.masks} were written")
    line = f"{visible(out)}: {written} masks of {count.images} images on {bag.topic}"
    if count.stopped:
        sys.stdout.write(f"{line}; interrupted, of {bag.length}\n")
        return INTERRUPTED
    if bag.length > count.images:
        line = f"{line}; its header says {bag.length}"
    sys.stdout.write(f"{line}\n")
    return 0 if written == max(count.images, bag.length) else INCOMPLETE


def _open(options: Namespace, topics: Topics) -> Bag:
    """The bag of images, where it and the new one can be used as the options say."""
    if not is_bag(options.bag):
        there = options.bag.exists()
        reason = "is no bag: neither a folder of rosbag2 nor a .db3 or .mcap file"
        raise FileError(options.bag, reason if there else "no such file or folder")
    bag = Bag(options.bag, options.topic)
    if options.out.exists():
        raise UsageError(f"{visible(options.out)}: is there already; OUT is a folder to be made")
    if not options.out.absolute().parent.is_dir():
        raise UsageError(f"{visible(options.out)}: the folder that it is to lie in is not there")
    check_path(options.out, bag.is_mcap)
    taken = sorted({c.topic for c in bag.connections} & {*topics.names()})
    if options.together and taken:
        raise UsageError(f"--together: IN has {taken[0]} itself; --namespace puts ours elsewhere")
    return bag


def _queries(texts: Sequence[str]) -> tuple[Query, ...]:
    """As the node would number and call them."""
    most = SessionOptions().max_queries
    if len(texts) > most:
        raise UsageError(f"--query: {len(texts)} queries; at most {most}")
    for text in texts:
        if not text.strip():
            raise UsageError("--query: a query without words")
        if texts.count(text) > 1:
            raise UsageError(f"--query: {text!r} is there twice")
    return tuple(Query(i, text, i, name=text) for i, text in enumerate(texts, start=1))


def _namespace(text: str) -> str:
    """The type of an argument: an absolute name of ROS. Raises ArgumentTypeError."""
    if not _NAMESPACE.fullmatch(text):
        raise ArgumentTypeError(f"{text!r} is no namespace; one is /virst")
    return text
