"""The whole page: heading, language switch, tabs, footer, and the endpoints for programs."""

from __future__ import annotations

import html
import logging
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import gradio as gr
from fastapi.exceptions import RequestValidationError
from gradio.block_function import BlockFunction
from gradio.exceptions import AppError
from gradio.route_utils import FnIndexInferError
from gradio.state_holder import SessionState
from gradio.themes.utils.fonts import Font
from starlette.middleware import Middleware

from gan_space.errors import ConfigError
from gan_space.pipelines.dataset import load_analyzer
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.loading import PackRequest, load_packs
from gan_space.ui.controls import DRAW
from gan_space.ui.create.actions import CreateActions, style_pipeline
from gan_space.ui.create.api import add_style_endpoint
from gan_space.ui.discover.actions import DiscoverActions
from gan_space.ui.explore.actions import ExploreActions
from gan_space.ui.explore.api import add_portrait_endpoints
from gan_space.ui.i18n import LANGUAGES, Texts, browser_translations, translate
from gan_space.ui.messages import shown_text
from gan_space.ui.person.actions import PersonActions
from gan_space.ui.person.api import add_person_endpoint
from gan_space.ui.person.portraits_api import add_portraits_endpoint
from gan_space.ui.photo.actions import PhotoActions
from gan_space.ui.photo.events import connect_photo_screen
from gan_space.ui.photo.layout import greeting_of, page_data, photo_document
from gan_space.ui.photo.left import READ_LEFT
from gan_space.ui.server.first_page import COOKIE, FirstPage
from gan_space.ui.server.folder import server_folder
from gan_space.ui.server.hosts import find_hosts, guarded
from gan_space.ui.server.mcp_guard import OnlyUploadedFiles
from gan_space.ui.server.refusals import BodyLimit, refuse, refuse_form
from gan_space.ui.server.visits import MAX_VISITS, Visits
from gan_space.ui.tabs import SHOWN_FIRST, PageTabs, build_tabs
from gan_space.ui.terms import read_head

logger = logging.getLogger(__name__)

BUILT_IN = "en"  # language of the page before its script has told the visitor's
MAX_UPLOAD = "20mb"
MAX_WAITING = 200  # questions, of all visitors together; on ZeroGPU gradio would let a single one wait
EMPTY_EVENT = {"index": None, "value": None}  # what gradio needs of every click, and a program may leave out
BROKEN = "Something went wrong on the server; its log says what."
MAX_COMPLAINT_CHARS = 300
NOT_TAKEN = "A value has not the form that this takes, or names a file that was not uploaded here or is no longer kept."

