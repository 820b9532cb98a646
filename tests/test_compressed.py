"""Compressed images: what `format` says, where a JPEG ends, and sizes that are only claimed."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image
import pytest

from virst_model.compressed import compressed_to_rgb
from virst_model.encodings import EncodingError, ImageError

MAX_PIXELS = 100_000_000


@pytest.fixture
def rgb_HW3() -> np.ndarray:
    """Smooth, so that JPEG and mosaics bring it back nearly the same; no two channels alike."""
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([x * 3 + 20, y * 4 + 20, (x + y) * 2], axis=-1).astype(np.uint8)


def mosaic(rgb_HW3: np.ndarray, pattern: str) -> np.ndarray:
    values_HW = np.empty(rgb_HW3.shape[:2], np.uint8)
    for index, letter in enumerate(pattern):
        at = np.s_[index // 2 :: 2, index % 2 :: 2]
        values_HW[at] = rgb_HW3[..., "rgb".index(letter)][at]
    return values_HW


def file(values: np.ndarray, suffix: str = ".png", *options: int) -> bytes:
    """What OpenCV's encoder makes of values that it takes for grey or BGR."""
    return cv2.imencode(suffix, values, options)[1].tobytes()


def decoded(format: str, data: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    return compressed_to_rgb(format, data, max_pixels)


def error_of(format: str, data: bytes, max_pixels: int = MAX_PIXELS) -> str:
    with pytest.raises(ImageError) as caught:
        compressed_to_rgb(format, data, max_pixels)
    return str(caught.value)


def furthest(one: np.ndarray, other: np.ndarray, border: int = 0) -> int:
    inner = np.s_[border : one.shape[0] - border, border : one.shape[1] - border]
    return np.abs(one[inner].astype(int) - other[inner]).max()


# The format.


@pytest.mark.parametrize(
    "format",
    [
        *("", "png", "jpeg", "rgb8", "rgb8; jpeg", "x"),
        *("rgb8; png compressed bgr8", "bgr8; png compressed bgr8", "bgr8; png compressed "),
        *(
            "bayer_rggb8; png compressed bgr8",
            "yuv422; png compressed bgr8",
            "8UC3; png compressed ",
        ),
        "rgba8; png compressed bgr8",
    ],
)
def test_a_picture_that_was_given_as_bgr(rgb_HW3, format):
    assert np.array_equal(decoded(format, file(rgb_HW3[..., ::-1])), rgb_HW3)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize(
    "how", ["rgb8; {} compressed ", "rgb8; {} compressed", "bgr8; {} compressed rgb8"]
)
def test_a_picture_that_was_given_as_rgb(rgb_HW3, suffix, how):
    format = how.format({".png": "png", ".jpg": "jpeg"}[suffix])

    assert furthest(decoded(format, file(rgb_HW3, suffix)), rgb_HW3) <= (
        16 if "j" in format else 0
    )


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("kind", ["png", "jpeg", "png16"])
def test_a_mosaic_becomes_colours(rgb_HW3, pattern, kind):
    values_HW = mosaic(rgb_HW3, pattern)
    if kind == "png16":
        data, format = (
            file(values_HW.astype(np.uint16) * 257),
            f"bayer_{pattern}16; png compressed ",
        )
    else:
        suffix = {"png": ".png", "jpeg": ".jpg"}[kind]
        data = file(values_HW, suffix, *([cv2.IMWRITE_JPEG_QUALITY, 100] if "j" in suffix else []))
        format = f"bayer_{pattern}8; {kind} compressed "

    assert furthest(decoded(format, data), rgb_HW3, border=2) <= 9


def test_sixteen_bits_are_scaled(rgb_HW3):
    wide_HW3 = rgb_HW3.astype(np.uint16) * 257
    grey_HW3 = np.repeat(rgb_HW3[..., :1], 3, axis=-1)
    bgr = file(wide_HW3[..., ::-1])

    assert furthest(decoded("rgb16; png compressed bgr16", bgr), rgb_HW3) <= 1
    assert furthest(decoded("rgb16; png compressed ", file(wide_HW3)), rgb_HW3) <= 1
    for format in ("mono16; png compressed ", "16UC1; png compressed ", "png"):
        assert furthest(decoded(format, file(wide_HW3[..., 0])), grey_HW3) <= 1


def test_grey_stays_grey_and_alpha_is_left_out(rgb_HW3):
    grey_HW = rgb_HW3[..., 0]
    alpha_HW4 = np.dstack([rgb_HW3[..., ::-1], grey_HW])

    grey_HW3 = np.repeat(grey_HW[..., None], 3, axis=-1)
    assert np.array_equal(decoded("mono8; png compressed ", file(grey_HW)), grey_HW3)
    assert np.array_equal(decoded("bgra8; png compressed bgr8", file(alpha_HW4)), rgb_HW3)


@pytest.mark.parametrize(
    "format, named",
    [
        ("16UC1; compressedDepth", "compressedDepth"),
        ("32FC1; compressedDepth png", "compressedDepth"),
        ("16UC1; compressedDepth rvl", "compressedDepth"),
        ("32FC1; png compressed ", "32FC1"),
        ("8SC1; jpeg compressed ", "8SC1"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(rgb_HW3, format, named):
    with pytest.raises(EncodingError, match=named):
        decoded(format, file(rgb_HW3))


def test_other_kinds_of_file_are_read(rgb_HW3):
    for suffix in (".bmp", ".tiff", ".webp"):
        assert furthest(decoded("", file(rgb_HW3[..., ::-1], suffix)), rgb_HW3) <= 16


# The end.


def with_thumbnail(jpeg: bytes, thumbnail: bytes) -> bytes:
    """The JPEG with another one, which has an end of its own, in its header."""
    segment = b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    return jpeg[:2] + segment + jpeg[2:]


def kinds_of_jpeg(rgb_HW3: np.ndarray) -> dict[str, bytes]:
    noise_HW3 = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    plain = file(rgb_HW3[..., ::-1], ".jpg")
    return {
        "plain": plain,
        "progressive": file(noise_HW3, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "restarts": file(noise_HW3, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
        "noise": file(noise_HW3, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 100),
        "thumbnail": with_thumbnail(plain, file(rgb_HW3[::8, ::8], ".jpg")),
    }


KINDS = ("plain", "progressive", "restarts", "noise", "thumbnail")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "tail",
    [b"", bytes(50), b"\xff\xff", b"\r\n", b"EXPOSURE=120", b"\xff\xd8", b"\xff\xd8\xff\xd9"],
)
def test_bytes_after_the_end_of_a_jpeg_are_no_damage(rgb_HW3, kind, tail):
    jpeg = kinds_of_jpeg(rgb_HW3)[kind]

    wanted = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.array_equal(decoded("jpeg", jpeg + tail), wanted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tail", [b"", bytes(64), b"\xff\xff", b"\r\n", b"\xff"])
def test_a_jpeg_that_is_cut_is_refused_wherever_it_was_cut(rgb_HW3, kind, tail):
    jpeg = kinds_of_jpeg(rgb_HW3)[kind]
    for share in (0.1, 0.5, 0.9, 0.999):
        cut = jpeg[: int(len(jpeg) * share)] + tail
        assert f"cut off: {len(cut)} bytes" in error_of("jpeg", cut), share
    assert "cut off" in error_of("jpeg", jpeg[:-2] + tail)
    in_pixels = jpeg[: jpeg.rindex(b"\xff\xda") + 20]
    assert "cut off" in error_of("jpeg", in_pixels + tail + jpeg), "the next picture's end"


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"no picture", b"\xff\xd8\xff\xd9", b"\xff\xd8", b"\xff\xd8 no picture \xff\xd9"),
        *(b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + bytes(40), b"BM" + bytes(60)),
        *(b"II*\0" + bytes(20), b"RIFF\x10\0\0\0WEBPVP8 " + bytes(20), b"\xff\xd8\xff"),
    ],
)
def test_what_is_broken_is_an_error_with_its_size(data):
    assert f"{len(data)} bytes" in error_of("jpeg", data)


# The size.


def png_that_claims(width: int, height: int) -> bytes:
    """A small file; nothing but its header says how large the picture is."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (head, b"IDAT" + zlib.compress(bytes(1000)), b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


def jpeg_that_claims(jpeg: bytes, width: int, height: int) -> bytes:
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def bmp_that_claims(width: int, height: int) -> bytes:
    small = file(np.zeros((2, 2, 3), np.uint8), ".bmp")
    return small[:18] + struct.pack("<ii", width, height) + small[26:]


def test_a_header_that_claims_too_much_is_refused_and_nothing_is_decoded(rgb_HW3, monkeypatch):
    def refuse(*arguments) -> None:
        raise AssertionError("decoded")

    claims = [
        png_that_claims(20_000, 20_000),
        jpeg_that_claims(file(rgb_HW3, ".jpg"), 20_000, 20_000),
    ]
    monkeypatch.setattr(cv2, "imdecode", refuse)
    for data in claims:
        message = error_of("", data)
        assert "20000x20000, 400000000 pixels: max_pixels is 100000000" in message
    assert "400000000 pixels" in error_of("", bmp_that_claims(20_000, 20_000))


def test_max_pixels_is_the_largest_that_is_taken(rgb_HW3):
    for suffix in (".png", ".jpg", ".bmp"):
        data = file(rgb_HW3, suffix)
        assert decoded("", data, 48 * 64).shape == (48, 64, 3)
        assert "64x48" in error_of("", data, 48 * 64 - 1)


def test_a_picture_that_lies_on_its_side_is_set_upright(rgb_HW3):
    """As image viewers show it; its size is the header's whichever way it lies."""
    tags = Image.Exif()
    tags[0x0112] = 6
    stored = io.BytesIO()
    Image.fromarray(np.rot90(rgb_HW3)).save(stored, "JPEG", exif=tags)

    assert furthest(decoded("jpeg", stored.getvalue()), rgb_HW3) <= 16
