"""Images per second of one training step, ours against NVIDIA's networks of the same size and weights.

    python -m benchmarks.training_step --peer PATH
    python -m benchmarks.training_step --peer PATH --device cuda --resolution 256 --batch 32 --channel_base 16384

A step is D's update (non-saturating loss, R1 every --r1_interval steps) and G's update, with Adam, the same lines for
all contenders: what is compared is the networks. Before anything is timed, the losses and the gradients of one step
with R1 have to agree.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.common import benchmark_parser, format_table, interleave, start
from benchmarks.peer import GRADIENT_TOLERANCE, TOLERANCE, Peer, copy_weights, gradient_error, open_peer
from gan_space import Discriminator, Generator

R1_GAMMA = 1.0
PEER, FP32, BF16 = "NVlabs fp32", "ours fp32", "ours bf16"


@dataclass
class Contender:
    """A pair of networks with its optimizers and its own count of steps."""

    generator: nn.Module
    discriminator: nn.Module
    noise_mode: str = "random"
    steps: int = 0

    def __post_init__(self):
        self.g_optimizer = torch.optim.Adam(self.generator.parameters(), lr=0.002, betas=(0.0, 0.99))
        self.d_optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=0.002, betas=(0.0, 0.99))

    def draw(self, z: Tensor) -> Tensor:
        """Draw images [N, 3, R, R] from z [N, z_dim]."""
        return self.generator.synthesis(self.generator.mapping(z, None), noise_mode=self.noise_mode)

    def d_loss(self, z: Tensor, real: Tensor, r1_weight: float) -> Tensor:
        """Return the non-saturating loss of D, with R1 (Mescheder et al. 2018) when `r1_weight` is above 0."""
        with torch.no_grad():
            fake = self.draw(z)
        real = real.detach().requires_grad_(r1_weight > 0)
        real_logits = self.discriminator(real, None)
        loss = F.softplus(self.discriminator(fake, None)).mean() + F.softplus(-real_logits).mean()
        if r1_weight > 0:
            (gradient,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
            loss = loss + gradient.square().sum([1, 2, 3]).mean() * (R1_GAMMA / 2 * r1_weight)
        return loss

    def g_loss(self, z: Tensor) -> Tensor:
        """Return the non-saturating loss of G."""
        return F.softplus(-self.discriminator(self.draw(z), None)).mean()

    def step(self, z: Tensor, real: Tensor, r1_interval: int) -> None:
        """Run one update of D and one of G; R1 is lazy, with its weight multiplied by the interval."""
        r1_weight = float(r1_interval) if self.steps % r1_interval == 0 else 0.0
        self.steps += 1
        self.d_optimizer.zero_grad(set_to_none=True)
        self.d_loss(z, real, r1_weight).backward()
        self.d_optimizer.step()
        self.g_optimizer.zero_grad(set_to_none=True)
        self.discriminator.requires_grad_(False)
        self.g_loss(z).backward()
        self.discriminator.requires_grad_(True)
        self.g_optimizer.step()


def check(ours: Contender, theirs: Contender, z: Tensor, real: Tensor) -> list[list]:
    """Return rows (what, difference) of one step without updates; noise off, for the two draw it differently."""
    rows = []
    for name, loss_of in (("D with R1", lambda one: one.d_loss(z, real, 1.0)), ("G", lambda one: one.g_loss(z))):
        losses = []
        for contender in (ours, theirs):
            contender.generator.zero_grad(set_to_none=True)
            contender.discriminator.zero_grad(set_to_none=True)
            contender.noise_mode = "none"
            loss = loss_of(contender)
            loss.backward()
            contender.noise_mode = "random"
            losses.append(loss.item())
        network = "discriminator" if name.startswith("D") else "generator"
        rows.append([f"loss of {name}", abs(losses[0] - losses[1])])
        rows.append([f"gradients of {name}", gradient_error(getattr(ours, network), getattr(theirs, network))])
    return rows


def build(args, dtype: torch.dtype) -> Contender:
    """Build our pair of networks of the size in `args`, from one fixed seed."""
    torch.manual_seed(0)
    sizes = {"resolution": args.resolution, "channel_base": args.channel_base, "channel_max": args.channel_max}
    generator = Generator(**sizes, z_dim=args.z_dim, w_dim=args.z_dim)
    discriminator = Discriminator(**sizes)
    generator.compute_dtype = discriminator.compute_dtype = dtype
    return Contender(generator.to(args.device).train(), discriminator.to(args.device).train())


def build_peer(peer: Peer, ours: Contender) -> Contender:
    """Build the peer's pair of the same size; its random weights are copied into `ours`."""
    theirs = []
    for network in (ours.generator, ours.discriminator):
        other = peer.build(network).to(next(network.parameters()).device).train()
        copy_weights(other, network)
        theirs.append(other)
    return Contender(*theirs)


def main() -> int:
    """Print the tables; exit code 1 when losses or gradients do not agree."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--channel_base", type=int, default=2048)
    parser.add_argument("--channel_max", type=int, default=128)
    parser.add_argument("--z_dim", type=int, default=128, help="length of z and w")
    parser.add_argument("--r1_interval", type=int, default=16, help="steps from one R1 to the next")
    parser.set_defaults(repeats=32)
    args = parser.parse_args()
    start(args, "benchmarks.training_step")
    peer = open_peer(parser, args)

    contenders = {FP32: build(args, torch.float32), BF16: build(args, torch.bfloat16)}
    z = torch.randn(args.batch, args.z_dim).to(args.device)
    real = torch.rand(args.batch, 3, args.resolution, args.resolution).to(args.device) * 2 - 1
    agrees = True
    if peer is not None:
        contenders = {PEER: build_peer(peer, contenders[FP32]), **contenders}
        rows = check(contenders[FP32], contenders[PEER], z, real)
        agrees = all(row[1] <= (TOLERANCE if row[0].startswith("loss") else GRADIENT_TOLERANCE) for row in rows)
        print(format_table(["against NVlabs", "largest difference"], rows), end="\n\n")

    runs = {name: lambda one=one: one.step(z, real, args.r1_interval) for name, one in contenders.items()}
    timings = interleave(runs, args.repeats, warmup=args.r1_interval, device=args.device)
    clock = "wall" if torch.device(args.device).type == "cuda" else "cpu"
    first = next(iter(contenders))
    # A mean, not a median: the steps with R1 are few and dear, and they count.
    seconds = {
        name: {"cpu": sum(timing.cpu_sec) / args.repeats, "wall": sum(timing.wall_sec) / args.repeats}
        for name, timing in timings.items()
    }
    rows = [
        [name, args.batch / mean["cpu"], args.batch / mean["wall"], f"{seconds[first][clock] / mean[clock]:.2f}x"]
        for name, mean in seconds.items()
    ]
    print(format_table(["networks", "img/s of CPU time", "img/s", "speed"], rows))
    print(
        f"\n{args.resolution} px, batch {args.batch}, channel_base {args.channel_base}, "
        f"channel_max {args.channel_max}, R1 every {args.r1_interval} steps, {args.repeats} interleaved steps."
    )
    if not agrees:
        print("Losses or gradients do NOT agree; the times mean nothing.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
