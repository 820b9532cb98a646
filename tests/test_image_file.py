"""Pictures in files: what a viewer shows, whatever their depth, their colours and their damage."""

import io

import cv2
from fuzzing import FUZZ
from hypothesis import example, given, settings
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import pytest

from virst_model.data.picture import read_labels
from virst_model.encodings import eight_bits
from virst_model.errors import FileError
from virst_model.image_file import picture_size, read_image, read_mask

RAMP = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(32, 0)
# A picture whose left upper corner is red.
MARKED = np.full((6, 8, 3), 100, np.uint8)
MARKED[0, 0] = (255, 0, 0)
FORMATS = {
    "PNG": ("RGB", "RGBA", "P", "L", "1"),
    "JPEG": ("RGB", "L", "CMYK"),
    "BMP": ("RGB", "P"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("RGB", "P", "F"),
}
TIFFS = ({}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"})
# What Pillow writes without a choice of its own, and how long a pixel is that is no byte.
WRITTEN = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK", "YCbCr"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"),
    "BMP": ("1", "L", "P", "RGB"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("L", "P"),
    "PPM": ("L", "RGB", "I;16"),
    "TGA": ("L", "LA", "P", "RGB", "RGBA"),
}
BYTES_A_PIXEL = {"LA": 2, "RGB": 3, "YCbCr": 3, "RGBA": 4, "CMYK": 4, "I;16": 2, "I": 4, "F": 4}


def corner(picture, *place):
    return tuple(int(value) for value in picture[place])


@pytest.mark.parametrize("name", ["grey.png", "grey.tiff"])
def test_sixteen_bit_grey_is_scaled_as_mono16_is(tmp_path, name):
    Image.fromarray(RAMP).save(tmp_path / name)

    picture = read_image(tmp_path / name)

    assert picture.dtype == np.uint8
    assert np.array_equal(picture, eight_bits(RAMP)[..., None].repeat(3, 2))


def test_sixteen_bit_colour_keeps_its_high_bits(tmp_path):
    bgr_HW3 = np.dstack([RAMP, RAMP // 2, RAMP // 4])
    cv2.imwrite(str(tmp_path / "a.png"), bgr_HW3)

    picture = read_image(tmp_path / "a.png").astype(int)

    assert np.abs(picture - bgr_HW3[..., ::-1] / 257).max() <= 1


@pytest.mark.parametrize(
    "values", [np.linspace(0, 1, 64, dtype=np.float32), np.linspace(-9000, 2**20, 64).astype("i4")]
)
def test_numbers_without_a_scale_are_shown_by_their_range_and_that_is_said(
    tmp_path, caplog, values
):
    for name in ("0.tiff", "1.tiff"):
        Image.fromarray(values[None].repeat(4, 0)).save(tmp_path / name)

    pictures = [read_image(tmp_path / name) for name in ("0.tiff", "1.tiff")]

    for picture in pictures:
        assert np.abs(picture[0, :, 1] - np.linspace(0, 255, 64)).max() <= 1
    (record,) = caplog.records  # once a folder
    assert f"{tmp_path}: pictures of numbers" in record.getMessage()


def test_numbers_that_are_none_and_pictures_of_one_number_are_black(tmp_path):
    values = np.float32([[np.nan, 0.0, 1.0, -np.inf, np.inf]])
    Image.fromarray(values).save(tmp_path / "a.tiff")
    Image.fromarray(np.full((2, 2), 7, np.float32)).save(tmp_path / "b.tiff")
    Image.fromarray(np.full((2, 2), np.nan, np.float32)).save(tmp_path / "c.tiff")

    assert read_image(tmp_path / "a.tiff")[0, :, 0].tolist() == [0, 0, 255, 0, 255]
    assert not read_image(tmp_path / "b.tiff").any()
    assert not read_image(tmp_path / "c.tiff").any()


@pytest.mark.parametrize(
    ("image", "seen"),
    [
        (Image.new("1", (3, 2), 1), (255, 255, 255)),
        (Image.new("L", (3, 2), 77), (77, 77, 77)),
        (Image.new("LA", (3, 2), (77, 255)), (77, 77, 77)),
        (Image.new("P", (3, 2), 0), (0, 0, 0)),
        (Image.new("CMYK", (3, 2), (0, 255, 255, 0)), (255, 0, 0)),
        (Image.new("RGBA", (3, 2), (10, 20, 30, 255)), (10, 20, 30)),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_every_kind_of_colour_is_seen_as_rgb(tmp_path, image, seen):
    path = tmp_path / ("a.tiff" if image.mode == "CMYK" else "a.png")
    image.save(path)
    assert read_image(path).shape == (2, 3, 3)
    assert corner(read_image(path), 0, 0) == seen


def test_what_is_transparent_is_white(tmp_path):
    pixels = np.full((1, 3, 4), (10, 20, 30, 255), np.uint8)
    pixels[0, 1, 3], pixels[0, 2, 3] = 0, 127
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.new("P", (2, 2), 0).save(tmp_path / "b.png", transparency=bytes([0, 255]))
    grey = Image.new("LA", (2, 1), (0, 0))
    grey.putpixel((1, 0), (0, 255))
    grey.save(tmp_path / "c.png")

    picture = read_image(tmp_path / "a.png")
    assert corner(picture, 0, 0) == (10, 20, 30) and corner(picture, 0, 1) == (255, 255, 255)
    assert np.abs(picture[0, 2].astype(int) - (133, 138, 143)).max() <= 1
    assert read_image(tmp_path / "c.png")[0, :, 0].tolist() == [255, 0]


def test_an_alpha_channel_that_is_empty_says_nothing(tmp_path):
    """Cameras' BGRX is often saved as BGRA."""
    Image.new("RGBA", (2, 2), (10, 20, 30, 0)).save(tmp_path / "a.png")
    assert corner(read_image(tmp_path / "a.png"), 1, 1) == (10, 20, 30)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(tmp_path, orientation):
    place = [(0, 0), (0, -1), (-1, -1), (-1, 0)][(orientation - 1) % 4]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(MARKED).save(tmp_path / "a.png", exif=exif)

    picture = read_image(tmp_path / "a.png")

    assert picture.shape[:2] == ((6, 8) if orientation < 5 else (8, 6))
    assert picture_size(tmp_path / "a.png") == picture.shape[:2]
    assert corner(picture, *place) == (255, 0, 0)


def test_damaged_exif_turns_nothing(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(MARKED).save(path, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + bytes(20))
    assert read_image(path).shape == (6, 8, 3) and picture_size(path) == (6, 8)


def test_a_picture_may_have_one_pixel(tmp_path):
    for name in ("a.png", "a.jpg", "a.bmp", "a.tiff", "a.webp"):
        Image.new("RGB", (1, 1), (200, 200, 200)).save(tmp_path / name)
        assert read_image(tmp_path / name).shape == (1, 1, 3)


def test_a_mask_marks_what_is_not_black(tmp_path):
    wanted = np.zeros((4, 5), bool)
    wanted[1:3, 2:4] = True
    palette = Image.fromarray(wanted.astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 128, 0, 0])
    masks = {
        "grey": Image.fromarray(wanted.astype(np.uint8)),
        "white": Image.fromarray(wanted.astype(np.uint8) * 255),
        "bits": Image.fromarray(wanted),
        "labels of 16 bits": Image.fromarray(wanted.astype(np.uint16)),
        "colours": Image.fromarray(wanted[..., None] * np.uint8([0, 0, 200])),
        "palette": palette,
        "opaque": Image.fromarray(
            wanted[..., None] * np.uint8([9, 9, 9, 0]) + np.uint8([0, 0, 0, 255])
        ),
    }
    for name, mask in masks.items():
        mask.save(tmp_path / f"{name}.png")
        assert np.array_equal(read_mask(tmp_path / f"{name}.png"), wanted), name


@pytest.mark.parametrize("inside", [(0, 0, 0), (255, 255, 255), (200, 0, 0)])
@pytest.mark.parametrize("outside", [(0, 0, 0), (255, 255, 255)])
def test_a_cut_out_is_read_from_its_alpha(tmp_path, inside, outside):
    wanted = np.zeros((4, 5), bool)
    wanted[1:3, 2:4] = True
    pixels = np.where(wanted[..., None], np.uint8([*inside, 255]), np.uint8([*outside, 0]))
    pixels[0, 0, 3] = 60  # a soft edge
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "a.png")

    assert np.array_equal(read_mask(tmp_path / "a.png"), wanted)


def files_of_all_kinds():
    """Bytes of small pictures, of each format that is taken, turned by their EXIF."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 7, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    for format, modes in FORMATS.items():
        for mode in modes:
            for options in TIFFS if format == "TIFF" else ({},):
                data = io.BytesIO()
                noise.convert(mode).save(data, format, exif=exif, **options)
                yield data.getvalue()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Of a file that each example writes."""
    return tmp_path_factory.mktemp("pictures") / "a.png"


def read_in_every_way(path):
    """How many of the readers refuse it; each in one line."""
    refused = 0
    for read in (read_image, read_mask, picture_size, read_labels):
        try:
            read(path)
        except FileError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    return refused


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
def test_whatever_is_damaged_a_picture_is_read_or_refused_in_one_line(path):
    refused = []
    places = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6)
    shares = st.just(1.0) | st.floats(0, 1)

    @settings(FUZZ, max_examples=400)
    @given(st.sampled_from(list(files_of_all_kinds())), places, shares)
    @example(b"", [], 0.0)
    def fuzz(data, others, kept):
        damaged = bytearray(data)
        for place, byte in others:
            damaged[int(place * (len(data) - 1))] = byte
        path.write_bytes(damaged[: round(kept * len(data))])
        refused.append(read_in_every_way(path))

    fuzz()
    assert sum(refused) > 100 and refused.count(0) > 10


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
def test_a_picture_of_any_kind_and_size_is_read_in_that_size(path):
    kinds = [(format, mode) for format, modes in WRITTEN.items() for mode in modes]

    @settings(FUZZ, max_examples=300)
    @given(
        st.sampled_from(kinds),
        st.tuples(st.integers(1, 40), st.integers(1, 40)),
        st.integers(0, 9),
    )
    def fuzz(kind, size, seed):
        format, mode = kind
        bytes_a_row = -(-size[0] // 8) if mode == "1" else size[0] * BYTES_A_PIXEL.get(mode, 1)
        noise = np.random.default_rng(seed).bytes(bytes_a_row * size[1])
        Image.frombytes(mode, size, noise).save(path, format)

        picture, mask = read_image(path), read_mask(path)

        assert picture.dtype == np.uint8 and picture.shape == (*size[::-1], 3)
        assert mask.dtype == bool and mask.shape == size[::-1] == picture_size(path)
        if mode in ("1", "L", "P", "I;16"):
            assert read_labels(path).shape == size[::-1]

    fuzz()
