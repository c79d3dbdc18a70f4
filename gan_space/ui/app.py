"""The whole page: heading, language switch, tabs, footer, and the endpoints for programs."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any, Literal

import gradio as gr
from gradio.themes.utils.fonts import Font

from gan_space.errors import GanSpaceError
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.ui.explore import ExploreTab
from gan_space.ui.i18n import LANGUAGES, Texts, browser_translations, choose_language, translate
from gan_space.ui.studio import Shown, Studio

CACHE_SWEEP_SEC, CACHE_AGE_SEC = 600, 3600
MAX_UPLOAD = "20mb"

SYSTEM_FONTS = (
    *("system-ui", "-apple-system", "Segoe UI", "Noto Sans"),
    *("PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "sans-serif"),
)
MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

# Where the page's language and recipe stand: the link, what the visitor chose before, the browser.
READ_PAGE = """() => {
  const query = new URLSearchParams(window.location.search);
  let kept = null;
  try { kept = window.localStorage.getItem('gan_space_language'); } catch { /* storage is switched off */ }
  return [query.get('recipe') || '', query.get('lang') || kept || navigator.language];
}"""
KEEP_LANGUAGE = """(language, ...rest) => {
  document.documentElement.lang = language;
  try { window.localStorage.setItem('gan_space_language', language); } catch { /* storage is switched off */ }
  return [language, ...rest];
}"""

# gradio confines its `css` to the inside of the page; the frame around it is styled from the head.
HEAD = """<style>
body .gradio-container.gradio-container { max-width: 1240px; margin: 0 auto; padding: 8px; }
body .gradio-container.gradio-container > .main { padding: 16px 24px; }
@media (max-width: 720px) {
  body .gradio-container.gradio-container { padding: 0; }
  body .gradio-container.gradio-container > .main { padding: 12px 14px; }
}
</style>"""
CSS = """
#top { align-items: center; flex-wrap: nowrap; gap: 12px; }
#top > #title { flex: 1 1 0; min-width: 0; padding: 0; }
#title .html-container { padding: 0; }
#title h1 { font-size: 1.75rem; line-height: 1.2; font-weight: 650; letter-spacing: -0.01em; margin: 0; }
#top > #language { flex: 0 0 auto; width: auto; padding: 0; border: 0; background: none; overflow: visible; }
#language label { padding: 3px 10px; white-space: nowrap; box-shadow: none; }
#language input { position: absolute; opacity: 0; width: 1px; height: 1px; }
#language label span { margin: 0; }
#language label:focus-within { outline: 2px solid var(--primary-400); outline-offset: 1px; }
#tagline p { color: var(--body-text-color-subdued); max-width: 72ch; margin: 0; }
#ai-notice p { font-size: 0.875rem; margin: 0; padding: 8px 12px; border-left: 3px solid var(--primary-500);
  background: var(--background-fill-secondary); border-radius: 0 6px 6px 0; }
#notice { padding: 10px 14px; border-radius: 8px; background: var(--error-background-fill); }
#notice p { margin: 0; }
#gallery-hint p { font-size: 0.875rem; color: var(--body-text-color-subdued); margin: 0; }
#gallery { border: 0; background: none; padding: 0; }
#gallery .grid-wrap { max-height: none; min-height: 0; height: auto; padding: 2px; overflow: visible; }
#gallery .grid-container { padding: 0; gap: 10px; grid-template: none / repeat(4, minmax(0, 1fr)); }
#gallery .thumbnail-item { aspect-ratio: 1; border-radius: 12px; }
#gallery .thumbnail-item.selected { outline: 3px solid var(--primary-500); outline-offset: -1px; }
#gallery .caption-label { font-size: 0.75rem; opacity: 0.85; }
#chosen { align-items: flex-start; gap: 20px; }
#picture { border: 0; background: none; padding: 0; }
#picture .image-container, #picture .image-frame, #picture button, #picture img { width: 100%; height: auto; }
#picture img { border-radius: 14px; aspect-ratio: 1; object-fit: cover; }
#facts h2 { font-size: 1rem; font-weight: 600; margin: 0 0 6px; }
#facts .html-container { padding: 0; }
#facts dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 0 0 8px;
  font-size: 0.875rem; }