SYSTEM_FONTS = (
    *("system-ui", "-apple-system", "Segoe UI", "Noto Sans"),
    *("PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "sans-serif"),
)
MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

# What the page says of itself, without and with photos.
TITLES = {"": "app.title", "_photos": "app.title_photos"}
NOTICES = {"": "app.notice", "_photos": "app.notice_photos"}

STYLES = ("app", "person/page", "discover/page")

# Where the page's recipe and language stand: the link, what the visitor chose before, the browser. Read in the browser
# alone: an answer of the server could come after the visitor has switched to another language, and switch it back.
# The third value says which texts are wanted where they are not those that the page is built with, the last one is the
# recipe as soon as its texts are there: every component that an event may change costs the browser time, at once and
# at each later event.
READ_PAGE = """() => {
  const query = new URLSearchParams(window.location.search);
  let kept = null;
  try { kept = window.localStorage.getItem('gan_space_language'); } catch { /* storage is switched off */ }
  const tag = document.documentElement.dataset.chosen || query.get('lang') || kept || navigator.language;
  const known = (one) => (one.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en');
  const language = known(tag);
  const { built } = document.documentElement.dataset; // the language in which the page was sent
  document.documentElement.lang = language;
  const languages = built ? [language] : [language, known(navigator.language)]; // else some labels follow the browser
  const others = languages.every((one) => one === (built || 'en')) ? '' : languages.join(' ');
  const recipe = query.get('recipe') || '';
  return [recipe, language, others, others ? '' : recipe];
}"""
READ_RECIPE = "() => new URLSearchParams(window.location.search).get('recipe') || ''"
# Not by an event of gradio's: who taps a language while the page still opens is heard, too, and READ_PAGE goes by it.
KEEP_LANGUAGE = """<script>
document.addEventListener('input', ({ target }) => {
  if (!target.matches('#language input')) return;
  const language = target.value;
  document.documentElement.lang = document.documentElement.dataset.chosen = language;
  const framed = window.parent !== window && window.location.protocol === 'https:'; // by another site's, as on a Space
  const where = framed ? 'samesite=none; secure; partitioned' : 'samesite=lax';
  document.cookie = `COOKIE=${language}; path=/; max-age=31536000; ${where}`; // the next page comes in it
  try { window.localStorage.setItem('gan_space_language', language); } catch { /* storage is switched off */ }
}, true);
</script>""".replace("COOKIE", COOKIE)

# gradio's sliders tell of a new value when the pointer lets go or the number beside them is left. Here keys count too:
# arrows on the handle, once they rest, and Enter in the number.
SLIDER_KEYS = """<script>
(() => {
  let resting;
  document.addEventListener('keyup', ({ key, target }) => {
    const moves = key.startsWith('Arrow') || ['Home', 'End', 'PageUp', 'PageDown'].includes(key);
    if (!moves || !target.matches('input[type=range]')) return;
    clearTimeout(resting);
    resting = setTimeout(() => target.dispatchEvent(new PointerEvent('pointerup', { bubbles: true })), 300);
  });
  document.addEventListener('keydown', ({ key, target }) => {
    if (key === 'Enter' && target.matches('input[data-testid=number-input]')) target.blur();
  });
})();
</script>"""

# See frame.css.
FIRST_PICTURE = """<script>
document.addEventListener('load', ({ target }) => {
  const bench = target.closest?.('#before-after, #person-picture')?.closest('.workbench');
  const tell = () => requestAnimationFrame(() => { bench.dataset.drawn = ''; });
  if (bench && !('drawn' in bench.dataset)) requestAnimationFrame(tell);
}, true);
</script>"""


class Page(gr.Blocks):
    """A gr.Blocks whose visitors never read what went wrong inside, nor where files lie on the server.

    Attributes:
        relabelling: the event that changes the language, with the component that chooses it; None before it is there.
        tabs: those of the page.
        photo_page: writes the page for a photo in a language, and says whether it will stay so; None without photos.
    """

    relabelling: tuple[int, gr.components.Component] | None = None
    tabs: PageTabs
    photo_page: Callable[[str], tuple[str, bool]] | None = None

    def prepare(self) -> None:
        """Draw what the page for a photo greets with, so that its first visitor need not wait."""
        if self.tabs.photo_actions is not None:
            self.tabs.photo_actions.greeting()

    def first_tab(self, asked: str) -> str:
        """Return the tab that an address asks for, where there is one of that name; else the usual one."""
        return asked if asked in SHOWN_FIRST else SHOWN_FIRST[0]

    async def words_for(self, tag: str, tab: str) -> dict[int, dict[str, Any]]:
        """Return properties that differ from those that the page is built with, by id: its words, and the first tab."""
        words = dict(await self.words_in(tag))
        if self.photo_page is not None:
            words[self.tabs.outer._id] = {"selected": tab}
        return words

    async def words_in(self, tag: str) -> dict[int, dict[str, Any]]:
        """Return, by id, properties of components that a language has otherwise than the page is built with."""
        if tag == BUILT_IN or self.relabelling is None:
            return {}
        number, language = self.relabelling
        values = {part["id"]: part["props"].get("value") for part in self.config["components"]}
        values[language._id] = tag
        event = self.fns[number]
        given = [values.get(part._id) for part in event.inputs]
        answer = await self.process_api(event, given, state=SessionState(self))
        words = {
            part._id: {name: new for name, new in update.items() if name != "__type__"}
            for part, update in zip(event.outputs, answer["data"], strict=True)
            if isinstance(update, dict) and update.get("__type__") == "update"
        }
        words |= {
            part._id: {"value": new}
            for part, new in zip(event.outputs, answer["data"], strict=True)
            if isinstance(new, str)
        }
        words.setdefault(language._id, {})["value"] = tag
        return words

    async def process_api(self, block_fn: BlockFunction | int, inputs: list[Any], *args: Any, **kwargs: Any) -> Any:
        """Do as gr.Blocks does; whatever is raised becomes one sentence."""
        function = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        if function.fn is None:  # it runs in browsers
            raise gr.Error(NOT_TAKEN, print_exception=False)
        if (event := kwargs.get("event_data")) is not None:
            event._data = EMPTY_EVENT | (event._data if isinstance(event._data, dict) else {})
        if function.api_visibility == "public" and len(inputs) != len(function.inputs):
            text = f"/{function.api_name} takes {len(function.inputs)} values, got {len(inputs)}"
            raise gr.Error(text, print_exception=False)
        try:
            return await super().process_api(block_fn, inputs, *args, **kwargs)
        except AppError as error:
            error.message, error.print_exception = shown_text(str(error.message)), False
            raise
        except Exception as error:
            logger.exception("%s failed", function.api_name or function.name)
            raise gr.Error(BROKEN, print_exception=False) from error

    async def preprocess_data(self, block_fn: BlockFunction, *args: Any, **kwargs: Any) -> Any:
        """Do as gr.Blocks does; values of which nothing can be made are the sender's fault and not the server's."""
        try:
            return await super().preprocess_data(block_fn, *args, **kwargs)
        except AppError as error:  # in gradio's words, with all of the value in them
            error.message = f"{NOT_TAKEN} {str(error.message)[:MAX_COMPLAINT_CHARS]}"
            raise
        except Exception as error:
            logger.warning("%s: values refused (%s)", block_fn.api_name or block_fn.name, type(error).__name__)
            raise gr.Error(NOT_TAKEN, print_exception=False) from error

    async def postprocess_data(self, block_fn: BlockFunction, predictions: Any, state: Any) -> list[Any]:
        """Do as gr.Blocks does, but pass over the components that an event leaves alone: it makes them anew."""
        outputs = block_fn.outputs
        if not isinstance(predictions, dict) or not predictions or not predictions.keys() <= set(outputs):
            return await super().postprocess_data(block_fn, predictions, state)
        given = [one for one in outputs if one in predictions and not _is_skip(predictions[one])]
        values = dict.fromkeys(outputs, None)
        values |= {one: gr.skip() for one in outputs if not one.stateful}
        if given:
            shortened = copy(block_fn)
            shortened.outputs = given
            new = [predictions[one] for one in given]
            new = await super().postprocess_data(shortened, new if len(new) > 1 else new[0], state)
            values |= dict(zip(given, new, strict=True))
        return list(values.values())


def _is_skip(value: Any) -> bool:
    return isinstance(value, dict) and value == gr.skip()


def build_app(
    pipe: GenerationPipeline,
    gpu: Callable[[Callable], Callable] | None = None,
    packs: Sequence[PackRequest] = (),
) -> Page:
    """Build the page for a loaded pipeline; launch it with `app.launch(**launch_options())`.

    The tabs "Photo" and "Create a look" are there if the model's folder has an encoder and an aligner. All others are
    there for every generator: for one without directions, its visitors find some.

    Args:
        pipe: draws the portraits.
        gpu: wraps the functions that draw, such as `spaces.GPU`; None where the device is always there.
        packs: looks to offer besides those in the model's own folder.

    Raises:
        InputError: a pack that cannot be loaded, or packs for a model that takes none.
    """
    folder = server_folder()
    explore_actions = ExploreActions(pipe, gpu)
    style_pipe = style_pipeline(pipe)
    load_packs(pipe if style_pipe is None else style_pipe, packs)
    create_actions = None if style_pipe is None else CreateActions(style_pipe, gpu)
    person_actions = PersonActions(explore_actions, create_actions, gpu)
    judge = person_actions.comparisons.judge
    discover_actions = DiscoverActions(explore_actions, load_analyzer(pipe), judge and judge.identity, gpu)
    kind = "" if create_actions is None else "_photos"  # what the page says of itself
    texts = Texts()
    with Page(title=translate(TITLES[kind], BUILT_IN), analytics_enabled=False, fill_width=True) as app:
        folder.watch(app)
        with gr.Row(elem_id="top"):
            title = gr.HTML(_title_html(BUILT_IN, kind), elem_id="title")
            language = texts.add(
                gr.Radio,
                label="app.language",
                choices=[(name, tag) for tag, name in LANGUAGES.items()],
                value=BUILT_IN,
                show_label=False,
                container=False,
                min_width=0,
                elem_id="language",
            )
        if create_actions is None:
            texts.add(gr.Markdown, value_key="app.tagline", elem_id="tagline")
            texts.add(gr.Markdown, value_key=NOTICES[kind], elem_id="ai-notice")
        tabs = build_tabs(explore_actions, create_actions, person_actions, discover_actions, texts, language, gpu)
        if create_actions is not None:
            texts.add(gr.Markdown, value_key=NOTICES[kind], elem_id="ai-notice")
        app.tabs = tabs
        footer = gr.HTML(footer_html(pipe, BUILT_IN), elem_id="page-footer")
        recipe_text = gr.Textbox(visible=False)
        link, other_texts = gr.Textbox(visible="hidden"), gr.Textbox(visible="hidden", elem_id="other-texts")

        def relabel(values: dict[gr.components.Component, Any]) -> dict:
            tag = values[language]
            updates = texts.updates(tag) | {title: _title_html(tag, kind), footer: footer_html(pipe, tag)}
            for tab in tabs.language_tabs:
                for part, update in tab.in_language(tag, values).items():
                    updates[part] = updates[part] | update if part in updates else update
            return updates

        worded = [
            *texts.components,
            title,
            footer,
            *(part for tab in tabs.language_tabs for part in tab.language_outputs),
        ]
        relabelled = list(dict.fromkeys(worded))  # a label may be read from the table, and choices made by the tab
        relabel_inputs = {language, *(part for tab in tabs.language_tabs for part in tab.language_inputs)}
        private = {"api_visibility": "private", "show_progress": "hidden"}
        person, explore, create = tabs.person, tabs.explore, tabs.create
        switched = [language.input] if create is None else [language.input, other_texts.change]
        # One event for both, so that the answer that counts comes last.
        relabelling = gr.on(switched, relabel, relabel_inputs, relabelled, trigger_mode="always_last", **private)
        opening = app.load(None, None, [recipe_text, language, other_texts, link], js=READ_PAGE, **private)
        numbers = [one for one, event in app.fns.items() if event.fn is relabel]
        app.relabelling = (numbers[0], language)
        # The first tab greets with a picture; the others draw when they are opened, or for a link with a recipe.
        if create is None:
            opening = opening.then(relabel, relabel_inputs, relabelled, **private)
            linked = opening.then(tabs.select, recipe_text, tabs.choices, **private)
        else:
            events = connect_photo_screen(tabs.photo, tabs.photo_actions, app)
            app.photo_page = _photo_page(pipe, tabs.photo_actions, events)
            # Both begin with the visitor's photo: what the browser says of it is read before anything is asked.
            left = tabs.create_tab.select(None, None, create.memory.left, js=READ_LEFT, **private)
            left.then(*create.inputs.to(create.start), [create.box.photo, *create.drawn], **DRAW)
            gr.on([tab.select for tab in tabs.person_tabs], None, None, person.memory.left, js=READ_LEFT, **private)
            # Nothing is asked without a recipe, and a link is opened once its texts are there.
            relabelling.then(None, None, link, js=READ_RECIPE, **private)
            linked = link.change(tabs.select, recipe_text, tabs.choices, **private)
        given, opened = person.inputs.also(recipe_text=recipe_text), [*person.restored, *person.drawn]
        linked.then(*given.to(person.open_if_linked), opened, **DRAW)
        gr.on([tab.select for tab in tabs.person_tabs], *given.to(person.open_if_empty), opened, **DRAW)
        if tabs.greets is person:
            opening.then(*given.to(person.open_if_empty), opened, **DRAW)
        given = explore.inputs.also(recipe_text=recipe_text)
        if tabs.greets is explore:
            opening.then(*given.to(explore.open_link), explore.opened, **DRAW)
        else:
            linked.then(*given.to(explore.open_if_linked), explore.opened, **DRAW)
            selected = [tab.select for tab in tabs.explore_tabs]
            gr.on(selected, *given.to(explore.open_if_empty), explore.opened, **DRAW)
        add_portrait_endpoints(explore_actions)
        if create_actions is not None:
            add_style_endpoint(create_actions)
        if person_actions.is_useful:
            add_person_endpoint(person_actions)
        if person_actions.own_portraits is not None:
            add_portraits_endpoint(person_actions.own_portraits)
    app.queue(max_size=MAX_WAITING)
    return app


def launch_options(
    host: str | None = None, port: int | None = None, mcp: bool | None = None, allowed_hosts: Iterable[str] = ()
) -> dict[str, Any]:
    """Return settings for `launch`: our look, both languages, no outside host, small uploads only.

    Args:
        host, port: where to listen; None: as gradio's own variables say, which a Space sets.
        mcp: offer the endpoints as tools over the Model Context Protocol; None: if GRADIO_MCP_SERVER says so.
        allowed_hosts: names under which the server answers besides its own, see `find_hosts`.

    Raises:
        ConfigError: `mcp` without the package that it needs, a port that is none, or a host that is none.
    """
    hosts = find_hosts(allowed_hosts, host)
    if port is not None and not 0 < port < 65536:
        raise ConfigError(f"the port must be from 1 to 65535, got {port}")
    if mcp and find_spec("mcp") is None:
        raise ConfigError("MCP needs the package mcp: pip install 'gradio[mcp]'")
    theme = gr.themes.Soft(
        primary_hue="indigo",
        neutral_hue="zinc",
        font=[Font(name) for name in SYSTEM_FONTS],
        font_mono=[Font(name) for name in MONO_FONTS],
    ).set(
        block_title_background_fill="none",
        block_title_text_color="*body_text_color",
        block_title_text_weight="550",
        block_title_padding="0",
        block_info_text_color="*body_text_color_subdued",
        body_background_fill="#ffffff",  # as on the page for a photo (ui/photo/tokens.css)
        body_background_fill_dark="#0f0f14",
        background_fill_secondary="#f4f4f8",
        background_fill_secondary_dark="#1c1c24",
        block_background_fill_dark="#17171e",
        input_background_fill_dark="#22222b",
        border_color_primary_dark="#33333f",
        body_text_color="#15151c",
        button_primary_background_fill="linear-gradient(100deg, *primary_600, #9333ea)",
        button_primary_background_fill_hover="linear-gradient(100deg, *primary_500, #a855f7)",
        button_primary_background_fill_dark="linear-gradient(100deg, *primary_600, #9333ea)",
        button_primary_background_fill_hover_dark="linear-gradient(100deg, *primary_500, #a855f7)",
        body_text_color_subdued="*neutral_600",  # dark enough to read on the page's ground
        block_label_text_color="*primary_700",
        checkbox_label_background_fill_selected="*primary_600",
        checkbox_label_background_fill_selected_dark="*primary_600",
        link_text_color="*primary_600",
        link_text_color_dark="*primary_300",
        body_text_color_subdued_dark="*neutral_400",
        button_large_text_weight="550",
        button_border_width="1px",
        button_secondary_border_color="*neutral_200",
        button_secondary_border_color_dark="*neutral_600",
        input_border_width="1px",
        input_border_color="*neutral_200",
        checkbox_border_color="*neutral_400",
    )
    return {
        "theme": theme,
        "css": "".join(map(_style, STYLES)),
        "head": f"<style>{_style('frame')}</style>{read_head()}{KEEP_LANGUAGE}{SLIDER_KEYS}{FIRST_PICTURE}{_back()}",
        "i18n": browser_translations(),
        "max_file_size": MAX_UPLOAD,
        "footer_links": ["api"],
        "ssr_mode": False,
        "share": False,
        "enable_monitoring": False,
        "server_name": host,
        "server_port": port,
        "mcp_server": mcp,
        "state_session_capacity": MAX_VISITS,
        "run_history": False,
        # Without gradio's look at its own page: where that takes more than 3 s, a busy machine would have no server.
        "_frontend": False,
        "app_kwargs": {
            "middleware": [Middleware(one) for one in (FirstPage, BodyLimit, Visits, OnlyUploadedFiles)],
            "lifespan": guarded(hosts),
            "exception_handlers": {
                **dict.fromkeys((FnIndexInferError, LookupError, TypeError), refuse),
                RequestValidationError: refuse_form,
            },
        },
    }


def _photo_page(
    pipe: GenerationPipeline, actions: PhotoActions, events: dict[str, dict[str, Any]]
) -> Callable[[str], tuple[str, bool]]:
    """A writer of the page for a photo."""
    data = page_data(actions, events, {tag: footer_html(pipe, tag) for tag in LANGUAGES})

    def write(tag: str) -> tuple[str, bool]:
        greeting = greeting_of(actions)
        return photo_document({**data, "greeting": greeting}, tag), bool(greeting) or not actions.examples

    return write


def footer_html(pipe: GenerationPipeline, language: str) -> str:
    """Return the credit and licences, as the model and we owe them."""
    credit, license_name = html.escape(pipe.credit), html.escape(pipe.source.license)
    lines = [f"{translate('footer.credit', language)}: {credit}"] if credit else []
    lines += [f"{translate('footer.license', language)}: {license_name}"] if license_name else []
    lines.append(translate("footer.made_with", language))
    return "".join(f"<p>{line}</p>" for line in lines)


def _title_html(language: str, kind: str) -> str:
    return f'<h1 lang="{language}">{html.escape(translate(TITLES[kind], language))}</h1>'


def _back() -> str:
    return f"<script>{files('gan_space.ui').joinpath('back.js').read_text(encoding='utf-8')}</script>"


def _style(name: str) -> str:
    return files("gan_space.ui").joinpath(f"{name}.css").read_text(encoding="utf-8")
