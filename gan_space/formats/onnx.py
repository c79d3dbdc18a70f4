"""Export to ONNX, so that pictures can be drawn without torch; needs the optional packages of gan_space[onnx]."""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from gan_space.errors import ConfigError, InputError, WeightsError
from gan_space.models.generator import Generator
from gan_space.models.mapping import MappingNetwork
from gan_space.models.synthesis import SynthesisLayer, SynthesisNetwork
from gan_space.nn.layers import LRELU_GAIN
from gan_space.nn.modulated import PreparedWeight
from gan_space.seeding import latents_from_seeds

if TYPE_CHECKING:
    from onnx import ModelProto

NoiseSource = Literal["const", "input"]
OPSET = 18
TOLERANCE = 1e-4  # largest difference from torch in float32, on pictures in [-1, 1] and relative to larger values
INT8_LEAST = 1024  # values; a smaller tensor would save nothing
INT8_SEEDS = 16  # pictures that the loss of quality is measured on
INT8_LEAST_PSNR_DB = 20.0  # below it the pictures are no longer the network's
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class OnnxExport:
    """What `export_onnx` wrote.

    Attributes:
        mapping: z [N, z_dim] (and c [N, c_dim]), truncation_psi [1] -> w_plus [N, num_ws, w_dim].
        synthesis: w_plus (and the noise inputs) -> images [N, img_channels, R, R] in about [-1, 1].
        noise_inputs: names and shapes of the noise inputs of `synthesis`, in order; empty for "const".
        max_error: largest difference from torch that onnxruntime showed in float32, relative where values exceed one.
        int8_psnr_db: PSNR of pictures drawn with int8 weights against float32, on [-1, 1]; None without `int8`.
    """

    mapping: Path
    synthesis: Path
    noise_inputs: dict[str, tuple[int, int]]
    max_error: float
    int8_psnr_db: float | None = None


class _Mapping(nn.Module):
    """Mapping of z (and c) with the truncation as a last tensor, so that it stays an input of the exported network."""

    def __init__(self, mapping: MappingNetwork):
        super().__init__()
        self.mapping = mapping

    def forward(self, *inputs: Tensor) -> Tensor:
        *latents, truncation_psi = inputs
        w_plus = self.mapping(*latents)
        return self.mapping.w_avg + (w_plus - self.mapping.w_avg) * truncation_psi


class _NeverKept(PreparedWeight):
    """Prepares the weight anew: while a network is traced, its tensors have no address to know them by."""

    def get(self, weight: nn.Parameter, dtype: torch.dtype, transpose: bool) -> tuple[Tensor, Tensor]:
        return self._prepare(weight, dtype, transpose)


class _LayerWithNoiseInput(SynthesisLayer):
    """A synthesis layer whose noise was put into `given_noise` [N, 1, H, W]."""

    given_noise: Tensor

    def _noise(self, x: Tensor, noise_mode: str, *rest) -> Tensor:
        return self.given_noise * (self.noise_strength * LRELU_GAIN)


class _Synthesis(nn.Module):
    """Synthesis with constant noise, or with one noise input a layer behind w_plus."""

    def __init__(self, synthesis: SynthesisNetwork, noise: NoiseSource):
        super().__init__()
        self.synthesis = synthesis
        layers = {name: layer for name, layer in synthesis.named_modules() if isinstance(layer, SynthesisLayer)}
        for layer in layers.values():
            layer._prepared = _NeverKept()
        self.layers = {name: layer for name, layer in layers.items() if noise == "input" and layer.use_noise}
        for layer in self.layers.values():
            layer.__class__ = _LayerWithNoiseInput

    def forward(self, *inputs: Tensor) -> Tensor:
        w_plus, *noise = inputs
        for layer, given in zip(self.layers.values(), noise, strict=True):
            layer.given_noise = given
        return self.synthesis(w_plus, noise_mode="const")


