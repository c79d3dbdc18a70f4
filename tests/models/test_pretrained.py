"""Loading is strict: what does not fit is an error that names file and keys."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from gan_space import Discriminator, Generator
from gan_space.errors import InputError, WeightsError

SIZE = dict(resolution=16, z_dim=8, w_dim=8, channel_base=64, channel_max=8, num_mapping_layers=2)
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path):
    Generator(**SIZE).save_pretrained(tmp_path / "generator")
    return tmp_path


def edit_weights(folder, change):
    file = folder / "generator" / WEIGHTS
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def edit_config(folder, **changes):
    file = folder / "generator" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def load(folder):
    return Generator.from_pretrained(str(folder), subfolder="generator")


@torch.no_grad()
def test_round_trip_is_exact(tmp_path):
    generator = Generator(**SIZE)
    generator.mapping.w_avg.normal_()
    generator.save_pretrained(tmp_path)
    loaded = Generator.from_pretrained(tmp_path)
    assert loaded.state_dict().keys() == generator.state_dict().keys()
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name


def test_shards(tmp_path):
    Generator(**SIZE).save_pretrained(tmp_path, max_shard_size="10KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    Generator.from_pretrained(tmp_path)


def test_missing_key(folder):
    edit_weights(folder, lambda tensors: tensors.pop("mapping.fc0.weight"))
    with pytest.raises(WeightsError, match=r"missing keys mapping\.fc0\.weight"):
        load(folder)


def test_unexpected_key(folder):
    edit_weights(folder, lambda tensors: tensors.update(extra=torch.zeros(1)))
    with pytest.raises(WeightsError, match="unexpected keys extra"):
        load(folder)


def test_mismatched_shape(folder):
    edit_weights(folder, lambda tensors: tensors.update({"mapping.w_avg": torch.zeros(3)}))
    with pytest.raises(WeightsError, match=r"mapping\.w_avg"):
        load(folder)


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64])
def test_weights_of_whole_or_complex_numbers_are_not_read_as_what_they_are_not(folder, dtype):
    edit_weights(folder, lambda tensors: tensors.update({name: value.to(dtype) for name, value in tensors.items()}))
    with pytest.raises(WeightsError, match=r"expected floating-point numbers, got .* and \d+ more$"):
        load(folder)


def test_many_faults_are_one_line_and_nothing_else_is_said(folder, capfd):
    edit_weights(folder, lambda tensors: [value.fill_(float("nan")) for value in tensors.values()])
    with pytest.raises(WeightsError, match=r"not finite, .* and \d+ more$") as refused:
        load(folder)
    assert "\n" not in str(refused.value)
    edit_weights(folder, lambda tensors: tensors.update(other=tensors.pop("mapping.fc0.bias")))
    with pytest.raises(WeightsError, match=r"missing keys mapping\.fc0\.bias; unexpected keys other"):
        load(folder)
    assert capfd.readouterr() == ("", "")


def test_truncated_file(folder):
    file = folder / "generator" / WEIGHTS
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="generator"):
        load(folder)


def test_unknown_config_key(folder):
    edit_config(folder, dropout=0.5)
    with pytest.raises(WeightsError, match=r"config\.json has unknown keys \['dropout'\]"):
        load(folder)


def test_config_of_another_class(folder):
    with pytest.raises(WeightsError, match="is for a Generator, expected a Discriminator"):
        Discriminator.from_pretrained(str(folder), subfolder="generator")


def test_missing_folder(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.*neither a folder nor a Hub id"):
        Generator.from_pretrained(str(tmp_path / "nowhere"))


class _Trap:
    def __reduce__(self):
        return (open, ("sprung", "w"))


def test_a_pickle_is_never_read(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (folder / "generator" / WEIGHTS).unlink()
    (folder / "generator" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(_Trap()))
    with pytest.raises(WeightsError):
        load(folder)
    assert not (tmp_path / "sprung").exists()
