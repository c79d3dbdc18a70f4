from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partialmethod
from importlib import import_module
from pathlib import Path
from threading import Event

import gradio as gr
import pytest
import torch
from gradio_client import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

import gan_space
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.models.guided_upscaler import GuidedUpscaler
from gan_space.packs.low_rank import LowRankDelta
from gan_space.packs.style import StateChange, StylePack, base_hash
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.loading import ModelSource
from gan_space.pipelines.pack_fitting import labelled_preview
from gan_space.ui.app import build_app
from tests.ui.walking import PATIENCE_MSEC, Visitors, served


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session", autouse=True)
def patient_clients() -> Iterator[None]:
    """Programs wait for a busy machine: gradio's client gives the page's description 5 s if it is told nothing."""
    start = Client.__init__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "__init__", partialmethod(start, httpx_kwargs={"timeout": PATIENCE_MSEC / 1000}))
        yield


@pytest.fixture(scope="session")
def tiny_pipe(tmp_path_factory) -> GenerationPipeline:
    """A random network of 32 px, saved and loaded as a real model folder."""
    torch.manual_seed(0)
    generator = Generator(resolution=32, z_dim=16, w_dim=16, channel_base=256, channel_max=16, num_mapping_layers=2)
    folder = tmp_path_factory.mktemp("model")
    pipe = GenerationPipeline(generator)
    pipe.source = ModelSource(name="tiny", version="1", credit="Drawn from <noise>, CC0", license="CC0-1.0")
    pipe.save_pretrained(folder)
    loaded = GenerationPipeline.from_pretrained(folder)
    loaded.generator.compute_dtype = torch.float32
    return loaded


@pytest.fixture(scope="session")
def app(tiny_pipe) -> gr.Blocks:
    return build_app(tiny_pipe)


@pytest.fixture(scope="session")
def app_url(app) -> str:
    """Address of the server of the page without photos."""
    with served(app) as url:
        yield url


@pytest.fixture(scope="session")
def style_folder(tmp_path_factory) -> Path:
    """Model folder with everything that style transfer needs: random networks of 32 px, the real aligner, two packs."""
    folder = tmp_path_factory.mktemp("style-model")
    torch.manual_seed(0)
    generator = Generator(32, z_dim=8, w_dim=8, channel_base=256, channel_max=12, num_mapping_layers=2, use_noise=False)
    encoder = Encoder.for_generator(generator, 16, width=6, num_blocks=1, hidden=8)
    generator.eval().requires_grad_(False)
    encoder.eval().requires_grad_(False)
    with torch.no_grad():
        encoder.code_head.weight.normal_(std=0.3)
    pipe = GenerationPipeline(generator)
    pipe.source = ModelSource(name="tiny", version="1", credit="Drawn from <noise>, CC0", license="CC0-1.0")
    pipe.save_pretrained(folder)
    encoder.save_pretrained(folder / "encoder")
    upscaler = GuidedUpscaler(4, 1, 4, 1)
    torch.nn.init.normal_(upscaler.head.weight, std=0.005)
    upscaler.save_pretrained(folder / "guided_upscaler")
    shutil.copytree(Path(gan_space.__file__).parent / "assets" / "default" / "aligner", folder / "aligner")
    for name, chinese, transfer in (("ink", "水墨", "picture"), ("soft", "柔光", "change")):
        pack = random_pack(generator, encoder, name, chinese, transfer)
        pack = pack.with_preview(labelled_preview(generator, encoder, pack))
        pack.save_pretrained(folder / "packs" / name)
    return folder


def random_pack(generator: Generator, encoder: Encoder, name: str, chinese: str, transfer: str) -> StylePack:
    """A pack that changes something, whatever it is."""
    torch.manual_seed(len(name))
    r = encoder.feature_resolution
    later = [key for key, _ in generator.named_parameters() if key.startswith(f"synthesis.b{2 * r}.")]
    delta = LowRankDelta.create(generator, [key for key in later if "weight" in key], rank=2)
    for _, up in delta.factors.values():
        up.normal_(std=0.3)
    channels = generator.synthesis.block(r).conv1.weight.shape[0] + 3
    return StylePack(
        id=name,
        name={"en": name.capitalize(), "zh-CN": chinese},
        description={"en": f"Like {name}.", "zh-CN": chinese},
        base_model="tiny",
        base_hash=base_hash(generator, encoder),
        feature_resolution=r,
        delta=delta,
        w_offset=0.3 * torch.randn(generator.num_ws - generator.synthesis.first_row(2 * r), generator.config.w_dim),
        state_change=StateChange(0.03 * torch.randn(channels, channels), 0.3 * torch.randn(channels)),
        scope="photo" if transfer == "picture" else "face",
        transfer=transfer,
    )


