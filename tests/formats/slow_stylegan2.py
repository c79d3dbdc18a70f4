"""StyleGAN2 in float64, written down as the papers say it and run per picture: what converted networks must equal.

Two forms of the same layer: NVIDIA's (weights modulated per picture, upsampling by zeros between the samples, then a
convolution, then the FIR filter) and rosinality's (weights times 1/sqrt(I k^2) as well, transposed convolution, blur).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def _fir(x: Tensor, before: int, after: int, gain: float) -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
    kernel = torch.outer(taps, taps) * gain
    return F.conv2d(F.pad(x, (before, after, before, after)), kernel.expand(x.shape[1], 1, 4, 4), groups=x.shape[1])


def _zeros_between(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W]."""
    spread = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    spread[:, :, ::2, ::2] = x
    return spread


def _normalized(x: Tensor) -> Tensor:
    return x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


def _dense(x: Tensor, weight: Tensor, bias: Tensor, lr_multiplier: float = 1.0) -> Tensor:
    return x @ weight.t() * (lr_multiplier / math.sqrt(weight.shape[1])) + bias * lr_multiplier


def _activated(x: Tensor, clamp: float | None) -> Tensor:
    x = torch.where(x > 0, x, 0.2 * x) * math.sqrt(2)
    return x if clamp is None else x.clamp(-clamp, clamp)


