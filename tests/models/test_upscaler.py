"""The upscaler: sizes, what it is before training, whole pictures in strips, and the weights in the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import gan_space
from gan_space.errors import ConfigError, InputError, WeightsError
from gan_space.images import from_pil, to_pil
from gan_space.models import upscaler as module
from gan_space.models.upscaler import Upscaler, enlarge_plain

EMBEDDED = Path(gan_space.__file__).parent / "assets" / "default" / "upscaler"
SAMPLE = Path(__file__).resolve().parents[1] / "data" / "samples" / "woman-lake.jpg"


def trained_looking(width: int = 4, num_blocks: int = 1) -> Upscaler:
    """Tiny, with a last layer that is not zero."""
    torch.manual_seed(0)
    model = Upscaler(width, num_blocks).eval().requires_grad_(False)
    model.head.weight.normal_(std=0.2)
    model.compute_dtype = torch.float32
    return model


def images(height: int = 24, width: int = 32, num: int = 2) -> torch.Tensor:
    return torch.rand(num, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (15, 64), (31, 17), (40, 24)])
def test_any_size_is_doubled(height, width):
    out = trained_looking()(images(height, width))
    assert out.shape == (2, 3, 2 * height, 2 * width) and out.dtype == torch.float32
    assert out.isfinite().all()


def test_before_training_it_is_the_plain_enlargement():
    x = images()
    torch.testing.assert_close(Upscaler(4, 1)(x), enlarge_plain(x), atol=0, rtol=0)


def test_the_plain_enlargement_is_pillows_bicubic():
    picture = Image.open(SAMPLE).convert("RGB").resize((40, 30))
    wanted = np.asarray(picture.resize((80, 60), Image.Resampling.BICUBIC)).astype(int)
    got = np.asarray(to_pil(enlarge_plain(from_pil(picture)))[0]).astype(int)
    assert np.abs(got - wanted).max() <= 2  # Pillow rounds after each of its two passes
    assert np.abs(got - wanted).mean() < 0.5
    torch.testing.assert_close(enlarge_plain(images(), 4).shape, torch.Size([2, 3, 96, 128]))


def test_an_odd_edge_is_drawn_as_if_the_picture_went_on():
    """The row that fills up an odd picture is a copy of the last one, and is cut off again."""
    model, x = trained_looking(), images(25, 31)
    longer = F.pad(x, (0, 1, 0, 1), mode="replicate")
    difference = (model(longer) - enlarge_plain(longer))[:, :, :50, :62] - (model(x) - enlarge_plain(x))
    assert difference.abs().max() < 1e-5


def test_strips_give_the_same_as_the_whole(monkeypatch):
    model, x = trained_looking(num_blocks=2), images(150, 21)
    whole = model(x)
    monkeypatch.setattr(module, "STRIP_PX", 42 * 16)
    torch.testing.assert_close(model.enlarge(x), whole, atol=1e-5, rtol=1e-5)
    assert model.enlarge(x[:, :, :7]).shape == (2, 3, 14, 42)


def test_nothing_is_felt_beyond_the_reach():
    model, x = trained_looking(num_blocks=2), images(96, 96, 1)
    changed = x.clone()
    changed[..., 48, 48] += 0.5
    moved = (model(changed) - model(x)).abs().sum(dim=(0, 1)) > 1e-7
    rows = moved.any(dim=1).nonzero().flatten() / 2
    assert 48 - model.reach <= rows.min() and rows.max() < 48 + model.reach + 2


def test_a_picture_comes_out_of_a_batch_as_alone_in_any_memory_format():
    model, x = trained_looking(), images(num=3)
    whole = model(x)
    torch.testing.assert_close(model(x[1:2]), whole[1:2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model(x.contiguous(memory_format=torch.channels_last)), whole, atol=1e-5, rtol=1e-5)


def test_bfloat16_is_close():
    model, x = trained_looking(), images()
    exact = model(x)
    model.compute_dtype = torch.bfloat16
    torch.testing.assert_close(model(x), exact, atol=0.05, rtol=0.05)
    half = trained_looking().to(torch.bfloat16)(x)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, exact, atol=0.05, rtol=0.05)


def test_every_parameter_learns():
    model = trained_looking().requires_grad_(True).train()
    model(images()).square().mean().backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() == 0]


def test_it_is_saved_and_loaded(tmp_path):
    model = trained_looking()
    model.save_pretrained(tmp_path)
    loaded = Upscaler.from_pretrained(tmp_path).eval()
    loaded.compute_dtype = torch.float32
    torch.testing.assert_close(loaded(images()), model(images()), atol=1e-6, rtol=0)
    (tmp_path / "config.json").write_text('{"_class_name": "Upscaler", "width": 6, "num_blocks": 1}')
    with pytest.raises(WeightsError, match="expected shape"):
        Upscaler.from_pretrained(tmp_path)


def test_faults_are_named():
    with pytest.raises(ConfigError, match="2 problems") as caught:
        Upscaler(width=0, num_blocks=-1)
    assert "width" in str(caught.value) and "num_blocks" in str(caught.value)
    for wrong in (torch.zeros(3, 8, 8), torch.zeros(1, 4, 8, 8), torch.zeros(1, 3, 0, 8)):
        with pytest.raises(InputError, match=r"\[N, 3, H, W\]"):
            Upscaler(4, 1)(wrong)


def test_the_embedded_one_is_small_and_beats_plain_filters():
    """On photos that it was not trained on, and which are no aligned faces."""
    model = Upscaler.from_pretrained(EMBEDDED).eval().requires_grad_(False)
    model.compute_dtype = torch.float32
    assert sum(p.numel() for p in model.parameters()) <= 400_000
    assert sum(file.stat().st_size for file in EMBEDDED.iterdir()) < 2_000_000
    shares = {2: [], 4: []}  # of the filter's squared error
    for name in ("woman-lake", "woman-park", "naval-officer"):
        photo = Image.open(SAMPLE.with_stem(name)).convert("RGB")
        truth = from_pil(photo.resize((128, 128), Image.Resampling.LANCZOS))
        for factor, found in shares.items():
            small = F.avg_pool2d(truth, factor)
            network = model(small) if factor == 2 else model(model(small).clamp(-1, 1))
            errors = [(x.clamp(-1, 1) - truth).square().mean() for x in (network, enlarge_plain(small, factor))]
            found.append((errors[0] / errors[1]).item())
    assert max(shares[2]) < 0.95
    assert sum(shares[4]) / 3 < 0.95
