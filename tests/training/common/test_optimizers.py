"""Muon and AdamW as one optimizer: what moves by which, how far, and that its state comes back whole."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from gan_space.errors import ConfigError
from tests.training.common.test_fit_network import Config
from training.common.checkpoint import CheckpointStore
from training.common.optimizers import MuonWithAdamW, is_large_matrix, make_optimizer

LR = 0.01


def network() -> nn.Sequential:
    """A convolution and a layer that count as large matrices, and one that does not."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(8, 64, 3), nn.Flatten(), nn.Linear(64, 48), nn.Linear(48, 2))
    return layers.to(memory_format=torch.channels_last)


def take_step(layers: nn.Module, optimizer, seed: int) -> None:
    x = torch.randn(4, 8, 3, 3, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad(set_to_none=True)
    layers(x).square().mean().backward()
    optimizer.step()


def test_large_matrices_move_evenly_in_all_directions_and_the_rest_by_adamw():
    layers, plain = network(), network()
    muon, adamw = make_optimizer(layers, "muon", LR), make_optimizer(plain, "adam", LR)
    before = copy.deepcopy(layers)
    for one, other in zip(layers.parameters(), plain.parameters(), strict=True):
        one.grad = torch.randn_like(one)
        other.grad = one.grad.clone()
    muon.step()
    adamw.step()
    for new, old, other in zip(layers.parameters(), before.parameters(), plain.parameters(), strict=True):
        if is_large_matrix(old):
            lengths = torch.linalg.svdvals((new - old).detach().flatten(1).double())
            lengths /= 0.2 * LR * max(old.flatten(1).shape) ** 0.5
            assert lengths.min() > 0.3 and lengths.max() < 1.3  # five steps of Newton-Schulz
        else:
            torch.testing.assert_close(new, other)
    assert [is_large_matrix(one) for one in before.parameters()] == [True, False, True, False, False, False]


def test_the_moves_of_a_matrix_are_those_of_torch():
    layers = nn.Linear(64, 48, bias=False)
    weight = nn.Parameter(layers.weight.detach().clone())
    ours = MuonWithAdamW(layers, LR, weight_decay=0.1)
    torchs = torch.optim.Muon([weight], lr=LR, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for seed in range(3):
        gradient = torch.randn(48, 64, generator=torch.Generator().manual_seed(seed))
        layers.weight.grad, weight.grad = gradient.clone(), gradient.clone()
        ours.step()
        torchs.step()
    assert torch.equal(layers.weight, weight)


def test_a_rate_that_is_set_from_outside_counts_for_both():
    layers = network()
    optimizer = make_optimizer(layers, "muon", LR)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = copy.deepcopy(layers.state_dict())
    take_step(layers, optimizer, 1)
    assert all(torch.equal(value, before[name]) for name, value in layers.state_dict().items())


@pytest.mark.parametrize("name", ["adam", "muon"])
def test_a_run_goes_on_bit_for_bit_from_a_checkpoint(tmp_path, name: str):
    store, layers = CheckpointStore(tmp_path), network()
    optimizer = make_optimizer(layers, name, LR, weight_decay=0.1, betas=(0.9, 0.99))
    for seed in range(2):
        take_step(layers, optimizer, seed)
    store.save(8, {"layers": layers}, {"optimizer": optimizer}, {"numbers": {}})
    for seed in range(2, 4):
        take_step(layers, optimizer, seed)

    torch.manual_seed(5)
    again = network()
    optimizer = make_optimizer(again, name, LR, weight_decay=0.1, betas=(0.9, 0.99))
    store.load(store.newest(), {"layers": again}, {"optimizer": optimizer})
    for seed in range(2, 4):
        take_step(again, optimizer, seed)
    for one, other in zip(layers.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("layers", [nn.Linear(64, 64, bias=False), nn.Linear(2, 2)])
def test_one_kind_of_parameter_alone_is_enough(layers: nn.Linear):
    optimizer = make_optimizer(layers, "muon", LR)
    before = layers.weight.detach().clone()
    layers(torch.randn(3, layers.in_features)).square().mean().backward()
    optimizer.step()
    assert not torch.equal(layers.weight, before)
    assert optimizer.state_dict()["state"]


def test_another_name_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--optimizer must be adam or muon, got 'sgd'"):
        Config(output_dir=str(tmp_path), optimizer="sgd").check()
