"""Controls by name: values find their fields, and errors their words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import pytest
from gradio import component_meta

from gan_space.errors import InputError
from gan_space.ui import type_stubs_left_alone
from gan_space.ui.controls import Inputs
from gan_space.ui.i18n import load_locale


@dataclass(frozen=True)
class Values:
    seed: int
    amounts: dict[str, float]
    language: str
    archive: str | None = None


@pytest.fixture(scope="module")
def parts() -> dict:
    with gr.Blocks():
        return {
            "language": gr.Radio(["en", "zh-CN"]),
            "amounts": {"smile": gr.Slider(), "age": gr.Slider()},
            "seed": gr.Number(),
        }


def values_of(parts: dict) -> dict:
    smile, age = parts["amounts"].values()
    return {age: 2.0, parts["seed"]: 7, smile: 1.0, parts["language"]: "zh-CN"}


def test_values_find_their_fields_in_whatever_order_they_come(parts):
    inputs = Inputs(Values, **parts)
    assert inputs.components == {parts["language"], parts["seed"], *parts["amounts"].values()}
    assert inputs.read(values_of(parts)) == Values(7, {"smile": 1.0, "age": 2.0}, "zh-CN")


def test_an_event_may_bring_more(parts):
    with gr.Blocks():
        archive = gr.UploadButton()
    more = Inputs(Values, **parts).also(archive=archive)
    assert more.components == Inputs(Values, **parts).components | {archive}
    assert more.read(values_of(parts) | {archive: "a.zip"}).archive == "a.zip"


@pytest.mark.parametrize("in_steps", [False, True])
def test_errors_are_told_in_the_language_of_the_page(parts, in_steps):
    def fail(event: gr.SelectData, controls: Values):
        raise InputError(f"seed {controls.seed} of {event}")

    def fail_in_steps(event: gr.SelectData, controls: Values):
        yield controls.seed
        fail(event, controls)

    function, _ = Inputs(Values, **parts).to(fail_in_steps if in_steps else fail)
    with pytest.raises(gr.Error) as caught:
        list(function("a click", values_of(parts)))
    assert "seed 7 of a click" in str(caught.value.message)
    assert caught.value.title == load_locale("zh-CN")["error.title"]


def test_no_event_of_the_page_reads_by_position(style_app):
    events = [one for one in style_app.fns.values() if one.api_visibility == "private" and one.fn is not None]
    assert len(events) > 30
    # Where there is one value, or two of the address bar, there is nothing to mix up.
    assert [one.name for one in events if not one.inputs_as_dict and len(one.inputs) > 2] == []


def test_the_import_of_gradio_reads_no_sources(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda *args, **kwargs: pytest.fail("a source was read"))
    with type_stubs_left_alone():
        component_meta.create_or_modify_pyi(gr.Textbox, "Textbox", [])
    with pytest.raises(pytest.fail.Exception):  # as long as gradio does it in this way
        component_meta.create_or_modify_pyi(gr.Textbox, "Textbox", [])
