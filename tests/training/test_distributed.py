"""Two processes get the gradients of one process on the joined batch."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from gan_space.errors import ConfigError
from tests.warm import Script, free_port
from training.common.distributed import average_gradients, check_num_processes, gather_dicts
from training.config import PRESETS
from training.steps import Players, discriminator_step, generator_step, make_players

pytestmark = pytest.mark.slow

# Groups of the minibatch statistics are n mod (N / 4), so the joined batch interleaves those of the processes. Noise
# and latents are drawn from a generator that differs by process, so they are fed in instead.
BATCH, LOCAL = 8, 4
CONFIG = replace(PRESETS["tiny"], batch_size=BATCH, style_mixing_prob=0.0, r2_gamma=0.3, r1_gamma=0.7)
PROJECTED = dict(discriminator="both", projected_features="random_conv", projected_px=32)
GAMES = {"non_saturating": {}, "relativistic": {}, "projected": {"loss": "relativistic", **PROJECTED}}


def play(game: str, rank: int | None) -> dict[str, torch.Tensor]:
    """The gradients of one D and one G phase, on the part of `rank` or on all."""
    config = replace(CONFIG, **{"loss": game, **GAMES[game]})
    torch.manual_seed(0)
    players = make_players(config, 0, torch.device("cpu"))
    real, z = torch.randn(BATCH, 3, 32, 32), torch.randn(2, BATCH, config.z_dim)
    mine = slice(None) if rank is None else slice(rank, None, BATCH // LOCAL)
    real, z = real[mine], z[:, mine]
    c = torch.empty(len(real), 0)
    found: dict[str, torch.Tensor] = {}
    _feed(players, z)
    for name, phase in (("discriminator", discriminator_step), ("generator", generator_step)):
        module = players.judges if name == "discriminator" else players.generator
        optimizer = players.optimizers[f"optimizer_{name[0]}"]
        optimizer.step = lambda name=name, module=module: found.update(
            {f"{name}.{key}": p.grad.clone() for key, p in module.named_parameters() if p.grad is not None}
        )
        phase(players, config, real.clone(), c, c, nimg=0)
    found["w_avg"] = players.generator.mapping.w_avg.clone()
    return found


def _feed(players: Players, latents: torch.Tensor) -> None:
    """Replace the drawn latents and noise by given ones, in the order of the phases."""
    queue = iter(latents)
    mapping = players.generator.mapping
    forward = mapping.forward
    mapping.forward = lambda z, *args, **kwargs: forward(next(queue), *args, **kwargs)
    synthesis = players.generator.synthesis
    draw = synthesis.forward
    synthesis.forward = lambda w, noise_mode: draw(w, noise_mode="const")


def main() -> None:
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    for game in GAMES:
        found = play(game, rank)
        save_file(found, Path(sys.argv[1]) / f"{game}-{rank}.safetensors")
    broken = gather_dicts({rank: f"broken in process {rank}"})
    (Path(sys.argv[1]) / f"broken-{rank}.json").write_text(json.dumps(broken))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gradients")
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [Script(Path(__file__), [str(folder)], **shared, RANK=str(rank)) for rank in range(2)]
    for code, printed in [process.wait() for process in processes]:
        assert code == 0, printed
    return folder


@pytest.mark.parametrize("game", GAMES)
def test_gradients_are_those_of_the_joined_batch(two_processes, game):
    parts = [load_file(two_processes / f"{game}-{rank}.safetensors") for rank in range(2)]
    whole = play(game, None)
    assert parts[0].keys() == parts[1].keys() == whole.keys()
    assert sum(name.startswith("generator.mapping") for name in whole) > 0
    for name, expected in whole.items():
        assert torch.equal(parts[0][name], parts[1][name]), name
        scale = expected.abs().max().item()
        torch.testing.assert_close(parts[0][name], expected, atol=1e-5 * max(scale, 1e-3), rtol=1e-3, msg=name)


def test_every_process_knows_what_any_has_found(two_processes):
    for rank in range(2):
        known = json.loads((two_processes / f"broken-{rank}.json").read_text())
        assert known == {"0": "broken in process 0", "1": "broken in process 1"}


def test_one_process_needs_no_messages():
    assert gather_dicts({3: "broken"}) == {3: "broken"}
    layer = torch.nn.Linear(2, 1)
    layer(torch.ones(1, 2)).sum().backward()
    assert average_gradients(layer.parameters()).item() == pytest.approx(3**0.5)


def test_a_process_that_stands_alone_is_noticed(monkeypatch):
    accelerator = Accelerator(cpu=True)
    check_num_processes(accelerator)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="2 processes were asked for, but 1 joined"):
        check_num_processes(accelerator)


if __name__ == "__main__":
    main()
