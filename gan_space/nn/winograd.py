"""3x3 convolutions with fewer products, for inference on CPUs (Lavin & Gray 2016, "Fast algorithms for CNNs").

F(m x m, 3x3) computes a tile of m x m outputs from a tile of inputs d as Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A. Summed over input
channels, the product ⊙ becomes (m + 2)² matrix products, which take (m + 2)² / (9 m²) of the multiplications of the
plain convolution: a quarter for m = 4, 44 % for m = 2.

Here both transforms are matrix products too: Bᵀ ⊗ Bᵀ and Aᵀ ⊗ Aᵀ, applied to a chunk of tiles that stays in the cache.
That is more arithmetic than additions in a clever order, and takes less time, because it is one pass over memory and
rounds once. It also leaves the interpolation points free.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from gan_space.nn.precision import has_native_bfloat16, is_plain_inference

# Interpolation points besides infinity. The paper's 0, ±1, ±2 need no multiplications, which matters little here; with
# points whose powers are closer to one, float32 is as exact as the plain convolution (relative error of m = 4: 6e-7
# instead of 2.4e-6).
POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))}
# bfloat16 keeps 8 bits: m = 4 would lose 15 dB on the plain convolution, m = 2 loses 2 dB on a layer.
TILE_SIZE = {torch.float32: 4, torch.bfloat16: 2}
# Below these sizes the transforms cost more than they save (measured, docs/results/speed.md).
LEAST_CHANNELS = {torch.float32: 64, torch.bfloat16: 128}
LEAST_PX = {torch.float32: 16, torch.bfloat16: 8}
# Threads meet after every step of a chunk: two still win, more were not measured.
MOST_THREADS = 2


def winograd_tile(x: Tensor, weight: Tensor) -> int | None:
    """Return the tile size m with which a 3x3 convolution of x [N, I, H, W] is faster, None if a plain one is."""
    m = TILE_SIZE.get(x.dtype)
    if m is None or not is_plain_inference(x) or weight.shape[2:] != (3, 3):
        return None
    if x.dtype == torch.bfloat16 and not has_native_bfloat16("cpu"):
        return None
    if torch.get_num_threads() > MOST_THREADS:
        return None
    H, W = x.shape[2:]
    large = min(weight.shape[:2]) >= LEAST_CHANNELS[x.dtype] and min(H, W) >= LEAST_PX[x.dtype]
    return m if large and H % m == 0 and W % m == 0 else None


@cache
def transforms(m: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return Bᵀ [n, n], G [n, 3] and Aᵀ [m, n] of F(m, 3) in float64, n = m + 2 (Toom-Cook).

    Output i is sum_k g_k d_{i+k}. G evaluates the filter, a polynomial, at the points, and Aᵀ is the transpose of the
    evaluation of one with m coefficients; what then has to be Bᵀ follows from a linear system.
    """
    n = m + 2
    points = torch.tensor(POINTS[m], dtype=torch.float64)  # [n - 1]; the last one is infinity
    differences = points[:, None] - points[None] + torch.eye(n - 1, dtype=torch.float64)
    powers = points[:, None] ** torch.arange(n)  # [n - 1, n]
    infinity = torch.zeros(1, n, dtype=torch.float64)
    a_t = torch.cat([powers[:, :m], infinity[:, :m]]).t().contiguous()
    g = torch.cat([powers[:, :3] / differences.prod(dim=1, keepdim=True), infinity[:, :3]])
    a_t[-1, -1] = g[-1, -1] = 1
    # sum_j Aᵀ[i, j] G[j, k] Bᵀ[j, l] = 1 where l = i + k, else 0.
    system = (a_t[:, None] * g.t()[None]).reshape(3 * m, n)
    wanted = torch.eye(n, dtype=torch.float64)[torch.arange(m)[:, None] + torch.arange(3)].reshape(3 * m, n)
    return torch.linalg.lstsq(system, wanted).solution, g, a_t