@pytest.fixture(scope="session")
def style_app(style_folder) -> gr.Blocks:
    return build_app(GenerationPipeline.from_pretrained(style_folder))


@pytest.fixture(scope="session")
def style_url(style_app) -> str:
    """Address of the server of the page with photos."""
    with served(style_app) as url:
        yield url


@pytest.fixture(scope="session")
def photo_url() -> str:
    """Address of the server of the page with the model inside the package."""
    with served(build_app(GenerationPipeline.from_pretrained())) as url:
        yield url


# Chromium itself draws a window around every page: its shell opens one with much less work.
CHROMIUM = shutil.which("chromium-headless-shell") or "/usr/bin/chromium"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    "--js-flags=--no-opt",  # pages live for seconds: a fifth of loading one went into scripts that then ran no longer
]


@pytest.fixture(scope="module")
def browser() -> Browser:
    expect.set_options(timeout=PATIENCE_MSEC)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def visitors(browser) -> Visitors:
    return Visitors(browser)


@pytest.fixture
def new_page(visitors):
    """Opens pages for this test alone, as `Visitors.open`."""
    pages = []

    def open_new(*args, **kwargs) -> Page:
        pages.append(visitors.open(*args, **kwargs))
        return pages[-1]

    yield open_new
    for page in pages:
        page.context.close()
    visitors.check()


@pytest.fixture(scope="module")
def kept_pages() -> dict:
    return {}


@pytest.fixture
def kept_page(request, visitors, kept_pages):
    """Opens a page that the tests of a module use one after another, since loading one takes seconds.

    After a test that failed, the next one gets another page.
    """
    used, failed = [], request.session.testsfailed

    def open_once(*args, first: str, **kwargs) -> Page:
        """As `Visitors.open`; a new page is there when it shows `first`."""
        key = (*args, *sorted(kwargs.items()))
        if key not in kept_pages:
            kept_pages[key] = visitors.open(*args, **kwargs)
            expect(kept_pages[key].locator(first).first).to_be_visible()
        used.append(key)
        return kept_pages[key]

    yield open_once
    if request.session.testsfailed > failed:
        for key in used:
            kept_pages.pop(key).context.close()
    visitors.check()


class GpuCalls:
    """Stands where a Space's GPU decorator does; `names` are the functions that were called through it, in order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, function: Callable) -> Callable:
        def wrapped(*arguments, **named):
            self.names.append(function.__name__)
            return function(*arguments, **named)

        return wrapped


@pytest.fixture
def gpu_calls() -> GpuCalls:
    """A `GpuCalls` without calls yet."""
    return GpuCalls()


@pytest.fixture
def until_stopped(monkeypatch):
    """Makes jobs that wait to be stopped: tiny networks are through before anybody has pressed a button.

    Returns:
        A function of the address of another function, such as "gan_space.portraits.refinement.refine". Until the test
        ends, that one's `callback` is told of step 3 again and again, and of no later one, until it says stop.
    """
    over = Event()

    def patch(address: str) -> None:
        module, name = address.rsplit(".", 1)
        job = getattr(import_module(module), name)

        def waiting(*args, callback, **kwargs):
            def tell(step, *told):
                while (goes_on := callback(step, *told)) is not False and step == 3 and not over.wait(0.1):
                    pass
                return goes_on

            return job(*args, callback=tell, **kwargs)

        monkeypatch.setattr(address, waiting)

    yield patch
    over.set()


@pytest.fixture
def held(monkeypatch) -> Iterator[Callable[[type, str], tuple[Event, Event]]]:
    """Holds a method of a class up: (it has begun, it may go on). It may when the test ends."""
    events: list[Event] = []

    def hold(owner: type, name: str) -> tuple[Event, Event]:
        begun, goes_on, method = Event(), Event(), getattr(owner, name)
        events.append(goes_on)

        def wait(*args, **kwargs):
            begun.set()
            goes_on.wait()
            return method(*args, **kwargs)

        monkeypatch.setattr(owner, name, wait)
        return begun, goes_on

    yield hold
    for one in events:
        one.set()
