"""A default that has to be written twice, for Python and for the command line, is the same."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from inspect import Parameter, signature

import pytest

from gan_space.cli import discover, generate, look, pack, personalize, stylize
from gan_space.packs.identity_tuning import IdentitySettings
from gan_space.packs.style import StylePack
from gan_space.packs.tuning import TuneSettings
from gan_space.pipelines.dataset import write_dataset
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.looks import choose_look
from gan_space.pipelines.own_portraits import PortraitSetMaker
from gan_space.pipelines.pack_fitting import PackInfo
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.pipelines.profiles import ProfileMaker
from gan_space.pipelines.recipe import InterpolationRecipe, PortraitRecipe
from gan_space.pipelines.steered import SteeredPipeline
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.sets.settings import PortraitSetSettings

OTHER_NAMES = {"psi": "truncation_psi", "steps": "num_steps", "license_": "license"}
PLACES = [
    (GenerationPipeline.__call__, (generate.command, write_dataset, PersonalizationPipeline.__call__, PortraitRecipe)),
    (GenerationPipeline.interpolate, (InterpolationRecipe,)),
    (PersonalizationPipeline.__call__, (personalize.generate,)),
    (SteeredPipeline.find_directions, (discover.command,)),
    (IdentitySettings, (ProfileMaker.fit, ProfileMaker.fit_faces, personalize.fit)),
    (TuneSettings, (pack.fit,)),
    (PackInfo, (StylePack, pack.fit)),
    (PortraitSetSettings, (PortraitSetMaker.each_portrait,)),
    (StyleTransferPipeline.__call__, (choose_look, stylize.command, look.save)),
    (write_dataset, (generate.command,)),
]
# Where another default is meant.
OTHER_WISHES = {
    ("command", "visible_label"): "None: into files, but not into data sets",
    ("command", "faces"): "words, as there is no None on a command line",
    ("generate", "seeds"): "several at once; a program says how many",
}


def defaults_of(place: object) -> dict[str, object]:
    """What a function or a dataclass takes where nothing is said; texts of one number as that number."""
    found = {}
    for name, one in signature(place).parameters.items():
        value = one.default
        if value is Parameter.empty or type(value).__name__ == "_HAS_DEFAULT_FACTORY_CLASS":
            continue
        with suppress(ValueError):
            value = float(value) if isinstance(value, str) else value
        found[OTHER_NAMES.get(name, name)] = value or None  # "" and False say as little as None
    return found


PAIRS = [(first, other) for first, others in PLACES for other in others]


@pytest.mark.parametrize(("first", "other"), PAIRS, ids=lambda one: one.__qualname__)
def test_a_default_that_is_written_twice_is_the_same(first, other):
    one, two = defaults_of(first), defaults_of(other)
    shared = {name for name in one.keys() & two.keys() if (other.__name__, name) not in OTHER_WISHES}
    assert shared, "nothing to compare"
    assert {name: one[name] for name in shared} == {name: two[name] for name in shared}


def test_the_settings_of_a_set_are_all_arguments():
    names = {field.name for field in dataclasses.fields(PortraitSetSettings)}
    assert names <= signature(PortraitSetMaker.each_portrait).parameters.keys()
