"""A discriminator on frozen features: the frozen part stays outside, mixtures hold everything, the heads learn."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys

import pytest
import torch
from torch.nn import functional as F

from gan_space import GenerationPipeline
from gan_space.errors import ConfigError
from gan_space.metrics.features import load_efficientnet
from tests.training.test_train_script import UNJUDGED, assert_same, command, weights
from training.common.checkpoint import CheckpointStore
from training.config import PRESETS
from training.initialise import start_from
from training.judging import logits_of
from training.projected import MIXED_CHANNELS, GroupedBatchNorm, ProjectedDiscriminator, RandomMixing
from training.steps import discriminator_step, generator_step, make_players

PX = 32
FLAGS = shlex.split(f"--projected_features random_conv --projected_px {PX} --augment none")
SMALL = dataclasses.replace(
    PRESETS["tiny"], resolution=16, z_dim=8, w_dim=8, channel_base=128, channel_max=8, batch_size=8,
    projected_features="random_conv", projected_px=PX,
)  # fmt: skip
CPU = torch.device("cpu")


def projected(features: str = "random_conv", group_size: int = 4, **options) -> ProjectedDiscriminator:
    torch.manual_seed(0)
    return ProjectedDiscriminator(features, PX, group_size, **options)


def pictures(count: int = 8, side: int = 16, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("side", [16, 64, 128])
def test_every_picture_gets_logits_of_all_heads_and_a_gradient(side):
    judge, images = projected(), pictures(side=side).requires_grad_(True)
    logits = judge(images)
    assert logits.shape == (8, 16 + 16 + 4 + 1) and logits.dtype == torch.float32
    (gradient,) = torch.autograd.grad(logits.sum(dim=1).tanh().sum(), images)
    assert (gradient.flatten(1).abs().sum(dim=1) > 0).all()


def test_the_frozen_network_is_neither_learned_nor_saved_but_moves_along():
    judge = projected()
    (network,) = judge._frozen
    inside = {tensor.data_ptr() for tensor in [*judge.parameters(), *judge.state_dict().values()]}
    assert not inside & {tensor.data_ptr() for tensor in network.state_dict().values()}
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all("mixing" in name or "heads" in name for name in judge.state_dict())
    judge.to("meta")
    assert {tensor.device.type for tensor in network.parameters()} == {"meta"}


def test_every_channel_of_a_map_reaches_every_finer_mixture_and_no_coarser_one():
    torch.manual_seed(0)
    channels, sizes = (3, 4, 5, 6), (16, 8, 4, 2)
    mix = RandomMixing(channels)
    for level in range(4):
        maps = [torch.zeros(1, C, size, size) for C, size in zip(channels, sizes, strict=True)]
        for channel in range(channels[level]):
            maps[level].zero_()[:, channel] = 1.0
            reached = [(mixed.abs().sum(dim=(0, 2, 3)) > 0).float().mean().item() for mixed in mix(maps)]
            assert reached == [1.0] * (level + 1) + [0.0] * (3 - level)
    assert [mixed.shape[1] for mixed in mix(maps)] == list(MIXED_CHANNELS)


def test_groups_are_normalised_apart_as_batch_normalisation_would():
    x = torch.randn(8, 5, 3, 3, generator=torch.Generator().manual_seed(0)) * 3 + 1
    norm, plain = GroupedBatchNorm(5, 4), torch.nn.BatchNorm2d(5)
    torch.testing.assert_close(norm(x)[::2], plain(x[::2]))
    torch.testing.assert_close(norm(x)[1::2], plain(x[1::2]))
    assert norm(x[:1]).isfinite().all()  # a batch smaller than a group


def test_weights_of_the_heads_have_a_spectral_norm_of_one():
    judge = projected().train()
    for _ in range(20):  # of the power iteration
        judge(pictures())
    convolutions = [module.conv for module in judge.heads.modules() if hasattr(module, "conv")]
    assert len(convolutions) == 1 + 1 + 1 + 1 + 4  # a layer at least from 8, 4, 2 and 1 px, and the verdicts
    for conv in convolutions:
        assert torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("discriminator", ["projected", "both"])
def test_it_learns_to_tell_pictures_apart_and_the_generator_hears_of_it(discriminator):
    config = dataclasses.replace(SMALL, discriminator=discriminator, augment="none")
    torch.manual_seed(0)
    players = make_players(config, 0, CPU)
    c, real = torch.zeros(8, 0), pictures()
    steps = [discriminator_step(players, config, real.clone(), c, c, nimg=8 * (step + 1)) for step in range(6)]
    assert steps[-1]["loss_d_projected"] < 0.8 * steps[0]["loss_d_projected"]
    before = players.generator.synthesis.b16.conv1.weight.clone()
    stats = generator_step(players, config, real, c, c, nimg=8)
    assert not torch.equal(before, players.generator.synthesis.b16.conv1.weight)
    assert ("loss_g" in stats) == ("r1" in discriminator_step(players, config, real, c, c, nimg=0))
    assert ("loss_g" in stats) == (discriminator == "both")


def test_without_it_steps_are_those_that_were():
    """The random numbers of a run without it do not depend on it."""
    found = []
    for discriminator in ("stylegan", "both"):
        torch.manual_seed(0)
        players = make_players(dataclasses.replace(SMALL, discriminator=discriminator), 0, CPU)
        found.append([*players.generator.parameters(), *players.discriminator.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_looking_at_it_does_not_change_it():
    judge = projected().eval()
    before = {name: value.clone() for name, value in judge.state_dict().items()}
    logits = logits_of(judge, pictures(10))
    assert logits.shape == (10,)
    torch.testing.assert_close(
        logits[:8], judge(torch.cat([pictures(10)] * 2)[:12]).mean(dim=1)[:8], rtol=1e-4, atol=1e-4
    )
    assert all(torch.equal(value, before[name]) for name, value in judge.state_dict().items())


def test_a_run_starts_from_one_with_or_without_it(tmp_path):
    both = dataclasses.replace(SMALL, discriminator="both")
    torch.manual_seed(0)
    source = make_players(both, 0, CPU)
    CheckpointStore(tmp_path / "checkpoints").save(8, source.modules, source.optimizers, source.state())
    for kind in ("stylegan", "projected", "both"):
        torch.manual_seed(1)
        players = make_players(dataclasses.replace(both, discriminator=kind), 0, CPU)
        start_from(players, tmp_path)
        for name, module in players.modules.items():
            assert_same(module.state_dict(), source.modules[name].state_dict())


def test_wrong_settings_are_named():
    with pytest.raises(ConfigError, match=r"--projected_px must be a multiple of 32, got 100"):
        dataclasses.replace(SMALL, projected_px=100)
    with pytest.raises(ConfigError, match="does not look at labels"):
        dataclasses.replace(SMALL, discriminator="projected", label_column="age")
    with pytest.raises(ConfigError, match="--projected_features must be one of efficientnet, random_conv"):
        dataclasses.replace(SMALL, projected_features="magic")


@pytest.mark.slow
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, in_process):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    for folder, kimg in ((whole, "0.064"), (halves, "0.032"), (halves, "0.064")):
        flags = ["--discriminator", "both", *FLAGS, *UNJUDGED, "--total_kimg", kimg]
        result = in_process(command(folder, *flags))
        assert result.returncode == 0, result.stderr
    assert_same(weights(whole, 64), weights(halves, 64))
    assert (whole / "checkpoints" / "nimg-000000064" / "projected.safetensors").is_file()
    assert (whole / "export" / "discriminator").is_dir()


@pytest.mark.slow
def test_alone_it_is_judged_by_and_leaves_a_model(tmp_path, in_process):
    flags = ["--discriminator", "projected", *FLAGS, "--augment", "adaptive", "--total_kimg", "0.064"]
    result = in_process(command(tmp_path / "run", *flags))
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert any("verdict" in line for line in lines) and any("loss_d_projected" in line for line in lines)
    assert not (tmp_path / "run" / "export" / "discriminator").exists()
    assert GenerationPipeline.from_pretrained(tmp_path / "run" / "export")(seeds=[1]).images[0].size == (16, 16)


@pytest.mark.slow
def test_without_the_extra_a_run_says_so_before_it_leaves_a_trace(tmp_path, in_process, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    result = in_process(command(tmp_path / "never", "--discriminator", "both"))
    assert result.returncode == 2 and "gan-space[features]" in result.stderr
    assert not (tmp_path / "never").exists()


@torch.no_grad()
def test_features_of_imagenet_are_those_of_its_network():
    pytest.importorskip("efficientnet_lite_pytorch")
    judge = ProjectedDiscriminator("efficientnet", 64, group_size=4)
    images = pictures(2, 64)
    network = load_efficientnet()
    x = network._swish(network._bn0(network._conv_stem((images * 127.5 + 0.5) / 128)))
    for block in network._blocks:
        x = block(x)
    maps = judge._frozen[0](images)
    torch.testing.assert_close(maps[-1], x, rtol=1e-3, atol=1e-3)
    assert [tuple(one.shape[1:]) for one in maps] == [(24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    known = [value for value in network.state_dict().values() if value.numel() > 1]
    assert not any(torch.equal(saved, value) for saved in judge.state_dict().values() for value in known)
    assert F.cosine_similarity(judge(images[:1]), judge(images[1:])).item() < 0.999