def export_onnx(
    generator: Generator, folder: str | Path, *, noise: NoiseSource = "const", int8: bool = False
) -> OnnxExport:
    """Write mapping.onnx and synthesis.onnx, and check both against torch in onnxruntime.

    Args:
        generator: any size; computed in float32, whatever it computes in here.
        folder: is made if missing; files of these names in it are replaced.
        noise: "const" keeps the network's own grain; "input" adds inputs noise_b4_conv1, noise_b8_conv0, … of
            [N, 1, r, r], to be fed with standard normal numbers, or zeros for none.
        int8: store the weights of synthesis.onnx as int8, for a file of a quarter of the size. They are turned back
            into float32 when they are used, so it draws a little worse and no faster; docs/onnx.md has numbers.

    Raises:
        ConfigError: an optional package is missing, or `noise` is unknown.
        InputError: the folder cannot be written.
        WeightsError: onnxruntime computes something else than torch, or int8 is too coarse for this network.

    Example:
        >>> export_onnx(Generator(resolution=16, z_dim=8, w_dim=8, channel_base=64), "out")  # doctest: +SKIP
    """
    if noise not in get_args(NoiseSource):
        raise ConfigError(f"noise must be 'const' or 'input', got {noise!r}")
    runtime = _import_packages()
    folder = Path(folder)
    generator = copy.deepcopy(generator).float().cpu().eval().requires_grad_(False)
    generator.compute_dtype = torch.float32
    config = generator.config
    latents = {"z": latents_from_seeds([1, 2, 3], config.z_dim)}
    if config.c_dim:
        latents["c"] = torch.nn.functional.one_hot(torch.arange(3) % config.c_dim, config.c_dim).float()
    w_plus = generator.mapping(*latents.values(), truncation_psi=0.7)
    mapping = _Mapping(generator.mapping)
    synthesis = _Synthesis(generator.synthesis, noise)
    noises = {
        f"noise_{name.replace('.', '_')}": latents_from_seeds([index] * 3, layer.resolution**2).reshape(
            3, 1, layer.resolution, layer.resolution
        )
        for index, (name, layer) in enumerate(synthesis.layers.items())
    }
    jobs = {
        "mapping": (mapping, {**latents, "truncation_psi": torch.tensor([0.7])}, "w_plus"),
        "synthesis": (synthesis, {"w_plus": w_plus, **noises}, "images"),
    }
    errors, files, psnr_db = [], {}, None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as partial:
            for name, (module, inputs, output) in jobs.items():
                file = Path(partial) / f"{name}.onnx"
                _export(module, inputs, output, file)
                errors.append(_compare(runtime, module, inputs, file))
                if not errors[-1] <= TOLERANCE:
                    raise WeightsError(f"{name}.onnx differs from torch by {errors[-1]:.2g}, allowed is {TOLERANCE:g}")
            if int8:
                psnr_db = _to_int8(runtime, Path(partial), config.z_dim, config.c_dim, noises)
                if not psnr_db >= INT8_LEAST_PSNR_DB:
                    raise WeightsError(
                        f"with int8 weights this network draws other pictures ({psnr_db:.1f} dB PSNR, at least "
                        f"{INT8_LEAST_PSNR_DB:g} is expected); export it without int8"
                    )
            for name in jobs:
                files[name] = (Path(partial) / f"{name}.onnx").replace(folder / f"{name}.onnx")
    except OSError as error:
        raise InputError(
            f"cannot write {str(folder)!r}: {error.strerror or error}; choose a place with room"
        ) from error
    return OnnxExport(
        mapping=files["mapping"],
        synthesis=files["synthesis"],
        noise_inputs={name: tuple(value.shape[2:]) for name, value in noises.items()},
        max_error=max(errors),
        int8_psnr_db=psnr_db,
    )


