"""A small network that carries a change of the code over to a face's feature map.

The encoder's features hold what no code can say, and they hold on to it: adding what the change does to the generator's
own features (`latents.editing`) puts a smile beside the mouth where photo and code disagree on its place. This network
sees all three, the photo's features, the generator's and their change. It learns from pairs that the generator drew
where the change belongs (the feature editor of StyleFeatureEditor, Bobkov et al. 2024, in a few layers), and from
photos how far it has to go there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from gan_space.errors import ConfigError, InputError, raise_all
from gan_space.models.encoder import ActivatedConv, Encoder, EncoderConv, ResidualBlock
from gan_space.models.pretrained import PretrainedModel
from gan_space.models.synthesis import SynthesisState
from gan_space.nn.precision import choose_compute_dtype
from gan_space.settings import least_faults

HALVINGS = 2  # the network sees the whole face at a quarter of the size of the features
LEAST_SIZE = 0.05  # changes smaller than this (in standard deviations) are not enlarged before they are looked at


class Editor(PretrainedModel):
    """Move states of faces: (state, before, after) -> state, all [N, C, r, r] features with [N, 3, r, r] pictures.

    A U-Net (Ronneberger et al. 2015) whose answer is multiplied by the size of the change: no change leaves the state
    as it is, to the bit, and half a change does about half. Before training it is `state + after - before`. 1.7 million
    parameters and 0.15 billion multiplications a face at the default size.

    Args:
        resolution: r, of the features; a multiple of 4.
        feature_channels: C.
        width: channels at r; half as many more at r / 2, twice as many at r / 4.
        num_blocks: residual blocks at each size on the way down and at r on the way up.

    Raises:
        ConfigError: sizes that cannot be built; all faults at once.

    Example:
        >>> editor = Editor(8, feature_channels=4, width=4, num_blocks=1).eval()
        >>> state = SynthesisState(torch.zeros(1, 4, 8, 8), torch.zeros(1, 3, 8, 8))
        >>> editor(state, state, state).x.shape
        torch.Size([1, 4, 8, 8])
    """

    @register_to_config
    def __init__(self, resolution: int = 16, feature_channels: int = 128, width: int = 64, num_blocks: int = 2):
        super().__init__()
        sizes = {"feature_channels": feature_channels, "width": width, "num_blocks": num_blocks}
        faults = least_faults(1, sizes)
        step = 2**HALVINGS
        if resolution < step or resolution % step:
            faults.append(f"resolution must be a multiple of {step}, got {resolution}")
        raise_all(faults, ConfigError)
        self.compute_dtype: torch.dtype | None = None  # as in Generator: None is bfloat16 at inference where native

        def blocks(channels: int, count: int) -> nn.Sequential:
            return nn.Sequential(*[ResidualBlock(channels) for _ in range(count)])

        planes, middle, low = feature_channels + 3, width + width // 2, 2 * width
        self.stem = nn.Sequential(ActivatedConv(3 * planes, width, 1), blocks(width, num_blocks))
        self.down1 = nn.Sequential(ActivatedConv(width, middle, stride=2), blocks(middle, num_blocks))
        self.down2 = nn.Sequential(ActivatedConv(middle, low, stride=2), blocks(low, num_blocks))
        self.widen1, self.up1 = EncoderConv(low, middle, 1), blocks(middle, 1)
        self.widen0, self.up0 = EncoderConv(middle, width, 1), blocks(width, num_blocks)
        self.head = EncoderConv(width, planes)
        nn.init.zeros_(self.head.weight)  # starts as the plain sum
        # The scale of the features, as the encoder has it. Filled by `for_encoder`.
        self.register_buffer("feature_mean", torch.zeros(feature_channels))
        self.register_buffer("feature_std", torch.ones(feature_channels))

    @classmethod
    def for_encoder(cls, encoder: Encoder, *, width: int = 64, num_blocks: int = 2) -> Editor:
        """Build an untrained editor that fits an encoder's features in size and scale."""
        config = encoder.config
        editor = cls(config.feature_resolution, config.feature_channels, width=width, num_blocks=num_blocks)
        editor.feature_mean.copy_(encoder.feature_mean)
        editor.feature_std.copy_(encoder.feature_std)
        return editor

    def forward(self, state: SynthesisState, before: SynthesisState, after: SynthesisState) -> SynthesisState:
        """Move a state by what a change of the code means for this face.

        Args:
            state: of aligned faces, from the encoder.
            before, after: the generator's own states for the code and for the code wanted.

        Returns:
            A state in the formats of `state`.

        Raises:
            InputError: shapes that do not fit.
        """
        self._check(state, before, after)
        here, old, new = (self._standardise(one) for one in (state, before, after))
        change = new - old
        size = change.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()  # [N, 1, 1, 1]
        seen = torch.cat([here, old - here, change / size.clamp(min=LEAST_SIZE)], dim=1)
        dtype = choose_compute_dtype(self.compute_dtype, seen.device)
        correction = self._look(seen.to(dtype).contiguous(memory_format=torch.channels_last)).float()
        moved = change + size * correction  # [N, C + 3, r, r], in standard deviations
        x = state.x.float() + moved[:, :-3] * self.feature_std[:, None, None]
        return SynthesisState(x.to(state.x.dtype), (state.rgb.float() + moved[:, -3:]).to(state.rgb.dtype))

    def _look(self, seen: Tensor) -> Tensor:
        high = self.stem(seen)
        middle = self.down1(high)
        low = self.down2(middle)
        middle = self.up1(middle + _double(self.widen1(low)))
        return self.head(self.up0(high + _double(self.widen0(middle))))

    def _standardise(self, state: SynthesisState) -> Tensor:
        features = (state.x.float() - self.feature_mean[:, None, None]) / self.feature_std[:, None, None]
        return torch.cat([features, state.rgb.float()], dim=1)

    def _check(self, *states: SynthesisState) -> None:
        C, r = self.config.feature_channels, self.config.resolution
        shapes = [(list(one.x.shape[1:]), list(one.rgb.shape[1:])) for one in states]
        wrong = [shape for shape in shapes if shape != ([C, r, r], [3, r, r])]
        if wrong:
            raise InputError(f"the editor takes features {[C, r, r]} and pictures {[3, r, r]}, got {wrong[0]}")


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
