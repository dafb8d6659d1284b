"""Every kind of pixel that files hold, nothing lost."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from abprop.files.pictures import decode


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)  # type: ignore[arg-type]
    return file.getvalue()


def deep_png(pixels: np.ndarray, form: str) -> bytes:
    """A 16-bit colour PNG, (H, W, C)."""
    height, width, _ = pixels.shape
    frame = av.VideoFrame(width, height, form)
    plane = frame.planes[0]
    rows = np.zeros((height, plane.line_size // 2), dtype=">u2")
    rows[:, : width * pixels.shape[2]] = pixels.reshape(height, -1)
    plane.update(rows.tobytes())
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, form  # type: ignore[attr-defined]
    codec.time_base = 1  # type: ignore[assignment]
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])  # type: ignore


@pytest.fixture
def rgb(random: np.random.Generator) -> np.ndarray:
    return random.integers(0, 256, (7, 9, 3), dtype=np.uint8)


@pytest.fixture
def deep(random: np.random.Generator) -> np.ndarray:
    return random.integers(0, 65536, (7, 9, 3), dtype=np.uint16)


def hwc(data: bytes) -> np.ndarray:
    return np.moveaxis(decode(data, "'it'").values, 0, -1)


def test_eight_bits(rgb: np.ndarray):
    image = Image.fromarray(rgb)
    for form in ("PNG", "BMP", "TIFF", "PPM"):
        np.testing.assert_array_equal(hwc(encoded(image, form)), rgb)
    np.testing.assert_array_equal(hwc(encoded(Image.fromarray(rgb[..., 0])))[..., 0], rgb[..., 0])
    assert hwc(encoded(image, "JPEG")).shape == rgb.shape


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey(deep: np.ndarray, form: str):
    grey = hwc(encoded(Image.fromarray(deep[..., 0]), form))
    assert grey.dtype == np.uint16
    np.testing.assert_array_equal(grey[..., 0], deep[..., 0])


def test_sixteen_bit_grey_tiff_that_only_pillow_unpacks(deep: np.ndarray):
    data = encoded(Image.fromarray(deep[..., 0]), "TIFF", compression="tiff_lzw")
    np.testing.assert_array_equal(hwc(data)[..., 0], deep[..., 0])


def test_sixteen_bit_colour(random: np.random.Generator, deep: np.ndarray):
    np.testing.assert_array_equal(hwc(deep_png(deep, "rgb48be")), deep)
    for planes in ("contig", "separate"):
        pixels = deep if planes == "contig" else np.moveaxis(deep, -1, 0)
        np.testing.assert_array_equal(
            hwc(tiff(pixels, photometric="rgb", planarconfig=planes)), deep
        )
    rgba = np.concatenate([deep, np.full((7, 9, 1), 65535, np.uint16)], axis=2)
    rgba[2, 3, 3] = 0
    for data in (deep_png(rgba, "rgba64be"), tiff(rgba, photometric="rgb", extrasamples=[2])):
        picture = decode(data, "'it'")
        shown = np.where(rgba[..., 3:] > 0, deep, 0)  # no colours under alpha 0
        np.testing.assert_array_equal(np.moveaxis(picture.values, 0, -1), shown)
        assert picture.hidden is not None and np.argwhere(picture.hidden).tolist() == [[0, 2, 3]]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_float_tiff(random: np.random.Generator, dtype: str):
    for shape in ((7, 9), (7, 9, 3)):
        pixels = random.normal(size=shape).astype(dtype)
        values = hwc(tiff(pixels, photometric="rgb" if len(shape) == 3 else "minisblack"))
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values.reshape(shape), pixels.astype(np.float32))


def test_white_is_zero(deep: np.ndarray):
    grey = deep[..., 0]
    np.testing.assert_array_equal(hwc(tiff(grey, photometric="miniswhite"))[..., 0], 65535 - grey)


def test_one_bit_palette_and_cmyk(rgb: np.ndarray):
    bits = Image.fromarray(rgb[..., 0] > 127)
    assert set(np.unique(hwc(encoded(bits)))) == {0, 255}
    palette = Image.fromarray(rgb).quantize(200)
    np.testing.assert_array_equal(hwc(encoded(palette)), np.asarray(palette.convert("RGB")))
    cmyk = Image.fromarray(rgb).convert("CMYK")
    np.testing.assert_array_equal(hwc(encoded(cmyk, "TIFF")), np.asarray(cmyk.convert("RGB")))


def test_transparent_is_hidden(rgb: np.ndarray):
    alpha = np.full((7, 9), 128, dtype=np.uint8)
    alpha[4, 5] = 0
    colour = Image.fromarray(np.dstack([rgb, alpha]))
    grey = Image.fromarray(np.dstack([rgb[..., 0], alpha]))
    for image, channels in ((colour, 3), (grey, 1)):
        picture = decode(encoded(image), "'it'")
        assert picture.values.shape == (channels, 7, 9)
        np.testing.assert_array_equal(picture.values[0], np.where(alpha > 0, rgb[..., 0], 0))
        assert picture.hidden is not None and np.argwhere(picture.hidden).tolist() == [[0, 4, 5]]
    keyed = encoded(Image.fromarray(rgb), transparency=tuple(int(c) for c in rgb[1, 2]))
    assert np.argwhere(decode(keyed, "'it'").hidden).tolist() == [[0, 1, 2]]


def test_opaque_alpha_hides_nothing(rgb: np.ndarray):
    opaque = np.dstack([rgb, np.full((7, 9), 255, np.uint8)])
    assert decode(encoded(Image.fromarray(opaque)), "'it'").hidden is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotation_is_applied(rgb: np.ndarray, deep: np.ndarray, orientation: int):
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(Image.fromarray(rgb), exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(hwc(data), np.asarray(ImageOps.exif_transpose(image)))
    tag = (274, "H", 1, orientation, True)
    shallow = tiff(rgb, photometric="rgb", extratags=[tag])
    np.testing.assert_array_equal(hwc(shallow), hwc(data))
    wide = rgb.astype(np.uint16)
    np.testing.assert_array_equal(hwc(tiff(wide, photometric="rgb", extratags=[tag])), hwc(data))


def test_the_first_of_several_frames(rgb: np.ndarray):
    first, second = Image.fromarray(rgb), Image.fromarray(255 - rgb)
    for form in ("PNG", "TIFF"):
        picture = decode(encoded(first, form, save_all=True, append_images=[second]), "'it'")
        assert picture.frames == 2
        np.testing.assert_array_equal(np.moveaxis(picture.values, 0, -1), rgb)
