"""Messages that nobody has thought of: nothing but the project's own errors comes of them.

Examples are drawn anew by hypothesis, the same in every run; what it or a user once found stays as
an `@example`.
"""

from __future__ import annotations

import dataclasses
import io
import math

import cv2
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
import numpy as np
from PIL import Image as Pillow
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from rclpy.serialization import serialize_message
from robot import header
from sensor_msgs.msg import CompressedImage, Image
from test_convert import installed
from test_tracker import RED, Stage
from tokenizers import Tokenizer

from virst_interfaces.msg import Query as QueryMessage
from virst_interfaces.msg import QueryArray
from virst_interfaces.srv import SetQuery
import virst_model
from virst_model.encodings import ENCODINGS, ImageError
from virst_model.model.prompt import IMAGE, Prompter, plain_sentence
from virst_model.queries.book import MAX_QUERIES, QueryBook
from virst_ros.convert import choose_backend, image_to_array
from virst_ros.diagnosis import FAULTS, Snapshot, report
from virst_ros.meter import Meter
from virst_ros.notices import CAMERA, Trouble
from virst_ros.origins import off_default
from virst_ros.parameters import CameraParameters, ParameterError, Parameters, checked
from virst_ros.stamps import Cuts, Gaps, Timeline
from virst_ros.text import shown
from virst_ros.tracker import CameraMessage

# All of this file together: a minute at most.
MAX_PIXELS = 20_000
LONGEST_ERROR = 1000
ANY_TEXT = st.text(max_size=40) | st.text("a[SEG]<image>|_end \n\x1b\u202e\ud800é", max_size=40)


def fuzz(examples: int):
    """Settings of a test here: the same `examples` in every run, however slow the machine is."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def image(
    encoding: str, width: int, height: int, step: int, data: bytes, bigendian: int = 0
) -> Image:
    message = Image(width=width, height=height, encoding=encoding, step=step)
    message.is_bigendian = bigendian
    message.data.frombytes(data)
    return message


# Raw images.

UINT32 = st.integers(0, 9) | st.integers(0, 2**32 - 1)
WORDS = (*ENCODINGS, "32FC1", "8SC1", "64FC4", "yuv411", "bayer_", "16", "nv", "mono", "RGB8")


@st.composite
def images(draw: st.DrawFn) -> Image:
    """Sizes that may or may not fit together, and as many bytes as they want, or others."""
    width, height = draw(UINT32), draw(UINT32)
    step = draw(st.sampled_from([1, 2, 3, 4, 6, 8])) * width + draw(st.integers(0, 3))
    step = draw(st.just(step) | UINT32) % 2**32
    planes = draw(st.sampled_from([0, -(-height // 2), height, 2 * height, 1]))
    size = draw(st.just((height + planes) * step) | st.integers(0, 400))
    data = draw(st.binary(min_size=4, max_size=4)) * min(size // 4 + 1, 2000)
    encoding = draw(st.sampled_from(WORDS) | ANY_TEXT.filter(lambda text: "\x00" not in text))
    return image(encoding, width, height, step, data[:size], draw(st.integers(0, 255)))


@pytest.mark.parametrize("name", installed())
@fuzz(500)
@given(message=images())
# OpenCV refuses or misreads these: mosaics without a neighbour, a pair without its partner.
@example(message=image("bayer_rggb8", 2, 2, 2, bytes(4)))
@example(message=image("bayer_grbg16", 1, 9, 2, bytes(18)))
@example(message=image("yuv422", 1, 1, 2, bytes(2)))
@example(message=image("yuv422_yuy2", 5, 2, 10, bytes(20)))
@example(message=image("nv12", 1, 1, 1, bytes(3)))
@example(message=image("nv21", 3, 3, 3, bytes(17)))
@example(message=image("nv24", 1, 2, 1, bytes(6)))
# Rows that end within a value of two bytes, and an order of bytes that is neither 0 nor 1.
@example(message=image("mono16", 2, 2, 5, bytes(10), 255))
# Sizes that no memory has.
@example(message=image("rgb8", 2**32 - 1, 2**32 - 1, 2**32 - 1, b""))
@example(message=image("nv12", 1, 2**32 - 1, 1, b""))
@example(message=image("mono8", 0, 0, 0, b""))
def test_a_raw_image_is_a_picture_or_an_error_of_ours(name, message):
    backend = dataclasses.replace(choose_backend(name), max_pixels=MAX_PIXELS)
    try:
        frame_HW3 = image_to_array(message, backend)
    except ImageError as error:
        assert len(str(error)) < LONGEST_ERROR
        return
    assert frame_HW3.dtype == np.uint8
    assert frame_HW3.shape[1:] == (message.width, 3)
    assert 0 < frame_HW3.shape[0] <= message.height


# Compressed images.


def pictures() -> list[bytes]:
    """A small file of each kind that is read, and of some that are not."""
    noise_HW3 = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    grey_HW, wide_HW3 = noise_HW3[..., 0], noise_HW3.astype(np.uint16) * 257
    files = [
        cv2.imencode(suffix, pixels, flags)[1].tobytes()
        for suffix, pixels, flags in (
            (".jpg", noise_HW3, []),
            (".jpg", noise_HW3, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
            (".jpg", noise_HW3, [cv2.IMWRITE_JPEG_RST_INTERVAL, 1]),
            (".png", noise_HW3, []),
            (".png", wide_HW3, []),
            (".png", grey_HW, []),
            (".tiff", wide_HW3, []),
            (".tiff", noise_HW3.astype(np.float32), []),
            (".hdr", noise_HW3.astype(np.float32), []),
            *((suffix, noise_HW3, []) for suffix in (".bmp", ".webp", ".ppm", ".gif")),
        )
    ]
    for kind in ("JPEG2000", "ICO", "PCX", "TGA", "SGI", "PDF", "EPS"):
        out = io.BytesIO()
        Pillow.fromarray(noise_HW3).save(out, kind)
        files.append(out.getvalue())
    return files


PICTURES = pictures()
FORMATS = (
    *("jpeg", "png", "", "rgb8; jpeg compressed ", "rgb8; jpeg compressed bgr8", ";;;compressed"),
    *("bayer_rggb8; png compressed ", "bayer_gbrg16; jpeg compressed mono8", "bayer_; png"),
    *("16UC1; png compressed ", "32FC1; compressedDepth", "rgba16; png compressed rgb16"),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file with some bytes changed, most of them in its header, cut or continued."""
    data = bytearray(draw(st.sampled_from(PICTURES)))
    for _ in range(draw(st.integers(0, 8))):
        last = draw(st.sampled_from([30, 200, len(data)]))
        at = draw(st.integers(0, min(last, len(data)) - 1))
        data[at] = draw(st.sampled_from([0, 1, 127, 255]) | st.integers(0, 255))
    end = draw(st.just(len(data)) | st.integers(0, len(data)))
    return bytes(data[:end]) + draw(st.just(b"") | st.binary(max_size=20))