def _modulated(weight: Tensor, styles: Tensor, demodulate: bool = True) -> Tensor:
    """[O, I, k, k], [I] -> the weight of one picture."""
    w = weight * styles[None, :, None, None]
    return w / (w.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt() if demodulate else w


def nvidia_images(
    state: dict[str, Tensor],
    z: Tensor,
    c: Tensor | None = None,
    *,
    truncation_psi: float = 1.0,
    conv_clamp: float | None = None,
    lr_multiplier: float = 0.01,
) -> Tensor:
    """Images [N, 3, R, R] of latents [N, z_dim] with constant noise, from a state dict under NVIDIA's names."""
    p = {name: value.double() for name, value in state.items()}
    x = _normalized(z.double())
    if c is not None:
        x = torch.cat([x, _normalized(_dense(c.double(), p["mapping.embed.weight"], p["mapping.embed.bias"]))], dim=1)
    for index in range(sum(name.startswith("mapping.fc") and name.endswith("bias") for name in p)):
        x = _activated(_dense(x, p[f"mapping.fc{index}.weight"], p[f"mapping.fc{index}.bias"], lr_multiplier), None)
    x = p["mapping.w_avg"] + (x - p["mapping.w_avg"]) * truncation_psi
    return torch.stack([_nvidia_image(p, w, conv_clamp) for w in x])


def _nvidia_image(p: dict[str, Tensor], w: Tensor, clamp: float | None) -> Tensor:
    x = p["synthesis.b4.const"][None]
    image, size = None, 4
    while f"synthesis.b{size}.conv1.weight" in p:
        for layer in ("conv0", "conv1"):
            name = f"synthesis.b{size}.{layer}"
            if f"{name}.weight" not in p:
                continue
            styles = _dense(w[None], p[f"{name}.affine.weight"], p[f"{name}.affine.bias"])[0]
            weight = _modulated(p[f"{name}.weight"], styles)
            if layer == "conv0":
                # A true convolution of the spread input: correlation with the flipped weight.
                x = _fir(F.conv2d(_zeros_between(x), weight.flip(2, 3), padding=2)[:, :, :-1, :-1], 1, 1, 4)
            else:
                x = F.conv2d(x, weight, padding=1)
            if f"{name}.noise_const" in p:
                x = x + p[f"{name}.noise_const"] * p[f"{name}.noise_strength"]
            x = _activated(x + p[f"{name}.bias"][None, :, None, None], clamp)
        name = f"synthesis.b{size}.torgb"
        weight = p[f"{name}.weight"]
        styles = _dense(w[None], p[f"{name}.affine.weight"], p[f"{name}.affine.bias"])[0] / math.sqrt(weight.shape[1])
        rgb = F.conv2d(x, _modulated(weight, styles, demodulate=False)) + p[f"{name}.bias"][None, :, None, None]
        rgb = rgb if clamp is None else rgb.clamp(-clamp, clamp)
        image = rgb if image is None else _fir(_zeros_between(image), 2, 1, 4) + rgb
        size *= 2
    return image[0]


def rosinality_images(state: dict[str, Tensor], latent_avg: Tensor, z: Tensor, *, truncation: float = 1.0) -> Tensor:
    """Images [N, 3, R, R] of latents [N, style_dim], from a state dict under rosinality's names."""
    p = {name: value.double() for name, value in state.items()}
    w = _normalized(z.double())
    for index in range(1, 1 + sum(name.startswith("style.") and name.endswith("bias") for name in p)):
        w = _activated(_dense(w, p[f"style.{index}.weight"], p[f"style.{index}.bias"], 0.01), None)
    w = latent_avg.double() + (w - latent_avg.double()) * truncation

    def convolution(name: str, x: Tensor, code: Tensor, demodulate: bool = True) -> Tensor:
        raw = p[f"{name}.weight"][0]
        styles = _dense(code[None], p[f"{name}.modulation.weight"], p[f"{name}.modulation.bias"])[0]
        weight = _modulated(raw / math.sqrt(raw[0].numel()), styles, demodulate)
        if f"{name}.blur.kernel" in p:
            return _fir(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), 1, 1, 4)
        return F.conv2d(x, weight, padding=raw.shape[-1] // 2)

    def styled(name: str, x: Tensor, code: Tensor, noise: int) -> Tensor:
        x = convolution(f"{name}.conv", x, code) + p[f"{name}.noise.weight"] * p[f"noises.noise_{noise}"]
        return _activated(x + p[f"{name}.activate.bias"][None, :, None, None], None)

    images = []
    for code in w:
        x = styled("conv1", p["input.input"], code, 0)
        image = convolution("to_rgb1.conv", x, code, demodulate=False) + p["to_rgb1.bias"]
        for octave in range(sum(name.startswith("to_rgbs.") and name.endswith(".bias") for name in p) // 2):
            x = styled(f"convs.{2 * octave}", x, code, 2 * octave + 1)
            x = styled(f"convs.{2 * octave + 1}", x, code, 2 * octave + 2)
            rgb = convolution(f"to_rgbs.{octave}.conv", x, code, demodulate=False) + p[f"to_rgbs.{octave}.bias"]
            image = _fir(_zeros_between(image), 2, 1, 4) + rgb
        images.append(image[0])
    return torch.stack(images)


def rosinality_logits(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """Logits [N, 1] of images [N, 3, R, R] for N up to 4, from a discriminator under rosinality's names."""
    p = {name: value.double() for name, value in state.items()}

    def convolution(name: str, x: Tensor, padding: int = 0, stride: int = 1) -> Tensor:
        weight = p[f"{name}.weight"]
        return F.conv2d(x, weight / math.sqrt(weight[0].numel()), padding=padding, stride=stride)

    def activated(name: str, x: Tensor) -> Tensor:
        return _activated(x + p[f"{name}.bias"][None, :, None, None], None)

    x = activated("convs.0.1", convolution("convs.0.0", images.double()))
    for index in range(1, 1 + sum(name.endswith(".skip.1.weight") for name in p)):
        y = activated(f"convs.{index}.conv1.1", convolution(f"convs.{index}.conv1.0", x, padding=1))
        y = activated(f"convs.{index}.conv2.2", convolution(f"convs.{index}.conv2.1", _fir(y, 2, 2, 1), stride=2))
        skip = convolution(f"convs.{index}.skip.1", _fir(x, 1, 1, 1), stride=2)
        x = (y + skip) / math.sqrt(2)
    deviation = (x.var(dim=0, correction=0) + 1e-8).sqrt().mean()
    x = torch.cat([x, deviation.expand(len(x), 1, 4, 4)], dim=1)
    x = activated("final_conv.1", convolution("final_conv.0", x, padding=1)).flatten(1)
    x = _activated(_dense(x, p["final_linear.0.weight"], p["final_linear.0.bias"]), None)
    return _dense(x, p["final_linear.1.weight"], p["final_linear.1.bias"])
