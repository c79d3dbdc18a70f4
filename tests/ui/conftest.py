from __future__ import annotations

import gradio as gr
import pytest
import torch

from gan_space.models.generator import Generator
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.loading import ModelSource
from gan_space.ui.app import build_app, launch_options


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
    """Address of the real server, on a free port."""
    options = {**launch_options(), "server_name": "127.0.0.1", "server_port": None, "quiet": True}
    _, url, _ = app.launch(prevent_thread_lock=True, **options)
    yield url.rstrip("/")
    app.close()
