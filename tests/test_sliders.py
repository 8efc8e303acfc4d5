"""What moves in the lessons: each position of a slider shows its picture."""

import io

import pytest
import torch
from matplotlib.figure import Figure
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


def test_positions_shuffled_alike_leave_the_gram_matrix_and_shuffled_apart_do_not():
    features = torch.rand(1, 5, 8, 8, generator=torch.Generator().manual_seed(1)).relu()
    features[:, 1] = features[:, 0]  # two channels that respond together
    shuffle = sliders.Shuffle(features, width=40)

    def change():
        return float(shuffle.text.value.split(" by ")[1].split()[0])

    still = shuffle.picture.value
    assert change() == 0
    shuffle.share.value = 100
    assert change() == 0 and shuffle.picture.value != still, "the picture moves, the matrix does not"
    shuffle.order.value = shuffle.APART
    whole = change()
    assert whole > 0.001
    shuffle.share.value = 50
    assert 0 < change() < whole
    assert torch.equal(shuffle._shuffled().flatten(2).sort()[0], features.flatten(2).sort()[0]), "nothing is lost"
    assert repr(shuffle) == "Positions to shuffle: run this cell to see them."


@pytest.fixture
def blind():
    dark, light = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    return sliders.Blind("Which one is dark?", [(dark, light)] * 5, width=40)


def dark_side(blind):
    picture = shown(blind)
    return blind.left if picture.getpixel((8, 8)) == (0, 0, 0) else blind.right


def test_a_blind_choice_is_counted_and_the_side_told_afterwards(blind):
    for count in range(5):
        assert "found" not in blind.text.value
        side = dark_side(blind)
        side.click()
        assert blind.text.value.startswith(f"Pair {count + 1}: yes, it was {side.description}.")
    assert "You found 5 of 5." in blind.text.value and "in 3 of 100 tries" in blind.text.value, "1 of 32"
    assert blind.left.disabled and blind.right.disabled and blind.again.layout.display is None


def test_wrong_answers_are_told_and_another_round_has_other_sides(blind):
    first = list(blind.sides)
    for _ in range(5):
        (blind.right if dark_side(blind) is blind.left else blind.left).click()
    assert "You found 0 of 5." in blind.text.value and "in 100 of 100 tries" in blind.text.value
    rounds = {tuple(first)}
    for _ in range(4):
        blind.again.click()
        assert blind.answers == [] and blind.text.value == "" and not blind.left.disabled
        assert blind.again.layout.display == "none"
        rounds.add(tuple(blind.sides))
        for _ in range(5):
            blind.left.click()
    assert len(rounds) > 1
    assert repr(blind) == "A comparison with hidden names: run this cell to try it."
    assert "&lt;b&gt;" in sliders.Blind("<b>", [(torch.zeros(1, 3, 2, 2),) * 2]).question.value


def test_a_figure_is_drawn_for_each_position_and_not_before():
    drawn = []

    def draw(value):
        drawn.append(value)
        return Figure(figsize=(1 + value, 1))

    widget = sliders.Drawn(draw, range(0, 4), "width", first=2)
    assert drawn == [2] and widget.slider.value == 2
    before = shown(widget).size
    widget.slider.value = 3
    assert drawn == [2, 3] and shown(widget).width > before[0] and shown(widget).height == before[1]
    assert sliders.Drawn(draw, [1, 2], "width").slider.value == 1