@cache
def _tile_transforms(m: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return Bᵀ ⊗ Bᵀ [n², n²] and Aᵀ ⊗ Aᵀ [m², n²]: the transforms of flattened tiles."""
    b_t, _, a_t = transforms(m)
    return torch.kron(b_t, b_t).to(dtype), torch.kron(a_t, a_t).to(dtype)


def transform_weight(weight: Tensor, m: int, dtype: torch.dtype) -> Tensor:
    """Return G g Gᵀ of all filters [O, I, 3, 3], as n² matrices [n², I, O] in `dtype`."""
    O, I = weight.shape[:2]
    g = transforms(m)[1].to(weight.dtype)
    matrices = torch.kron(g, g) @ weight.permute(2, 3, 1, 0).reshape(9, I * O)
    return matrices.to(dtype).reshape(-1, I, O)


def winograd_conv2d(
    x: Tensor,
    matrices: Tensor,
    *,
    in_scale: Tensor | None = None,
    finish: Callable[[Tensor, slice, slice], None] | None = None,
) -> Tensor:
    """Convolve x with 3x3 filters and padding 1, without gradients.

    Args:
        x: [N, I, H, W], H and W multiples of the tile size m; fastest in channels_last.
        matrices: [n², I, O] from `transform_weight`, in the dtype of x.
        in_scale: [N, I], multiplied into x on the way.
        finish: called with finished rows [b, O, h, W], which it changes in place while they are still in the cache,
            and with the slices of pictures and of rows that they are.

    Returns:
        [N, O, H, W] in channels_last.
    """
    N, I, H, W = x.shape
    O, dtype = matrices.shape[2], x.dtype
    n = math.isqrt(matrices.shape[0])
    m = n - 2
    b_t, a_t = _tile_transforms(m, dtype)
    pixels = x.permute(0, 2, 3, 1)  # [N, H, W, I]
    in_scale = None if in_scale is None else in_scale.to(dtype)[:, None, None]
    y = x.new_empty(N, H, W, O)

    # A chunk is b pictures or, of a large picture, r rows of tiles. More channels mean larger matrices, which more
    # tiles have to share; more tiles spill out of the cache.
    tiles = max(I // 2, 64) if m == 4 else max(I, 256)
    columns, rows = W // m, H // m
    r = min(rows, max(1, tiles // columns))
    b = min(N, max(1, tiles // (columns * rows)))
    padded = x.new_zeros(b, r * m + 2, W + 2, I)
    # Each step reads one buffer and writes the other, whose lines are in the cache already.
    buffers = [x.new_empty(n * n * b * r * columns * max(I, O)) for _ in range(2)]
    views: dict[tuple[int, int], _Views] = {}  # the last chunk may be smaller

    for first in range(0, N, b):
        pictures = slice(first, min(first + b, N))
        scale = None if in_scale is None else in_scale[pictures]
        for top in range(0, rows, r):
            grid = (pictures.stop - first, min(r, rows - top))
            view = views.get(grid) or views.setdefault(grid, _Views(padded, *buffers, m, *grid, columns, O))
            _fill(view.chunk, pixels[pictures], scale, top * m - 1)
            view.tiles.copy_(view.overlapping)
            torch.mm(b_t, view.inputs, out=view.transformed)
            torch.bmm(view.factors, matrices, out=view.products)
            torch.mm(a_t, view.sums, out=view.outputs)
            h = slice(top * m, (top + grid[1]) * m)
            done = y[pictures, h]
            done.view(view.rows.shape).copy_(view.rows)
            if finish is not None:
                finish(done.permute(0, 3, 1, 2), pictures, h)
    return y.permute(0, 3, 1, 2)


class _Views:
    """Two buffers as the steps of `winograd_conv2d` see them, for a chunk of b pictures with r x c tiles each."""

    def __init__(self, padded: Tensor, one: Tensor, other: Tensor, m: int, b: int, r: int, c: int, O: int):
        I, n, count = padded.shape[3], m + 2, b * r * c
        inputs, transformed = (buffer[: n * n * count * I].view(n * n, count, I) for buffer in (one, other))
        products, outputs = (one[: n * n * count * O].view(n * n, count, O), other[: m * m * count * O])
        self.chunk = padded[:b, : r * m + 2]
        picture, row, column, _ = self.chunk.stride()
        self.overlapping = self.chunk.as_strided((n, n, b, r, c, I), (row, column, picture, m * row, m * column, 1))
        self.tiles = inputs.view(n, n, b, r, c, I)
        self.inputs, self.transformed, self.factors = inputs.flatten(1), transformed.flatten(1), transformed
        self.products, self.sums, self.outputs = products, products.flatten(1), outputs.view(m * m, count * O)
        self.rows = outputs.view(m, m, b, r, c, O).permute(2, 3, 0, 4, 1, 5)  # [b, r, m, c, m, O]


def _fill(chunk: Tensor, pixels: Tensor, scale: Tensor | None, first: int) -> None:
    """Write pictures [b, H, W, I], times scale, into chunk [b, h, W + 2, I] from row `first` on; zeros lie around them.

    The columns at the sides stay as they are: zero.
    """
    start, stop = max(first, 0), min(first + chunk.shape[1], pixels.shape[1])
    inner = chunk[:, start - first : stop - first, 1:-1]
    if scale is None:
        inner.copy_(pixels[:, start:stop])
    else:
        torch.mul(pixels[:, start:stop], scale, out=inner)
    if start > first:
        chunk[:, : start - first].zero_()
    if stop < first + chunk.shape[1]:
        chunk[:, stop - first :].zero_()