@pytest.mark.slow
@fuzz(1500)
@given(data=damaged() | st.binary(max_size=80), format=st.sampled_from(FORMATS) | ANY_TEXT)
# Readers of single formats have errors of their own, and sizes that they refuse themselves.
@example(data=b"P6 60000 60000 255\n", format="")
@example(data=b"P6 4 x 255\n", format="")
@example(data=b"P6", format="")
@example(data=b"P6 0 0 255\n", format="")
@example(data=b"II*\0\x08\0\0\0\0\0", format="tiff")
@example(data=b"RIFF\x10\0\0\0WEBPVP8 " + bytes(20), format="webp")
@example(data=b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(20), format="")
@example(data=b"GIF89a\xff\xff\xff\xff" + bytes(20), format="gif")
@example(data=b"BM" + bytes(60), format="")
# An end without a picture before it, a start without an end, a size of nothing.
@example(data=b"\xff\xd8\xff\xd9", format="jpeg")
@example(data=b"\xff\xd8\xff\xc0", format="jpeg")
@example(data=b"\xff\xd8\xff\xc0\0\x0b\x08\0\0\0\0\x01\xff\xd9", format="jpeg")
@example(data=b"\x89PNG\r\n\x1a\n" + bytes(40), format="png")
# Bytes after the end, a mosaic of three rows, numbers in a file of pictures.
@example(data=PICTURES[0] + b"\xff\xd8\xff\xd9", format="jpeg")
@example(data=PICTURES[5], format="bayer_rggb8; png compressed ")
@example(data=PICTURES[7], format="")
def test_a_compressed_image_is_a_picture_or_an_error_of_ours(data, format):
    backend = dataclasses.replace(choose_backend(), max_pixels=MAX_PIXELS)
    message = CompressedImage(format=format, data=data)
    try:
        frame_HW3 = image_to_array(message, backend)
    except ImageError as error:
        assert len(shown(str(error))) < LONGEST_ERROR
        return
    assert (frame_HW3.dtype, frame_HW3.shape[2]) == (np.uint8, 3)
    assert 0 < frame_HW3.shape[0] * frame_HW3.shape[1] <= MAX_PIXELS


