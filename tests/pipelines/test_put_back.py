"""What was drawn small returns to a large photo: by the upscaler or by plain filters, in every scope."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.errors import InputError
from gan_space.faces.align import AlignTransform
from gan_space.faces.paste import soft_mask
from gan_space.models.upscaler import Upscaler
from gan_space.photos.opening import open_photo
from gan_space.pipelines import put_back as module
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.pipelines.put_back import enlarge_by_network, put_back, shrink_to
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from tests.pipelines.styling import PHOTO, REFERENCE, SAMPLES, R, distance, pixels


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    """Tiny and untrained, but not the plain enlargement."""
    torch.manual_seed(0)
    model = Upscaler(width=4, num_blocks=1).eval().requires_grad_(False)
    model.head.weight.normal_(std=0.1)
    model.compute_dtype = torch.float32
    return model


@pytest.fixture
def both(networks, aligner, upscaler) -> tuple[StyleTransferPipeline, StyleTransferPipeline]:
    """A pipeline with and one without an upscaler."""
    return StyleTransferPipeline(*networks, aligner, upscaler=upscaler), StyleTransferPipeline(*networks, aligner)


@pytest.mark.parametrize("options", [{"scope": "photo"}, {"scope": "face"}, {"paste_back": False}])
def test_a_picture_is_enlarged_by_the_network_or_as_without_one(both, options):
    pipe, plain = both
    look, options = pipe.read_look(REFERENCE), {"transfer": "picture", **options}
    without = plain(PHOTO, look, **options)
    switched_off = pipe(PHOTO, look, upscale="plain", **options)
    assert np.array_equal(pixels(without.images[0]), pixels(switched_off.images[0]))
    out, named = pipe(PHOTO, look, **options), pipe(PHOTO, look, upscale="network", **options)
    assert np.array_equal(pixels(out.images[0]), pixels(named.images[0]))
    recipes = [result.recipe[0]["upscale"] for result in (without, switched_off, out, named)]
    assert recipes == ["plain", "plain", "network", "network"]
    if options.get("paste_back", True):
        assert out.images[0].size == PHOTO.size
        assert distance(out.images[0], without.images[0]) > 0.1
    else:
        frame_px = round(out.faces[0].chosen_faces[0].frame_px)
        assert out.images[0].size == (min(frame_px, 4 * R),) * 2 and without.images[0].size == (R, R)


def test_a_change_needs_no_enlargement(both):
    pipe, plain = both
    look = pipe.read_look(REFERENCE)
    for scope in ("photo", "face"):
        out = pipe(PHOTO, look, transfer="change", scope=scope)
        assert np.array_equal(pixels(out.images[0]), pixels(plain(PHOTO, look, scope=scope).images[0]))
        assert "upscale" not in out.recipe[0]


def test_a_network_that_is_not_there_is_missed(both):
    with pytest.raises(InputError, match="needs a model with an upscaler"):
        both[1](PHOTO, REFERENCE, upscale="network")
    with pytest.raises(InputError, match="upscale must be one of auto, network, plain, got 'magic'"):
        both[0](PHOTO, REFERENCE, upscale="magic")


def test_the_rest_of_the_photo_stays_bit_for_bit(both):
    out = both[0](PHOTO, REFERENCE, scope="face", transfer="picture")
    x, y = np.arange(PHOTO.width) + 0.5, np.arange(PHOTO.height) + 0.5
    places = out.faces[0].chosen_faces[0].transform.apply(np.stack(np.meshgrid(x, y), axis=-1))
    outside = soft_mask(places) == 0
    assert np.array_equal(pixels(out.images[0])[outside], pixels(PHOTO)[outside])
    assert np.abs(pixels(out.images[0]) - pixels(PHOTO))[~outside].mean() > 1


def test_an_upscaler_travels_with_its_model(both, tmp_path):
    both[0].save_pretrained(tmp_path / "model")
    loaded = StyleTransferPipeline.from_pretrained(tmp_path / "model")
    assert isinstance(loaded.upscaler, Upscaler) and loaded.upscaler.config.width == 4
    drawing = GenerationPipeline.from_pretrained(tmp_path / "model")
    assert StyleTransferPipeline.from_pipe(drawing).upscaler is not None
    drawing.save_pretrained(tmp_path / "copy")  # holds no upscaler itself, and takes it along
    PersonalizationPipeline.from_pretrained(tmp_path / "copy").save_pretrained(tmp_path / "again")
    assert StyleTransferPipeline.from_pretrained(tmp_path / "again").upscaler is not None


def test_passes_go_as_far_as_they_are_of_use(upscaler, monkeypatch):
    x = torch.zeros(1, 3, 16, 24)
    for factor, times in ((0.5, 1), (1.2, 1), (1.3, 2), (2.4, 2), (2.5, 4), (40, 4)):
        assert enlarge_by_network(upscaler, x, factor).shape[2:] == (16 * times, 24 * times), factor
    monkeypatch.setattr(module, "SECOND_PASS_PX", 1000)
    assert enlarge_by_network(upscaler, x, 40).shape[2:] == (32, 48)


def test_a_face_smaller_than_what_was_drawn_is_averaged(upscaler):
    assert shrink_to(torch.zeros(1, 3, 64, 64), 50).shape == (1, 3, 50, 50)
    kept = torch.rand(1, 3, 32, 32)
    assert shrink_to(kept, 40) is kept
    # Stripes of a pixel do not come back as broad ones.
    stripes = torch.ones(1, 3, 64, 64)
    stripes[..., ::2] = -1
    assert shrink_to(stripes, 40)[..., 4:-4].abs().max() < 0.35
    photo = open_photo(PHOTO)
    face = torch.rand(1, 3, R, R) * 2 - 1
    result = put_back(
        photo,
        AlignTransform.from_box(60, 60, 40),
        face,
        face,
        face,
        transfer="picture",
        paste_back=True,
        upscaler=upscaler,
    )
    assert result.shape == photo.shape and (result != photo).any()


def test_the_embedded_upscaler_draws_sharper_than_a_filter():
    """In the looks of the package, on a photo of it: more contrast from pixel to pixel, and the same picture."""
    pipe = StyleTransferPipeline.from_pretrained()
    photo = Image.open(SAMPLES / "woman-park.jpg").convert("RGB")
    scale = 4 * pipe.resolution / pipe.find_faces(photo).faces[0].frame_px  # so large that two passes are run
    photo = photo.resize([round(side * scale) for side in photo.size], Image.Resampling.LANCZOS)
    drawn = {
        upscale: pipe(photo, pack=pipe.shipped_packs()[0], transfer="picture", scope="photo", upscale=upscale).images[0]
        for upscale in ("plain", "network")
    }
    edges = {name: np.abs(np.diff(pixels(picture), axis=1)).mean() for name, picture in drawn.items()}
    assert edges["network"] > 1.05 * edges["plain"]
    small = [picture.resize((64, 64), Image.Resampling.BOX) for picture in drawn.values()]
    assert distance(*small) < 4
