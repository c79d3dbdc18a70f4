"""A small network that reads attributes off an aligned face and gives a vector by which faces can be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from gan_space.errors import ConfigError, InputError, raise_all
from gan_space.images import luminance, resize_faces
from gan_space.models.aligner import ConvNorm
from gan_space.models.pretrained import PretrainedModel
from gan_space.settings import least_faults, multiple_faults

ATTRIBUTES = ("male", "age", "smile", "mouth_open", "glasses", "yaw", "brightness")
FAIRNESS_ATTRIBUTES = ("race", "skin_tone")  # to measure how groups fare; never among the attributes of a face
RACE_GROUPS = ("White", "Black", "Indian", "East Asian", "Southeast Asian", "Middle Eastern", "Latino_Hispanic")
AGE_YEARS = (25, 35, 45, 55, 65, 75)  # middles of FairFace's groups of adults, 20-29 … 70+
YAW_UNIT = 0.16  # deviation of yaw over FairFace: what one unit of its score stands for
BRIGHTNESS_MEAN, BRIGHTNESS_UNIT = 0.42, 0.13  # over FairFace
BRIGHTNESS_MARGIN = 10 / 64  # brightness is that of the middle of the crop
CHEEKS = ((0.23, 0.35), (0.65, 0.77)), (0.50, 0.60)  # x of the two, and y, as fractions of the crop's width
BOTTLENECK_CHANNELS = 48
FINAL_SIZE = 4  # of the feature map that is flattened: where something is matters for faces in one frame


class AnalyzerOutput(NamedTuple):
    """What `Analyzer` says about N faces; all float32."""

    # Natural units, each [N]: probabilities in [0, 1], `age` in years, `yaw` as nose offset over the eye distance
    # (0: frontal, about ±0.35 at most), `brightness` in [0, 1].
    attributes: dict[str, Tensor]
    # Unbounded and differentiable, each [N]: log odds of the probabilities, the latent score of `age` (log odds of
    # being above a limit, up to a constant), and standardised values of `yaw` and `brightness`.
    scores: dict[str, Tensor]
    embedding: Tensor  # [N, embedding_dim], unit length; the cosine of two says how alike two faces are


class FairnessOutput(NamedTuple):
    """Rough groups of N faces, to measure how a model treats them. Not a fact about any person in a picture."""

    race: Tensor  # [N, len(race_groups)], probabilities of the labels that the training data uses
    skin_tone: Tensor  # [N], ITA angle of the cheeks in degrees, high is light; depends on the light of the photo


class Analyzer(PretrainedModel):
    """Read faces in the tight frame: [N, 3, S, S] float in [-1, 1], any S from 16 up -> `AnalyzerOutput`.

    0.9 million parameters and 26 million multiplications a face at the default size. `glasses`, `smile` and every name
    that is not listed below are binary attributes; `age` is ordinal over `age_years` (Cao et al. 2020, CORAL: one
    score, several limits); `yaw` is a number; `brightness` is computed from the pixels.

    Args:
        resolution: side in px that faces are resized to; a multiple of 16.
        width: channels of the first layer; later ones have two, four and eight times as many.
        features_dim: length of the vector in front of the heads, see `features`.
        embedding_dim: length of the embedding.
        attributes: names of what is read.
        fairness_attributes: names of what `groups` gives, for measurements only.
        race_groups: labels of the training data that `groups` tells apart.
        age_years: years that stand for each age group, rising.

    Raises:
        ConfigError: a size or a name that cannot be built; all faults at once.

    Example:
        >>> output = Analyzer().eval()(torch.zeros(2, 3, 128, 128))
        >>> output.attributes["age"].shape, output.embedding.shape
        (torch.Size([2]), torch.Size([2, 128]))
    """

    @register_to_config
    def __init__(
        self,
        resolution: int = 64,
        width: int = 24,
        features_dim: int = 256,
        embedding_dim: int = 128,
        attributes: Sequence[str] = ATTRIBUTES,
        fairness_attributes: Sequence[str] = FAIRNESS_ATTRIBUTES,
        race_groups: Sequence[str] = RACE_GROUPS,
        age_years: Sequence[float] = AGE_YEARS,
    ):
        super().__init__()
        sizes = {"width": width, "features_dim": features_dim, "embedding_dim": embedding_dim}
        faults = least_faults(1, sizes)
        faults += multiple_faults("resolution", resolution, 16)
        if len(set(attributes)) < len(attributes):
            faults.append(f"attributes must differ from each other, got {list(attributes)}")
        shared = sorted(set(attributes) & {*FAIRNESS_ATTRIBUTES, *fairness_attributes})
        if shared:
            faults.append(f"{shared} may be measured for fairness only, not be among the attributes")
        unknown = sorted(set(fairness_attributes) - set(FAIRNESS_ATTRIBUTES))
        if unknown:
            faults.append(f"fairness_attributes must be among {list(FAIRNESS_ATTRIBUTES)}, got {unknown}")
        if len(age_years) < 2 or any(a >= b for a, b in pairwise(age_years)):
            faults.append(f"age_years must be two or more rising numbers, got {list(age_years)}")
        raise_all(faults, ConfigError)

        self.learned = [name for name in attributes if name != "brightness"]
        self.stem = nn.Sequential(ConvNorm(3, width, 5, stride=2), ConvNorm(width, 2 * width, stride=2))
        self.block16 = ConvNorm(2 * width, 2 * width)  # the numbers are sizes at 64 px
        self.down8 = ConvNorm(2 * width, 4 * width, stride=2)
        self.block8 = ConvNorm(4 * width, 4 * width)
        self.down4 = ConvNorm(4 * width, 8 * width, stride=2)
        self.block4 = ConvNorm(8 * width, 8 * width)
        self.bottleneck = ConvNorm(8 * width, BOTTLENECK_CHANNELS, 1)
        self.hidden = nn.Linear(BOTTLENECK_CHANNELS * FINAL_SIZE**2, features_dim, bias=False)
        self.hidden_norm = nn.BatchNorm1d(features_dim)
        self.head = nn.Linear(features_dim, len(self.learned))
        if "age" in attributes:
            self.age_limits = nn.Parameter(torch.linspace(0, 4, len(age_years) - 1))
        if "race" in fairness_attributes:
            self.race_head = nn.Linear(features_dim, len(race_groups))
        # From the trunk, not from `features`: those keep of a face what the attributes need, and little else.
        self.to_embedding = nn.Linear(BOTTLENECK_CHANNELS * FINAL_SIZE**2, embedding_dim, bias=False)
        self.embedding_norm = nn.BatchNorm1d(embedding_dim, affine=False)  # without it all cosines come close to 1

    @property
    def resolution(self) -> int:
        """Side in px that faces are resized to before they are looked at."""
        return self.config.resolution

    def resize(self, images: Tensor) -> Tensor:
        """Bring faces to the size that is looked at; see `images.resize_faces`."""
        return resize_faces(images, self.resolution)

    def trunk(self, images: Tensor) -> Tensor:
        """Return what attributes and embedding share: [N, 3, S, S] -> [N, 48 * 4 * 4] float32."""
        x = self.stem(self.resize(images))  # [N, 2 width, R/4, R/4]
        x = x + self.block16(x)
        x = self.down8(x)  # [N, 4 width, R/8, R/8]
        x = x + self.block8(x)
        x = self.down4(x)  # [N, 8 width, R/16, R/16]
        x = x + self.block4(x)
        x = self.bottleneck(x).float()
        if self.resolution != 16 * FINAL_SIZE:
            x = F.adaptive_avg_pool2d(x, FINAL_SIZE)
        return x.flatten(1)  # order [N, C, H, W] in any memory format

    def hidden_features(self, trunk: Tensor) -> Tensor:
        """Return the vector in front of the attributes' heads, [N, features_dim], from `trunk`."""
        return F.relu(self.hidden_norm(self.hidden(trunk)))

    def features(self, images: Tensor) -> Tensor:
        """Return what the attributes are read from, [N, features_dim] float32; also a space to measure distances in."""
        return self.hidden_features(self.trunk(images))

    def scores(self, features: Tensor, images: Tensor) -> dict[str, Tensor]:
        """Return unbounded scores, see `AnalyzerOutput`; `images` are those that the features came from."""
        by_name = dict(zip(self.learned, self.head(features).unbind(dim=1), strict=True))
        if "brightness" in self.config.attributes:
            by_name["brightness"] = (brightness(images) - BRIGHTNESS_MEAN) / BRIGHTNESS_UNIT
        return {name: by_name[name] for name in self.config.attributes}

    def natural(self, scores: dict[str, Tensor]) -> dict[str, Tensor]:
        """Turn scores into natural units, see `AnalyzerOutput`."""
        return {name: self._natural(name, score) for name, score in scores.items()}

    def _natural(self, name: str, score: Tensor) -> Tensor:
        if name == "age":
            years = score.new_tensor(self.config.age_years)
            above = (score[:, None] - self.age_limits).sigmoid()  # [N, groups - 1], P(older than limit k)
            return years[0] + above @ years.diff()
        if name == "yaw":
            return score * YAW_UNIT
        if name == "brightness":
            return score * BRIGHTNESS_UNIT + BRIGHTNESS_MEAN
        return score.sigmoid()

    def project(self, trunk: Tensor) -> Tensor:
        """Return [N, embedding_dim] from `trunk`, each dimension with mean 0 and variance 1 over the training faces."""
        return self.embedding_norm(self.to_embedding(trunk))

    def embed(self, trunk: Tensor) -> Tensor:
        """Return the unit vectors [N, embedding_dim] from `trunk`."""
        return F.normalize(self.project(trunk), dim=1)

    def forward(self, images: Tensor) -> AnalyzerOutput:
        images = images.float()
        trunk = self.trunk(images)
        scores = self.scores(self.hidden_features(trunk), images)
        return AnalyzerOutput(self.natural(scores), scores, self.embed(trunk))

    @torch.no_grad()
    def groups(self, images: Tensor) -> FairnessOutput:
        """Sort faces into rough groups, to measure how a model treats them; never to steer or to judge a face.

        No gradient comes back, so that nothing can be fitted against it by accident.

        Raises:
            InputError: the analyzer was built without these heads, or the images do not fit.
        """
        missing = sorted({"race", "skin_tone"} - set(self.config.fairness_attributes))
        if missing:
            raise InputError(f"this analyzer was built without {missing}: use one with fairness_attributes")
        race = self.race_head(self.features(images.float())).softmax(dim=1)
        return FairnessOutput(race, skin_tone(self.resize(images.float())))

    @torch.no_grad()
    def calibrate(self, name: str, scale: float, limits: Sequence[float]) -> None:
        """Make the score `scale` times as large and move its limits, in the weights.

        Args:
            name: a binary attribute, or "age".
            scale: of the score, above 0.
            limits: for a binary attribute one number, which is taken off the scaled score; for "age" the new limits.
        """
        row = self.learned.index(name)
        self.head.weight[row] *= scale
        self.head.bias[row] *= scale
        if name == "age":
            self.age_limits.copy_(torch.as_tensor(limits))
        else:
            self.head.bias[row] -= limits[0]


