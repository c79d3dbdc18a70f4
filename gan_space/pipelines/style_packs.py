"""Making, loading, choosing and dropping style packs: the verbs that diffusers has for adapters."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_space import hub
from gan_space.errors import InputError, PackError, raise_all
from gan_space.faces.detect import FaceDetector
from gan_space.packs.attaching import attached
from gan_space.packs.style import StylePack, base_hash
from gan_space.packs.tuning import TuneSettings
from gan_space.photos.opening import PhotoLike
from gan_space.pipelines.pack_fitting import FitCallback, LookPictures, PackInfo, fit_pack, read_look_pictures

PACKS_FOLDER = "packs"
MAX_WEIGHT = 2.0


class StylePackMixin:
    """For a pipeline with generator, encoder, aligner, discriminator and `source`."""

    def __init__(self, **components):
        super().__init__(**components)
        self._packs: dict[str, StylePack] = {}
        self._pack_weights: dict[str, float] = {}
        self._base_hash: str | None = None

    @property
    def packs(self) -> dict[str, float]:
        """Names of all loaded packs, with the weight that `set_packs` gave them; 0 for those not in use."""
        return {name: self._pack_weights.get(name, 0.0) for name in list(self._packs)}

    def get_pack(self, name: str) -> StylePack:
        """Return a loaded pack; InputError for a name that none has."""
        if name not in self._packs:
            known = ", ".join(self._packs) or "none"
            raise InputError(f"no pack {name!r} is loaded (loaded: {known}); load it with load_style_pack")
        return self._packs[name]

    def shipped_packs(self) -> list[str]:
        """Return the names of the packs in the model's own folder; they load by name."""
        folder = self._packs_folder()
        return sorted(path.parent.name for path in folder.glob("*/pack.json")) if folder is not None else []

    def load_style_pack(
        self,
        name_or_path: str | Path | StylePack,
        name: str | None = None,
        revision: str | None = None,
        *,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        allow_other_base: bool = False,
    ) -> str:
        """Load a look; it is used by `pack=`, or by every call after `set_packs`.

        Args:
            name_or_path: a pack in memory, a pack's folder, the name of a pack in the model's folder, or a Hub id.
            name: to call it by; its own id if None. A pack of that name is replaced.
            revision: branch, tag or commit of a Hub id.
            token, cache_dir, local_files_only: as in huggingface_hub.
            allow_other_base: load it even if it was tuned for other weights of the same shape.

        Returns:
            The name.

        Raises:
            PackError: no pack, damaged, or tuned for another model; names both.
            InputError: neither folder nor Hub id.
        """
        pack = name_or_path
        if not isinstance(pack, StylePack):
            folder = self._resolve_pack(pack, revision, token, cache_dir, local_files_only)
            pack = StylePack.from_pretrained(folder)
        if not allow_other_base:
            pack.check_base(self._hash_of_base(), self.model_name or "a model in memory")
        pack.check_fits(self.generator)
        if pack.feature_resolution != self.encoder.feature_resolution:
            raise PackError(
                f"pack {pack.id} works after {pack.feature_resolution} px, this model's encoder gives features of "
                f"{self.encoder.feature_resolution} px; tune the pack for this model"
            )
        name = pack.id if name is None else name
        self._packs[name] = pack
        return name

    def fit_pack(
        self,
        pictures: Sequence[PhotoLike] | LookPictures,
        info: PackInfo | str,
        *,
        settings: TuneSettings | None = None,
        detector: FaceDetector | None = None,
        callback: FitCallback | None = None,
    ) -> StylePack:
        """Make a pack from pictures of a look, such as a single painting; nothing is written or loaded.

        Args:
            pictures: 1 to 100 pictures with a face in each, or what `read_look_pictures` made of them; those without a
                usable face are passed over, with the reason in `read_look_pictures(...).left_out`.
            info: what the pack says of itself, or only its id.
            settings: how it is tuned; as it is, about 45 s of one core.
            detector: finds faces instead of OpenCV's cascade.
            callback: called as callback(step, num_steps, preview or None) after every step; False stops.

        Raises:
            InputError: not one picture can be used; gives the reason for each.
            Cancelled: the callback answered False.

        Example:
            >>> pack = style.fit_pack(["painting.jpg"], "my-look")  # doctest: +SKIP
            >>> style("me.jpg", pack=style.load_style_pack(pack)).save("out.png")  # doctest: +SKIP
        """
        if not isinstance(pictures, LookPictures):
            pictures = self.read_look_pictures(pictures, detector=detector)
        return fit_pack(
            self,
            pictures.faces.to(self.device),
            PackInfo(info) if isinstance(info, str) else info,
            base_model=self.model_name or "a model in memory",
            base_hash=self._hash_of_base(),
            settings=settings,
            callback=callback,
        )

    def read_look_pictures(
        self, pictures: Sequence[PhotoLike], *, aligned: bool = False, detector: FaceDetector | None = None
    ) -> LookPictures:
        """Take the largest face out of every picture; with `aligned`, the middle square, which is a face already.

        Raises:
            InputError: too many, or not one can be used; gives the reason for each.
        """
        aligner = None if aligned else self.aligner
        how = {"landmarker": self.landmarker, "detector": detector}
        return read_look_pictures(pictures, aligner, self.generator.config.resolution, **how)

    def set_packs(self, weights: Mapping[str, float] | str | None) -> None:
        """Choose the packs of all later calls that name none.

        Args:
            weights: {name: weight}, a name alone for weight 1, or None for none.

        Raises:
            InputError: a name that is not loaded, or a weight that is no number.
        """
        self._pack_weights = dict(self._check_weights(weights))

    def unload_packs(self, names: Sequence[str] | None = None) -> None:
        """Forget packs; all if None."""
        for name in list(self._packs) if names is None else names:
            self.get_pack(name)
            del self._packs[name]
            self._pack_weights.pop(name, None)

    def _check_weights(
        self, weights: Mapping[str, float] | str | None, *, load: bool = False
    ) -> list[tuple[str, float]]:
        weights = {} if weights is None else {weights: 1.0} if isinstance(weights, str) else dict(weights)
        faults = []
        for name, weight in weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not abs(weight) <= MAX_WEIGHT:
                faults.append(f"the weight of pack {name!r} must be a number within ±{MAX_WEIGHT:g}, got {weight!r}")
            if name not in self._packs and not (load and name in self.shipped_packs()):
                known = ", ".join(dict.fromkeys([*self._packs, *self.shipped_packs()])) or "none"
                faults.append(f"no pack {name!r} is loaded (known: {known}); load it with load_style_pack")
        raise_all(faults, InputError)
        for name in weights:
            if name not in self._packs:
                self.load_style_pack(name, name)
        return [(name, float(weight)) for name, weight in weights.items()]

    def _packs_folder(self) -> Path | None:
        folder = self.source.folder
        return folder / PACKS_FOLDER if folder is not None and (folder / PACKS_FOLDER).is_dir() else None

    def _resolve_pack(self, name_or_path, revision, token, cache_dir, local_files_only) -> Path:
        is_folder, name = hub.is_folder(name_or_path), os.fspath(name_or_path)
        if not is_folder and name in self.shipped_packs():
            name_or_path = self._packs_folder() / name
        elif not is_folder and name.count("/") != 1:
            known = ", ".join(self.shipped_packs()) or "none"
            raise InputError(
                f"{name!r} is neither a folder, nor a Hub id of the form user/name, nor a pack of this "
                f"model (it has {known})"
            )
        options = {"token": token, "cache_dir": cache_dir, "local_files_only": local_files_only}
        return hub.resolve_folder(name_or_path, revision=revision, **options)

    def _hash_of_base(self) -> str:
        if self._base_hash is None:
            with attached(self.generator, []):  # the weights as they are without any pack
                self._base_hash = base_hash(self.generator, self.encoder)
        return self._base_hash
