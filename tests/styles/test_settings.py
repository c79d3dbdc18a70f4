"""A setting has one default, one range and one line of help, wherever it is asked for."""

from __future__ import annotations

import dataclasses
from inspect import signature
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import gradio as gr
import pytest

from gan_space.cli import stylize as command_line
from gan_space.errors import InputError
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.pipelines.photo_edit import EditSettings
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.settings import Setting, default_of, describe, setting, setting_faults
from gan_space.styles.settings import StyleSettings
from gan_space.ui.create import api as create_api
from gan_space.ui.create.actions import StyleRequest
from gan_space.ui.server.endpoints import Between

NAMES = [field.name for field in dataclasses.fields(StyleSettings)]
SPELLED_FOR_TERMINALS = {"post_processing": "post", "paste_back": "frame", "faces": "faces"}


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


def test_the_command_line_has_the_same_defaults_and_help():
    parameters = signature(command_line.command).parameters
    for name in NAMES:
        option = parameters[SPELLED_FOR_TERMINALS.get(name, name)]
        if name in ("paste_back", "faces"):  # the other way round; words instead of None
            continue
        default = None if name == "strength" else default_of(StyleSettings, name)  # a look has a strength of its own
        assert (option.default or None) == (default or None), name
        info = next(one for one in get_args(eval(option.annotation, vars(command_line))) if hasattr(one, "help"))
        assert info.help == describe(StyleSettings, name).help, name


def test_the_endpoint_and_the_page_have_the_same_defaults_choices_and_ranges(monkeypatch):
    offered = []
    monkeypatch.setattr(create_api, "add_endpoint", offered.append)
    with gr.Blocks():
        create_api.add_style_endpoint(None)
    (stylize,) = offered
    hints, parameters = get_type_hints(stylize, include_extras=True), signature(stylize).parameters
    shared = [name for name in NAMES if name in parameters]
    assert {"strength", "layers", "scope", "transfer", "upscale", "keep_identity"} <= set(shared)
    for name in shared:
        known = describe(StyleSettings, name)
        if get_origin(hints[name]) is Literal:
            assert get_args(hints[name]) == known.choices, name
        if get_origin(hints[name]) is Annotated and known.low is not None:
            assert Between(known.low, known.high) in get_args(hints[name]), name
        if name != "faces":
            assert (parameters[name].default or None) == (default_of(StyleSettings, name) or None), name
    for field in dataclasses.fields(StyleRequest):
        if field.name in NAMES and field.name != "faces":
            assert field.default == default_of(StyleSettings, field.name), field.name


def test_wrong_settings_are_told_all_at_once():
    with pytest.raises(InputError) as caught:
        EditSettings(strength=3, transfer="paint", upscale=None, paste_back=0)
    assert str(caught.value).startswith("4 problems")
    with pytest.raises(InputError, match="keep_identity must be a number from 0 to 1, True, False or None, got 2"):
        StyleSettings(keep_identity=2)
