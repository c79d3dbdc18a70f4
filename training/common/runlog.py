"""What a person reads of a run: progress bar, metrics.jsonl, TensorBoard, sample grids."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from gan_space.whole_files import write_whole
from training.common.files import append_line, say_where


class HasLength(Protocol):
    """What the log reads of a run's settings."""

    total_kimg: float


class RunLog:
    """Writes the record of a run; on every process but the first it does nothing.

    Args:
        output_dir: folder of the run.
        config: for the length of the bar.
        nimg: images seen before, if resumed. Lines of metrics.jsonl that a killed run wrote past it are dropped.
        measure_again: what was written at `nimg` itself is dropped too, since it will be written again.
        state: what `state` returned when the checkpoint at `nimg` was written.
        enabled: False on all processes but one.
    """

    def __init__(
        self,
        output_dir: Path,
        config: HasLength,
        nimg: int,
        *,
        measure_again: bool = False,
        state: dict | None = None,
        enabled: bool = True,
    ):
        self.enabled = enabled
        if not enabled:
            return
        from torch.utils.tensorboard import SummaryWriter

        self.path = Path(output_dir) / "metrics.jsonl"
        _drop_lines_past(self.path, nimg - 1 if measure_again else nimg)
        self._excepthook = threading.excepthook
        threading.excepthook = partial(_leave_to_the_loop, self._excepthook)
        self._board_dir = Path(output_dir) / "tensorboard"
        with say_where(self._board_dir):
            self._board = SummaryWriter(str(self._board_dir), purge_step=nimg + (not measure_again))
        self._bar = tqdm(
            total=int(config.total_kimg * 1000), initial=nimg, unit="img", unit_scale=True, dynamic_ncols=True,
            smoothing=0.05, mininterval=1.0 if sys.stderr.isatty() else 60.0,  # a log file needs no animation
        )  # fmt: skip
        state = state or {"sums": {}, "seconds": 0.0, "images": 0}
        self._sums: dict[str, tuple[float, int]] = {name: tuple(sums) for name, sums in state["sums"].items()}
        self._started = (time.time() - state["seconds"], nimg - state["images"])

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type | None, error: object, trace: object) -> None:
        with suppress(OSError) if kind else nullcontext():  # a full disk has been told of
            self.close()

    def state(self, nimg: int) -> dict:
        """Return what has been noted since the last `tick`, for the checkpoint at `nimg`; plain numbers."""
        if not self.enabled:
            return {}
        return {"sums": self._sums, "seconds": time.time() - self._started[0], "images": nimg - self._started[1]}

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
        append_line(self.path, json.dumps(clean, ensure_ascii=False))
        for name, value in clean.items():
            if isinstance(value, int | float) and name not in ("nimg", "time"):
                self._write_number(name, value, record["nimg"])

    def _write_number(self, name: str, value: float, nimg: int) -> None:
        with say_where(self._board_dir):
            self._board.add_scalar(name, value, nimg)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self.enabled:
            self._bar.write(text)

    def close(self) -> None:
        """Write what is left, and end the progress bar."""
        if self.enabled:
            threading.excepthook = self._excepthook
            self._bar.close()
            with say_where(self._board_dir):
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
    write_whole(path, "".join(line + "\n" for line in kept))


def _leave_to_the_loop(otherwise: Callable, args: threading.ExceptHookArgs) -> None:
    """TensorBoard writes in a thread of its own, and what fails there is raised in the loop at the next number."""
    if not (isinstance(args.exc_value, OSError) and type(args.thread).__module__.startswith("tensorboard.")):
        otherwise(args)
