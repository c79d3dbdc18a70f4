from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from gan_space.cli.app import main
from gan_space.errors import ConfigError, InputError, WeightsError
from gan_space.formats import onnx as exporter
from gan_space.formats.onnx import export_onnx
from gan_space.models.generator import Generator
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.seeding import latents_from_seeds

ROOT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def each_network_once(tmp_path_factory):
    """Torch's exporter takes many seconds for the smallest network: what it made of one is copied the next time."""
    export, folder = exporter._export, tmp_path_factory.mktemp("exported")

    def export_once(module: torch.nn.Module, inputs: dict[str, torch.Tensor], output: str, file: Path) -> None:
        key = hashlib.sha256(repr((module, output, {name: value.shape for name, value in inputs.items()})).encode())
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            key.update(name.encode() + value.detach().numpy().tobytes())
        kept = folder / f"{key.hexdigest()}.onnx"
        if not kept.exists():
            export(module, inputs, output, kept)
        shutil.copy(kept, file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporter, "_export", export_once)
        yield


@torch.no_grad()
def make_generator(c_dim: int = 0) -> Generator:
    """Wide enough for Winograd and for int8, and with a drawing behind it, for which it has prepared its weights."""
    torch.manual_seed(0)
    sizes = {"z_dim": 6, "w_dim": 8, "channel_base": 1024, "channel_max": 64, "num_mapping_layers": 2}
    network = Generator(16, c_dim=c_dim, conv_clamp=4.0, **sizes).eval()
    network.mapping.w_avg.normal_()
    for name, value in network.named_parameters():
        if name.endswith("noise_strength"):
            value.fill_(0.5)
    network.compute_dtype = torch.float32
    network.synthesis(torch.randn(1, network.num_ws, 8))
    return network


def session(file: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


@torch.no_grad()
def test_exported_networks_equal_torch_for_every_batch_size(tmp_path):
    ours = make_generator()
    made = export_onnx(ours, tmp_path / "out")
    assert made.max_error < 1e-5 and made.noise_inputs == {}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["mapping.onnx", "synthesis.onnx"]
    mapping, synthesis = session(made.mapping), session(made.synthesis)
    for count, psi in ((1, 1.0), (5, 0.5)):
        z = latents_from_seeds(range(count), 6)
        (w_plus,) = mapping.run(None, {"z": z.numpy(), "truncation_psi": np.float32([psi])})
        expected_w = ours.mapping(z, truncation_psi=psi)
        assert np.abs(w_plus - expected_w.numpy()).max() < 1e-5
        (images,) = synthesis.run(None, {"w_plus": w_plus})
        expected = ours.synthesis(expected_w, noise_mode="const").numpy()
        assert images.shape == (count, 3, 16, 16) and np.abs(images - expected).max() < 1e-4

    # The example in the documentation draws the same pictures, on a machine that has no torch.
    text = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")
    (example,) = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "onnxruntime" in code]
    assert len(example.splitlines()) <= 12
    code = f"import sys\nsys.modules['torch'] = None\n{example}"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=400)
    expected = GenerationPipeline(ours)(seeds=[0, 1, 2, 3], truncation_psi=0.7).images
    for seed, picture in enumerate(expected):
        with Image.open(tmp_path / f"seed{seed:04d}.png") as drawn:
            difference = np.abs(np.asarray(drawn, int) - np.asarray(picture, int))
        assert difference.max() <= 1


@torch.no_grad()
def test_noise_and_labels_can_be_inputs(tmp_path):
    generator = make_generator(c_dim=3)
    made = export_onnx(generator, tmp_path, noise="input")
    assert made.noise_inputs["noise_b8_conv0"] == (8, 8) and len(made.noise_inputs) == 5
    z, c = latents_from_seeds([1, 2], 6), torch.eye(3)[[0, 1]]
    w_plus = generator.mapping(z, c)
    feed = {"z": z.numpy(), "c": c.numpy(), "truncation_psi": np.float32([1])}
    assert np.abs(session(made.mapping).run(None, feed)[0] - w_plus.numpy()).max() < 1e-5
    synthesis = session(made.synthesis)
    zeros = {name: np.zeros((2, 1, *size), np.float32) for name, size in made.noise_inputs.items()}
    (images,) = synthesis.run(None, {"w_plus": w_plus.numpy(), **zeros})
    assert np.abs(images - generator.synthesis(w_plus, noise_mode="none").numpy()).max() < 1e-4
    own = {}
    for name in made.noise_inputs:
        _, block, layer = name.split("_")
        value = getattr(getattr(generator.synthesis, block), layer).noise_const
        own[name] = value.numpy()[None, None].repeat(2, axis=0)
    (images,) = synthesis.run(None, {"w_plus": w_plus.numpy(), **own})
    assert np.abs(images - generator.synthesis(w_plus, noise_mode="const").numpy()).max() < 1e-4
    assert type(generator.synthesis.b8.conv0).__name__ == "SynthesisLayer"  # the caller's network is left as it was