# Headers, and what the tracker makes of a whole stream of them.

STAMPS = st.tuples(
    st.integers(-(2**31), 2**31 - 1) | st.integers(0, 5),
    st.integers(0, 2**32 - 1) | st.integers(0, 10**9 - 1),
)
FRAMES = st.lists(
    st.tuples(
        STAMPS, ANY_TEXT, st.sampled_from(["rgb8", "bgr8", "16UC1", "zz\x1b"]), st.floats(0, 9)
    ),
    max_size=25,
)


@fuzz(150)
@given(frames=FRAMES, clock_s=st.floats(0, 2**31))
# Two pictures in the wrong order; stamps that stand still, for longer than a second; none at all.
@example(frames=[((s, 0), "eye", "rgb8", 0.1) for s in (1, 3, 2, 4)], clock_s=0.0)
@example(frames=[((7, 7), "eye", "rgb8", 0.9)] * 5, clock_s=0.0)
@example(frames=[((0, 0), "", "rgb8", 0.9)] * 5, clock_s=0.0)
def test_a_stream_of_any_headers_is_followed(frames, clock_s):
    stage, arrived_s = Stage(), 0.0
    stage.clock_s = clock_s
    stage.queries.put((RED,))
    for (sec, nanosec), frame_id, encoding, pause_s in frames:
        arrived_s += pause_s
        message = image(encoding, 2, 2, 6, bytes(12))
        message.header = header(0.0, frame_id)
        message.header.stamp.sec, message.header.stamp.nanosec = sec, nanosec
        stage.tracker.handle(CameraMessage(message, arrived_s))

    counted = stage.meter.counted
    assert counted("processed") + counted("bad_frames") == len(frames)
    assert counted("processed") == len(stage.published) == len(stage.stamps)
    assert all(math.isfinite(stamp_s) for stamp_s in stage.stamps)
    assert len(stage.warnings) <= 4 + len(FAULTS)
    snapshot = Snapshot("/segment", "active", "/image", stage.meter, 0)
    assert_clean(serialized_texts(report(snapshot)))


def serialized_texts(message) -> list[str]:
    """All texts of a message on /diagnostics, which can be sent."""
    serialize_message(message)
    statuses = message.status
    values = [pair.value for status in statuses for pair in status.values]
    return [*values, *(text for status in statuses for text in (status.message, status.name))]


def assert_clean(texts: list[str]) -> None:
    assert all(text.isprintable() for text in texts)
    assert sum(map(len, texts)) < 40_000


@fuzz(300)
@given(stamps_s=st.lists(st.floats(-(2**31), 2**32) | st.floats(0, 4) | st.integers(0, 40)))
@example(stamps_s=[0.0] * 20)
@example(stamps_s=[i * 5e-324 for i in range(20)])
@example(stamps_s=[*range(20), 19, 25, 24, 26])
def test_times_of_any_stamps_are_numbers(stamps_s):
    timeline, cuts, gaps = Timeline(), Cuts(1.0), Gaps(1.0)
    for arrived_s, stamp_s in enumerate(stamps_s):
        assert math.isfinite(timeline.at(stamp_s, float(arrived_s)))
        back_s, _ = cuts.back_s(stamp_s)
        assert back_s >= 0
        assert gaps.lost(stamp_s) >= 0
        assert 0 <= gaps.share < 1
        assert 0 <= gaps.heavy_share() < 1


# Texts.

PROMPTER = Prompter(Tokenizer.from_file(f"{virst_model.__path__[0]}/weights/tiny/tokenizer.json"))


def special(text: str) -> list[int]:
    """The ids that no text from outside may bring, and where the picture goes."""
    places = {PROMPTER.st_id, IMAGE, *PROMPTER._special.values()}
    return [i for i in PROMPTER.ask(plain_sentence(text)).ids.tolist() if i in places]


