"""The tabs of the page: one for a photo, one for looks of one's own, and those for people who know the trade."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from gan_space.ui.create.actions import CreateActions
from gan_space.ui.create.events import CreateTab
from gan_space.ui.discover.actions import DiscoverActions
from gan_space.ui.discover.events import DiscoverTab
from gan_space.ui.explore.actions import ExploreActions
from gan_space.ui.explore.events import ExploreTab
from gan_space.ui.i18n import Texts
from gan_space.ui.person.actions import PersonActions
from gan_space.ui.person.events import PersonTab, opens_here
from gan_space.ui.photo.actions import PhotoActions
from gan_space.ui.photo.layout import PhotoScreen, build_photo_screen

TO_PHOTO_PAGE = """() => {
  const query = new URLSearchParams(window.location.search); // a host says there who asks, and whether it is dark
  for (const name of ['tab', 'recipe', 'view']) query.delete(name);
  window.location.assign(`?${query}`);
}"""
SHOWN_FIRST = ("create", "expert")  # tabs that an address may name


@dataclass(frozen=True)
class PageTabs:
    """The tabs of the page.

    Args:
        outer: all tabs, or those for people with a photo; `expert` then holds the others.
        person_tabs, explore_tabs: those whose opening shows "Personalised" or "Explore".
        greets: the tab that is open first; None for "Photo".
    """

    outer: gr.Tabs
    person: PersonTab
    explore: ExploreTab
    discover: DiscoverTab
    person_tabs: tuple[gr.Tab, ...]
    explore_tabs: tuple[gr.Tab, ...]
    greets: PersonTab | ExploreTab | None
    expert: gr.Tabs | None = None
    photo: PhotoScreen | None = None
    photo_actions: PhotoActions | None = None
    create: CreateTab | None = None
    create_tab: gr.Tab | None = None

    @property
    def language_tabs(self) -> list[CreateTab | PersonTab | DiscoverTab | ExploreTab]:
        """Those that have texts of their own making."""
        return [tab for tab in (self.create, self.explore, self.person, self.discover) if tab is not None]

    @property
    def choices(self) -> list[gr.Tabs]:
        """What `select` gives values for."""
        return [self.outer] if self.expert is None else [self.outer, self.expert]

    def select(self, recipe_text: str) -> dict:
        """Open the tab of a link; no change without a recipe."""
        if not recipe_text:
            return {self.outer: gr.skip()}
        inner = gr.Tabs(selected="person" if opens_here(recipe_text) else "explore")
        if self.expert is None:
            return {self.outer: inner}
        return {self.outer: gr.Tabs(selected="expert"), self.expert: inner}


def build_tabs(
    explore_actions: ExploreActions,
    create_actions: CreateActions | None,
    person_actions: PersonActions,
    discover_actions: DiscoverActions,
    texts: Texts,
    language: gr.components.Component,
    gpu: Callable[[Callable], Callable] | None,
) -> PageTabs:
    """Build all tabs inside the current gr.Blocks: for a photo, for looks of one's own, and those of the trade."""
    # A model without sliders of its own greets with "Explore"; a visitor may find sliders for it.
    explore_first = not person_actions.is_useful

    def build_explore() -> tuple[gr.Tab, ExploreTab]:
        with texts.add(gr.Tab, label="tab.explore", id="explore") as tab:
            return tab, ExploreTab(explore_actions, texts, language)

    def build_inner() -> tuple[dict[str, Any], gr.Tab, gr.Tab]:
        if explore_first:
            explore_tab, explore = build_explore()
        with texts.add(gr.Tab, label="tab.person", id="person") as person_tab:
            person = PersonTab(person_actions, texts, language)
        with texts.add(gr.Tab, label="tab.discover", id="discover"):
            discover = DiscoverTab(discover_actions, person, texts, language)
        if not explore_first:
            explore_tab, explore = build_explore()
        return {"person": person, "explore": explore, "discover": discover}, person_tab, explore_tab

    with gr.Tabs(elem_id="tabs") as outer:
        if create_actions is None:
            parts, person_tab, explore_tab = build_inner()
            greets = parts["explore" if explore_first else "person"]
            return PageTabs(outer, **parts, person_tabs=(person_tab,), explore_tabs=(explore_tab,), greets=greets)
        photo_actions = PhotoActions(create_actions, person_actions.person, gpu)
        with texts.add(gr.Tab, label="tab.photo", id="photo") as photo_tab:  # a page of its own
            photo = build_photo_screen(photo_actions)
        photo_tab.select(None, None, None, js=TO_PHOTO_PAGE, api_visibility="private")
        with texts.add(gr.Tab, label="tab.create", id="create") as create_tab:
            create = CreateTab(create_actions, texts, language)
        with (
            texts.add(gr.Tab, label="tab.expert", id="expert") as expert_tab,
            gr.Tabs(elem_id="expert-tabs") as expert,
        ):
            parts, person_tab, explore_tab = build_inner()
    person_tabs, explore_tabs = (person_tab,), (explore_tab,)
    if explore_first:
        explore_tabs += (expert_tab,)
    else:
        person_tabs += (expert_tab,)
    return PageTabs(
        outer,
        **parts,
        person_tabs=person_tabs,
        explore_tabs=explore_tabs,
        greets=None,
        expert=expert,
        photo=photo,
        photo_actions=photo_actions,
        create=create,
        create_tab=create_tab,
    )
