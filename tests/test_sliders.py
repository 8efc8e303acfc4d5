"""What moves in the lessons: each position of a slider shows its picture."""

import io

import pytest
import torch
from PIL import Image

from stylelib import sliders


def shown(widget):
    return Image.open(io.BytesIO(widget.picture.value)).convert("RGB")


def test_each_position_of_the_slider_has_its_picture():
    dark, light = torch.zeros(1, 3, 6, 8), torch.ones(1, 3, 6, 8)
    flip = sliders.Flip({"night": dark, "both": [dark, light]}, "hour", width=40)
    assert flip.slider.value == "night" and flip.slider.description == "hour"
    assert shown(flip).size == (40, 30) and shown(flip).getpixel((20, 20)) == (0, 0, 0)
    flip.slider.value = "both"
    assert shown(flip).size == (48, 18), "enlarged a whole number of times, to at least that width"
    assert shown(flip).getpixel((4, 9)) == (0, 0, 0) and shown(flip).getpixel((44, 9)) == (255, 255, 255)
    assert sliders.Flip({"a": dark, "b": light}, "hour", first="b").slider.value == "b"
    assert repr(flip) == "A slider: run this cell to move it."


@pytest.fixture
def channels():
    shallow, deep = torch.arange(8.0).view(1, 2, 2, 2), torch.zeros(1, 4, 1, 1)
    deep[0, 3] = 2.5
    return sliders.Channels({"shallow": shallow, "deep": deep}, width=10)


def test_a_channel_is_dark_where_it_is_small_and_yellow_where_it_is_large(channels):
    picture = shown(channels)
    assert picture.size == (10, 10)
    assert picture.getpixel((1, 1)) == (68, 1, 84) and picture.getpixel((8, 8)) == (253, 231, 37)
    assert channels.text.value == "2 × 2 positions, values from 0.0 to 3.0"
    channels.channel.value = 1
    assert channels.text.value == "2 × 2 positions, values from 4.0 to 7.0"


def test_every_channel_of_every_layer_can_be_reached(channels):
    assert channels.channel.max == 1
    channels.layer.value = "deep"
    assert channels.channel.max == 3
    channels.channel.value = 3
    assert channels.text.value == "1 × 1 positions, values from 2.5 to 2.5"
    channels.layer.value = "shallow"
    assert channels.channel.value == 1, "the last one there is"
    assert repr(channels) == "A browser of channels: run this cell to see it."
