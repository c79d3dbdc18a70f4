"""Starting from another run: the picture does not change at first, and what does not fit is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gan_space.errors import ConfigError
from gan_space.nn.fir import filter2d, make_filter, upsample2d
from gan_space.seeding import latents_from_seeds
from training.common.checkpoint import CheckpointStore
from training.config import PRESETS
from training.export import export_run
from training.initialise import start_from
from training.steps import make_players

SMALL = replace(PRESETS["tiny"], resolution=16, z_dim=8, w_dim=8, channel_base=128, channel_max=8)
CPU = torch.device("cpu")


@pytest.fixture
def run(tmp_path):
    torch.manual_seed(0)
    players = make_players(SMALL, 0, CPU)
    with torch.no_grad():
        players.ema.mapping.w_avg.normal_()
    CheckpointStore(tmp_path / "checkpoints").save(16, players.modules, players.optimizers, players.state())
    return tmp_path, players


@torch.no_grad()
def test_same_resolution_takes_everything(run):
    folder, source = run
    players = make_players(SMALL, 0, CPU)
    start_from(players, folder)
    for name, module in source.modules.items():
        for key, value in module.state_dict().items():
            assert torch.equal(players.modules[name].state_dict()[key], value), f"{name}: {key}"


def test_the_images_of_all_runs_behind_it_are_counted(run, tmp_path):
    players = make_players(SMALL, 0, CPU)
    start_from(players, run[0])
    assert players.images_before == 16
    export = export_run(tmp_path / "export", players, SMALL, 32, None)
    later = make_players(SMALL, 0, CPU)
    start_from(later, export)
    assert later.images_before == 48
    again = make_players(SMALL, 0, CPU)
    again.load_state(later.state())
    assert again.images_before == 48


@torch.no_grad()
@pytest.mark.parametrize("resolution", [32, 64])
def test_growing_keeps_the_picture(run, resolution):
    folder, source = run
    players = make_players(replace(SMALL, resolution=resolution), 0, CPU)
    start_from(players, folder)
    z = latents_from_seeds([1, 2], 8)
    small = source.ema(z, noise_mode="const")
    while small.shape[-1] < resolution:
        small = upsample2d(small, make_filter())
    torch.testing.assert_close(players.ema(z, noise_mode="const"), small, atol=1e-5, rtol=1e-5)
    assert torch.equal(players.discriminator.b16.conv0.weight, source.discriminator.b16.conv0.weight)
    assert players.discriminator(torch.randn(2, 3, resolution, resolution)).isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("resolution", [32, 64])
def test_a_grown_discriminator_judges_as_the_smaller_one(tmp_path, resolution):
    small = replace(SMALL, channel_base=512)  # 8 channels at 64 px, where six carry the colours
    torch.manual_seed(0)
    source = make_players(small, 0, CPU)
    source.discriminator.b16.fromrgb.bias.normal_()
    CheckpointStore(tmp_path / "checkpoints").save(16, source.modules, source.optimizers, source.state())
    players = make_players(replace(small, resolution=resolution), 0, CPU)
    start_from(players, tmp_path)
    images = shrunk = torch.randn(4, 3, resolution, resolution)
    while shrunk.shape[-1] > 16:
        shrunk = filter2d(shrunk, make_filter(), padding=(1, 1), stride=2)
    torch.testing.assert_close(players.discriminator(images), source.discriminator(shrunk), atol=1e-4, rtol=1e-4)


def test_every_new_weight_of_a_grown_discriminator_can_learn(tmp_path):
    small = replace(SMALL, channel_base=512)
    source = make_players(small, 0, CPU)
    CheckpointStore(tmp_path / "checkpoints").save(16, source.modules, source.optimizers, source.state())
    players = make_players(replace(small, resolution=32), 0, CPU)
    start_from(players, tmp_path)
    new = players.discriminator.requires_grad_(True).b32
    players.discriminator(torch.randn(4, 3, 32, 32)).sum().backward()
    # What nothing listens to yet, the free channels of conv0, follows once conv1 has begun to listen.
    assert new.skip.weight.grad.abs().amax(dim=(1, 2, 3)).min() > 0
    assert new.conv1.weight.grad.abs().amax(dim=(0, 2, 3)).min() > 0


NARROW = replace(SMALL, channel_base=64)  # 8, 8 and 4 channels
WIDER = pytest.mark.parametrize(
    "changes", [{"channel_base": 128}, {"channel_max": 16}, {"channel_base": 512, "channel_max": 32}]
)


@torch.no_grad()
@WIDER
@pytest.mark.parametrize("use_noise", [True, False])
def test_widening_keeps_pictures_and_verdicts(tmp_path, changes, use_noise):
    narrow = replace(NARROW, use_noise=use_noise)
    torch.manual_seed(0)
    source = make_players(narrow, 0, CPU)
    for network in (source.ema, source.discriminator):
        for name, parameter in network.named_parameters():
            if name.endswith(("bias", "noise_strength")):
                parameter.normal_()
    CheckpointStore(tmp_path / "checkpoints").save(16, source.modules, source.optimizers, source.state())
    players = make_players(replace(narrow, **changes), 0, CPU)
    start_from(players, tmp_path)
    z, images = latents_from_seeds([1, 2, 3, 4], 8), torch.randn(4, 3, 16, 16)
    drawn, known = (network.ema(z, noise_mode="const") for network in (players, source))
    torch.testing.assert_close(drawn, known, atol=1e-5, rtol=1e-5)
    verdicts, known = (network.discriminator(images) for network in (players, source))
    torch.testing.assert_close(verdicts, known, atol=2e-4, rtol=2e-4)
    assert sum(p.numel() for p in players.ema.parameters()) > sum(p.numel() for p in source.ema.parameters())


@WIDER
def test_what_is_new_in_a_wider_network_can_learn(tmp_path, changes):
    source = make_players(NARROW, 0, CPU)
    CheckpointStore(tmp_path / "checkpoints").save(16, source.modules, source.optimizers, source.state())
    players = make_players(replace(NARROW, **changes), 0, CPU)
    start_from(players, tmp_path)
    generator, discriminator = (players.modules[name].requires_grad_(True) for name in ("generator", "discriminator"))
    for _ in range(2):  # in the second step something listens to all that is new
        pictures = generator(torch.randn(4, 8), noise_mode="const")
        loss = discriminator(pictures).square().mean() + pictures.square().mean()
        parameters = {**dict(generator.synthesis.named_parameters()), **dict(discriminator.named_parameters())}
        gradients = torch.autograd.grad(loss, parameters.values())
        with torch.no_grad():
            for parameter, gradient in zip(parameters.values(), gradients, strict=True):
                parameter.sub_(0.1 * gradient)
    for name, gradient in zip(parameters, gradients, strict=True):
        if name.endswith("weight") and "affine" not in name:
            assert gradient.abs().flatten(1).amax(dim=1).min() > 0, name


def test_widening_and_growing_at_once_is_refused(run):
    with pytest.raises(ConfigError, match="widen in one run"):
        start_from(make_players(replace(SMALL, resolution=32, channel_base=512, channel_max=16), 0, CPU), run[0])


def test_fewer_channels_are_refused(run):
    with pytest.raises(ConfigError, match="do not fit the generator"):
        start_from(make_players(replace(SMALL, channel_max=4), 0, CPU), run[0])


@torch.no_grad()
def test_noise_inputs_can_be_left_behind(run):
    folder, source = run
    players = make_players(replace(SMALL, use_noise=False), 0, CPU)
    start_from(players, folder)
    assert not any("noise" in key for key in players.ema.state_dict())
    z = latents_from_seeds([1], 8)
    torch.testing.assert_close(players.ema(z), source.ema(z, noise_mode="none"))


def test_what_does_not_fit_is_named(run, tmp_path):
    folder, _ = run
    with pytest.raises(ConfigError, match=r"mapping\.fc0\.weight.*do not fit"):
        start_from(make_players(replace(SMALL, w_dim=12), 0, CPU), folder)
    with pytest.raises(ConfigError, match="holds no complete checkpoint"):
        start_from(make_players(SMALL, 0, CPU), tmp_path / "nowhere")


@torch.no_grad()
def test_a_model_folder_can_be_fine_tuned(run, tmp_path):
    _, source = run
    model = tmp_path / "model"
    source.ema.save_pretrained(model / "generator")
    players = make_players(SMALL, 0, CPU)
    before = players.discriminator.b16.conv0.weight.clone()
    start_from(players, model)
    z = latents_from_seeds([1], 8)
    for name in ("generator", "ema"):
        torch.testing.assert_close(players.modules[name](z, noise_mode="const"), source.ema(z, noise_mode="const"))
    assert torch.equal(players.discriminator.b16.conv0.weight, before), "a model without one leaves D alone"

    source.discriminator.save_pretrained(model / "discriminator")
    start_from(players, model)
    assert torch.equal(players.discriminator.b16.conv0.weight, source.discriminator.b16.conv0.weight)


def test_the_embedded_model_is_called_default():
    players = make_players(PRESETS["portraits-128"], 0, CPU)
    start_from(players, "default")
    assert players.ema.mapping.w_avg.abs().sum() > 0
