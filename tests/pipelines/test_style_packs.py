"""Packs in the style transfer pipeline: verbs, other models, other threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from gan_space.errors import Cancelled, InputError, PackError
from gan_space.images import from_pil
from gan_space.packs.attaching import attached
from gan_space.packs.tuning import TuneSettings
from gan_space.photos.opening import open_photo
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from tests.pipelines.styling import PHOTO, REFERENCE, R, make_pack, make_preview, pixels


@pytest.fixture
def pipe(style_pipe) -> StyleTransferPipeline:
    return style_pipe


def test_a_pack_is_drawn_as_its_own_module_draws_it(pipe, pack):
    from gan_space.packs.style import finish_with_packs

    pipe.load_style_pack(pack)
    out = pipe(PHOTO, pack="ink", strength=1.0, transfer="picture", paste_back=False)
    crop = out.portraits[0].chosen_faces[0].transform.crop(open_photo(PHOTO), R)
    code = pipe.encoder(crop)
    by_hand = finish_with_packs(pipe.generator, code.state, code.w_plus, [(pack, 1.0)])
    torch.testing.assert_close(from_pil(out.images[0]), by_hand.clamp(-1, 1), atol=0.01, rtol=0)


def test_packs_leave_the_networks_as_they_were(pipe, pack):
    before = {name: weight.clone() for name, weight in pipe.generator.state_dict().items()}
    pipe.load_style_pack(pack)
    pipe(PHOTO, pack="ink", scope="photo")
    assert all(torch.equal(weight, before[name]) for name, weight in pipe.generator.state_dict().items())


def test_verbs_for_packs(pipe, networks, tmp_path):
    for name in ("ink", "soft"):
        preview = make_preview()
        make_pack(*networks, name=name, preview=preview).save_pretrained(tmp_path / name)
        assert pipe.load_style_pack(tmp_path / name) == name
    assert pipe.packs == {"ink": 0.0, "soft": 0.0}
    pipe.set_packs({"ink": 0.5})
    by_default = pipe(PHOTO, strength=1.0).images[0]
    named = pipe(PHOTO, packs={"ink": 0.5}, strength=1.0).images[0]
    assert np.array_equal(pixels(by_default), pixels(named))
    assert not np.array_equal(pixels(by_default), pixels(pipe(PHOTO, pack="soft", strength=1.0).images[0]))
    pipe.unload_packs(["ink"])
    assert pipe.packs == {"soft": 0.0}
    with pytest.raises(InputError, match=r"no pack 'ink' is loaded \(known: soft\)"):
        pipe(PHOTO, pack="ink")
    with pytest.raises(InputError, match="no look is given"):
        pipe(PHOTO)
    pipe.unload_packs()
    assert pipe.packs == {}
    with pytest.raises(InputError, match="neither a folder, nor a Hub id"):
        pipe.load_style_pack("nothing")
    with pytest.raises(InputError, match="within ±2"):
        pipe.load_style_pack(tmp_path / "ink")
        pipe.set_packs({"ink": 3})


def test_a_pack_for_another_model_is_refused_unless_asked(pipe, networks):
    foreign = make_pack(*networks, base_hash="0" * 64)
    with pytest.raises(PackError, match=r"tuned for tiny \(0000.*this model is a model in memory"):
        pipe.load_style_pack(foreign)
    assert pipe.load_style_pack(foreign, allow_other_base=True) == "ink"


def test_packs_of_the_models_folder_load_by_name(pipe, networks, tmp_path):
    pipe.save_pretrained(tmp_path / "model")
    make_pack(*networks, preview=make_preview()).save_pretrained(tmp_path / "model" / "packs" / "ink")
    loaded = StyleTransferPipeline.from_pretrained(tmp_path / "model")
    assert loaded.shipped_packs() == ["ink"] and loaded.packs == {}
    loaded.generator.compute_dtype = loaded.encoder.compute_dtype = torch.float32
    out = loaded(PHOTO, pack="ink")
    assert loaded.packs == {"ink": 0.0}
    assert out.recipe[0]["packs"] == [{"name": "ink", "id": "ink", "weight": 1.0}]
    assert (out.recipe[0]["model"], out.recipe[0]["revision"]) == ("model", loaded.source.revision)


def test_another_threads_packs_do_not_get_in(pipe, pack):
    """While packs hang on the generator elsewhere, a photo waits and then sees its own."""
    expected = pixels(pipe(PHOTO, REFERENCE).images[0])
    drawn = []
    with attached(pipe.generator, [(pack.delta, 5.0)]):
        thread = threading.Thread(target=lambda: drawn.append(pipe(PHOTO, REFERENCE).images[0]))
        thread.start()
        thread.join(timeout=1.0)
        assert not drawn
    thread.join()
    assert np.array_equal(pixels(drawn[0]), expected)


def test_a_pack_is_fitted_and_used_and_a_callback_stops_it(pipe):
    settings = TuneSettings(num_steps=3, batch_size=2, rank=2, num_faces=4, preview_every=2)
    told = []
    before = {name: weight.clone() for name, weight in pipe.generator.state_dict().items()}
    pack = pipe.fit_pack([REFERENCE], "my-look", settings=settings, callback=lambda *step: told.append(step))
    assert [(step, total, preview is not None) for step, total, preview in told] == [
        (1, 3, False), (2, 3, True), (3, 3, True)
    ]  # fmt: skip
    assert (pack.name, pack.training["source"]) == ({"en": "My look", "zh-CN": "My look"}, "1 picture")
    assert all(torch.equal(weight, before[name]) for name, weight in pipe.generator.state_dict().items())
    pipe(PHOTO, pack=pipe.load_style_pack(pack))
    again = pipe.fit_pack(pipe.read_look_pictures([REFERENCE]), "my-look", settings=settings)
    assert torch.equal(again.w_offset, pack.w_offset) and again.preview == pack.preview
    with pytest.raises(Cancelled):
        pipe.fit_pack([REFERENCE], "my-look", settings=settings, callback=lambda step, *_: step < 2)
    with pytest.raises(PackError, match="id must be small letters"):
        pipe.fit_pack([REFERENCE], "My look", settings=settings)
