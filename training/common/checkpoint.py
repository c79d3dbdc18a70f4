"""Complete, atomic checkpoints: a run killed at any moment goes on from the newest one as if nothing had happened.

A checkpoint is a folder `checkpoints/nimg-000001234`. It is written under another name, every file is flushed to the
disk, the manifest with sizes and hashes comes last, and then the folder gets its name in one step. What has no valid
manifest is never read. Tensors are safetensors, the rest JSON: no pickle.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gan_space.errors import TrainingError
from gan_space.whole_files import flush_to_disk, sha256_of
from training.common.distributed import barrier
from training.common.files import system_fault
from training.common.optimizers import Optimizer

MANIFEST, STATE, TENSORS = "manifest.json", "state.json", ".safetensors"
PREFIX = "nimg-"


class CheckpointStore:
    """Writes, finds and prunes the checkpoints of one run.

    Args:
        folder: `<output_dir>/checkpoints`.
        keep: how many of the newest stay.
        rank, world_size: of this process; process 0 writes what all share.
    """

    def __init__(self, folder: Path, *, keep: int = 2, rank: int = 0, world_size: int = 1):
        self.folder, self.keep, self.rank, self.world_size = Path(folder), keep, rank, world_size

    def save(
        self,
        nimg: int,
        modules: Mapping[str, nn.Module],
        optimizers: Mapping[str, Optimizer],
        state: dict,
    ) -> Path:
        """Write one checkpoint; every process calls it.

        Raises:
            TrainingError: it cannot be written; names the newest whole one. Nothing is left of it.
        """
        with self._nothing_left_of_a_failure():
            final = self.folder / f"{PREFIX}{nimg:09d}"
            partial = self.folder / f".partial-{nimg:09d}"
            if self.rank == 0:
                self._remove_partial()  # left by a killed run
                partial.mkdir(parents=True)
            barrier()
            save_file(_rng_tensors(), partial / f"rng-{self.rank}.safetensors")
            if self.rank == 0:
                for name, module in modules.items():
                    save_file(_contiguous(module.state_dict()), partial / f"{name}.safetensors")
                for name, optimizer in optimizers.items():
                    save_file(_optimizer_tensors(optimizer), partial / f"{name}.safetensors")
                state = {**state, "nimg": nimg, "world_size": self.world_size, "python_rng": _python_rng()}
                (partial / STATE).write_text(json.dumps(state, indent=1))
            barrier()
            if self.rank == 0:
                manifest = {}
                for file in sorted(partial.iterdir()):
                    manifest[file.name] = {"bytes": file.stat().st_size, "sha256": sha256_of(file)}
                    flush_to_disk(file)
                (partial / MANIFEST).write_text(json.dumps(manifest, indent=1))
                flush_to_disk(partial / MANIFEST)
                flush_to_disk(partial)
                shutil.rmtree(final, ignore_errors=True)  # of the same name, but damaged
                os.replace(partial, final)
                flush_to_disk(self.folder)
                self._prune()
            barrier()
            return final

    @contextmanager
    def _nothing_left_of_a_failure(self) -> Iterator[None]:
        """Remove what was written when a full disk or the like ends it, and say so in a TrainingError."""
        try:
            yield
        except Exception as error:
            reason = system_fault(error)
            if reason is None:
                raise
            if self.rank == 0:
                self._remove_partial()
            raise TrainingError(
                f"cannot write a checkpoint into {self.folder}: {reason}. Newest whole one: {self.newest() or 'none'}"
            ) from error

    def newest(self) -> Path | None:
        """Return the newest complete checkpoint, or None. Damaged ones are passed over."""
        for folder in self._all():
            if not _faults(folder):
                return folder
        return None

    def passed_over(self) -> list[str]:
        """Return what is wrong with the checkpoints that are newer than the newest whole one, a line for each."""
        lines = []
        for folder in self._all():
            faults = _faults(folder)
            if not faults:
                break
            lines.append(f"{folder} is not whole and passed over: {faults[0]}")
        return lines

    def load(self, folder: Path, modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]) -> dict:
        """Put everything back in place and return the `state` that was saved, with `nimg`.

        Raises:
            TrainingError: a file does not fit the networks of this run.
        """
        state = json.loads((folder / STATE).read_text())
        try:
            for name, module in modules.items():
                module.load_state_dict(load_file(folder / f"{name}.safetensors"))
            for name, optimizer in optimizers.items():
                _load_optimizer(optimizer, load_file(folder / f"{name}.safetensors"))
        except (RuntimeError, KeyError, OSError) as error:
            raise TrainingError(f"the checkpoint {folder} does not fit this run: {error}") from error
        rng = folder / f"rng-{self.rank}.safetensors"
        if rng.exists() and state["world_size"] == self.world_size:
            _restore_rng(load_file(rng))
            if self.rank == 0:
                _restore_python_rng(state["python_rng"])
        return state

    def _all(self) -> list[Path]:
        return sorted((f for f in self.folder.glob(f"{PREFIX}*") if f.is_dir()), reverse=True)

    def _remove_partial(self) -> None:
        for leftover in self.folder.glob(".partial-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _prune(self) -> None:
        for folder in self._all()[self.keep :]:
            # The manifest goes first: a removal cut short must not leave something that looks whole.
            (folder / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)


def _faults(folder: Path) -> list[str]:
    """What keeps a folder from being a whole checkpoint: the manifest lists each file in it, as it is."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        present = {file.name for file in folder.iterdir() if not file.name.startswith(".")} - {MANIFEST}
    except (OSError, ValueError, RecursionError) as error:
        return [f"{MANIFEST}: {error}"]
    if not isinstance(manifest, dict) or STATE not in manifest or not any(f.endswith(TENSORS) for f in manifest):
        return [f"{MANIFEST} does not list {STATE} and files of weights"]
    faults = [f"{name} is not in {MANIFEST}" for name in sorted(present - manifest.keys())]
    for name, entry in manifest.items():
        known = entry if isinstance(entry, dict) else {}
        file = folder / name
        if name not in present or not file.is_file() or file.stat().st_size != known.get("bytes"):
            faults.append(f"{name} is missing or of another size")
        elif sha256_of(file) != known.get("sha256"):
            faults.append(f"{name} is damaged")
    return faults


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """{"3.exp_avg": …}: state of the parameter number 3, in the order of the optimizer."""
    tensors = {}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            tensors[f"{index}.{key}"] = torch.as_tensor(value)
    return _contiguous(tensors)


def _load_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    whole = optimizer.state_dict()
    whole["state"] = state
    optimizer.load_state_dict(whole)


def _rng_tensors() -> dict[str, Tensor]:
    tensors = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    return tensors


def _restore_rng(tensors: dict[str, Tensor]) -> None:
    torch.set_rng_state(tensors["torch"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])


def _python_rng() -> dict:
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "random": [version, list(numbers), gauss],
        "numpy": [name, keys.tolist(), position, has_gauss, cached],
    }


def _restore_python_rng(state: dict) -> None:
    version, numbers, gauss = state["random"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.asarray(keys, dtype=np.uint32), position, has_gauss, cached))
