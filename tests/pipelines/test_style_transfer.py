"""Style transfer with tiny untrained networks and the real aligner: what holds whatever the weights are."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.errors import ConfigError, InputError, WeightsError
from gan_space.images import from_pil
from gan_space.models.editor import Editor
from gan_space.models.generator import Generator
from gan_space.output.lab import rgb_to_lab
from gan_space.photos.opening import open_photo
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.portraits.colors import missing_colors
from gan_space.portraits.paste import soft_mask
from gan_space.styles.apply import NetworkLook
from gan_space.styles.reference import LookLayers, fuse_features, keep_structure, weighted_moments
from tests.pipelines.styling import PHOTO, REFERENCE, R, distance, make_networks, make_pack, pixels


@pytest.fixture
def pipe(style_pipe) -> StyleTransferPipeline:
    return style_pipe


@pytest.mark.parametrize("scope", ["face", "photo"])
def test_strength_0_of_a_change_is_the_photo_bit_for_bit(pipe, pack, scope):
    pipe.load_style_pack(pack)
    out = pipe(PHOTO, REFERENCE, pack="ink", strength=0, scope=scope, transfer="change", layers="all")
    assert np.array_equal(pixels(out.images[0]), pixels(PHOTO))


def test_strength_0_of_a_picture_is_the_reconstruction(pipe, pack):
    pipe.load_style_pack(pack)
    options = {"transfer": "picture", "paste_back": False}
    out = pipe(PHOTO, REFERENCE, pack="ink", strength=0, **options)
    assert out.images[0].size == (R, R)
    assert np.array_equal(pixels(out.images[0]), pixels(out.reconstruction[0]))
    # And by hand: what the networks draw, with the broad colours of the photo.
    face = out.portraits[0].chosen_faces[0]
    crop = face.transform.crop(open_photo(PHOTO), R)
    code = pipe.encoder(crop)
    plain = pipe.generator.synthesis.finish(code.state, code.w_plus, 16)
    by_hand = plain + missing_colors(plain, crop, R)
    torch.testing.assert_close(from_pil(out.images[0]), by_hand.clamp(-1, 1), atol=0.01, rtol=0)


@pytest.mark.parametrize("what", ["reference", "pack", "both"])
@pytest.mark.parametrize("transfer", ["change", "picture"])
def test_more_strength_is_further_from_the_start(pipe, pack, what, transfer):
    pipe.load_style_pack(pack)
    reference = None if what == "pack" else pipe.read_look(REFERENCE)
    options = {"transfer": transfer, "scope": "face", "pack": None if what == "reference" else "ink", "layers": "all"}
    drawn = [pipe(PHOTO, reference, strength=s, **options).images[0] for s in (0.0, 0.02, 0.35, 0.7, 1.0)]
    moved = [distance(drawn[0], picture) for picture in drawn[1:]]
    assert moved == sorted(moved) and len(set(moved)) == 4
    assert moved[0] < 0.15 * moved[-1]  # no jump behind 0


def test_face_scope_leaves_the_rest_bit_for_bit_and_photo_scope_changes_all(pipe):
    look = pipe.read_look(REFERENCE)
    original = pixels(PHOTO)
    for transfer in ("change", "picture"):
        out = pipe(PHOTO, look, scope="face", transfer=transfer)
        height, width = original.shape[:2]
        x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
        places = out.portraits[0].chosen_faces[0].transform.apply(np.stack(np.meshgrid(x, y), axis=-1))
        outside = soft_mask(places) == 0
        assert np.array_equal(pixels(out.images[0])[outside], original[outside])
        assert np.abs(pixels(out.images[0]) - original)[~outside].mean() > 1
        whole = pipe(PHOTO, look, scope="photo", transfer=transfer).images[0]
        assert whole.size == (width, height)
        change = np.abs(pixels(whole) - original).max(axis=2)[outside].reshape(-1)
        assert (change > 0).mean() > 0.8


def test_a_change_keeps_fine_detail_that_a_picture_loses(pipe):
    """Stripes of a pixel, far finer than 32 px can show, survive the one and not the other."""
    photo = open_photo(PHOTO).clone()
    photo[:, :, ::2] = (photo[:, :, ::2].float() * 0.8).to(torch.uint8)
    look = pipe.read_look(REFERENCE)
    box = pipe.open(PHOTO).faces[0].box

    def stripes(picture) -> float:
        x, y = (int(part) for part in box.center)
        part = pixels(picture)[y - 20 : y + 20, x - 20 : x + 20].astype(float)
        return np.abs(part[:, 1::2] - part[:, ::2]).mean()

    before = stripes(Image.fromarray(photo.permute(1, 2, 0).numpy()))
    drawn = {
        t: stripes(pipe(photo, look, boxes=[box], strength=0.5, transfer=t).images[0]) for t in ("change", "picture")
    }
    assert drawn["change"] > 0.5 * before > 2 * drawn["picture"]


def test_auto_does_what_the_packs_ask_for(pipe, networks):
    pipe.load_style_pack(make_pack(*networks, name="soft", scope="face", transfer="change"))
    pipe.load_style_pack(make_pack(*networks, name="ink", scope="photo", transfer="picture"))
    for options, expected in (
        ({"pack": "soft"}, ("face", "change")),
        ({"pack": "ink"}, ("photo", "picture")),
        ({"pack": "ink", "paste_back": False}, ("face", "picture")),
        ({"packs": {"soft": 1, "ink": 0.5}}, ("photo", "picture")),
        ({"packs": {"soft": 1, "ink": 0}}, ("face", "change")),
        ({"pack": "ink", "transfer": "change", "scope": "face"}, ("face", "change")),
        ({"reference": REFERENCE}, ("photo", "change")),
        ({"reference": REFERENCE, "paste_back": False}, ("face", "change")),
    ):
        recipe = pipe(PHOTO, **options).recipe[0]
        assert (recipe["scope"], recipe["transfer"]) == expected, options


def test_layers_choose_what_is_taken(pipe):
    look = pipe.read_look(REFERENCE)
    drawn = {
        layers: pipe(
            PHOTO, look, layers=layers, strength=1, transfer="picture", paste_back=False, keep_identity=0
        ).images[0]
        for layers in ("coarse", "middle", "fine", "all")
    }
    for one in drawn:
        for other in drawn:
            assert one == other or distance(drawn[one], drawn[other]) > 0.3, (one, other)


def test_an_editor_puts_shapes_where_the_face_is(pipe, networks, aligner):
    torch.manual_seed(1)
    editor = Editor.for_encoder(networks[1], width=4, num_blocks=1).eval()
    with torch.no_grad():
        editor.head.weight.normal_(std=0.3)
    edited = StyleTransferPipeline(*networks, aligner, editor=editor)
    look, options = pipe.read_look(REFERENCE), {"transfer": "picture", "paste_back": False, "keep_identity": 0}
    for layers, moves in (("coarse", True), ("middle+fine", False)):
        plain, other = (one(PHOTO, look, layers=layers, **options).images[0] for one in (pipe, edited))
        assert (distance(plain, other) > 0.3) == moves, layers


def test_an_editor_for_other_features_is_refused(networks, aligner):
    with pytest.raises(ConfigError, match="editor was made for features of resolution 8"):
        StyleTransferPipeline(*networks, aligner, editor=Editor(8, networks[1].config.feature_channels, width=4))


def test_rows_are_sorted_by_what_they_do(networks):
    synthesis = networks[0].synthesis  # 32 px: rows 0 to 7; features after 16 px, so rows 5 and up come later
    split = LookLayers.split((0, 1, 2), synthesis, 16)
    assert split == LookLayers(coarse=(0, 1, 2), fuse=0.0, later=(), color=0.0)
    split = LookLayers.split(tuple(range(8)), synthesis, 16)
    assert split == LookLayers(coarse=(0, 1, 2), fuse=1.0, later=(5, 6, 7), color=1.0)
    assert LookLayers.split((3,), synthesis, 16).fuse == 0.5


def test_colours_can_be_kept(pipe):
    look = pipe.read_look(REFERENCE)
    options = {"strength": 1.0, "transfer": "picture", "paste_back": False, "keep_identity": 0}
    kept, moved = (pipe(PHOTO, look, preserve_color=keep, **options) for keep in (True, False))

    def color(picture) -> np.ndarray:
        array = pixels(picture)
        return np.median((array - array.mean(axis=2, keepdims=True)).reshape(-1, 3), axis=0)

    start = color(kept.reconstruction[0])
    assert np.abs(color(kept.images[0]) - start).max() < np.abs(color(moved.images[0]) - start).max()


def test_colours_go_to_the_references(pipe):
    """A reference of one strong colour pulls the face towards it."""
    tint = Image.blend(REFERENCE, Image.new("RGB", (256, 256), (40, 90, 220)), 0.6)
    options = {"transfer": "picture", "paste_back": False, "strength": 1.0}
    out = pipe(PHOTO, tint, **options)
    before, after = (pixels(p).reshape(-1, 3).mean(axis=0) for p in (out.reconstruction[0], out.images[0]))
    assert after[2] - after[0] > before[2] - before[0] + 20


def test_the_photos_broad_colours_go_with_packs_and_stay_under_a_palette(pipe, pack):
    look = NetworkLook(packs=((pack, 1.0),))
    assert [look.kept_colors(strength) for strength in (0, 0.25, 1, 1.5)] == [1, 0.75, 0, 0]
    assert NetworkLook(reference=pipe.read_look(REFERENCE)).kept_colors(1) == 1


def test_keep_identity_brings_structure_back():
    generator = torch.Generator().manual_seed(0)
    original = (
        torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8, generator=generator), size=64, mode="bicubic") - 0.5
    )
    other = original.flip(3) * 0.5 + 0.1

    def unlike(image: torch.Tensor) -> float:
        light = [x.mean(dim=1) - x.mean() for x in (image, original)]
        return 1 - torch.nn.functional.cosine_similarity(*(x.flatten() for x in light), dim=0).item()

    seen = [unlike(keep_structure(other, original, amount)) for amount in (0.0, 0.5, 1.0)]
    assert seen[0] > seen[1] > seen[2]
    assert torch.equal(keep_structure(other, original, 0.0), other)


def test_structure_comes_back_and_the_contrast_of_the_look_stays():
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(2, 2, 3, 8, 8, generator=generator) - 0.5
    original, look = (torch.nn.functional.interpolate(part, size=64, mode="bicubic") for part in small)
    look = look * torch.tensor([0.5, 1.2]).view(2, 1, 1, 1)  # of less contrast than the photo, and of more
    before, after = (rgb_to_lab(image)[:, 0] for image in (look, keep_structure(look, original, 1.0)))
    torch.testing.assert_close(after.mean(dim=(1, 2)), before.mean(dim=(1, 2)), atol=0.5, rtol=0)
    torch.testing.assert_close(after.std(dim=(1, 2)), before.std(dim=(1, 2)), atol=0.5, rtol=0)


def test_fused_features_have_the_wanted_statistics():
    generator = torch.Generator().manual_seed(0)
    x, other = torch.randn(2, 2, 5, 9, 9, generator=generator)
    weight = torch.rand(9, 9, generator=generator)
    mean, std = weighted_moments(x, weight)
    wanted = weighted_moments(1.3 * other + 0.4, weight)
    for amount, expected in ((1.0, wanted), (0.0, (mean, std))):
        for got, want in zip(
            weighted_moments(fuse_features(x, mean, std, *wanted, amount), weight), expected, strict=True
        ):
            torch.testing.assert_close(got, want, atol=5e-3, rtol=5e-3)


def test_a_reference_without_a_face_is_taken_as_it_is(pipe):
    pattern = Image.effect_mandelbrot((90, 60), (-2, -1, 1, 1), 40).convert("RGB")
    look = pipe.read_look(pattern)
    assert not look.has_face and pipe.read_look(REFERENCE).has_face
    assert distance(pipe(PHOTO, look).images[0], PHOTO) > 0.2
    assert pipe.read_look(look) is look


def test_post_processing_is_the_last_step_and_stays_in_the_face(pipe):
    out = pipe(PHOTO, post_processing="saturation:-1")  # no look at all is needed
    after, before = pixels(out.images[0]), pixels(PHOTO)
    x, y = (int(part) for part in out.portraits[0].faces[0].box.center)
    assert np.ptp(after[y - 5 : y + 5, x - 5 : x + 5], axis=2).max() <= 1
    assert np.array_equal(after[:20, :20], before[:20, :20])
    whole = pixels(pipe(PHOTO, post_processing="saturation:-1", scope="photo").images[0])
    assert np.ptp(whole, axis=2).max() <= 1


def test_from_pipe_shares_networks_and_loads_what_is_missing(pipe, networks, aligner, tmp_path):
    pipe.save_pretrained(tmp_path / "model")
    drawing = GenerationPipeline.from_pretrained(tmp_path / "model")
    style = StyleTransferPipeline.from_pipe(drawing)
    assert style.generator is drawing.generator and style.source == drawing.source
    assert style.discriminator is None
    pipe.encoder.compute_dtype = style.encoder.compute_dtype = style.generator.compute_dtype = torch.float32
    one, other = (pixels(each(PHOTO, REFERENCE).images[0]) for each in (style, pipe))
    assert np.abs(one - other).max() <= 2  # weights in another memory format may round otherwise
    in_memory = GenerationPipeline(networks[0])
    with pytest.raises(WeightsError, match=r"built in memory has no 'encoder'.*encoder=network"):
        StyleTransferPipeline.from_pipe(in_memory)
    given = StyleTransferPipeline.from_pipe(in_memory, encoder=networks[1], aligner=aligner)
    assert given.encoder is networks[1]


def test_a_model_without_an_encoder_says_so(networks, tmp_path):
    GenerationPipeline(networks[0]).save_pretrained(tmp_path / "model")
    with pytest.raises(WeightsError, match="no 'encoder', which StyleTransferPipeline needs"):
        StyleTransferPipeline.from_pretrained(tmp_path / "model")


def test_an_encoder_for_another_generator_is_refused(networks, aligner):
    other = Generator(64, z_dim=4, w_dim=4, channel_base=256, channel_max=8, num_mapping_layers=2, use_noise=False)
    with pytest.raises(ConfigError, match="made for a generator with resolution 32, this one has 64"):
        StyleTransferPipeline(other, networks[1], aligner)


def test_a_generator_with_noise_works_on_whole_photos(aligner):
    pipe = StyleTransferPipeline(*make_networks(use_noise=True), aligner)
    assert pipe(PHOTO, REFERENCE, scope="photo", transfer="picture").images[0].size == PHOTO.size


def test_recipes_are_json_and_complete(pipe, pack):
    pipe.load_style_pack(pack, "mine")
    out = pipe(PHOTO, REFERENCE, packs={"mine": 0.5}, strength=0.4, post_processing=["film:0.2"], seed=9)
    recipe = json.loads(json.dumps(out.recipe[0]))
    assert recipe["reference_sha256"] == pipe.read_look(REFERENCE).digest
    assert recipe["packs"] == [{"name": "mine", "id": "ink", "weight": 0.5}]
    assert (recipe["strength"], recipe["seed"], recipe["post_processing"]) == (0.4, 9, [["film", 0.2]])
    assert {"open", "networks", "transfer", "finish"} <= set(out.seconds)


def test_all_wrong_settings_at_once(pipe):
    with pytest.raises(InputError) as caught:
        pipe(
            PHOTO,
            REFERENCE,
            strength=1.6,
            preserve_color="yes",
            keep_identity=2,
            scope="world",
            transfer="none",
            faces=-1,
            post_processing="glow",
            seed=-1,
        )
    text = str(caught.value)
    assert text.startswith("8 problems")
    for word in ("strength", "preserve_color", "keep_identity", "scope", "transfer", "faces", "glow", "seed"):
        assert word in text
    for options, message in (
        ({"layers": "glitter"}, "'glitter' is no layer"),
        ({"pack": "a", "packs": {"a": 1}}, "not both"),
        ({"boxes": [(1, 2)]}, "x, y, size"),
        ({"faces": "all", "paste_back": False}, "one face a photo"),
        ({"scope": "photo", "paste_back": False}, "choose one"),
    ):
        with pytest.raises(InputError, match=message):
            pipe(PHOTO, REFERENCE, **options)
    with pytest.raises(InputError, match="empty list"):
        pipe([], REFERENCE)
