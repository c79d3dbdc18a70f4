"""A setting has one default, one range and one line of help, wherever it is asked for."""

from __future__ import annotations

import dataclasses
from inspect import signature
from typing import get_args

import pytest

from gan_space.cli import discover, edit, generate, personalize, stylize
from gan_space.errors import InputError
from gan_space.pipelines.dataset import write_dataset
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.pipelines.photo_edit import EditSettings
from gan_space.pipelines.recipe import TRUNCATION_PSI
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.settings import Setting, default_of, describe, setting, setting_faults
from gan_space.styles.settings import StyleSettings
from gan_space.ui.photo.api import PhotoAsk

NAMES = [field.name for field in dataclasses.fields(StyleSettings)]


@dataclasses.dataclass(frozen=True)
class Sample:
    share: float = setting(0.5, "A share.", low=0, high=1)
    count: int | None = setting(None, "A count.", low=1, high=9, whole=True, optional=True)
    kind: str = setting("a", "A kind.", choices=("a", "b"))
    switch: bool = setting(False, "A switch.")
    plain: int = 3


def test_faults_name_the_setting_what_was_got_and_what_was_expected():
    assert setting_faults(Sample()) == setting_faults(Sample(1, 9, "b", True)) == []
    assert setting_faults(Sample(1.5, 2.5, "c", 1)) == [
        "share must be a number from 0 to 1, got 1.5",
        "count must be a whole number from 1 to 9 or None, got 2.5",
        "kind must be one of a, b, got 'c'",
        "switch must be True or False, got 1",
    ]
    assert setting_faults(Sample(True, True))  # True is no number
    assert setting_faults(Sample(float("nan"))) and setting_faults(Sample("0.5"))
    assert default_of(Sample, "share") == 0.5 and describe(Sample, "kind") == Setting("A kind.", choices=("a", "b"))


@pytest.mark.parametrize(
    ("settings", "function"),
    [(StyleSettings, StyleTransferPipeline.__call__), (EditSettings, PersonalizationPipeline.edit)],
)
def test_pipelines_have_the_defaults_of_their_settings(settings, function):
    parameters = signature(function).parameters
    for field in dataclasses.fields(settings):
        if (function, field.name) == (StyleTransferPipeline.__call__, "strength"):
            assert parameters["strength"].default is None  # the look says it, else the settings do
            continue
        assert (parameters[field.name].default or None) == (field.default or None), field.name


@pytest.mark.parametrize(
    ("settings", "module", "left_out"),
    [
        (StyleSettings, stylize, {"paste_back", "faces"}),  # the other way round; words instead of None
        (EditSettings, edit, {"upscale", "paste_back"}),  # for programs alone
    ],
)
def test_the_command_line_has_the_same_defaults_and_help(settings, module, left_out):
    parameters = signature(module.command).parameters
    for name in {field.name for field in dataclasses.fields(settings)} - left_out:
        option = parameters["post" if name == "post_processing" else name]
        own = (settings, name) == (StyleSettings, "strength")  # a look has a strength of its own
        assert (option.default or None) == (None if own else default_of(settings, name) or None), name
        info = next(one for one in get_args(eval(option.annotation, vars(module))) if hasattr(one, "help"))
        assert info.help == describe(settings, name).help, name


def test_the_photo_page_has_the_same_defaults_and_refuses_the_same():
    plain = PhotoAsk.read({}, (), {})
    assert plain == PhotoAsk()
    assert (plain.strength, plain.glasses) == (
        default_of(StyleSettings, "strength"),
        default_of(EditSettings, "glasses"),
    )
    for kind in describe(EditSettings, "glasses").choices:
        assert PhotoAsk.read({"glasses": kind}, (), {}).glasses == kind
    assert PhotoAsk.read({"strength": describe(StyleSettings, "strength").high}, (), {})
    with pytest.raises(InputError, match=r"glasses must be(.|\n)*strength must be"):
        PhotoAsk.read({"strength": describe(StyleSettings, "strength").high + 0.1, "glasses": "oval"}, (), {})


def test_faces_are_drawn_with_one_truncation_unless_another_is_asked_for():
    functions = [GenerationPipeline.__call__, GenerationPipeline.interpolate, PersonalizationPipeline.__call__]
    defaults = [signature(one).parameters["truncation_psi"].default for one in (*functions, write_dataset)]
    defaults += [
        signature(one).parameters["psi"].default for one in (generate.command, discover.command, personalize.generate)
    ]
    assert set(defaults) == {TRUNCATION_PSI}


def test_wrong_settings_are_told_all_at_once():
    with pytest.raises(InputError) as caught:
        EditSettings(strength=3, transfer="paint", upscale=None, paste_back=0)
    assert str(caught.value).startswith("4 problems")
    with pytest.raises(InputError, match="keep_identity must be a number from 0 to 1, True, False or None, got 2"):
        StyleSettings(keep_identity=2)