def brightness(images: Tensor) -> Tensor:
    """Measure the mean luminance of the middle of faces [N, 3, S, S] in [-1, 1]: [N] in [0, 1]."""
    side = images.shape[-1]
    margin = round(side * BRIGHTNESS_MARGIN)
    middle = images[:, :, margin : side - margin, margin : side - margin]
    return (luminance(middle).mean(dim=(1, 2, 3)) + 1) / 2


def skin_tone(images: Tensor) -> Tensor:
    """Return the individual typology angle of the cheeks of faces in the tight frame, in degrees (Chardon et al. 1991).

    Args:
        images: [N, 3, S, S] in [-1, 1].

    Returns:
        [N], atan2(L* - 50, b*): above 55 very light, below -30 dark. Light and colour cast of a photo move it.
    """
    side = images.shape[-1]
    columns, (top, bottom) = CHEEKS
    rows = slice(math.floor(top * side), math.ceil(bottom * side))
    patches = [images[:, :, rows, math.floor(left * side) : math.ceil(right * side)] for left, right in columns]
    lab = _lab(torch.cat([patch.flatten(2) for patch in patches], dim=2))  # [N, 3, P]
    lightness, _, b = lab.median(dim=2).values.unbind(dim=1)
    return torch.rad2deg(torch.atan2(lightness - 50, b.clamp(min=1.0)))  # blueish light would turn the angle over


def _lab(colours: Tensor) -> Tensor:
    """sRGB [N, 3, P] in [-1, 1] -> CIE L*a*b* under D65 (IEC 61966-2-1, CIE 15)."""
    srgb = ((colours + 1) / 2).clamp(0, 1)
    linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    white = linear.new_tensor([0.95047, 1.0, 1.08883]).view(3, 1)
    xyz = torch.einsum("ij,njp->nip", linear.new_tensor(to_xyz), linear) / white
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-9) ** (1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f.unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)
