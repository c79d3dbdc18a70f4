"""The two halves of a step, where the other tests do not look: penalties' weights, compiled networks, hidden writes."""

from __future__ import annotations

import copy
import dataclasses
import functools

import pytest
import torch

from gan_space.errors import ConfigError
from training.common.ema import update_ema
from training.config import PRESETS
from training.loop import _beta2, _rate
from training.recording import Recorder
from training.steps import (
    Penalised,
    _discriminator_gradients,
    _gammas,
    discriminator_step,
    draw_w_plus,
    generator_step,
    make_players,
)

CONFIG = dataclasses.replace(PRESETS["tiny"], resolution=16, channel_base=64, channel_max=16, use_noise=False)


class HiddenAdam(torch.optim.Adam):
    """Writes past autograd's version counters, as the fused optimizers of a GPU do."""

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.data.add_(parameter.grad, alpha=-0.1)


def make_inputs(config):
    torch.manual_seed(0)
    players = make_players(config, 0, torch.device("cpu"))
    real, c = torch.rand(8, 3, config.resolution, config.resolution) * 2 - 1, torch.zeros(8, 0)
    return players, real, c


def fresh(network):
    """The same weights without anything prepared from older ones."""
    twin = copy.deepcopy(network)
    for module in twin.modules():
        if hasattr(module, "_prepared"):
            module._prepared._state = (None, {})
    return twin


@torch.no_grad()
def test_discriminator_is_shown_pictures_of_the_newest_weights():
    players, real, c = make_inputs(CONFIG)
    players.optimizer_g = HiddenAdam(players.generator.parameters())
    w_plus = torch.randn(4, players.generator.num_ws, CONFIG.w_dim)
    before = players.generator.requires_grad_(False).synthesis(w_plus)  # prepares the weights
    with torch.enable_grad():
        generator_step(players, CONFIG, real, c, c, nimg=8)
    players.generator.requires_grad_(False)
    after = players.generator.synthesis(w_plus)
    assert not torch.equal(before, after)
    assert torch.equal(after, fresh(players.generator).synthesis(w_plus))


@torch.no_grad()
def test_average_draws_with_its_newest_weights(monkeypatch):
    players, _, _ = make_inputs(CONFIG)
    w_plus = torch.randn(4, players.generator.num_ws, CONFIG.w_dim)
    before = players.ema.synthesis(w_plus)
    for parameter in players.generator.parameters():
        parameter.add_(0.1)

    def hidden_lerp(targets, sources, weight):
        for target, source in zip(targets, sources, strict=True):
            target.data.lerp_(source, weight)

    monkeypatch.setattr(torch, "_foreach_lerp_", hidden_lerp)
    update_ema(players.ema, players.generator, 0.5)
    after = players.ema.synthesis(w_plus)
    assert not torch.equal(before, after)
    assert torch.equal(after, fresh(players.ema).synthesis(w_plus))


def test_every_picture_is_drawn_and_judged_with_its_own_label():
    config = dataclasses.replace(CONFIG, loss="relativistic", augment="none", style_mixing_prob=1.0, batch_size=4)
    players = make_players(config, 3, torch.device("cpu"))
    real, real_c, fake_c = torch.rand(4, 3, 16, 16) * 2 - 1, torch.eye(3)[[0] * 4], torch.eye(3)[[2] * 4]
    seen = []
    players.generator.mapping.register_forward_pre_hook(lambda _, given: seen.append(("drawn", given[1])))
    players.discriminator.register_forward_pre_hook(
        lambda _, given: seen.append(("real" if torch.equal(given[0], real) else "fake", given[1]))
    )
    for step in (discriminator_step, generator_step):
        seen.clear()
        step(players, config, real, real_c, fake_c, nimg=0)
        assert {kind for kind, _ in seen} == {"drawn", "real", "fake"}
        for kind, c in seen:
            assert (c == (real_c if kind == "real" else fake_c)[: len(c)]).all(), (step.__name__, kind)


def test_both_penalties_follow_the_ramp():
    config = dataclasses.replace(CONFIG, r1_gamma=0.1, r2_gamma=0.2, r1_gamma_start=0.4, ramp_kimg=10)
    assert _gammas(config, 0) == pytest.approx((0.4, 0.8))
    assert _gammas(config, 10_000) == pytest.approx((0.1, 0.2))
    assert _gammas(dataclasses.replace(config, r1_gamma_start=None), 0) == (0.1, 0.2)


def test_learning_rates_and_second_momentum_follow_the_ramp_too():
    """As in R3GAN (Huang et al. 2024): gamma and rates down, beta2 up, over one stretch."""
    config = dataclasses.replace(CONFIG, g_lr=0.001, beta2=0.99, lr_start=4.0, beta2_start=0.9, ramp_kimg=10)
    found = [(_rate(config, config.g_lr, nimg), _beta2(config, nimg)) for nimg in (0, 5_000, 10_000, 99_000)]
    assert found == [pytest.approx(pair) for pair in ((0.004, 0.9), (0.0025, 0.945), (0.001, 0.99), (0.001, 0.99))]
    still = dataclasses.replace(CONFIG, g_lr=0.001, beta2=0.99)
    assert (_rate(still, still.g_lr, 0), _beta2(still, 0)) == (0.001, 0.99)
    for change in ({"lr_start": 4.0}, {"beta2_start": 0.9}, {"r1_gamma_start": 1.0}):
        with pytest.raises(ConfigError, match="needs --ramp_kimg"):
            dataclasses.replace(CONFIG, **change)


