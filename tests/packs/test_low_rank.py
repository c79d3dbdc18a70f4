"""Low-rank changes: the sum is right, the way back is exact, strangers are refused, threads do not mix."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from safetensors.torch import save_file

from gan_space.errors import ConfigError, PackError
from gan_space.models.generator import Generator
from gan_space.packs.attaching import attach, attached, attached_packs, call_with, detach
from gan_space.packs.low_rank import LowRankDelta

NAMES = ["synthesis.b16.conv0.weight", "synthesis.b16.conv0.bias", "synthesis.b16.conv0.affine.weight"]


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    model = Generator(resolution=16, z_dim=8, w_dim=16, channel_base=256, num_mapping_layers=1, use_noise=False)
    return model.eval().requires_grad_(False)


@pytest.fixture
def w_plus(generator) -> torch.Tensor:
    return torch.randn(2, generator.num_ws, 16, generator=torch.Generator().manual_seed(1))


def random_delta(generator: Generator, seed: int, names=NAMES, rank: int = 2) -> LowRankDelta:
    delta = LowRankDelta.create(generator, names, rank, seed, name=f"pack {seed}")
    draw = torch.Generator().manual_seed(seed)
    for tensor in delta.parameters():
        tensor.copy_(0.3 * torch.randn(tensor.shape, generator=draw))
    return delta


def bits(module: torch.nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}


def test_a_new_change_is_zero_and_the_same_in_every_process(generator):
    delta = LowRankDelta.create(generator, NAMES, rank=2, seed=3)
    assert all(not delta.change_of(name).any() for name in NAMES)
    again = LowRankDelta.create(generator, NAMES[:1], rank=2, seed=3)
    assert torch.equal(delta.factors[NAMES[0]][0], again.factors[NAMES[0]][0])
    assert set(delta.full) == {"synthesis.b16.conv0.bias"}
    assert delta.rank == 2


def test_factors_that_save_nothing_are_stored_whole(generator):
    weight = dict(generator.named_parameters())["synthesis.b16.torgb.weight"]  # [3, 16, 1, 1]
    delta = LowRankDelta.create(generator, ["synthesis.b16.torgb.weight"], rank=3)
    assert delta.full["synthesis.b16.torgb.weight"].shape == weight.shape


def test_attached_weights_are_the_sum_written_out(generator):
    one, two = random_delta(generator, 1), random_delta(generator, 2, NAMES[:2])
    before = {name: weight.double().clone() for name, weight in generator.named_parameters()}
    attach(generator, [(one, 0.5), (two, -1.25)])
    after = dict(generator.named_parameters())
    for name, weight in before.items():
        expected = weight.clone()
        for delta, scale in ((one, 0.5), (two, -1.25)):
            if name in delta.full:
                expected += scale * delta.full[name].double()
            elif name in delta.factors:
                down, up = (factor.double() for factor in delta.factors[name])
                for out in range(up.shape[0]):
                    row = sum(up[out, k] * down[k] for k in range(down.shape[0]))
                    expected[out] += scale * row.reshape(weight.shape[1:])
        assert torch.allclose(after[name].double(), expected, atol=1e-6), name
        assert (name in NAMES) != torch.equal(after[name].double(), weight), name


def test_packs_of_different_rank_add_up(generator):
    """A small convolution is stored as factors by a pack of low rank and whole by one of high rank."""
    name = "synthesis.b16.conv0.weight"
    low, high = random_delta(generator, 1, [name], rank=2), random_delta(generator, 2, [name], rank=64)
    assert name in low.factors and name in high.full
    weight = dict(generator.named_parameters())[name]
    before = weight.clone()
    for packs in ([(low, 0.5), (high, 2.0)], [(high, 2.0), (low, 0.5)]):
        with attached(generator, packs):
            down, up = low.factors[name]
            wanted = before + 0.5 * (up @ down).reshape(weight.shape) + 2.0 * high.full[name]
            torch.testing.assert_close(weight, wanted)
    assert torch.equal(weight, before)


def test_detached_weights_and_pictures_are_equal_to_the_bit(generator, w_plus):
    weights, picture = bits(generator), generator.synthesis(w_plus)  # the drawing fills the prepared weights
    packs = [(random_delta(generator, seed), scale) for seed, scale in ((1, 0.7), (2, 1.3), (3, -2.0))]
    attach(generator, packs)
    styled = generator.synthesis(w_plus)
    assert (styled - picture).abs().max() > 0.01
    attach(generator, packs[:1])  # from the originals, not on top
    alone = bits(generator)
    attach(generator, packs)
    assert torch.equal(generator.synthesis(w_plus), styled)
    detach(generator)
    assert bits(generator) == weights
    assert torch.equal(generator.synthesis(w_plus), picture)
    with attached(generator, packs[:1]):
        assert bits(generator) == alone
    detach(generator)  # a second time does nothing
    assert bits(generator) == weights


def test_the_order_of_drawing_in_inference_mode_does_not_matter(generator, w_plus):
    weights = bits(generator)
    delta = random_delta(generator, 1)
    with torch.inference_mode():
        plain = generator.synthesis(w_plus)
        with attached(generator, [(delta, 1.0)]):
            styled = generator.synthesis(w_plus)
        assert torch.equal(generator.synthesis(w_plus), plain)
    with attached(generator, [(delta, 1.0)]), torch.no_grad():
        assert torch.equal(generator.synthesis(w_plus), styled)
    assert bits(generator) == weights


def test_scale_zero_changes_no_bit(generator):
    weights = bits(generator)
    with attached(generator, [(random_delta(generator, 1), 0)]):
        assert bits(generator) == weights


def test_blocks_nest_and_survive_an_error(generator):
    one, two = random_delta(generator, 1), random_delta(generator, 2)
    weights = bits(generator)
    with attached(generator, [(one, 1.0)]):
        outer = bits(generator)
        with pytest.raises(KeyError), attached(generator, [(two, 1.0)]):
            assert bits(generator) != outer
            raise KeyError
        assert bits(generator) == outer
        assert attached_packs(generator) == [(one, 1.0)]
    assert bits(generator) == weights and not attached_packs(generator)


def test_what_does_not_fit_is_named_all_at_once_and_changes_nothing(generator):
    weights = bits(generator)
    stranger = LowRankDelta(
        {NAMES[0]: (torch.zeros(2, 5), torch.zeros(16, 2))}, {"synthesis.b99.conv0.bias": torch.zeros(16)}, "ink"
    )
    with pytest.raises(PackError) as caught:
        attach(generator, [(random_delta(generator, 1), 1.0), (stranger, float("nan"))])
    message = str(caught.value)
    for part in ("3 problems", "ink", NAMES[0], "[16, 5]", "expected", "synthesis.b99.conv0.bias", "finite"):
        assert part in message
    assert bits(generator) == weights


def test_weights_written_while_attached_are_not_overwritten(generator):
    attach(generator, [(random_delta(generator, 1), 1.0)])
    with torch.no_grad():
        dict(generator.named_parameters())[NAMES[0]].fill_(1.0)
    with pytest.raises(PackError, match=r"b16\.conv0\.weight.*loaded or trained while packs were attached"):
        detach(generator)


def test_create_names_all_faults(generator):
    with pytest.raises(ConfigError, match=r"(?s)2 problems.*no weight 'nose'.*rank must be 1 or more, got 0"):
        LowRankDelta.create(generator, ["nose"], rank=0)


def test_files_come_back_equal_and_damage_is_an_error(generator, tmp_path):
    delta = random_delta(generator, 5)
    delta.save(tmp_path / "pack.safetensors")
    again = LowRankDelta.load(tmp_path / "pack.safetensors", "ink")
    assert again.names == delta.names
    assert all(torch.equal(again.to_tensors()[key], tensor) for key, tensor in delta.to_tensors().items())
    half = delta.to(torch.float16)
    assert {tensor.dtype for tensor in half.to_tensors().values()} == {torch.float16}
    assert half.faults_in(generator) == []

    whole = (tmp_path / "pack.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-40])
    tensors = delta.to_tensors()
    save_file(tensors | {NAMES[0] + ".up": torch.full_like(tensors[NAMES[0] + ".up"], torch.nan)}, tmp_path / "nan")
    save_file({key: value for key, value in tensors.items() if not key.endswith(".up")}, tmp_path / "half")
    save_file(tensors | {"left": torch.zeros(1)}, tmp_path / "more")
    for file, words in (
        ("cut.safetensors", "cannot read .*cut.safetensors"),
        ("missing.safetensors", "cannot read .*missing.safetensors"),
        ("nan", "up has values that are not finite"),
        ("half", "(?s)2 problems.*stands without"),
        ("more", "left is unknown"),
    ):
        with pytest.raises(PackError, match=words):
            LowRankDelta.load(tmp_path / file)


def test_gradients_are_those_of_the_attached_weights(generator, w_plus):
    """d loss / d scale by central differences of attached drawings, against the chain rule through call_with."""
    generator.compute_dtype = torch.float32
    delta = random_delta(generator, 4).requires_grad_()
    weights = bits(generator)
    state = generator.synthesis.features(w_plus, 8)
    images = call_with(generator, [delta], "synthesis.finish", state, w_plus, 8)
    probe = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    loss = (images * probe).sum()
    loss.backward()
    assert bits(generator) == weights
    # The change is bilinear in (down, up): along t it is t * change if `up` and the whole ones are scaled.
    scaled = [delta.full[name] for name in delta.full] + [up for _, up in delta.factors.values()]
    slope = sum((tensor * tensor.grad).sum() for tensor in scaled)

    def drawn(scale: float) -> torch.Tensor:
        with torch.no_grad(), attached(generator, [(delta, scale)]):
            return (generator.synthesis.finish(state, w_plus, 8).double() * probe).sum()

    assert torch.allclose(drawn(1.0), loss.double(), rtol=1e-4)
    assert abs(slope) > 1
    assert torch.allclose((drawn(1.01) - drawn(0.99)) / 0.02, slope.double(), rtol=0.02)
    with pytest.raises(RuntimeError, match="no_grad"), torch.no_grad():
        call_with(generator, [delta], "synthesis.finish", state, w_plus, 8)


def test_threads_each_draw_with_their_own_pack(generator, w_plus):
    packs = [[], [(random_delta(generator, 1), 1.0)], [(random_delta(generator, 2), 1.0)]]
    expected = []
    for pack in packs:
        with torch.no_grad(), attached(generator, pack):
            expected.append(generator.synthesis(w_plus))
    wrong = []

    def draw(index: int) -> None:
        for _ in range(12):
            with torch.no_grad(), attached(generator, packs[index]):
                if not torch.equal(generator.synthesis(w_plus), expected[index]):
                    wrong.append(index)

    threads = [threading.Thread(target=draw, args=(index % 3,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and not attached_packs(generator)


def test_a_copy_keeps_the_pack_for_good(generator):
    attach(generator, [(random_delta(generator, 1), 1.0)])
    baked = copy.deepcopy(generator)
    detach(generator)
    detach(baked)
    assert bits(baked) != bits(generator)
