"""What was drawn small returns to a large photo: beside it by the upscaler, or by plain filters, in every scope."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.errors import InputError
from gan_space.faces.align import AlignTransform
from gan_space.models.guided_upscaler import GuidedUpscaler
from gan_space.photos.opening import open_photo
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.portraits.paste import soft_mask
from gan_space.portraits.put_back import enlarge_beside, photo_at, put_back, put_back_photo
from tests.pipelines.styling import PHOTO, REFERENCE, SAMPLES, R, distance, pixels


@pytest.fixture(scope="module")
def upscaler() -> GuidedUpscaler:
    """Tiny and untrained, but not the plain enlargement."""
    torch.manual_seed(0)
    model = GuidedUpscaler(4, 1, 4, 1).eval().requires_grad_(False)
    model.head.weight.normal_(std=0.1)
    model.compute_dtype = torch.float32
    return model


@pytest.fixture
def both(networks, aligner, upscaler) -> tuple[StyleTransferPipeline, StyleTransferPipeline]:
    """A pipeline with and one without an upscaler."""
    return StyleTransferPipeline(*networks, aligner, guided_upscaler=upscaler), StyleTransferPipeline(
        *networks, aligner
    )


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
        frame_px = round(out.portraits[0].chosen_faces[0].frame_px)
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
    places = out.portraits[0].chosen_faces[0].transform.apply(np.stack(np.meshgrid(x, y), axis=-1))
    outside = soft_mask(places) == 0
    assert np.array_equal(pixels(out.images[0])[outside], pixels(PHOTO)[outside])
    assert np.abs(pixels(out.images[0]) - pixels(PHOTO))[~outside].mean() > 1


def test_an_upscaler_travels_with_its_model(both, tmp_path):
    both[0].save_pretrained(tmp_path / "model")
    loaded = StyleTransferPipeline.from_pretrained(tmp_path / "model")
    assert isinstance(loaded.guided_upscaler, GuidedUpscaler) and loaded.guided_upscaler.config.width == 4
    drawing = GenerationPipeline.from_pretrained(tmp_path / "model")
    assert StyleTransferPipeline.from_pipe(drawing).guided_upscaler is not None
    drawing.save_pretrained(tmp_path / "copy")  # holds no upscaler itself, and takes it along
    PersonalizationPipeline.from_pretrained(tmp_path / "copy").save_pretrained(tmp_path / "again")
    assert StyleTransferPipeline.from_pretrained(tmp_path / "again").guided_upscaler is not None


@pytest.mark.parametrize(
    ("width", "passes"), [(12, 0), (24, 0), (28, 0), (29, 1), (33, 1), (67, 1), (70, 2), (135, 2), (400, 2)]
)
def test_passes_land_on_the_wanted_size(upscaler, monkeypatch, width, passes):
    """As often as they are of use, and no more than twice: from there a filter goes on."""
    sizes = []
    enlarge = GuidedUpscaler.enlarge
    monkeypatch.setattr(GuidedUpscaler, "enlarge", lambda *given: sizes.append(given[1].shape) or enlarge(*given))
    size = (round(width * 2 / 3), width)
    drawn = torch.zeros(1, 3, 16, 24)
    result = enlarge_beside(upscaler, drawn, drawn, *size, lambda *size: torch.zeros(1, 3, *size))
    assert result.shape[2:] == ((16, 24) if not passes else (64, 96) if width == 400 else size)
    assert len(sizes) == passes


def test_the_photo_is_seen_where_the_drawing_shows_it(networks, aligner, upscaler):
    """What the upscaler is given as a photo is the drawing itself, where that is drawn as the photo is."""
    photo = open_photo(PHOTO)
    seen = []

    class Watching(GuidedUpscaler):
        def enlarge(self, drawn, photo, source=None):
            seen.append((drawn, photo))
            return super().enlarge(drawn, photo, source)

    watching = Watching(4, 1, 4, 1).eval()
    transform = AlignTransform.from_box(20, 20, 90)
    face = transform.crop(photo, R)
    put_back(photo, transform, face, face, face, transfer="picture", paste_back=True, upscaler=watching)
    small = photo_at(photo, photo.shape[1] // 3, photo.shape[2] // 3)
    canvas = StyleTransferPipeline(*networks, aligner).open(PHOTO).canvas(networks[1])
    put_back_photo(photo, canvas, small, small, R, transfer="picture", upscaler=watching)
    assert len(seen) >= 2
    for drawn, beside in seen[::2]:
        assert (torch.nn.functional.avg_pool2d(beside, 2) - drawn).abs().mean() < 0.06


def test_a_face_smaller_than_what_was_drawn_is_averaged(upscaler):
    photo = open_photo(PHOTO)
    face = torch.rand(1, 3, R, R) * 2 - 1
    transform = AlignTransform.from_box(60, 60, 40)
    result = put_back(photo, transform, face, face, face, transfer="picture", paste_back=True, upscaler=upscaler)
    assert result.shape == photo.shape and (result != photo).any()


@pytest.mark.slow
def test_the_embedded_upscaler_draws_sharp_edges_where_the_photo_has_them():
    """In a look of the package, on a photo of it: more contrast from pixel to pixel, and the same picture."""
    pipe = StyleTransferPipeline.from_pretrained()
    photo = Image.open(SAMPLES / "woman-park.jpg").convert("RGB")
    scale = 4 * pipe.resolution / pipe.open(photo).faces[0].frame_px  # so large that two passes are run
    photo = photo.resize([round(side * scale) for side in photo.size], Image.Resampling.LANCZOS)
    drawn = {
        upscale: pipe(photo, pack="pencil", upscale=upscale).images[0].convert("L") for upscale in ("plain", "network")
    }

    def edges(picture: Image.Image) -> np.ndarray:
        return np.abs(np.diff(np.asarray(picture.convert("L"), dtype=float), axis=1))

    assert edges(drawn["network"]).mean() > 1.2 * edges(drawn["plain"]).mean()
    same_places = {name: np.corrcoef(edges(one).ravel(), edges(photo).ravel())[0, 1] for name, one in drawn.items()}
    assert same_places["network"] > same_places["plain"] + 0.2
    small = [picture.resize((64, 64), Image.Resampling.BOX) for picture in drawn.values()]
    assert distance(*small) < 8
