"""Changing w_plus of a face whose features come from an encoder: the features have to follow."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.models.editor import Editor
from gan_space.models.synthesis import SynthesisNetwork, SynthesisState


def edit_state(
    synthesis: SynthesisNetwork,
    state: SynthesisState,
    w_plus: Tensor,
    new_w_plus: Tensor,
    resolution: int,
    editor: Editor | None = None,
) -> SynthesisState:
    """Move a state by what a change of the code does to the generator's own features.

    Without an editor: state + features(new) - features(old), which is exact where state and code say the same. For
    photos they never quite do, and an editor puts the change where the face is (StyleFeatureEditor, Bobkov et al.
    2024). Both keep the detail that no code has. `synthesis.finish(edited, new_w_plus, resolution)` draws the result.

    Args:
        synthesis: of the generator that the state belongs to.
        state: of aligned faces, x [N, C, r, r] and rgb [N, 3, r, r]; not changed.
        w_plus: [N or 1, num_ws, w_dim], the code that came with the state.
        new_w_plus: [N or 1, num_ws, w_dim], the code wanted.
        resolution: r.
        editor: trained for this generator and the encoder that the state is from.

    Returns:
        State of the shape and formats of `state`; the very same tensors if the codes differ only in rows that no
        layer up to block r reads.

    Raises:
        InputError: shapes that do not fit; all faults at once.

    Example:
        >>> from gan_space import Generator
        >>> generator = Generator(16, z_dim=4, w_dim=4, channel_base=64, use_noise=False)
        >>> old, new = generator.mapping(torch.randn(2, 4))[:, None].unbind(0)
        >>> moved = edit_state(generator.synthesis, generator.synthesis.features(old, 8), old, new, 8)
        >>> torch.allclose(moved.x, generator.synthesis.features(new, 8).x, atol=1e-4)
        True
    """
    _check_edit(synthesis, state, w_plus, new_w_plus, resolution)
    rows = rows_before(synthesis, resolution)
    if torch.equal(*torch.broadcast_tensors(w_plus[:, :rows], new_w_plus[:, :rows])):
        return state
    # One pass for both: at these small sizes a call costs more than a picture.
    both = synthesis.features(torch.cat([w_plus, new_w_plus]), resolution)
    old, new = (
        SynthesisState(*(part[rows].expand(len(state.x), -1, -1, -1) for part in both))
        for rows in (slice(len(w_plus)), slice(len(w_plus), None))
    )
    if editor is not None:
        return editor(state, old, new)
    moved = [
        (part.float() + (after.float() - before.float())).to(part.dtype)
        for part, before, after in zip(state, old, new, strict=True)
    ]
    return SynthesisState(*moved)


def rows_before(synthesis: SynthesisNetwork, resolution: int) -> int:
    """Say how many rows of w_plus, from the first, the layers up to and with the block of `resolution` read.

    The last of them, which feeds to_rgb of that block, is also the first that `finish` reads.
    """
    return synthesis.first_row(resolution) + synthesis.block(resolution).num_conv + 1


def _check_edit(
    synthesis: SynthesisNetwork, state: SynthesisState, w_plus: Tensor, new_w_plus: Tensor, resolution: int
) -> None:
    faults = []
    if resolution not in synthesis.block_resolutions:
        raise InputError(f"resolution must be one of {synthesis.block_resolutions}, got {resolution}")
    if state.x.shape[-2:] != (resolution, resolution) or state.rgb.shape[-2:] != (resolution, resolution):
        faults.append(
            f"only the state of an aligned face can be edited, {resolution} x {resolution} features; "
            f"got x {list(state.x.shape)} and rgb {list(state.rgb.shape)}"
        )
    for name, code in (("w_plus", w_plus), ("new_w_plus", new_w_plus)):
        shape = (synthesis.num_ws, synthesis.w_dim)
        if code.ndim != 3 or code.shape[1:] != shape or len(code) not in (1, len(state.x)):
            faults.append(f"{name} must be [{len(state.x)} or 1, {shape[0]}, {shape[1]}], got {list(code.shape)}")
    raise_all(faults, InputError)
