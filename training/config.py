"""All settings of a training run, checked together, and the presets."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan_space.errors import ConfigError, raise_all
from gan_space.settings import least_faults, positive_faults, values_of
from training.augment import KINDS
from training.common.frozen_maps import FEATURES
from training.common.precision import MIXED_PRECISIONS
from training.losses import LOSSES
from training.projected import STRIDES

MIN_EVALUATED = 10  # pictures, real and generated, below which nothing is measured
AUGMENT_MODES = ("none", "fixed", "adaptive")
DISCRIMINATORS = ("stylegan", "projected", "both")
COMPILED = ("none", "filters", "networks")  # filters: the resampling filters, on a GPU; networks: G and D on any device
MORE_THAN_ZERO = (
    *("z_dim", "w_dim", "channel_max", "num_mapping_layers", "mbstd_group_size", "batch_size", "g_lr", "d_lr"),
    *("g_eps", "r1_interval", "path_length_interval", "total_kimg", "checkpoint_kimg", "sample_kimg"),
    *("keep_checkpoints", "lr_start", "max_bad_steps", "eval_images", "augment_speed_kimg"),
)
ZERO_OR_MORE = (
    *("r1_gamma", "r2_gamma", "ramp_kimg", "path_length_weight", "d_warmup_kimg", "lr_warmup_kimg"),
    *("lr_decay_kimg", "ema_halflife_kimg", "augment_ramp_kimg", "eval_kimg", "num_workers", "seed"),
)


def _setting(default: Any, text: str, *, may_change: bool = False):
    """A field with its help text; `may_change` marks what a resumed run may set anew."""
    return field(default=default, metadata={"help": text, "may_change": may_change})


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one run. kimg = thousand images, counted over all processes. `--help` tells what each one does."""

    # Data
    dataset_name: str = _setting("", "folder of pictures, folder of parquet files, parquet file, or Hub id")
    dataset_split: str = _setting("train", "split to train on")
    eval_split: str = _setting("test", "held-out split for the doctor and the metrics, where the data set has it")
    image_column: str | None = _setting(None, "column of pictures; found by itself if there is only one")
    label_column: str | None = _setting(None, "column of labels; makes the run conditional")
    balance_column: str | None = _setting(
        None, "column of groups, such as age_group, whose rare values are shown more often", may_change=True
    )
    balance_power: float = _setting(
        0.5, "how far: 0 as in the data, 0.5 by the square root, 1 all values equally often", may_change=True
    )
    streaming: bool = _setting(False, "read the data set as it comes instead of preparing it on disk")
    horizontal_flip: bool = _setting(True, "train on mirrored pictures too")
    data_credit: str = _setting("", "line that credits the pictures, shown in card and app", may_change=True)
    data_license: str = _setting("", "licence of the pictures and so of the weights, e.g. CC BY 4.0", may_change=True)
    num_workers: int = _setting(0, "processes that decode pictures; 0 decodes in the training process", may_change=True)
    # Networks
    resolution: int = _setting(64, "width and height of the pictures, a power of two")
    z_dim: int = _setting(128, "length of the latent z")
    w_dim: int = _setting(128, "length of the intermediate latent w")
    channel_base: int = _setting(2048, "feature maps at resolution r: min(channel_base / r, channel_max)")
    channel_max: int = _setting(128, "see channel_base")
    num_mapping_layers: int = _setting(4, "depth of the mapping network")
    use_noise: bool = _setting(True, "noise inputs in every layer of the generator")
    conv_clamp: float | None = _setting(None, "clip every convolution's output to this; 256 for float16-like safety")
    mbstd_group_size: int = _setting(4, "pictures that the discriminator compares with each other")
    discriminator: str = _setting(
        "stylegan", "stylegan, projected (on features of a frozen network, with hinge loss and no penalty) or both"
    )
    projected_features: str = _setting(
        "efficientnet", f"frozen network of the projected discriminator, one of {', '.join(FEATURES)}"
    )
    projected_px: int = _setting(128, "side that smaller pictures are enlarged to for the frozen network")
    init_from: str | None = _setting(
        None,
        'run or model folder to take the weights of, of the same resolution or a smaller one; "default": the embedded',
        may_change=True,
    )
    # Loss and regularisation
    loss: str = _setting("non_saturating", f"one of {', '.join(LOSSES)}")
    r1_gamma: float = _setting(0.05, "weight of the gradient penalty on real pictures")
    r1_gamma_start: float | None = _setting(None, "weight at the start, moved to r1_gamma over ramp_kimg, r2 too")
    r2_gamma: float = _setting(0.0, "weight of the gradient penalty on generated pictures")
    r1_interval: int = _setting(8, "apply the penalties every so many steps, with as many times the weight; 1: always")
    path_length_weight: float = _setting(0.0, "weight of path length regularisation; 0: off")
    path_length_interval: int = _setting(4, "apply it every so many steps")
    style_mixing_prob: float = _setting(0.0, "share of batches whose pictures get two latents")
    max_grad_norm: float | None = _setting(None, "clip the norm of the gradients to this")
    # Optimisation
    batch_size: int = _setting(32, "pictures a step, over all processes")
    g_lr: float = _setting(0.0025, "learning rate of the generator")
    d_lr: float = _setting(0.0025, "learning rate of the discriminator")
    beta1: float = _setting(0.0, "Adam's first momentum")
    beta2: float = _setting(0.99, "Adam's second momentum")
    lr_start: float = _setting(1.0, "how many times g_lr and d_lr at the start, moved to 1 over ramp_kimg")
    beta2_start: float | None = _setting(None, "beta2 at the start, moved to beta2 over ramp_kimg")
    ramp_kimg: float = _setting(0.0, "length of the cosine from r1_gamma_start, lr_start and beta2_start")
    g_eps: float = _setting(
        1e-8, "Adam's epsilon for the generator; large ones (0.01) hold it back while D is unsure", may_change=True
    )
    d_warmup_kimg: float = _setting(0.0, "train only the discriminator first, for a generator that has none of its own")
    lr_warmup_kimg: float = _setting(0.0, "linear warm-up of both learning rates")
    lr_decay_kimg: float = _setting(0.0, "cosine to zero over the last so many kimg", may_change=True)
    total_kimg: float = _setting(1000.0, "when to stop", may_change=True)
    ema_halflife_kimg: float = _setting(10.0, "half-life of the weight average")
    ema_rampup: float | None = _setting(0.1, "half-life at most this share of the images seen; None: no ramp-up")
    compile: str = _setting("filters", f"what torch.compile may take on, one of {', '.join(COMPILED)}", may_change=True)
    cuda_graphs: bool = _setting(
        True, "on a GPU, launch each half of a step as one recorded graph: less waiting for Python", may_change=True
    )
    mixed_precision: str = _setting(
        "no", "bf16 runs the convolutions of both networks in bfloat16, where the hardware has it"
    )
    seed: int = _setting(0, "seed of weights, order, latents, noise and augmentation")
    # Augmentation
    augment: str = _setting("none", f"one of {', '.join(AUGMENT_MODES)}")
    augment_p: float = _setting(0.1, "probability of each transformation (fixed), or where to start (adaptive)")
    augment_ramp_kimg: float = _setting(0.0, "fixed: length of the ramp from 0 to augment_p")
    augment_target: float = _setting(0.6, "adaptive: mean sign of D(real) to hold")
    augment_speed_kimg: float = _setting(500.0, "adaptive: kimg in which p may go from 0 to 1")
    augment_kinds: tuple[str, ...] = _setting(KINDS, "transformations to use")
    # The run
    output_dir: str = _setting("runs/default", "folder of the run; an existing one is resumed", may_change=True)
    checkpoint_kimg: float = _setting(20.0, "kimg between checkpoints", may_change=True)
    keep_checkpoints: int = _setting(2, "newest checkpoints kept", may_change=True)
    sample_kimg: float = _setting(10.0, "kimg between sample grids", may_change=True)
    eval_kimg: float = _setting(20.0, "kimg between evaluations and doctor's visits; 0: never", may_change=True)
    eval_images: int = _setting(500, "generated and real pictures in an evaluation during training", may_change=True)
    max_bad_steps: int = _setting(10, "non-finite steps in a row after which the run stops", may_change=True)
    push_to_hub: bool = _setting(False, "push the export to the Hub at the end", may_change=True)
    hub_model_id: str | None = _setting(None, "user/name to push to", may_change=True)
    hub_private: bool = _setting(False, "push to a repository that only you can see", may_change=True)
    model_name: str = _setting("", "name of the model, for card, app and recipes", may_change=True)

    def __post_init__(self) -> None:
        raise_all(self.faults(), ConfigError)

    def faults(self) -> list[str]:
        """Return everything that is wrong with these settings; an empty list if nothing is."""
        faults = []
        for name, choices in {
            "loss": tuple(LOSSES),
            "discriminator": DISCRIMINATORS,
            "projected_features": tuple(FEATURES),
            "augment": AUGMENT_MODES,
            "mixed_precision": MIXED_PRECISIONS,
            "compile": COMPILED,
        }.items():
            if getattr(self, name) not in choices:
                faults.append(f"--{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if self.resolution not in [2**octave for octave in range(4, 11)]:
            faults.append(f"--resolution must be a power of two from 16 to 1024, got {self.resolution}")
        elif self.channel_base < self.resolution:
            faults.append(f"--channel_base must be {self.resolution} or more at {self.resolution} px")
        if self.projected_px <= 0 or self.projected_px % STRIDES[-1]:
            faults.append(f"--projected_px must be a multiple of {STRIDES[-1]}, got {self.projected_px}")
        if self.discriminator == "projected" and self.label_column:
            faults.append("--discriminator projected does not look at labels: drop --label_column, or take both")
        ramps = {"r1_gamma_start": None, "lr_start": 1.0, "beta2_start": None}
        for name in [name for name, still in ramps.items() if getattr(self, name) != still and self.ramp_kimg == 0]:
            faults.append(f"--{name} needs --ramp_kimg, the thousand pictures that it takes to leave it")
        if self.beta2_start is not None and not 0 <= self.beta2_start < 1:
            faults.append(f"--beta2_start must be from 0 to below 1, got {self.beta2_start}")
        faults += positive_faults(values_of(self, *MORE_THAN_ZERO), "--")
        faults += least_faults(0, values_of(self, *ZERO_OR_MORE), "--")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                faults.append(f"--{name} must be from 0 to below 1, got {getattr(self, name)}")
        for name in ("augment_p", "style_mixing_prob", "balance_power"):
            if not 0 <= getattr(self, name) <= 1:
                faults.append(f"--{name} must be from 0 to 1, got {getattr(self, name)}")
        unknown = [kind for kind in self.augment_kinds if kind not in KINDS]
        if unknown:
            faults.append(f"--augment_kinds knows {', '.join(KINDS)}, got {', '.join(unknown)}")
        if _is_local_path(self.dataset_name) and not Path(self.dataset_name).expanduser().exists():
            faults.append(f"--dataset_name {self.dataset_name}: no such folder or file, and no Hub id like user/name")
        if self.eval_kimg > 0 and 0 < self.eval_images < MIN_EVALUATED:
            faults.append(f"--eval_images must be {MIN_EVALUATED} or more, got {self.eval_images}")
        if self.push_to_hub and not self.hub_model_id:
            faults.append("--push_to_hub needs --hub_model_id user/name")
        if self.hub_model_id and not re.fullmatch(r"[\w.-]+/[\w.-]+", self.hub_model_id):
            faults.append(f"--hub_model_id must be of the form user/name, got {self.hub_model_id!r}")
        if self.streaming and self.balance_column:
            faults.append("--balance_column needs the whole data set and so does not go with --streaming")
        if self.streaming and self.num_workers > 1:
            faults.append("--streaming works with at most 1 of --num_workers: more would each read all")
        return faults

    def faults_for(self, world_size: int) -> list[str]:
        """Return what is wrong with these settings on so many processes."""
        if self.batch_size % world_size:
            return [f"--batch_size {self.batch_size} cannot be split over {world_size} processes"]
        local = self.batch_size // world_size
        group = min(self.mbstd_group_size, local)
        if local % group:
            return [
                f"--batch_size {self.batch_size} on {world_size} processes is {local} a process, which is no multiple "
                f"of --mbstd_group_size {self.mbstd_group_size}"
            ]
        return []

    def to_dict(self) -> dict[str, Any]:
        """Return all settings by name."""
        return dataclasses.asdict(self)

    def to_public_dict(self) -> dict[str, Any]:
        """Return the same for others to read: of a path on this machine only the last part is told."""
        settings = self.to_dict()
        for name in ("dataset_name", "init_from", "output_dir"):
            value = settings[name]
            if value and (name != "dataset_name" or _is_local_path(value) or Path(value).exists()):
                settings[name] = Path(value).name
        return settings


def _is_local_path(name: str) -> bool:
    """True for what cannot be a Hub id ("user/name")."""
    return bool(name) and (name.startswith((".", "/", "~")) or name.count("/") != 1)


MAY_CHANGE = tuple(setting.name for setting in dataclasses.fields(TrainConfig) if setting.metadata["may_change"])

# Start from one of these with --preset; flags override. The measured results: docs/results/training.md.
PRESETS: dict[str, TrainConfig] = {
    "tiny": TrainConfig(
        resolution=32, z_dim=64, w_dim=64, channel_base=512, channel_max=64, num_mapping_layers=2, batch_size=16,
        total_kimg=2, checkpoint_kimg=1, sample_kimg=1, eval_kimg=1, eval_images=64,
    ),
    # Loss, noise and batch were chosen by comparison; see docs/results/training.md.
    "portraits-64": TrainConfig(
        resolution=64, loss="relativistic", r1_gamma=0.1, r2_gamma=0.1, use_noise=False, augment="fixed", augment_p=0.1,
        mixed_precision="bf16", batch_size=16,
    ),
    "portraits-128": TrainConfig(
        resolution=128, loss="relativistic", r1_gamma=0.2, r2_gamma=0.2, use_noise=False, augment="fixed",
        augment_p=0.1, mixed_precision="bf16", batch_size=16,
    ),
    # Too large for a CPU and never trained by us: StyleGAN2-ADA's recipe at this size.
    "portraits-256": TrainConfig(
        resolution=256, z_dim=512, w_dim=512, channel_base=16384, channel_max=512, num_mapping_layers=8,
        r1_gamma=1.0, augment="adaptive", augment_p=0.0, mixed_precision="bf16", batch_size=64, g_lr=0.002, d_lr=0.002,
        style_mixing_prob=0.9, path_length_weight=2.0, conv_clamp=256, ema_halflife_kimg=20, ema_rampup=0.05,
        total_kimg=10000, num_workers=4,
    ),
}  # fmt: skip