def test_a_ramp_needs_no_new_recording():
    """What a recording depends on stays the same while gamma moves, and gamma is among its inputs."""

    class Watched(Recorder):
        def run(self, name, settings, phase, inputs, network):
            seen.append((name, settings, inputs[-1].tolist()))
            return super().run(name, settings, phase, inputs, network)

    seen: list[tuple] = []
    config = dataclasses.replace(CONFIG, r1_gamma=0.1, r2_gamma=0.2, r1_gamma_start=0.4, ramp_kimg=1, r1_interval=1)
    players, real, c = make_inputs(config)
    players.recorder = Watched(enabled=False)
    for nimg in (0, 500, 1000):
        discriminator_step(players, config, real.clone(), c, c, nimg=nimg)
    assert seen[0][:2] == seen[1][:2] == seen[2][:2]
    assert [gammas for _, _, gammas in seen] == [pytest.approx(pair) for pair in ((0.4, 0.8), (0.25, 0.5), (0.1, 0.2))]


@pytest.mark.parametrize("on", ["real", "drawn"])
def test_a_penalty_adds_half_its_weight_times_the_interval_to_the_gradient(on):
    config = dataclasses.replace(CONFIG, augment="none", r1_interval=4)
    gammas = {"real": (0.5, 0.0), "drawn": (0.0, 0.5)}[on]

    def gradients(gamma1: float, gamma2: float) -> list[torch.Tensor]:
        players, real, c = make_inputs(config)
        players.generator.requires_grad_(False)
        torch.manual_seed(1)
        penalised = Penalised(real=gamma1 > 0, fake=gamma2 > 0)
        _discriminator_gradients(players, config, penalised, real, c, c, torch.tensor([gamma1, gamma2]))
        return [parameter.grad for parameter in players.discriminator.parameters()]

    players, pictures, c = make_inputs(config)
    if on == "drawn":
        torch.manual_seed(1)
        with torch.no_grad():
            pictures = players.draw(draw_w_plus(players, config, c), noise_mode="random")
    discriminator = players.discriminator
    pictures.requires_grad_(True)
    (slope,) = torch.autograd.grad(discriminator(pictures, c).sum(), pictures, create_graph=True)
    penalty = slope.square().sum(dim=(1, 2, 3)).mean()  # Mescheder et al. 2018, eq. 9
    wanted = torch.autograd.grad(penalty, list(discriminator.parameters()), allow_unused=True)  # not the last bias
    assert penalty > 1e-6
    for without, together, one in zip(gradients(0, 0), gradients(*gammas), wanted, strict=True):
        more = torch.zeros_like(without) if one is None else 0.5 / 2 * 4 * one
        torch.testing.assert_close(together - without, more, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("loss", ["non_saturating", "relativistic"])
def test_a_bad_gradient_moves_nothing(loss):
    config = dataclasses.replace(CONFIG, loss=loss)
    players, real, c = make_inputs(config)
    weights = copy.deepcopy(players.discriminator.state_dict())
    real[0, 0, 0, 0] = float("nan")
    stats = discriminator_step(players, config, real, c, c, nimg=8)
    assert stats["bad"] == 1.0
    for name, value in players.discriminator.state_dict().items():
        assert torch.equal(value, weights[name])


@pytest.mark.parametrize(("g_eps", "shortest", "longest"), [(1e-8, 0.7, 1.01), (0.01, 0.0, 0.1)])
def test_a_large_epsilon_holds_the_generator_back_where_the_discriminator_has_nothing_to_say(g_eps, shortest, longest):
    players, real, c = make_inputs(dataclasses.replace(CONFIG, g_eps=g_eps))
    with torch.no_grad():
        players.discriminator.b4.out.weight.mul_(1e-3)  # nearly the same verdict for every picture
    before = copy.deepcopy(list(players.generator.synthesis.b16.conv1.parameters()))
    generator_step(players, CONFIG, real, c, c, nimg=8)
    moved = torch.cat(
        [
            (new - old).flatten().abs()
            for new, old in zip(players.generator.synthesis.b16.conv1.parameters(), before, strict=True)
        ]
    )
    assert shortest <= moved.median().item() / CONFIG.g_lr <= longest


@pytest.mark.slow
def test_compiled_networks_take_the_same_steps(monkeypatch):
    """Two D steps and two G steps, with and without penalty: the same numbers as uncompiled, within rounding."""
    # Traced and differentiated as ever, but no kernels are generated, which would take minutes on a CPU.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    config = dataclasses.replace(CONFIG, r1_interval=2, loss="relativistic", r2_gamma=0.1)
    found = []
    for compile_ in ("none", "networks"):
        players, real, c = make_inputs(dataclasses.replace(config, compile=compile_))
        torch.manual_seed(1)
        steps = [(step, nimg) for nimg in (0, 16) for step in (discriminator_step, generator_step)]
        found.append([step(players, config, real.clone(), c, c, nimg=nimg) for step, nimg in steps])
    for plain, compiled in zip(*found, strict=True):
        assert compiled == pytest.approx(plain, rel=1e-3, abs=1e-4)
