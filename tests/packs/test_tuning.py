"""Tuning of style packs on tiny networks: it learns, repeats, can be stopped, and leaves the model alone."""

from __future__ import annotations

import math

import pytest
import torch

from gan_space.errors import ConfigError, InputError, PackError
from gan_space.models.discriminator import Discriminator
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.packs import losses, tuning
from gan_space.packs.attaching import attached
from gan_space.packs.style import StylePack, base_hash, finish_with_packs
from gan_space.packs.tuning import TunedStyle, TuneSettings, tune_on_pairs, tune_on_pictures, tuned_weights

R, FEATURES = 32, 16
SETTINGS = TuneSettings(num_steps=24, batch_size=2, rank=2, preview_every=0)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    generator = Generator(
        R, z_dim=8, w_dim=16, channel_base=256, channel_max=16, num_mapping_layers=1, use_noise=False
    )  # fmt: skip
    generator.eval().requires_grad_(False)
    encoder = Encoder.for_generator(generator, FEATURES, width=8, num_blocks=1, hidden=16).eval()
    discriminator = Discriminator(R, channel_base=256, channel_max=16).eval()
    return generator, encoder.requires_grad_(False), discriminator


def faces(count: int, seed: int = 0) -> torch.Tensor:
    """Smooth pictures in [-1, 1]."""
    small = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(small, size=R, mode="bilinear")


def as_pack(model, tuned: TunedStyle) -> StylePack:
    both = {"en": "Test", "zh-CN": "测试"}
    return StylePack(
        "test", both, both, "tests/tiny", base_hash(*model[:2]), FEATURES, tuned.delta, tuned.w_offset,
        tuned.state_change,
    )  # fmt: skip


@torch.no_grad()
def drawn(model, tuned: TunedStyle, images: torch.Tensor, scale: float) -> torch.Tensor:
    code = model[1](images)
    return finish_with_packs(model[0], code.state, code.w_plus, [(as_pack(model, tuned), scale)])


def bits(tuned: TunedStyle) -> list[bytes]:
    tensors = [*tuned.delta.parameters(), tuned.w_offset, tuned.state_change.weight, tuned.state_change.bias]
    return [tensor.numpy().tobytes() for tensor in tensors]


