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

CSS = """
.gradio-container { max-width: 1180px !important; margin: 0 auto !important; padding: 16px !important; }
#top { align-items: flex-start; flex-wrap: nowrap; }
#top h1 { font-size: 1.75rem; line-height: 1.2; font-weight: 650; letter-spacing: -0.01em; margin: 0; }
#tagline p { color: var(--body-text-color-subdued); max-width: 62ch; margin: 0; }
#ai-notice p { font-size: 0.875rem; margin: 0; padding: 8px 12px; border-left: 3px solid var(--primary-500);
  background: var(--background-fill-secondary); border-radius: 0 6px 6px 0; }
#language { flex: 0 0 auto; min-width: 0 !important; padding: 0; border: 0; background: none; }
#language label { padding: 4px 10px; white-space: nowrap; }
#language .wrap { flex-wrap: nowrap; }
#notice { padding: 10px 14px; border-radius: 8px; background: var(--error-background-fill); }
#notice p { margin: 0; }
#gallery .grid-wrap { max-height: none; padding: 0; }
#gallery .thumbnail-item { aspect-ratio: 1; border-radius: 10px; }
#picture img { width: 100%; border-radius: 10px; }
#facts h2 { font-size: 1rem; font-weight: 600; margin: 0 0 6px; }
#facts dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 0 0 8px;
  font-size: 0.875rem; }
#facts dt { color: var(--body-text-color-subdued); }
#facts dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
#facts a { font-size: 0.875rem; text-decoration: underline; }
#page-footer { font-size: 0.8125rem; color: var(--body-text-color-subdued); margin-top: 12px; }
#page-footer p { margin: 2px 0; overflow-wrap: anywhere; }
@media (max-width: 720px) {
  .gradio-container { padding: 10px !important; }
  #top h1 { font-size: 1.375rem; }
  #explore { flex-direction: column; }
  #results { order: -1; }
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
            language = gr.Radio(
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
    )
    return {
        "theme": theme,
        "css": CSS,
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
