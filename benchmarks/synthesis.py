"""Time of one synthesis pass, ours against NVIDIA's stylegan2-ada-pytorch on identical weights.

    python -m benchmarks.synthesis --peer PATH
    python -m benchmarks.synthesis --peer PATH --malloc keep --resolutions 256 512 1024

The networks have the size of config-f (channel_base 32768, channel_max 512) and random weights; noise is "const".
Before anything is timed the images have to agree: float32 within 1e-3, bfloat16 by its PSNR, which the table shows.
"""

from __future__ import annotations

import math
import sys

import torch
from torch import Tensor

from benchmarks.common import benchmark_parser, format_table, interleave, ratio, start
from benchmarks.peer import Peer, copy_weights, max_error, open_peer
from gan_space import Generator

TOLERANCE = 1e-3  # largest difference of float32 images whose values are about [-1, 1]
PEER, FP32, BF16 = "NVlabs fp32", "ours fp32", "ours bf16"


def psnr_db(image: Tensor, reference: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB, the peak being the range of `reference`."""
    error = (image.double() - reference.double()).square().mean().item()
    peak = (reference.max() - reference.min()).item()
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


@torch.no_grad()
def measure(resolution: int, args, peer: Peer | None) -> tuple[list[list], bool]:
    """Check and time one resolution; returns its rows of the table, and whether the images agree."""
    torch.manual_seed(resolution)
    ours = Generator(resolution=resolution, channel_base=args.channel_base, channel_max=args.channel_max)
    ours = ours.to(args.device).eval().requires_grad_(False)
    theirs = None
    if peer is not None:
        theirs = peer.build(ours).to(args.device).eval().requires_grad_(False)
        copy_weights(theirs, ours)
    w_plus = ours.mapping(torch.randn(args.batch, ours.config.z_dim).to(args.device))

    # A change of format makes a network prepare its weights anew, so each format has a network of its own.
    networks = {FP32: ours, BF16: Generator.from_config(ours.config).to(args.device).eval().requires_grad_(False)}
    networks[BF16].load_state_dict(ours.state_dict())
    networks[FP32].compute_dtype, networks[BF16].compute_dtype = torch.float32, torch.bfloat16
    networks[FP32].exact = networks[BF16].exact = args.exact
    networks = networks if theirs is None else {PEER: theirs, **networks}
    contenders = {
        name: lambda network=network: network.synthesis(w_plus, noise_mode="const")
        for name, network in networks.items()
    }

    images = {name: draw() for name, draw in contenders.items()}
    accuracy = {FP32: "reference", BF16: f"PSNR {psnr_db(images[BF16], images[FP32]):.1f} dB"}
    agrees = True
    if theirs is not None:
        difference = max_error(images[FP32], images[PEER])
        # Random weights draw images of any contrast; the bound is meant for the contrast of a trained network.
        agrees = difference <= TOLERANCE * max(1.0, images[PEER].abs().max().item())
        accuracy[PEER], accuracy[FP32] = "reference", f"differs by {difference:.1e}"

    timings = interleave(contenders, args.repeats, device=args.device)
    clock = "wall" if torch.device(args.device).type == "cuda" else "cpu"
    first = next(iter(contenders))
    rows = [
        [
            f"{resolution} px",
            name,
            timing.median("cpu") * 1000,
            timing.median("wall") * 1000,
            f"{ratio(timings, first, name, clock):.2f}x",
            accuracy[name],
        ]
        for name, timing in timings.items()
    ]
    return rows, agrees


def main() -> int:
    """Print the table; exit code 1 when images do not agree."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--channel_base", type=int, default=32768)
    parser.add_argument("--channel_max", type=int, default=512)
    parser.add_argument("--exact", action="store_true", help="our networks without Winograd convolutions")
    args = parser.parse_args()
    start(args, "benchmarks.synthesis")
    peer = open_peer(parser, args)
    rows, agreements = [], []
    for resolution in args.resolutions:
        new_rows, agrees = measure(resolution, args, peer)
        rows += new_rows
        agreements.append(agrees)
    headers = ["resolution", "network", "CPU ms", "wall ms", "speed", "accuracy"]
    print(format_table(headers, rows))
    print(f"\nMedians of {args.repeats} interleaved rounds, batch {args.batch}.")
    if not all(agreements):
        print("The float32 images do NOT agree; the times mean nothing.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