def test_pairs_are_learned_by_unseen_faces_too_and_more_with_more_strength(model):
    generator, encoder, discriminator = model
    inputs = faces(12)
    swapped = inputs[:, [2, 0, 1]] * 0.6 + 0.3
    before = base_hash(generator, encoder)
    seen = []
    tuned = tune_on_pairs(
        generator, encoder, inputs, swapped, discriminator=discriminator,
        settings=TuneSettings(num_steps=40, batch_size=4, rank=2, lr=0.02, preview_every=20),
        callback=lambda step, total, preview: seen.append((step, total, None if preview is None else preview.shape)),
    )  # fmt: skip
    assert base_hash(generator, encoder) == before
    assert [step for step, _, _ in seen] == list(range(1, 41)) and {total for _, total, _ in seen} == {40}
    assert [step for step, _, shape in seen if shape is not None] == [20, 40]
    assert seen[19][2] == (4, 3, R, R)
    unseen = faces(4, seed=9)
    wanted = unseen[:, [2, 0, 1]] * 0.6 + 0.3
    errors = [(drawn(model, tuned, unseen, scale) - wanted).abs().mean().item() for scale in (0.0, 0.5, 1.0)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.6 * errors[0], errors
    assert all(tensor.dtype == torch.float16 for tensor in tuned.delta.parameters())
    assert tuned.training["steps_done"] == 40 and tuned.training["stopped"] is False
    assert all(math.isfinite(value) for value in tuned.training["losses"].values())


def test_one_picture_lends_its_palette_to_other_faces_which_stay_themselves(model):
    generator, encoder, discriminator = model
    painting = torch.tensor([0.4, -0.5, -0.9]).view(1, 3, 1, 1) + 0.2 * faces(
        1, seed=4
    )  # a dark one: none gets lighter
    settings = TuneSettings(num_steps=30, batch_size=4, rank=2, lr=0.02, num_faces=6, preview_every=0)
    tuned = tune_on_pictures(generator, encoder, painting, discriminator=discriminator, settings=settings)
    others = 0.5 * faces(4, seed=9)
    plain, styled = drawn(model, tuned, others, 0.0), drawn(model, tuned, others, 1.0)
    palette = painting.mean(dim=[0, 2, 3])
    distances = [(images.mean(dim=[0, 2, 3]) - palette).abs().mean().item() for images in (plain, styled)]
    assert distances[1] < 0.6 * distances[0], distances
    assert (
        losses.band_correlation_distance(styled, plain)
        < losses.band_correlation_distance(styled, plain.roll(1, dims=0)) - 0.1
    )


def test_a_light_painting_makes_dark_faces_hardly_lighter(model):
    generator, encoder, _ = model
    light = torch.tensor([0.9, 0.7, 0.5]).view(1, 3, 1, 1) + 0.1 * faces(1, seed=4)
    dark = 0.2 * faces(6, seed=9) - 0.6
    rises = []
    for weight in (0.0, 20.0):
        settings = TuneSettings(
            num_steps=30, batch_size=4, rank=2, lr=0.02, preview_every=0, lightness=weight, mixed=0.0
        )
        tuned = tune_on_pictures(generator, encoder, light, faces=dark, settings=settings)
        plain, styled = (drawn(model, tuned, dark, scale) for scale in (0.0, 1.0))
        rises.append(losses.lightening(styled, plain, light.expand_as(plain)).item())
    assert rises[1] < 0.5 * rises[0], rises


def test_lightening_counts_places_of_faces_that_got_lighter_and_looks_that_have_colours_of_skin():
    dark = torch.full((3, 3, 32, 32), -0.5)
    skin = torch.tensor([0.6, 0.3, 0.1]).view(1, 3, 1, 1).expand(3, 3, 32, 32)
    paper = torch.full((3, 3, 32, 32), 0.9)
    styled = dark + torch.tensor([0.3, -0.4, 0.0]).view(3, 1, 1, 1)
    assert losses.lightening(styled, dark, skin).item() == pytest.approx(0.1, abs=1e-4)
    assert losses.lightening(styled, dark, paper).item() == 0
    blotted = dark + 0.3
    blotted[:, :, 14:22, 12:20] = -1.0
    assert losses.lightening(blotted, dark, skin) > 0.15
    ground = dark.clone()
    ground[:, :, :3] = 1.0  # above the face
    assert losses.lightening(ground, dark, skin).item() < 0.01


def test_the_same_seed_gives_the_same_bits_with_faces_of_ones_own_and_an_identity(model):
    generator, encoder, _ = model
    calls = []

    def identity(images):
        calls.append(len(images))
        return torch.nn.functional.normalize(images.mean(dim=[2, 3]), dim=1)

    def tune(seed: int) -> list[bytes]:
        settings = TuneSettings(num_steps=3, batch_size=2, rank=2, seed=seed, preview_every=0)
        pictures, photos = faces(2, seed=5), faces(5, seed=6)
        return bits(tune_on_pictures(generator, encoder, pictures, faces=photos, identity=identity, settings=settings))

    torch.manual_seed(1)
    one = tune(3)
    torch.manual_seed(2)  # the global state plays no part
    assert tune(3) == one
    assert tune(4) != one
    assert calls


def test_a_callback_stops_it_and_gets_what_there_is(model):
    generator, encoder, _ = model
    tuned = tune_on_pairs(
        generator, encoder, faces(3), -faces(3), settings=SETTINGS, callback=lambda step, total, preview: step < 2
    )
    assert tuned.training["steps_done"] == 2 and tuned.training["stopped"] is True
    assert drawn(model, tuned, faces(1), 1.0).isfinite().all()


def test_inputs_that_do_not_work_are_errors(model):
    generator, encoder, _ = model
    with pytest.raises(InputError, match=r"(?s)2 problems.*faces must be \[N, 3, 32, 32\].*targets must be"):
        tune_on_pairs(generator, encoder, faces(2)[:, :1], faces(0))
    with pytest.raises(InputError, match="as many targets as faces, got 3 and 2"):
        tune_on_pairs(generator, encoder, faces(2), faces(3))
    with pytest.raises(InputError, match="1 to 100 pictures, got 101"):
        tune_on_pictures(generator, encoder, faces(1).expand(101, -1, -1, -1))
    with pytest.raises(ConfigError, match=r"(?s)3 problems.*rank.*pixel.*lr"):
        TuneSettings(rank=0, pixel=-1, lr=0)
    tuned = tune_on_pairs(generator, encoder, faces(2), faces(2), settings=TuneSettings(num_steps=1))
    busy = attached(generator, [(tuned.delta, 1.0)])
    with busy, pytest.raises(PackError, match="packs are attached to the generator; detach"):
        tune_on_pairs(generator, encoder, faces(2), faces(2))


def test_only_later_blocks_change(model):
    names = tuned_weights(model[0], FEATURES)
    assert names and all(name.startswith("synthesis.b32.") for name in names)
    assert "synthesis.b32.torgb.affine.weight" in names


def test_sliced_distance_is_the_sorted_difference():
    x, y = torch.tensor([[3.0, 1.0, 2.0], [0.0, 0.0, 5.0]]), torch.tensor([[2.0, 2.0, 5.0], [1.0, 0.0, 0.0]])
    expected = (abs(1 - 2) + abs(2 - 2) + abs(3 - 5) + 0 + 0 + abs(5 - 1)) / 6
    assert losses.sliced_distance(x, y).item() == pytest.approx(expected)
    line = torch.arange(9.0)[None]
    assert losses.sliced_distance(line, torch.tensor([[0.0, 4.0, 8.0]])).item() == pytest.approx(0, abs=1e-6)


def test_patch_distance_knows_texture_whatever_the_place():
    draw = torch.Generator().manual_seed(0)
    noise, other = (torch.rand(2, 3, 32, 32, generator=draw) for _ in range(2))
    stripes = (torch.arange(32) % 4 < 2).float().expand(2, 3, 32, 32)

    def distance(x, y):
        return losses.patch_distance(x, y, torch.Generator().manual_seed(1), patches=((1, 1), (5, 1))).item()

    assert distance(stripes, stripes.roll(1, dims=3)) < 0.3 * distance(noise, stripes)
    assert distance(noise, other) < 0.3 * distance(noise, stripes)
    red = noise * torch.tensor([1.0, 0.5, 0.5]).view(1, 3, 1, 1)
    assert distance(noise, red) > 3 * distance(noise, other)


def test_structure_distance_ignores_colour_and_sees_moved_light():
    x = faces(3)
    tinted = x * 0.4 + torch.tensor([0.3, -0.1, 0.2]).view(1, 3, 1, 1)
    assert losses.band_correlation_distance(x, tinted) < 0.01
    assert losses.band_correlation_distance(x, -x) > 1.9


def test_structure_distance_sees_details_moved_under_the_same_light_but_not_their_contrast():
    x, (one, other) = 0.5 * faces(2), 0.1 * torch.randn(2, 2, 1, R, R, generator=torch.Generator().manual_seed(2))
    assert losses.band_correlation_distance(x + one, x + 2 * one) < 0.1
    assert losses.band_correlation_distance(x + one, x + other) > 0.4


def test_details_finer_than_a_face_needs_are_the_looks():
    x = torch.nn.functional.interpolate(faces(1), scale_factor=8, mode="bilinear")
    grain = torch.tensor([[0.3, -0.3], [-0.3, 0.3]]).repeat(128, 128)  # gone at 128 px
    assert losses.band_correlation_distance(x, x + grain) < 0.02


def test_every_second_face_is_seen_in_other_light():
    before = faces(6)
    after = tuning._in_other_light(before.clone(), torch.Generator().manual_seed(0))
    assert torch.equal(after[::2], before[::2])
    assert ((after[1::2] - before[1::2]).abs().amax(dim=[1, 2, 3]) > 0.1).all() and after.abs().max() <= 1


def test_gram_matrix_is_the_mean_product_of_channels():
    features = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    slow = torch.zeros(2, 3, 3)
    for n in range(2):
        for i in range(3):
            for j in range(3):
                slow[n, i, j] = (
                    sum(features[n, i, y, x] * features[n, j, y, x] for y in range(4) for x in range(5)) / 20
                )
    assert torch.allclose(losses.gram_matrix(features), slow, atol=1e-6)


@pytest.mark.parametrize(("resolution", "features"), [(16, 4), (16, 8), (32, 4), (64, 32)])
def test_models_of_every_small_size_are_tuned(resolution, features):
    sizes = dict(channel_base=2 * resolution, channel_max=4)
    generator = Generator(resolution, z_dim=4, w_dim=4, num_mapping_layers=1, **sizes).eval().requires_grad_(False)
    encoder = Encoder.for_generator(generator, features, width=2, num_blocks=1, hidden=4).eval()
    discriminator = Discriminator(resolution, **sizes).eval()
    settings = TuneSettings(num_steps=1, batch_size=2, rank=1, num_faces=2)
    pictures = torch.rand(2, 3, resolution, resolution) * 2 - 1
    options = {"discriminator": discriminator, "settings": settings}
    from_pictures = tune_on_pictures(generator, encoder, pictures, **options)
    from_pairs = tune_on_pairs(generator, encoder, pictures, pictures.flip(3), **options)
    for tuned in (from_pictures, from_pairs):
        assert tuned.training["losses"]["patch"] > 0