@fuzz(150)
@given(requests=st.lists(st.tuples(ANY_TEXT, st.booleans()), max_size=20))
@example(requests=[("[SEG]", False), ("<image>", True), ("<|im_end|>", True), ("?", True)])
@example(requests=[("\ud800", False), ("a\nb", False), ("\u2028", True), ("\x85", True)])
@example(requests=[("a", True)] * (MAX_QUERIES + 1))
@example(requests=[("x" * 1000, False), ("x" * 1001, False), ("\u0130" * 1000, False)])
def test_any_text_is_a_query_or_is_refused_in_a_line(requests):
    changes: list = []
    book = QueryBook(changes.append)
    book.known_words = frozenset({"the", "red", "circle"})
    ids = []
    for text, append in requests:
        verdict = book.submit(text, append)
        assert verdict.message and verdict.message.isprintable()
        assert verdict.success or not verdict.query_id
        ids += [verdict.query_id] * bool(verdict.query_id)
        answer = SetQuery.Response(
            success=verdict.success, message=verdict.message, query_id=verdict.query_id
        )
        serialize_message(answer)
    assert ids == sorted(set(ids))
    labels = [query.label for query in book.queries]
    assert labels == sorted(set(labels)) and set(labels) <= set(range(1, MAX_QUERIES + 1))
    board = [QueryMessage(id=q.id, label=q.label, text=q.text) for q in book.queries]
    serialize_message(QueryArray(queries=board))
    for query in book.queries:
        assert special(query.text) == special("a circle")


@fuzz(150)
@given(names=st.lists(ANY_TEXT, max_size=20))
@example(names=["a", " a", "a (2)", "a\nb", "\ud800", "x" * 1001])
def test_any_name_is_a_querys_or_is_refused_in_a_line(names):
    book = QueryBook(lambda queries: None)
    for name in names:
        verdict = book.submit("a", append=True, name=name)
        assert verdict.message.isprintable()
        serialize_message(SetQuery.Response(message=verdict.message))
    given_names = [query.name for query in book.queries]
    assert len(set(given_names)) == len(given_names) and all(given_names)
    serialize_message(QueryArray(queries=[QueryMessage(name=name) for name in given_names]))


@fuzz(300)
@given(text=st.text() | ANY_TEXT, at_most=st.integers(1, 50))
def test_any_text_is_shown_as_a_clean_line(text, at_most):
    line = shown(text, at_most)

    assert line.isprintable() and len(line) <= 10 * at_most + 40
    line.encode()


@fuzz(150)
@given(texts=st.lists(st.text(max_size=2000), min_size=1, max_size=6))
def test_diagnostics_of_any_texts_can_be_sent(texts):
    meter = Meter()
    for fault, text in zip(FAULTS, texts):
        meter.count(fault, text)
    troubles = tuple(Trouble("any", text, "", CAMERA) for text in texts)
    snapshot = Snapshot("/segment", "active", texts[0], meter, 0, troubles=troubles)

    assert_clean(serialized_texts(report(snapshot)))


@fuzz(100)
@given(
    given_=st.dictionaries(st.sampled_from(["model", "query"]), ANY_TEXT), typed=st.lists(ANY_TEXT)
)
@example(given_={"query": ""}, typed=["query:=", ":=", "query"])
def test_any_arguments_of_a_launch_file_are_listed(given_, typed):
    defaults = {"model": "", "query": "a"}
    lines = off_default(given_, defaults, typed)

    assert len(lines) == sum(value != defaults[name] for name, value in given_.items())
    assert all(line.isprintable() for line in lines)


INT64 = st.integers(-(2**63), 2**63 - 1)
VALUES = st.none() | st.booleans() | INT64 | st.floats() | ANY_TEXT | st.lists(INT64 | ANY_TEXT)
FIELDS = [f for declared in (Parameters, CameraParameters) for f in dataclasses.fields(declared)]


@fuzz(600)
@given(field=st.sampled_from(FIELDS), value=VALUES)
@example(field=Parameters.__dataclass_fields__["window_period_s"], value=float("nan"))
@example(field=Parameters.__dataclass_fields__["alpha"], value=True)
def test_any_value_of_a_parameter_is_taken_or_named(field, value):
    try:
        taken = checked(field, value)
    except ParameterError as error:
        assert field.name in str(error)
        return
    assert type(taken) is field.type
    if field.metadata["within"]:
        low, high = field.metadata["within"]
        assert low <= taken <= high
