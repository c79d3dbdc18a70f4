"""Hair and person around a face: the crop that the network sees, and the way back to the photo's own size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from gan_space.errors import InputError
from gan_space.faces.align import HEAD_FRAME, AlignTransform
from gan_space.faces.head import TO_HEAD, beside, find_head
from gan_space.models.segmenter import SegmenterOutput

GREY, BROWN, BLUE = (128, 128, 128), (90, 50, 20), (40, 60, 200)


class ByColor:
    """Stands for the network: brown is hair, and brown and blue are the person."""

    resolution = 96

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def __call__(self, images: torch.Tensor) -> SegmenterOutput:
        self.seen.append(images)
        codes = (images + 1) * 127.5
        near = [(codes - torch.tensor(c).view(1, 3, 1, 1)).abs().amax(dim=1) < 30 for c in (BROWN, BLUE)]
        return SegmenterOutput(*(20.0 * one.float() - 10 for one in (near[0], near[0] | near[1])))


def scene(side: int, eyes: tuple[float, float, float], roll: float = 0.0) -> tuple[torch.Tensor, AlignTransform]:
    """A blue person with a brown disc of hair: the photo, and photo pixels -> tight frame.

    `eyes` are the middle between them and their distance, in pixels.
    """
    x, y, unit = eyes
    turn = unit * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    places = (HEAD_FRAME - (0.5, 0.34)) * 8 @ turn.T + (x, y)
    to_head = AlignTransform.fit(places, HEAD_FRAME)
    picture = np.full((side, side, 3), GREY, np.uint8)
    cv2.circle(picture, (round(x), round(y)), round(1.6 * unit), BROWN, -1)
    cv2.circle(picture, (round(x), round(y + 0.5 * unit)), round(0.8 * unit), BLUE, -1)
    return torch.from_numpy(picture).permute(2, 0, 1), to_head.then(TO_HEAD.inverse)


def whole(mask: np.ndarray, box, side: int) -> np.ndarray:
    full = np.zeros((side, side), np.float32)
    full[box[1] : box[3], box[0] : box[2]] = mask
    return full


@pytest.mark.parametrize("roll", [0.0, 0.4])
@pytest.mark.parametrize("side, unit", [(200, 25.0), (900, 110.0)])
def test_masks_lie_where_hair_and_person_are(side, unit, roll):
    photo, transform = scene(side, (0.5 * side, 0.42 * side, unit), roll)
    head = find_head(photo, transform, ByColor())
    codes = photo.permute(1, 2, 0).numpy().astype(int)
    for mask, colors in ((head.hair, (BROWN,)), (head.person, (BROWN, BLUE))):
        expected = np.any([(codes == color).all(axis=2) for color in colors], axis=0)
        said = whole(mask, head.box, side)
        assert said.dtype == np.float32 and said.min() >= 0 and said.max() <= 1
        assert (said > 0.5)[expected].mean() > 0.99 and (said > 0.5)[~expected].mean() < 0.01
    assert head.hair_share == pytest.approx(np.pi * (1.6**2 - 0.8**2) * 0.39**2, rel=0.05)


def test_edges_are_those_of_the_photo_and_not_of_the_small_crop():
    """One pixel of the crop is nine of the photo."""
    photo, transform = scene(900, (450, 380, 110.0))
    head = find_head(photo, transform, ByColor())
    row = whole(head.hair, head.box, 900)[260]
    between = (row > 0.1) & (row < 0.9)
    assert row.max() == 1 and between.sum() <= 2 * 5  # the painting has hard edges
    edges = np.flatnonzero(np.diff(row > 0.5))
    half = np.sqrt((1.6 * 110) ** 2 - (380 - 260) ** 2)
    assert edges == pytest.approx([450 - half, 450 + half], abs=2)


def test_hair_that_goes_on_beyond_the_frame_is_seen_from_further_off():
    """A bun, an Afro, the head of somebody who looks aside: the frame ends four eye distances beside the face."""
    photo, transform = scene(600, (300, 300, 40.0))
    picture = photo.permute(1, 2, 0).numpy().copy()
    cv2.ellipse(picture, (300, 300), (round(4.6 * 40), round(2.2 * 40)), 0, 0, 360, BROWN, -1)
    picture[photo.permute(1, 2, 0).numpy()[..., 2] == BLUE[2]] = BLUE
    head = find_head(torch.from_numpy(picture).permute(2, 0, 1), transform, ByColor())
    expected = (picture == BROWN).all(axis=2)
    said = whole(head.hair, head.box, 600) > 0.5
    assert said[expected].mean() > 0.98 and said[~expected].mean() < 0.01


def test_past_the_photo_the_network_sees_its_mirror_image():
    """A face at the edge: no black corner tells where the photo ends."""
    photo, transform = scene(300, (20, 120, 40.0))
    network = ByColor()
    head = find_head(photo, transform, network)
    assert head.box[0] == 0 and (network.seen[0] > -0.95).all(dim=1).all()
    assert (whole(head.hair, head.box, 300)[120, :10] > 0.9).sum() == 0  # the face itself
    assert whole(head.hair, head.box, 300)[70, 5] > 0.9


def test_the_mirror_image_is_asked_too_and_turned_back():
    class Lopsided(ByColor):
        def __call__(self, images: torch.Tensor) -> SegmenterOutput:
            half = torch.full(images[:, 0].shape, -10.0)
            half[:, :, : self.resolution // 2] = 10.0
            return SegmenterOutput(half, half)

    photo, transform = scene(300, (150, 120, 30.0))
    photo[:] = 90  # colours do not say better
    head = find_head(photo, transform, Lopsided())
    assert np.abs(head.person[40:200, 40:200] - 0.5).max() < 0.3


def test_beyond_the_frame_nothing_is_known_and_its_edge_is_soft():
    photo, transform = scene(1200, (600, 500, 60.0))
    photo[:] = torch.tensor(BROWN, dtype=torch.uint8).view(3, 1, 1)
    head = find_head(photo, transform, ByColor())
    width = head.box[2] - head.box[0]  # of the second look: the first one sees hair at its sides
    assert abs(width - 1.4 * 480) <= 2 and head.hair[:, 0].max() < 0.1 and head.hair[280, 336] == 1
    assert np.abs(np.diff(head.hair[280])).max() < 0.1


def test_a_face_outside_of_the_photo_has_no_head():
    photo, transform = scene(100, (5000, 5000, 20.0))
    head = find_head(photo, transform, ByColor())
    assert head.hair.size == 0 and head.hair_share == 0


def test_another_form_of_photo_is_refused():
    _, transform = scene(100, (50, 50, 10.0))
    with pytest.raises(InputError):
        find_head(torch.zeros(3, 100, 100), transform, ByColor())


@pytest.mark.parametrize("surest, believed", [(0.95, True), (0.6, False)])
def test_hair_that_is_in_doubt_all_over_is_none(surest, believed):
    """A cap is hair with half a probability everywhere; true hair is in doubt at its edges alone."""

    class Doubting(ByColor):
        def __call__(self, images: torch.Tensor) -> SegmenterOutput:
            hair = torch.full(images[:, 0].shape, -9.0)
            hair[:, 10:40, 20:70] = 0.4  # a probability of 0.6
            hair[:, 15:40, 20:70] = float(np.log(surest / (1 - surest)))
            return SegmenterOutput(hair, torch.full(hair.shape, 9.0))

    photo, transform = scene(400, (200, 160, 50.0))
    head = find_head(photo, transform, Doubting())
    assert head.hair.max() > 0.95 if believed else head.hair.max() < 0.1


class Doubtful(ByColor):
    """Says of the blue parts of a person that they are hair with one probability from afar, another from near."""

    def __init__(self, *shares: float) -> None:
        super().__init__()
        self.odds = [float(np.log(share / (1 - share))) for share in shares]

    def __call__(self, images: torch.Tensor) -> SegmenterOutput:
        hair, person = super().__call__(images)
        odds = torch.tensor(2 * self.odds).view(4, 1, 1)  # both looks, then both mirrored
        return SegmenterOutput(torch.where((person > 0) & (hair < 0), odds, hair), person)


def test_what_looks_like_hair_from_afar_is_none_where_it_does_not_from_near():
    photo, transform = scene(400, (200, 160, 50.0))
    photo[:, 172:196, 238:264] = torch.tensor(BLUE, dtype=torch.uint8).view(3, 1, 1)  # a flower in the hair
    for near, least, most in ((0.02, 0.0, 0.1), (0.5, 0.3, 1.0)):
        head = find_head(photo, transform, Doubtful(0.5, near))
        said = whole(head.hair, head.box, 400)[178:190, 248:258]
        assert least <= said.min() and said.max() <= most
        assert whole(head.hair, head.box, 400)[110, 200] > 0.95


def test_a_beard_that_looks_like_hair_from_near_is_none():
    photo, transform = scene(400, (200, 160, 50.0))
    heads = [find_head(photo, transform, Doubtful(*shares)) for shares in ((0.3, 0.98), (0.98, 0.98))]
    beard, hair = (whole(head.hair, head.box, 400)[175:200, 185:215] for head in heads)
    assert beard.max() < 0.2 and hair.min() > 0.8


def painted_scene(seed: int = 0) -> tuple[np.ndarray, AlignTransform]:
    photo, transform = scene(400, (200, 160, 50.0))
    picture = photo.permute(1, 2, 0).numpy().astype(int)
    noise = np.random.default_rng(seed).integers(-6, 7, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8), transform


class Unsure(ByColor):
    """Does not know what some colours are."""

    def __init__(self, color, share: float) -> None:
        super().__init__()
        self.color, self.odds = color, float(np.log(share / (1 - share)))

    def __call__(self, images: torch.Tensor) -> SegmenterOutput:
        hair, person = super().__call__(images)
        unknown = (((images + 1) * 127.5 - torch.tensor(self.color).view(1, 3, 1, 1)).abs().amax(dim=1) < 30).float()
        return SegmenterOutput(hair, person * (1 - unknown) + self.odds * unknown)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.65])
def test_wall_in_doubt_is_wall_by_its_colours(share):
    """A corner that the network takes for half a person has the colours of what is surely behind: no veil stays."""

    class Veiled(ByColor):
        def __call__(self, images: torch.Tensor) -> SegmenterOutput:
            hair, person = super().__call__(images)
            corner = torch.zeros_like(person)
            corner[:, : self.resolution // 4] = 1.0
            doubt = corner * (person < 0)
            return SegmenterOutput(hair, person * (1 - doubt) + float(np.log(share / (1 - share))) * doubt)

    picture, transform = painted_scene()
    head = find_head(torch.from_numpy(picture).permute(2, 0, 1), transform, Veiled())
    said = whole(head.person, head.box, 400)
    assert said[5:20, 5:120].max() < 0.1 and said[100:200, 190:210].min() > 0.75


def test_a_hand_beside_the_head_is_kept_by_the_hue_of_the_face():
    """The network hardly knows hands (0.1 to 0.3 where one stands before a wall); what has another hue is no hand."""
    picture, transform = painted_scene()
    for x, color in ((320, (34, 51, 170)), (60, (60, 160, 60))):  # the face's hue, darker; and green
        cv2.rectangle(picture, (x, 120), (x + 24, 300), color, -1)
        head = find_head(torch.from_numpy(picture).permute(2, 0, 1), transform, Unsure(color, 0.15))
        said = whole(head.person, head.box, 400)[140:280, x + 4 : x + 20]
        assert said.min() > 0.9 if color[2] == 170 else said.max() < 0.1


def test_a_photo_in_one_tone_has_no_hands_by_hue():
    picture, transform = painted_scene()
    cv2.rectangle(picture, (320, 120), (344, 300), (34, 51, 170), -1)
    toned = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None] * np.array([1.0, 0.85, 0.6])).astype(np.uint8)

    class Remembering(Unsure):
        def __call__(self, images: torch.Tensor) -> SegmenterOutput:
            size = (self.resolution, self.resolution)
            small = torch.from_numpy(np.stack([cv2.resize(crop, size) for crop in crops])).permute(0, 3, 1, 2)
            return super().__call__(torch.cat([small, small.flip(3)]).float() / 127.5 - 1)

    view = transform.then(TO_HEAD).inverse
    grid, middle, crops = np.stack(np.meshgrid(*[(np.arange(256) + 0.5) / 256] * 2), axis=-1), (0.5, 0.4), []
    for zoom in (1.0, 1.5):
        places = view.apply((middle + (grid - middle) / zoom).reshape(-1, 2))
        x, y = (places.reshape(256, 256, 2).astype(np.float32) - 0.5).transpose(2, 0, 1)
        crops.append(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
    head = find_head(torch.from_numpy(toned).permute(2, 0, 1), transform, Remembering((34, 51, 170), 0.15))
    assert whole(head.person, head.box, 400)[140:280, 324:340].max() < 0.6


def test_a_letter_apart_from_the_head_is_none_of_the_person():
    picture, transform = painted_scene()
    cv2.rectangle(picture, (20, 40), (32, 120), BROWN, -1)

    class Reader(ByColor):
        def __call__(self, images: torch.Tensor) -> SegmenterOutput:
            hair, person = super().__call__(images)
            half = torch.zeros_like(person)
            half[:, :, : self.resolution // 5] = half[:, :, -(self.resolution // 5) :] = 1.0  # as the mirror sees it
            return SegmenterOutput(hair, torch.where((half > 0) & (person > 0), 0.0, person))

    head = find_head(torch.from_numpy(picture).permute(2, 0, 1), transform, Reader())
    assert whole(head.person, head.box, 400)[50:110, 22:30].max() < 0.2


def test_hair_nearer_to_another_face_is_that_others():
    photo, transform = scene(400, (130, 200, 40.0))
    photo[:] = torch.tensor(BROWN, dtype=torch.uint8).view(3, 1, 1)
    _, other = scene(400, (270, 200, 40.0))
    head = find_head(photo, transform, ByColor())
    alone, shared = (whole(one.hair, one.box, 400) for one in (head, beside(head, transform, [other])))
    assert alone[200, 250] > 0.9 and shared[200, 250] < 0.1
    assert np.array_equal(shared[:, :170], alone[:, :170])
    assert beside(head, transform, []) is head
    far = scene(400, (5000, 200, 40.0))[1]
    assert beside(head, transform, [far]) is head
