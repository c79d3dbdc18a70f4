"""What a person reads of a run: progress bar, metrics.jsonl, TensorBoard, sample grids."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

from tqdm import tqdm

from training.config import TrainConfig


class RunLog:
    """Writes the record of a run; on every process but the first it does nothing.

    Args:
        output_dir: folder of the run.
        config: for the length of the bar.
        nimg: images seen before, if resumed. Lines of metrics.jsonl that a killed run wrote past it are dropped.
        enabled: False on all processes but one.
    """

    def __init__(self, output_dir: Path, config: TrainConfig, nimg: int, *, enabled: bool = True):
        self.enabled = enabled
        if not enabled:
            return
        from torch.utils.tensorboard import SummaryWriter

        self.path = Path(output_dir) / "metrics.jsonl"
        _drop_lines_past(self.path, nimg)
        self._file = open(self.path, "a", buffering=1)  # noqa: SIM115  (open as long as the run)
        self._board = SummaryWriter(str(Path(output_dir) / "tensorboard"), purge_step=nimg)
        self._bar = tqdm(
            total=int(config.total_kimg * 1000), initial=nimg, unit="img", unit_scale=True, dynamic_ncols=True,
            smoothing=0.05, mininterval=1.0 if sys.stderr.isatty() else 60.0,  # a log file needs no animation
        )  # fmt: skip
        self._sums: dict[str, tuple[float, int]] = {}
        self._started = (time.time(), nimg)

    def step(self, num_images: int, values: dict[str, float]) -> None:
        """Note one training step; the values are averaged until `tick`."""
        if not self.enabled:
            return
        self._bar.update(num_images)
        for name, value in values.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, count + 1)

    def tick(self, nimg: int, extra: dict | None = None) -> dict:
        """Write the means since the last tick with `extra`, and return them."""
        if not self.enabled:
            return {}
        now = time.time()
        seconds, images = now - self._started[0], nimg - self._started[1]
        self._started = (now, nimg)
        record: dict = {"nimg": nimg, "time": round(now, 1), "images_per_sec": round(images / max(seconds, 1e-9), 2)}
        record |= {name: total / count for name, (total, count) in sorted(self._sums.items())}
        record |= extra or {}
        self._sums = {}
        self.write(record)
        self._bar.set_postfix({k: f"{v:.3g}" for k, v in record.items() if k in ("loss_g", "loss_d", "augment_p")})
        return record

    def write(self, record: dict) -> None:
        """Append one line to metrics.jsonl and its numbers to TensorBoard."""
        if not self.enabled:
            return
        clean = {k: (None if isinstance(v, float) and not math.isfinite(v) else v) for k, v in record.items()}
        self._file.write(json.dumps(clean, ensure_ascii=False) + "\n")
        for name, value in clean.items():
            if isinstance(value, int | float) and name not in ("nimg", "time"):
                self._board.add_scalar(name, value, record["nimg"])

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self.enabled:
            self._bar.write(text)

    def close(self) -> None:
        if self.enabled:
            self._bar.close()
            self._file.close()
            self._board.close()


def _drop_lines_past(path: Path, nimg: int) -> None:
    """Keep the lines up to `nimg`, so that a resumed run does not tell the same stretch twice."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["nimg"] <= nimg:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue  # cut short by a kill
    partial = path.with_suffix(".partial")
    partial.write_text("".join(line + "\n" for line in kept))
    partial.replace(path)
