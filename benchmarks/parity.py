"""Whether our networks compute what NVIDIA's compute: same weights, same inputs, largest difference.

    python -m benchmarks.parity --peer PATH

Images and logits in float32 on networks of random weights, and the gradients that training uses (R1 included).
"""

from __future__ import annotations

import sys

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.common import benchmark_parser, format_table, start
from benchmarks.peer import (
    GRADIENT_TOLERANCE,
    TOLERANCE,
    Peer,
    copy_weights,
    gradient_error,
    make_lively,
    max_error,
    open_peer,
)
from gan_space import Discriminator, Generator


def _labels(count: int, c_dim: int, device: str) -> Tensor | None:
    return F.one_hot(torch.arange(count) % c_dim, c_dim).float().to(device) if c_dim else None


def _d_loss(network: nn.Module, images: Tensor, c: Tensor | None) -> Tensor:
    """Non-saturating loss on real pictures plus R1 with gamma 2, so that the double backward pass is in it."""
    images = images.clone().requires_grad_()
    logits = network(images, c)
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return F.softplus(-logits).mean() + gradient.square().sum([1, 2, 3]).mean()


def _same_weights(
    peer: Peer, kind: type[Generator] | type[Discriminator], resolution: int, c_dim: int, sizes: dict, device: str
) -> tuple[nn.Module, nn.Module, str]:
    """Our network and the peer's with the same weights, and what the table calls the two."""
    torch.manual_seed(resolution + c_dim)
    ours = kind(resolution=resolution, c_dim=c_dim, **sizes).to(device)
    theirs = peer.build(ours).to(device)
    make_lively(theirs, seed=1)
    copy_weights(theirs, ours)
    clamp = ours.config.conv_clamp
    return ours, theirs, f"{kind.__name__[0]} {resolution} px, c_dim {c_dim}" + (f", clamp {clamp}" if clamp else "")


def generator_rows(peer: Peer, resolution: int, c_dim: int, sizes: dict, device: str) -> list[list]:
    """Return rows (network, what, largest difference, largest value) for G of one size."""
    ours, theirs, name = _same_weights(peer, Generator, resolution, c_dim, sizes, device)
    ours.eval().compute_dtype = torch.float32
    theirs.eval()
    z = torch.randn(4, ours.config.z_dim).to(device)
    c = _labels(4, c_dim, device)
    rows = []
    for psi, cutoff, noise_mode in ((1.0, None, "const"), (0.7, None, "const"), (0.7, 4, "const"), (0.7, 4, "none")):
        with torch.no_grad():
            w = ours.mapping(z, c, truncation_psi=psi, truncation_cutoff=cutoff)
            w_theirs = theirs.mapping(z, c, truncation_psi=psi, truncation_cutoff=cutoff)
            image = ours.synthesis(w, noise_mode=noise_mode)
            expected = theirs.synthesis(w_theirs, noise_mode=noise_mode)
        what = f"psi {psi}, cutoff {cutoff}, noise {noise_mode}"
        rows.append([name, f"w, {what}", max_error(w, w_theirs), w_theirs.abs().max().item()])
        rows.append([name, f"image, {what}", max_error(image, expected), expected.abs().max().item()])
    for network in (ours.train(), theirs.train()):
        images = network.synthesis(network.mapping(z, c), noise_mode="const")
        images.square().mean().backward()
    rows.append([name, "gradients of all weights (relative)", gradient_error(ours, theirs), 1.0])
    return rows


def discriminator_rows(peer: Peer, resolution: int, c_dim: int, sizes: dict, device: str) -> list[list]:
    """Return rows (network, what, largest difference, largest value) for D of one size."""
    ours, theirs, name = _same_weights(peer, Discriminator, resolution, c_dim, sizes, device)
    images = torch.randn(8, ours.config.img_channels, resolution, resolution).clamp(-1, 1).to(device)
    c = _labels(8, c_dim, device)
    rows = []
    for count in (8, 3):  # two groups of minibatch standard deviation; and one that is smaller than its group
        with torch.no_grad():
            part = None if c is None else c[:count]
            logits, expected = ours(images[:count], part), theirs(images[:count], part)
        rows.append([name, f"logits, batch {count}", max_error(logits, expected), expected.abs().max().item()])
    for network in (ours, theirs):
        _d_loss(network, images[:4], None if c is None else c[:4]).backward()
    rows.append([name, "gradients with R1 (relative)", gradient_error(ours, theirs), 1.0])
    return rows


def main() -> int:
    """Print the table; exit code 1 when a difference is over the tolerance."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--channel_base", type=int, default=4096)
    parser.add_argument("--channel_max", type=int, default=128)
    args = parser.parse_args()
    if args.peer is None:
        parser.error("--peer PATH is needed")
    start(args, "benchmarks.parity")
    peer = open_peer(parser, args)
    sizes = {"channel_base": args.channel_base, "channel_max": args.channel_max}
    rows = []
    for resolution in args.resolutions:
        for c_dim in (0, 10):
            clamps = (None, 2.0) if resolution == args.resolutions[0] else (None,)
            for conv_clamp in clamps:
                sized = {**sizes, "conv_clamp": conv_clamp}
                rows += generator_rows(peer, resolution, c_dim, sized, args.device)
                rows += discriminator_rows(peer, resolution, c_dim, sized, args.device)
    print(format_table(["network", "what", "largest difference", "largest value"], rows))
    values = max(row[2] / max(1.0, row[3]) for row in rows if not row[1].startswith("gradients"))
    gradients = max(row[2] for row in rows if row[1].startswith("gradients"))
    print(
        f"\nworst: values {values:.1e} (tolerance {TOLERANCE:.0e}), "
        f"gradients {gradients:.1e} (tolerance {GRADIENT_TOLERANCE:.0e})"
    )
    return 0 if values <= TOLERANCE and gradients <= GRADIENT_TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