#facts dt { color: var(--body-text-color-subdued); font-weight: 400; }
#facts dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
#facts a { font-size: 0.875rem; text-decoration: underline; padding: 0; }
#page-footer { margin-top: 8px; padding-top: 12px; border-top: 1px solid var(--border-color-primary); }
#page-footer .html-container { padding: 0; }
#page-footer .prose p { font-size: 0.8125rem; color: var(--body-text-color-subdued); margin: 2px 0;
  overflow-wrap: anywhere; }
footer .divider { display: none; }
@media (max-width: 720px) {
  #title h1 { font-size: 1.375rem; }
  #explore { flex-direction: column; flex-wrap: nowrap; align-items: stretch; }
  #results { display: contents; }
  #controls { width: 100%; order: 2; }
  #gallery-hint { order: 0; }
  #gallery { order: 1; }
  #gallery .grid-container { gap: 6px; }
  #chosen { order: 3; }
}
"""


def build_app(pipe: GenerationPipeline, gpu: Callable[[Callable], Callable] | None = None) -> gr.Blocks:
    """Build the page for a loaded pipeline; launch it with `app.launch(**launch_options())`.

    Args:
        pipe: draws the portraits.
        gpu: wraps the functions that draw, such as `spaces.GPU`; None where the device is always there.
    """
    studio = Studio(pipe, gpu)
    texts = Texts()
    with gr.Blocks(
        title="gan_space", analytics_enabled=False, delete_cache=(CACHE_SWEEP_SEC, CACHE_AGE_SEC), fill_width=True
    ) as app:
        with gr.Row(elem_id="top"):
            title = gr.HTML(_title_html("en"), elem_id="title")
            language = texts.add(
                gr.Radio,
                label="app.language",
                choices=[(name, tag) for tag, name in LANGUAGES.items()],
                value="en",
                show_label=False,
                container=False,
                min_width=0,
                elem_id="language",
            )
        texts.add(gr.Markdown, value_key="app.tagline", elem_id="tagline")
        texts.add(gr.Markdown, value_key="app.notice", elem_id="ai-notice")
        with gr.Tabs(), texts.add(gr.Tab, label="tab.explore", id="explore"):
            explore = ExploreTab(studio, texts, language)
        footer = gr.HTML(elem_id="page-footer")
        recipe_text, language_tag = gr.Textbox(visible=False), gr.Textbox(visible=False)

        def relabel(tag: str, shown: list[Shown], chosen: int) -> list[Any]:
            facts = explore.facts_html(shown[chosen].recipe, tag) if shown else ""
            return [*texts.updates(tag), _title_html(tag), footer_html(pipe, tag), facts]

        relabelled = [*texts.components, title, footer, explore.facts]
        relabel_inputs = [language, explore.shown, explore.chosen]
        private = {"api_visibility": "private", "show_progress": "hidden"}
        language.input(relabel, relabel_inputs, relabelled, js=KEEP_LANGUAGE, **private)
        app.load(
            lambda recipe, tag: (recipe, choose_language(tag)),
            [recipe_text, language_tag],
            [recipe_text, language],
            js=READ_PAGE,
            **private,
        ).then(relabel, relabel_inputs, relabelled, **private).then(
            explore.open_link,
            [recipe_text, *explore.inputs],
            explore.opened,
            concurrency_limit=1,
            concurrency_id="draw",
            api_visibility="private",
        )
        _add_endpoints(studio)
    return app


def launch_options() -> dict[str, Any]:
    """Settings for `launch`: our look, both languages, no outside host, small uploads only."""
    theme = gr.themes.Soft(
        primary_hue="indigo",
        neutral_hue="slate",
        font=[Font(name) for name in SYSTEM_FONTS],
        font_mono=[Font(name) for name in MONO_FONTS],
    ).set(
        block_title_background_fill="none",
        block_title_text_color="*body_text_color",
        block_title_text_weight="550",
        block_title_padding="0",
        block_info_text_color="*body_text_color_subdued",
        body_text_color_subdued="*neutral_500",  # dark enough to read on the page's ground
        body_text_color_subdued_dark="*neutral_400",
        button_large_text_weight="550",
        button_border_width="1px",
        button_secondary_border_color="*neutral_200",
        button_secondary_border_color_dark="*neutral_600",
        input_border_width="1px",
        input_border_color="*neutral_200",
    )
    return {
        "theme": theme,
        "css": CSS,
        "head": HEAD,
        "i18n": browser_translations(),
        "max_file_size": MAX_UPLOAD,
        "footer_links": ["api"],
        "ssr_mode": False,
        "share": False,
        "enable_monitoring": False,
    }


def footer_html(pipe: GenerationPipeline, language: str) -> str:
    """Credit and licences, as the model and we owe them."""
    credit, license_name = html.escape(pipe.credit), html.escape(pipe.source.license)
    lines = [f"{translate('footer.credit', language)}: {credit}"] if credit else []
    lines += [f"{translate('footer.license', language)}: {license_name}"] if license_name else []
    lines.append(translate("footer.made_with", language))
    return "".join(f"<p>{line}</p>" for line in lines)


def _title_html(language: str) -> str:
    return f"<h1>{html.escape(translate('app.title', language))}</h1>"


def _add_endpoints(studio: Studio) -> None:
    """Endpoints for programs; each returns labelled files and recipes."""

    def generate(
        seeds: list[int],
        truncation_psi: float = 0.7,
        noise_mode: Literal["const", "random", "none"] = "const",
        upscale_factor: int = 1,
        visible_label: bool = False,
    ) -> tuple[list[dict], list[dict]]:
        """Draw one portrait a seed (1 to 16 seeds); returns labelled PNG files and their recipes."""
        return _reply(
            lambda: studio.from_seeds(
                seeds,
                truncation_psi=truncation_psi,
                noise_mode=noise_mode,
                upscale_factor=upscale_factor,
                visible_label=visible_label,
            )
        )

    def mix(
        seed: int,
        style_seed: int,
        layers: str = "middle+fine",
        truncation_psi: float = 0.7,
        upscale_factor: int = 1,
        visible_label: bool = False,
    ) -> tuple[list[dict], list[dict]]:
        """Draw the portrait of `seed` with `layers` (such as "coarse" or "3-7") of `style_seed`."""
        return _reply(
            lambda: studio.mixed_portrait(
                seed,
                style_seed,
                layers,
                truncation_psi=truncation_psi,
                upscale_factor=upscale_factor,
                visible_label=visible_label,
            )
        )

    def interpolate(
        seeds: list[int],
        frames_between: int = 15,
        loop: bool = True,
        truncation_psi: float = 0.7,
        upscale_factor: int = 1,
        visible_label: bool = False,
    ) -> tuple[list[dict], list[dict]]:
        """Animate the walk through 2 to 16 seeds; returns one labelled, animated WebP file and its recipe."""
        return _reply(
            lambda: [
                studio.animation(
                    seeds,
                    frames_between,
                    loop=loop,
                    truncation_psi=truncation_psi,
                    upscale_factor=upscale_factor,
                    visible_label=visible_label,
                )
            ]
        )

    for endpoint in (generate, mix, interpolate):
        gr.api(endpoint, api_name=endpoint.__name__, concurrency_limit=1, concurrency_id="draw")


def _reply(draw: Callable[[], list[Shown]]) -> tuple[list[dict], list[dict]]:
    try:
        shown = draw()
    except GanSpaceError as error:
        raise gr.Error(str(error), print_exception=False) from error
    return [gr.FileData(path=item.path).model_dump() for item in shown], [item.recipe for item in shown]