def _import_packages() -> ModuleType:
    """Return onnxruntime; ConfigError with an install hint where a package is missing."""
    missing = []
    for name in _PACKAGES:
        try:
            import_module(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise ConfigError(f"export to ONNX needs {', '.join(missing)}: pip install 'gan-space[onnx]'")
    return import_module("onnxruntime")


@torch.no_grad()
def _export(module: nn.Module, inputs: dict[str, Tensor], output: str, file: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=1024)
    shapes = tuple({} if name == "truncation_psi" else {0: batch} for name in inputs)
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter warns about its own parts
            # Strict, because the other mode takes len(tensor) for a constant and would freeze the batch size.
            program = torch.export.export(
                module,
                tuple(inputs.values()),
                dynamic_shapes=(shapes,),  # one entry for `*inputs`
                strict=True,
            )
            torch.onnx.export(
                program,
                (),
                str(file),
                input_names=list(inputs),
                output_names=[output],
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    _forget_origin(file)


def _forget_origin(file: Path) -> None:
    """Drop the exporter's notes: stack traces with paths of this machine, as large as a small network."""
    import onnx

    model = onnx.load(str(file))
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.value_info[:]  # shapes in between, with notes too; a runtime finds them out by itself
    onnx.save(model, str(file))


@torch.no_grad()
def _compare(runtime: ModuleType, module: nn.Module, inputs: dict[str, Tensor], file: Path) -> float:
    """Largest difference between onnxruntime and torch for a batch of 3 and of 1."""
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    worst = 0.0
    for count in (3, 1):
        some = {name: value[:count] for name, value in inputs.items()}
        expected = module(*some.values()).numpy()
        (got,) = session.run(None, {name: value.numpy() for name, value in some.items()})
        if got.shape != expected.shape:
            return float("inf")
        worst = max(worst, float((np.abs(got - expected) / np.maximum(1, np.abs(expected))).max()))
    return worst


def quantize_weights(model: ModelProto) -> int:
    """Store the large weights of an ONNX network as int8 with one scale an output channel; returns how many.

    Symmetric rounding, as in Jacob et al. 2018 (arXiv:1712.05877), of weights only: `DequantizeLinear` makes float32 of
    them again, and all arithmetic stays in float32. Activations are left alone, because styles scale them over a range
    that differs from picture to picture.

    Args:
        model: changed in place; weights have their output channels first, as torch has them.
    """
    import onnx

    graph = model.graph
    is_matrix = {node.input[1] for node in graph.node if node.op_type in ("Gemm", "MatMul")}
    chosen = [
        tensor
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
        and (tensor.name.endswith(".weight") or tensor.name in is_matrix)
        and np.prod(tensor.dims) >= INT8_LEAST
    ]
    nodes = []
    for tensor in chosen:
        weight = onnx.numpy_helper.to_array(tensor)  # [O, I] or [O, I, k, k]
        peak = np.abs(weight).max(axis=tuple(range(1, weight.ndim)), keepdims=True)
        # [O, 1] or [O, 1, 1, 1]; the largest weight is never cut off, which measured worse
        scale = np.maximum(peak, np.finfo(np.float32).tiny * 127) / 127
        rounded = np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)
        stored, scales = f"{tensor.name}.int8", f"{tensor.name}.scale"
        nodes.append(onnx.helper.make_node("DequantizeLinear", [stored, scales], [tensor.name], axis=0))
        graph.initializer.remove(tensor)
        graph.initializer.append(onnx.numpy_helper.from_array(rounded, stored))
        graph.initializer.append(onnx.numpy_helper.from_array(scale.reshape(-1), scales))
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)
    return len(chosen)


def _to_int8(runtime: ModuleType, folder: Path, z_dim: int, c_dim: int, noises: dict[str, Tensor]) -> float:
    """Replace the synthesis in `folder` by one with int8 weights; PSNR in dB of its pictures against float32.

    The mapping stays as it is: it is small, and a rounded w moves the whole face.
    """
    import onnx

    expected = _draw(runtime, folder, z_dim, c_dim, noises)
    file = folder / "synthesis.onnx"
    model = onnx.load(str(file))
    quantize_weights(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(file))
    got = _draw(runtime, folder, z_dim, c_dim, noises)
    error = float(((got - expected) ** 2).mean())
    return float("inf") if error == 0 else 10 * float(np.log10(2.0**2 / error))


def _draw(runtime: ModuleType, folder: Path, z_dim: int, c_dim: int, noises: dict[str, Tensor]) -> np.ndarray:
    """Pictures of the first seeds at psi 0.7, in [-1, 1]; one at a time."""
    mapping, synthesis = (
        runtime.InferenceSession(str(folder / f"{name}.onnx"), providers=["CPUExecutionProvider"])
        for name in ("mapping", "synthesis")
    )
    noise = {name: value[:1].numpy() for name, value in noises.items()}
    pictures = []
    for seed in range(INT8_SEEDS):
        latents = {"z": latents_from_seeds([seed], z_dim).numpy(), "truncation_psi": np.float32([0.7])}
        if c_dim:
            latents["c"] = np.eye(c_dim, dtype=np.float32)[[seed % c_dim]]
        (w_plus,) = mapping.run(None, latents)
        pictures.append(synthesis.run(None, {"w_plus": w_plus, **noise})[0])
    return np.clip(np.concatenate(pictures), -1, 1)
