"""Profiles of one person with tiny untrained networks and the real aligner: what holds whatever the weights are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from gan_space.errors import Cancelled, ConfigError, FaceTooSmallError, InputError, NoFaceError, PackError, WeightsError
from gan_space.images import from_pil
from gan_space.latents.directions import Direction, Directions
from gan_space.models.editor import Editor
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.generator import Generator
from gan_space.models.guided_upscaler import GuidedUpscaler
from gan_space.models.hashing import weights_sha256
from gan_space.output.provenance import read_provenance
from gan_space.packs.attaching import attached, attached_packs
from gan_space.packs.consent import Consent
from gan_space.packs.identity import IdentityPack, hull_codes
from gan_space.packs.identity_tuning import IdentitySettings
from gan_space.photos.opening import open_photo
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.pipelines.photo_filter import CheckedPhotos, PhotoLimits, find_outliers
from gan_space.pipelines.profiles import push_identity_pack
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.portraits.colors import keep_light
from tests.hub_server import WRITE_TOKEN
from tests.packs.test_identity import make_pack as make_identity
from tests.pipelines.styling import make_networks, make_pack

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
PHOTO, PARK, OFFICER = SAMPLES / "woman-lake.jpg", SAMPLES / "woman-park.jpg", SAMPLES / "naval-officer.jpg"
R = 32
CONSENT = Consent("a woman in sample pictures", "whoever published them")
QUICK = IdentitySettings(num_random=4, random_batch=1, preview_every=2, lr=0.02)


def make_directions(generator: Generator) -> Directions:
    torch.manual_seed(3)
    vectors = [torch.randn(generator.num_ws, 8) for _ in range(2)]
    items = [
        Direction(name, vector, safe_range=(-2, 2)) for name, vector in zip(("smile", "age"), vectors, strict=True)
    ]
    return Directions(tuple(items), weights_sha256(generator))


def make_profile(generator: Generator, num_anchors: int = 3, **fields) -> IdentityPack:
    return make_identity(generator, num_anchors, seed=11, **{"consent": CONSENT, "quality": {}, **fields})


@pytest.fixture(scope="module")
def networks():
    return make_networks()


@pytest.fixture
def pipe(networks, aligner) -> PersonalizationPipeline:
    pipe = PersonalizationPipeline(*networks, aligner)
    pipe.directions = make_directions(pipe.generator)
    return pipe


@pytest.fixture(scope="module")
def profile(networks) -> IdentityPack:
    return make_profile(networks[0])


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB")).astype(int)


# Drawing


def test_pictures_by_hand(pipe, profile):
    out = pipe(profile, seeds=[7, 8], attributes={"smile": 1.0}, beyond=0.1, output_type="pt")
    codes = hull_codes(profile, [7, 8], 0.1) + pipe.directions["smile"].vector
    torch.testing.assert_close(out.w_plus, codes)
    with attached(pipe.generator, [(profile.delta, 1.0)]):
        by_hand = pipe.generator.synthesis(codes, noise_mode="const")
    torch.testing.assert_close(out.images, by_hand)
    assert out.seeds == [7, 8] and out.images.shape == (2, 3, R, R)


def test_strength_0_draws_the_plain_faces_of_the_seeds(pipe, profile):
    plain = GenerationPipeline(pipe.generator)(seeds=[1, 2, 3], truncation_psi=0.5, output_type="pt")
    out = pipe(profile, seeds=[1, 2, 3], identity_strength=0, truncation_psi=0.5, output_type="pt")
    assert torch.equal(out.w_plus, plain.w_plus) and torch.equal(out.images, plain.images)


def test_more_strength_is_nearer_to_the_person(pipe, profile):
    person = pipe(profile, seeds=[5], output_type="pt")
    distances = []
    for strength in (0.0, 0.3, 0.7, 0.95):
        drawn = pipe(profile, seeds=[5], identity_strength=strength, output_type="pt")
        distances.append((drawn.w_plus - person.w_plus).norm().item())
    assert distances == sorted(distances, reverse=True) and distances[-1] > 0


def test_a_seed_draws_the_same_whatever_is_drawn_beside_it(pipe, profile):
    options = {"attributes": {"age": -1}, "identity_strength": 0.8, "output_type": "pt"}
    together = pipe(profile, seeds=[1, 2, 3], batch_size=2, **options)
    alone = pipe(profile, seeds=[3], **options)
    torch.testing.assert_close(together.images[2:], alone.images, atol=1e-5, rtol=0)
    different = pipe(profile, seeds=[1, 2], attributes=[{"smile": 1}, {}], output_type="pt")
    plain = pipe(profile, seeds=[1, 2], output_type="pt")
    assert torch.equal(different.w_plus[1], plain.w_plus[1]) and not torch.equal(different.w_plus[0], plain.w_plus[0])


def test_the_generator_is_itself_again_also_after_a_failure(pipe, profile, monkeypatch):
    before = {name: tensor.clone() for name, tensor in pipe.generator.state_dict().items()}

    def fail(*arguments, **options):
        assert attached_packs(pipe.generator)
        raise RuntimeError("stop")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="stop"):
        patch.setattr(type(pipe.generator.synthesis), "forward", fail)
        pipe(profile, seeds=[1])
    pipe(profile, seeds=[1])
    assert not attached_packs(pipe.generator)
    assert all(torch.equal(tensor, before[name]) for name, tensor in pipe.generator.state_dict().items())


def test_style_packs_come_on_top(pipe, profile):
    pipe.load_style_pack(make_pack(pipe.generator, pipe.encoder, name="ink"))
    plain = pipe(profile, seeds=[4], output_type="pt").images
    nothing = pipe(profile, seeds=[4], style={"ink": 0.0}, output_type="pt").images
    styled = pipe(profile, seeds=[4], style="ink", output_type="pt")
    torch.testing.assert_close(nothing, plain, atol=1e-5, rtol=0)
    assert (styled.images - plain).abs().mean() > 0.01
    assert styled.recipe[0]["packs"] == [{"name": "ink", "weight": 1.0}]
    pipe.set_packs("ink")
    assert torch.equal(pipe(profile, seeds=[4], output_type="pt").images, styled.images)


def test_drawn_faces_are_restyled_as_portraits_are(pipe, profile):
    pipe.load_style_pack(make_pack(pipe.generator, pipe.encoder, name="ink"))
    plain = pipe(profile, seeds=[4, 6], output_type="pt").images
    styled = pipe(profile, seeds=[4, 6], style="ink", output_type="pt").images
    torch.testing.assert_close(pipe.restyle(plain, {"ink": 1.0}), styled, atol=1e-5, rtol=0)
    with pytest.raises(InputError, match=rf"expected faces \[N, 3, {R}, {R}\].*got \[1, 3, 8, 8\]"):
        pipe.restyle(torch.zeros(1, 3, 8, 8), "ink")


def test_recipes_hold_a_hash_and_nothing_of_the_person(pipe, profile):
    out = pipe(profile, seeds=[4, 6], attributes={"smile": 0.5}, identity_strength=0.9, upscale_factor=2)
    assert out.images[0].size == (2 * R, 2 * R)
    recipe = out.recipe[1]
    assert recipe["profile"] == profile.digest and recipe["seed"] == 6 and recipe["attributes"] == {"smile": 0.5}
    text = json.dumps(out.recipe)
    assert CONSENT.whose_face not in text and CONSENT.agreed_by not in text and len(text) < 1500


def test_faults_are_told_at_once(pipe, profile):
    options = {"identity_strength": 2, "beyond": 0.9, "output_type": "np", "attributes": {"hair": 1}}
    with pytest.raises(InputError, match="5 problems"):
        pipe(profile, seeds=[-1], **options)
    pipe.directions = None
    with pytest.raises(InputError, match="no directions"):
        pipe(profile, seeds=[1], attributes={"smile": 1})


def test_profiles_are_for_one_generator(pipe, profile, aligner):
    torch.manual_seed(1)
    other = Generator(**{**dict(pipe.generator.config), "z_dim": 8}).eval()
    stranger = PersonalizationPipeline(other, pipe.encoder, aligner)
    with pytest.raises(PackError, match="made for tiny"):
        stranger(profile, seeds=[1])
    # Whatever hangs on the generator meanwhile does not count.
    with attached(pipe.generator, [(profile.delta, 0.5)]):
        fresh = PersonalizationPipeline(pipe.generator, pipe.encoder, aligner)
        assert fresh.load_identity_pack(profile) is profile
    torch.manual_seed(1)
    classes = Generator(R, z_dim=8, c_dim=3, w_dim=8, channel_base=256, channel_max=12, num_mapping_layers=2)
    with pytest.raises(ConfigError, match="without classes"):
        PersonalizationPipeline(classes, pipe.encoder, aligner)


def test_one_photo_gives_one_face_whatever_the_seed(pipe, networks):
    one = make_profile(networks[0], num_anchors=1)
    drawn = pipe(one, seeds=[1, 2], output_type="pt")
    torch.testing.assert_close(drawn.images[0], drawn.images[1])


# Photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[Path]:
    """Two photos of use and five that are not, each for its own reason."""
    folder = tmp_path_factory.mktemp("photos")
    lake = Image.open(PHOTO).convert("RGB")
    lake.save(folder / "again.jpg", quality=80)
    lake.filter(ImageFilter.GaussianBlur(9)).save(folder / "blurred.png")
    lake.convert("L").save(folder / "grey.png")
    lake.resize((lake.width // 8, lake.height // 8)).save(folder / "small.png")
    Image.new("RGB", (300, 300), "teal").save(folder / "empty.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    names = ("again.jpg", "blurred.png", "grey.png", "small.png", "empty.png", "broken.jpg")
    return [PHOTO, PARK, *(folder / name for name in names)]


def test_every_photo_is_taken_or_refused_with_a_reason(pipe, photos):
    seen = []
    checked = pipe.check_photos(photos, callback=lambda *step: seen.append(step))
    assert [photo.name for photo in checked.accepted] == ["woman-lake.jpg", "woman-park.jpg"]
    assert checked.crops.shape == (2, 3, R, R) and checked.crops.abs().max() <= 1
    reasons = {photo.name: photo.reason for photo in checked.refused}
    assert reasons.pop("small.png") in ("too small or turned", "no face")
    assert reasons == {
        "again.jpg": "duplicate", "blurred.png": "blurred", "grey.png": "grey", "empty.png": "no face",
        "broken.jpg": "unreadable",
    }  # fmt: skip
    assert any("same picture as woman-lake.jpg" in line for line in checked.lines())
    assert seen == [(number, 8) for number in range(1, 9)]
    lenient = pipe.check_photos(photos[3:5], limits=PhotoLimits(min_sharpness=0, min_chroma=0, duplicate_correlation=2))
    assert len(lenient.accepted) == 2
    with pytest.raises(InputError, match=r"(?s)not one photo can be used.*blurred.*grey"):
        _ = pipe.check_photos(photos[3:5]).crops


def test_photos_must_be_a_list(pipe):
    for wrong in ([], PHOTO, str(PHOTO), [PHOTO] * 101):
        with pytest.raises(InputError, match="list of 1 to 100 photos"):
            pipe.check_photos(wrong)


def test_an_embedding_finds_the_photo_of_another_person():
    random = torch.Generator().manual_seed(0)

    def faces(middle, count):
        noise = 0.4 * torch.randn(count, 16, generator=random) / 4
        return torch.nn.functional.normalize(middle + noise, dim=1)

    mine, other = torch.nn.functional.normalize(torch.randn(2, 16, generator=random), dim=1)
    embeddings = torch.cat([faces(mine, 2), faces(other, 1), faces(mine, 3)])
    assert find_outliers(embeddings, 0.3) == [2]
    assert find_outliers(faces(mine, 6), 0.3) == []
    assert find_outliers(embeddings, 2.0) == []
    assert find_outliers(embeddings[1:3], 0.3) == []  # of two, nobody can say which
    assert len(find_outliers(torch.cat([faces(mine, 3), faces(other, 3)]), 0.3)) < 3


def test_of_several_faces_the_one_like_the_others_is_taken(pipe, aligner):
    """Two faces side by side: which of them is meant, the other photo says."""
    torch.manual_seed(0)
    identity = FaceIdentity(resolution=32, width=4, embedding_dim=8).eval()
    lake, officer = (Image.open(path).convert("RGB").resize((384, 384)) for path in (PHOTO, OFFICER))
    both = Image.new("RGB", (768, 384))
    both.paste(lake, (0, 0))
    both.paste(officer, (384, 0))
    crops = {
        name: pipe.check_photos([picture], limits=PhotoLimits(min_chroma=0)).crops
        for name, picture in (("lake", lake), ("officer", officer))
    }
    with_identity = PersonalizationPipeline(pipe.generator, pipe.encoder, aligner, identity=identity)
    limits = PhotoLimits(min_chroma=0, duplicate_correlation=2, outlier_margin=2)
    for name, picture in (("lake", lake), ("officer", officer)):
        checked = with_identity.check_photos([picture, both], limits=limits)
        assert len(checked.accepted) == 2 and "2 faces" in checked.photos[1].detail
        taken = checked.photos[1].crop
        errors = {key: (taken - crop).abs().mean().item() for key, crop in crops.items()}
        assert min(errors, key=errors.get) == name


# Fitting


def test_fit_makes_a_profile_and_leaves_everything_else_as_it_was(pipe, photos, tmp_path):
    before, steps = weights_sha256(pipe.generator), []

    def callback(step, total, preview):
        steps.append((step, total, None if preview is None else preview.size))

    pack = pipe.fit(photos[:4], consent=CONSENT, num_steps=4, rank=2, settings=QUICK, callback=callback)
    assert steps == [(1, 4, None), (2, 4, (2 * R, R)), (3, 4, None), (4, 4, (2 * R, R))]
    assert pack.num_photos == 2 and pack.delta.rank == 2 and pack.consent == CONSENT
    assert pack.training["refused"] == {"duplicate": 1, "blurred": 1}
    assert pack.training["settings"]["num_steps"] == 4 and pack.base_hash == before
    assert {"psnr_start", "psnr", "random_change"} <= set(pack.quality)
    assert weights_sha256(pipe.generator) == before and not attached_packs(pipe.generator)
    # Saved, read in again, and drawn from.
    again = IdentityPack.from_pretrained(pack.save_pretrained(tmp_path / "me"))
    one, other = (pipe(source, seeds=[7], output_type="pt").images for source in (pack, tmp_path / "me"))
    assert torch.equal(one, other) and again.digest == pack.digest
    # The preview shows drawn faces, labelled as such, and no photo.
    (tmp_path / "preview.png").write_bytes(again.preview)
    provenance = read_provenance(tmp_path / "preview.png")
    assert provenance.is_ai_made and provenance.recipe["profile"] == pack.digest
    # No word of where the photos were.
    record = (tmp_path / "me" / "pack.json").read_text()
    assert "woman-lake" not in record and str(SAMPLES) not in record


def test_a_cancelled_fit_raises_and_leaves_nothing(pipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = weights_sha256(pipe.generator)
    with pytest.raises(Cancelled, match="after 2 of 9"):
        pipe.fit([PHOTO], consent=CONSENT, num_steps=9, settings=QUICK, callback=lambda step, *_: step < 2)
    assert not list(tmp_path.iterdir()) and weights_sha256(pipe.generator) == before


def test_a_profile_needs_consent(pipe):
    with pytest.raises(InputError, match="record of consent"):
        pipe.fit([PHOTO], consent="yes")
    with pytest.raises(TypeError, match="consent"):
        pipe.fit([PHOTO])


def test_fit_takes_checked_photos_and_measures_likeness_with_an_identity_network(pipe, aligner, photos):
    torch.manual_seed(0)
    identity = FaceIdentity(resolution=32, width=4, embedding_dim=8).eval()
    person = PersonalizationPipeline(pipe.generator, pipe.encoder, aligner, identity=identity)
    checked = person.check_photos(photos[:1])
    assert isinstance(checked, CheckedPhotos)
    pack = person.fit(checked, consent=CONSENT, num_steps=2, rank=1, settings=QUICK)
    assert -1 <= pack.quality["similarity"] <= 1 and "similarity_start" in pack.quality


# Editing one photo


@pytest.mark.parametrize("paste_back", [True, False])
def test_no_edit_gives_the_photo_back(pipe, paste_back):
    out = pipe.edit(PHOTO, {"smile": 1.0}, strength=0, paste_back=paste_back)
    face = out.portrait.chosen_faces[0]
    if paste_back:
        assert np.array_equal(pixels(out.image), open_photo(PHOTO).permute(1, 2, 0).numpy())
    else:
        side = round(face.frame_px)
        crop = face.transform.crop(open_photo(PHOTO), side)
        assert out.image.size == (side, side)
        torch.testing.assert_close(from_pil(out.image), crop, atol=0.02, rtol=0)
    assert np.array_equal(pixels(out.face), pixels(out.reconstruction))


def test_an_edit_moves_the_code_and_the_face_alone(pipe):
    out = pipe.edit(PHOTO, {"smile": 1.0})
    plain = pipe.edit(PHOTO, {})
    torch.testing.assert_close(out.w_plus - plain.w_plus, pipe.directions["smile"].vector[None], atol=1e-5, rtol=0)
    changed = np.abs(pixels(out.image) - pixels(plain.image)).max(axis=2) > 0
    corners = out.portrait.chosen_faces[0].transform.inverse.apply([[0, 0], [1, 0], [1, 1], [0, 1]])
    (left, top), (right, bottom) = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    rows, columns = np.nonzero(changed)
    assert len(rows) > 1000 and left <= columns.min() and columns.max() <= right
    assert top <= rows.min() and rows.max() <= bottom
    assert out.recipe["attributes"] == {"smile": 1.0} and json.dumps(out.recipe)
    picture = pipe.edit(PHOTO, {"smile": 1.0}, transfer="picture", paste_back=False)
    assert np.array_equal(pixels(picture.image), pixels(picture.face))
    half = pipe.edit(PHOTO, {"smile": 2.0}, strength=0.5)
    assert np.array_equal(pixels(half.image), pixels(out.image))


def test_an_attribute_leaves_the_light_of_a_photo_alone(pipe):
    torch.manual_seed(0)
    before = torch.rand(2, 3, 32, 32) - 0.5
    after = before + torch.tensor([0.3, -0.1, 0.2])[:, None, None]  # another light
    after[:, :, 14:18, 14:18] += 0.4  # and a change of a few places
    kept = keep_light(before, after)
    changed = torch.zeros(32, 32, dtype=torch.bool)
    changed[14:18, 14:18] = True
    torch.testing.assert_close(kept[:, :, ~changed], before[:, :, ~changed])
    torch.testing.assert_close(kept[:, :, changed], before[:, :, changed] + 0.4)

    # A direction that was measured to do what its name says; any other may be about light.
    def face(**measured) -> np.ndarray:
        one = replace(pipe.directions["smile"], **measured)
        pipe.directions = Directions((one,), pipe.directions.base_hash)
        out = pipe.edit(PHOTO, {"smile": 2.0}, transfer="picture", paste_back=False)
        return pixels(out.face).astype(float)

    anything, attribute = face(effects={}), face(effects={"smile": 1.0})
    for free, kept in zip(anything.T, attribute.T, strict=True):
        seen = (np.minimum(free, kept) > 2) & (np.maximum(free, kept) < 253)  # not cut off at black or white
        light = (free - kept)[seen]
        assert light.size > 10 and np.ptp(light) <= 2
    assert np.abs(anything - attribute).max() > 1


def test_an_editor_takes_the_edit_over(pipe):
    plain = pipe.edit(PHOTO, {"smile": 1.0}, transfer="picture", paste_back=False)
    torch.manual_seed(1)
    editor = Editor.for_encoder(pipe.encoder, width=4, num_blocks=1).eval()
    editor.compute_dtype = torch.float32
    same = PersonalizationPipeline.from_pipe(pipe, editor=editor)
    same.directions = pipe.directions
    untrained = same.edit(PHOTO, {"smile": 1.0}, transfer="picture", paste_back=False)
    assert np.abs(pixels(untrained.face) - pixels(plain.face)).max() <= 1  # it starts as the plain sum
    with torch.no_grad():
        editor.head.weight.normal_(std=0.3)
    out = same.edit(PHOTO, {"smile": 1.0}, transfer="picture", paste_back=False)
    assert np.abs(pixels(out.face) - pixels(plain.face)).mean() > 1
    assert np.array_equal(pixels(out.reconstruction), pixels(plain.reconstruction))
    still = same.edit(PHOTO, {"smile": 1.0}, strength=0)
    assert np.array_equal(pixels(still.face), pixels(still.reconstruction))


def test_an_editor_for_other_features_is_refused(pipe):
    with pytest.raises(ConfigError, match=r"(?s)2 problems.*resolution 8.*feature_channels 4"):
        PersonalizationPipeline.from_pipe(pipe, editor=Editor(8, 4, width=4))


def test_an_upscaler_enlarges_what_is_drawn_anew(pipe):
    torch.manual_seed(2)
    upscaler = GuidedUpscaler(4, 1, 4, 1).eval()
    torch.nn.init.normal_(upscaler.head.weight, std=0.3)
    crisp = PersonalizationPipeline.from_pipe(pipe, guided_upscaler=upscaler)
    crisp.directions = pipe.directions
    options = {"attributes": {"smile": 1.0}, "transfer": "picture"}
    plain, drawn = pipe.edit(PHOTO, **options), crisp.edit(PHOTO, **options)
    assert np.array_equal(pixels(plain.face), pixels(drawn.face))
    assert not np.array_equal(pixels(plain.image), pixels(drawn.image))
    assert (plain.recipe["upscale"], drawn.recipe["upscale"]) == ("plain", "network")
    off = crisp.edit(PHOTO, **options, upscale="plain")
    assert np.array_equal(pixels(off.image), pixels(plain.image))
    kept = crisp.edit(PHOTO, {"smile": 1.0})  # the photo's own pixels need none
    assert np.array_equal(pixels(kept.image), pixels(pipe.edit(PHOTO, {"smile": 1.0}).image))
    assert "upscale" not in kept.recipe
    with pytest.raises(InputError, match="needs a model with an upscaler"):
        pipe.edit(PHOTO, **options, upscale="network")


def test_edit_refuses(pipe, tmp_path):
    with pytest.raises(InputError, match="4 problems"):
        pipe.edit(PHOTO, {"smile": 1}, transfer="magic", upscale="by hand", faces="all", strength=-1)
    with pytest.raises(InputError, match="cannot change 'hair'"):
        pipe.edit(PHOTO, {"hair": 1})
    with pytest.raises(InputError, match="must be a number"):
        pipe.edit(PHOTO, {"smile": "much"})
    with pytest.raises(NoFaceError):
        pipe.edit(Image.new("RGB", (200, 200), "gray"), {"smile": 1})
    with pytest.raises((FaceTooSmallError, NoFaceError)):
        pipe.edit(Image.open(PHOTO).resize((90, 90)), {"smile": 1})


# Models and sharing


def test_a_model_folder_with_directions_round_trips(pipe, profile, tmp_path):
    pipe.save_pretrained(tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"generator", "encoder", "aligner", "directions", "model_index.json"} <= names and "packs" not in names
    again = PersonalizationPipeline.from_pretrained(tmp_path / "model")
    assert again.directions.names == ("smile", "age") and again.identity is None
    again.generator.compute_dtype = torch.float32
    options = {"seeds": [3], "attributes": {"smile": 1}, "output_type": "pt"}
    torch.testing.assert_close(again(profile, **options).images, pipe(profile, **options).images)
    # From other pipelines: what they lack comes from the folder that they came from.
    plain = GenerationPipeline.from_pretrained(tmp_path / "model")
    for other in (plain, StyleTransferPipeline.from_pretrained(tmp_path / "model")):
        person = PersonalizationPipeline.from_pipe(other)
        assert person.generator is other.generator and person.directions.names == ("smile", "age")
    assert PersonalizationPipeline.from_pipe(plain).directions is plain.directions
    with pytest.raises(WeightsError, match="has no 'encoder'"):
        PersonalizationPipeline.from_pipe(GenerationPipeline(pipe.generator))


def test_a_profile_is_pushed_only_with_consent_and_private(hub, profile):
    with pytest.raises(PackError, match="i_have_consent=True"):
        push_identity_pack(profile, "user/profile", token=WRITE_TOKEN)
    assert not hub.repositories
    done = push_identity_pack(profile, "user/profile", i_have_consent=True, token=WRITE_TOKEN)
    repository = hub.repositories["models", "user/profile"]
    assert done.changed and repository.private
    assert not hasattr(IdentityPack, "push_to_hub")


def test_a_forgotten_profile_draws_nothing(pipe, networks):
    gone = make_profile(networks[0])
    kept = replace(gone, anchors=gone.anchors.clone())
    gone.forget()
    with pytest.raises(PackError, match="forgotten"):
        pipe(gone, seeds=[1])
    assert kept.anchors.any()
