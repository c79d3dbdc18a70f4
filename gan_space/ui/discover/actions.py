"""What the buttons of "New sliders" do, without any gradio: find, draw, measure, name, and carry directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.images import image_grid
from gan_space.latents.directions import Direction
from gan_space.latents.discovery import FOUND_RANGE, MarkedDirection, name_direction
from gan_space.latents.layers import LAYER_GROUPS, group_layers, parse_layers
from gan_space.models.analyzer import Analyzer
from gan_space.models.face_identity import FaceIdentity
from gan_space.output.provenance import save_image
from gan_space.pipelines.steered import METHODS, Effects
from gan_space.ui.explore.actions import SEED_SPAN, ExploreActions
from gan_space.ui.person.own_directions import OwnDirection, check_room, record_of, unzip_directions, zip_directions
from gan_space.ui.server.files import FileFolder, Shown

MAX_FOUND = 12
SMALL_PX = 256  # up to this size of the network two faces are shown rather than one, and more to mark
STRIP_AMOUNTS = 5
MAX_MARKED = 120
MARK_FROM = 7000  # seeds of the faces to mark count up from here
SHOWN_PSI = 0.7
SHEET_PX = 720  # width of a sheet


class DiscoverActions:
    """Finds directions for the app; works for every generator.

    Args:
        explore: of "Explore"; its pipeline draws.
        analyzer: says what else a direction changes; None where the model has none.
        identity: says whether the person stays; None where the model has none.
        gpu: wraps the functions that use the networks, such as `spaces.GPU`; None leaves them as they are.
    """

    def __init__(
        self,
        explore: ExploreActions,
        analyzer: Analyzer | None = None,
        identity: FaceIdentity | None = None,
        gpu: Callable[[Callable], Callable] | None = None,
    ):
        self.pipe, self.analyzer = explore.pipe, analyzer
        num_ws = self.pipe.generator.num_ws
        self.groups = [name for name in LAYER_GROUPS if group_layers(name, num_ws)]
        small = self.pipe.resolution <= SMALL_PX
        self.sheet_faces, self.mark_batch = (2, 20) if small else (1, 10)
        self._class_number = 0 if self.pipe.generator.config.c_dim else None
        self._files = FileFolder()

        def find(method: str, layers: str, count: int) -> list[Direction]:
            return self.pipe.find_directions(method, layers, count)

        def draw(direction: Direction, seeds: Sequence[int], amounts: Sequence[float]) -> Tensor:
            settings = {"truncation_psi": SHOWN_PSI, "class_number": self._class_number}
            return self.pipe.draw_along(direction, seeds, amounts, **settings)  # [N, A, 3, R, R] on the CPU

        def fit(more: Sequence[int], less: Sequence[int], layers: str) -> MarkedDirection:
            return self.pipe.direction_from_seeds(
                more, less, name="marked", layers=layers, truncation_psi=SHOWN_PSI, class_number=self._class_number
            )

        def measure(direction: Direction) -> Effects:
            return self.pipe.measure_effects(direction, analyzer, identity)

        self._find, self._draw, self._fit, self._measure = (
            (function if gpu is None else gpu(function)) for function in (find, draw, fit, measure)
        )

    # Finding

    def find(self, method: str, layers: Sequence[str], count: int) -> list[Direction]:
        """Find the strongest directions of the network; raises InputError as `find_directions`."""
        faults = [] if method in METHODS else [f"method must be one of {', '.join(METHODS)}, got {method!r}"]
        most = min(MAX_FOUND, self.pipe.generator.config.w_dim)
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= most:
            faults.append(f"expected 1 to {most} directions, got {count!r}")
        raise_all(faults, InputError)
        return self._find(method, self._layers(layers), count)

    def from_marks(self, marks: Mapping[int, int], layers: Sequence[str]) -> MarkedDirection:
        """Fit a direction to {seed: 1 for more, -1 for less}; InputError below two of each."""
        sides = [[seed for seed, mark in marks.items() if mark == side] for side in (1, -1)]
        if min(map(len, sides)) < 2:
            raise InputError(
                f"mark at least 2 faces on each side (20 of each are good), got {len(sides[0])} and {len(sides[1])}"
            )
        return self._fit(*sides, self._layers(layers))

    def faces(self, count: int) -> list[Shown]:
        """Draw the faces to mark that follow the first `count` of them, labelled."""
        if not 0 <= count <= MAX_MARKED - self.mark_batch:
            raise InputError(f"there are at most {MAX_MARKED} faces to mark")
        seeds = [MARK_FROM + count + number for number in range(self.mark_batch)]
        still = Direction("none", torch.ones(self.pipe.generator.num_ws, self.pipe.generator.config.w_dim))
        drawn = self._draw(still, seeds, (0.0,))[:, 0]
        shown = []
        for seed, face in zip(seeds, drawn, strict=True):
            recipe = self._recipe() | {"seed": seed}
            picture = image_grid(face[None])
            picture.thumbnail((SMALL_PX, SMALL_PX), Image.Resampling.LANCZOS)
            shown.append(self._save(picture, f"face-{seed}", recipe, str(seed)))
        return shown

    # Looking

    def sheet(self, direction: Direction, seed: int, reach: float) -> Shown:
        """Draw one or two faces at -reach, 0 and +reach: a row for each face."""
        return self._sheet(direction, seed, (-reach, 0.0, reach))

    def strip(self, direction: Direction, seed: int) -> Shown:
        """Draw the same faces from one end of the direction's range to the other."""
        low, high = direction.safe_range
        amounts = [round(low + (high - low) * step / (STRIP_AMOUNTS - 1), 3) for step in range(STRIP_AMOUNTS)]
        return self._sheet(direction, seed, amounts)

    def measure(self, direction: Direction) -> Effects | None:
        """Measure what else it changes; None where the model has no analyzer."""
        return None if self.analyzer is None else self._measure(direction)

    # Keeping

    def keep(
        self,
        own: Sequence[OwnDirection],
        direction: Direction,
        text: str,
        origin: str,
        *,
        turned: bool = False,
        accuracy: float | None = None,
    ) -> tuple[OwnDirection, ...]:
        """Add a direction under the name that the visitor gave it, measured if that is possible.

        Raises:
            InputError: no name, one for race or skin tone, or no room for another direction.
        """
        check_room(own)
        taken = {one.name for one in own} | set(self.pipe.directions.names if self.pipe.directions else ())
        named = name_direction(direction, text, taken)
        if turned:
            named = replace(named, vector=-named.vector)
        effects = self.measure(named)
        if effects is not None:
            named = self.pipe.measured(named, effects)
        return (*own, OwnDirection(named, origin, accuracy, effects and effects.skin_tone))

    def archive(self, own: Sequence[OwnDirection]) -> str:
        """Return the zip of these directions, which a model folder or this page takes; InputError if there are none."""
        if not own:
            raise InputError("there are no directions to save yet")
        directions = self.pipe.bind_directions([one.direction for one in own], record_of(own))
        return str(zip_directions(directions, self._files.new_folder() / "directions.zip"))

    def bring(self, own: Sequence[OwnDirection], archive: str) -> tuple[OwnDirection, ...]:
        """Add the directions of a zip; InputError for other zips, other models, and names that are in use."""
        zero = torch.ones(self.pipe.generator.num_ws, self.pipe.generator.config.w_dim)
        expected = self.pipe.bind_directions([Direction("any", zero)])
        taken = [one.name for one in own] + list(self.pipe.directions.names if self.pipe.directions else ())
        brought = unzip_directions(archive, expected, taken)
        check_room(own, len(brought))
        return (*own, *brought)

    # Inside

    def _layers(self, groups: Sequence[str]) -> str:
        wanted = [name for name in self.groups if name in groups]
        if not wanted:
            raise InputError("choose at least one group of layers")
        num_ws = self.pipe.generator.num_ws
        return "all" if len(parse_layers("+".join(wanted), num_ws)) == num_ws else "+".join(wanted)

    def _sheet(self, direction: Direction, seed: int, amounts: Sequence[float]) -> Shown:
        low, high = FOUND_RANGE
        if not all(1.5 * low <= amount <= 1.5 * high for amount in amounts):
            raise InputError(f"amounts must be from {1.5 * low:g} to {1.5 * high:g}, got {list(amounts)}")
        seeds = [(seed + number) % SEED_SPAN for number in range(self.sheet_faces)]
        drawn = self._draw(direction, seeds, amounts)
        recipe = self._recipe() | {"seeds": seeds, "direction": direction.name, "amounts": list(amounts)}
        picture = image_grid(drawn.flatten(0, 1), columns=len(amounts))
        size = (SHEET_PX, round(picture.height * SHEET_PX / picture.width))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
        return self._save(picture, f"direction-{direction.name}", recipe, direction.name)

    def _recipe(self) -> dict:
        pipe = self.pipe
        return {"model": pipe.model_name, "revision": pipe.revision, "truncation_psi": SHOWN_PSI}

    def _save(self, picture: Image.Image, name: str, recipe: dict, caption: str) -> Shown:
        path = self._files.new_folder() / f"{name}.png"
        save_image(picture, path, recipe=recipe)
        return Shown(str(path), recipe, caption)
