"""Pictures in files: what a viewer shows, whatever their depth, their colours and their damage."""

import io

import cv2
import numpy as np
from PIL import Image
import pytest

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


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
def test_whatever_is_damaged_a_picture_is_read_or_refused_in_one_line(tmp_path):
    draw = np.random.default_rng(7)
    path = tmp_path / "a.png"
    refused = 0
    for data in files_of_all_kinds():
        for _ in range(20):
            damaged = np.frombuffer(data, np.uint8).copy()
            places = draw.integers(0, len(damaged), draw.integers(1, 6))
            damaged[places] = draw.integers(0, 256, len(places))
            path.write_bytes(damaged.tobytes()[: draw.integers(len(data) // 2, len(data) + 1)])
            for read in (read_image, read_mask, picture_size):
                try:
                    read(path)
                except FileError as error:
                    refused += 1
                    assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    assert refused > 100