@torch.no_grad()
def test_files_tell_nothing_of_the_machine_that_made_them(tmp_path):
    made = export_onnx(make_generator(), tmp_path)
    for file in (made.mapping, made.synthesis):
        data = file.read_bytes()
        for word in (str(ROOT), sys.prefix, 'File "', "stack_trace"):
            assert word.encode() not in data, word


@torch.no_grad()
def test_exported_networks_have_plain_convolutions(tmp_path):
    """What was prepared for Winograd before does not get into the file."""
    generator = make_generator()
    assert any(key.startswith("winograd") for key in generator.synthesis.b16.conv1._prepared._state[1])
    graph = onnx.load(export_onnx(generator, tmp_path).synthesis).graph
    assert sum(node.op_type == "Conv" for node in graph.node) >= 3  # b4.conv1, b8.conv1, b16.conv1
    assert not [value.name for value in graph.initializer if value.dims and value.dims[0] == 36]


def test_the_command_line_exports_and_does_not_overwrite(tmp_path, capsys):
    GenerationPipeline(make_generator()).save_pretrained(tmp_path / "model")
    command = ["export", "--onnx", str(tmp_path / "out"), "--model", str(tmp_path / "model")]
    assert main(command) == 0
    assert "from torch" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"mapping.onnx", "synthesis.onnx"}
    assert main(command) == 2
    assert "--overwrite" in capsys.readouterr().err


@torch.no_grad()
def test_int8_weights_are_a_quarter_of_the_size_and_draw_nearly_the_same(tmp_path):
    whole = export_onnx(make_generator(c_dim=3), tmp_path / "whole", noise="input")
    small = export_onnx(make_generator(c_dim=3), tmp_path / "small", noise="input", int8=True)
    assert whole.int8_psnr_db is None and small.int8_psnr_db > 30
    assert small.mapping.read_bytes() == whole.mapping.read_bytes()
    values = sum(value.numel() for value in make_generator().synthesis.parameters())
    assert whole.synthesis.stat().st_size - small.synthesis.stat().st_size > 0.7 * 3 * values
    w_plus = np.random.RandomState(0).randn(3, *session(small.synthesis).get_inputs()[0].shape[1:]).astype(np.float32)
    noises = {name: np.zeros((3, 1, *size), np.float32) for name, size in small.noise_inputs.items()}
    one, other = (session(made.synthesis).run(None, {"w_plus": w_plus, **noises})[0] for made in (whole, small))
    assert one.shape == other.shape == (3, 3, 16, 16)
    assert 0 < np.abs(one - other).mean() < 0.05 * np.abs(one).mean()


def test_rounding_is_symmetric_with_a_scale_of_its_own_for_every_output_channel():
    weight = np.random.RandomState(0).randn(40, 30).astype(np.float32) * np.logspace(-6, 3, 40)[:, None].astype("f4")
    weight[7] = 0
    node = onnx.helper.make_node("Gemm", ["x", "a.weight"], ["y"], transB=1)
    values = {"x": (None, 30), "y": (None, 40)}
    x, y = (onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in values.items())
    graph = onnx.helper.make_graph([node], "g", [x], [y], [onnx.numpy_helper.from_array(weight, "a.weight")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", exporter.OPSET)])
    model.ir_version = 10
    assert exporter.quantize_weights(model) == 1
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert stored["a.weight.int8"].dtype == np.int8 and stored["a.weight.scale"].shape == (40,)
    run = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (back,) = run.run(None, {"x": np.eye(30, dtype=np.float32)})
    assert (np.abs(back.T - weight) <= np.abs(weight).max(axis=1, keepdims=True) / 127 / 2 * 1.0001).all()


def test_a_network_that_int8_spoils_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "INT8_LEAST_PSNR_DB", 200.0)
    with pytest.raises(WeightsError, match=r"dB PSNR, at least 200 is expected\); export it without int8"):
        export_onnx(make_generator(c_dim=3), tmp_path, noise="input", int8=True)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_differs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "TOLERANCE", 0.0)
    with pytest.raises(WeightsError, match=r"onnx differs from torch by .*, allowed is 0"):
        export_onnx(make_generator(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(ConfigError, match="noise must be 'const' or 'input', got 'random'"):
        export_onnx(make_generator(), tmp_path, noise="random")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        export_onnx(make_generator(), tmp_path / "file")


def test_a_missing_package_is_named_with_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as Python has it after a failed import
    with pytest.raises(ConfigError, match=r"^export to ONNX needs onnxscript: pip install 'gan-space\[onnx\]'$"):
        export_onnx(Generator(16, z_dim=2, w_dim=2, channel_base=16), tmp_path / "unused")
    assert not (tmp_path / "unused").exists()
