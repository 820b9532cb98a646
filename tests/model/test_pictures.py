"""Frames that are resized on a device, tried on a CPU: how far they are from Pillow's."""

import numpy as np
from PIL import Image
import pytest
from streams import real_model, smallest
import torch

from virst_model.model.pictures import bring, resized
from virst_model.synthetic.scenes import demo_scene

PILLOWS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}


@pytest.mark.parametrize("side", [32, 128, 448])
@pytest.mark.parametrize("size", [(120, 160), (480, 640), (720, 1280), (20, 30)])
@pytest.mark.parametrize("resize", PILLOWS)
def test_a_picture_that_is_resized_there_is_pillows_but_for_a_level(resize, size, side):
    scene_HW3, _ = demo_scene().render(0.5, *size)
    noise_HW3 = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for frame_HW3 in (scene_HW3, noise_HW3):
        there = resized(torch.from_numpy(frame_HW3.copy()), side, resize)[0].permute(1, 2, 0)

        pillows = Image.fromarray(frame_HW3).resize((side, side), PILLOWS[resize])
        difference = (there - torch.from_numpy(np.array(pillows))).abs()
        # Where a pixel lies half between two levels, a weight's last bit decides, in each pass.
        assert (difference > 0).float().mean() < 0.03 and (difference > 1).float().mean() < 1e-5
        assert difference.max() <= 2


def test_what_is_encoded_of_either_is_the_same_but_for_that():
    model = real_model(smallest())
    frame_HW3, _ = demo_scene().render(0.5, 120, 160)

    with torch.inference_mode():
        here, there = (model.encode_frame(x).s2 for x in (frame_HW3, torch.tensor(frame_HW3)))

    torch.testing.assert_close(here, there, atol=0.05, rtol=0)
    assert model.clip_pixels(torch.tensor(frame_HW3)).shape == (3, 32, 32)


def test_a_cpu_keeps_the_frame_as_it_is():
    frame_HW3 = np.zeros((4, 6, 3), np.uint8)
    assert bring(frame_HW3, torch.device("cpu")) is frame_HW3
    with pytest.raises(ValueError, match="uint8"):
        bring(frame_HW3[..., :2], torch.device("cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_brings_the_frame_for_both_encoders():
    model = real_model(smallest()).to("cuda")
    frame_HW3 = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)

    picture = bring(frame_HW3, model.device)

    assert picture.is_cuda and (picture.cpu().numpy() == frame_HW3).all()
    assert model.encode_frame(picture).s2.is_cuda and model.clip_pixels(picture).is_cuda
