"""Starts the web app: `python app.py`, or as a Space on CPU, GPU or ZeroGPU.

GAN_SPACE_MODEL is a Hub id or a folder (default: the model inside the package), GAN_SPACE_REVISION its revision,
GAN_SPACE_PACKS a list of style packs with commas (names, folders, Hub ids), GAN_SPACE_ALLOWED_HOSTS a list of names
under which the server answers besides its own. `--help` lists the options.
"""

from __future__ import annotations

import os
import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    # Ctrl-C during the imports, which take seconds: there is nothing to clean up yet, and no traceback to read.
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(128 + number))

try:
    import spaces  # on ZeroGPU it must come before torch
except ImportError:
    spaces = None

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from threading import Timer
from typing import TYPE_CHECKING, Any

from gan_space.errors import ConfigError, GanSpaceError

if TYPE_CHECKING:
    import gradio

PREPARE_SEC = 1.0  # after the start; the server answers by then
LOOK_EVERY_SEC = 0.1
SIGNALLED = 128  # as shells count: a process that signal 15 ended has the exit code 143


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; what is left out is what gradio takes from its own variables, as on a Space."""
    parser = argparse.ArgumentParser(description="Serve the gan_space page.")
    parser.add_argument("--host", help="address to listen on; 0.0.0.0 for other machines too (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: 7860, or the next that is free)")
    parser.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="also answer under this name, such as portraits.example.org or *.example.org, and take requests from its "
        "pages; may be given several times (without: this machine's own addresses, and a Space's)",
    )
    parser.add_argument("--mcp", action="store_true", help="also offer the endpoints as tools to AI assistants (MCP)")
    return parser.parse_args(arguments)


def check_port() -> None:
    """Raise ConfigError for a GRADIO_SERVER_PORT that is no port; gradio would show a traceback.

    One that is empty, as a compose file leaves it that has no value for it, counts as none.
    """
    port = os.environ.get("GRADIO_SERVER_PORT", "").strip()
    if not port:
        os.environ.pop("GRADIO_SERVER_PORT", None)
    elif not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise ConfigError(f"GRADIO_SERVER_PORT must be a port from 1 to 65535, got {port!r}")


@contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """Pause it during the start, which makes objects that nearly all stay.

    Looking through them again and again, more of them each time, is in vain. Afterwards they are set apart, so that no
    later collection looks at them either.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def choose_device() -> str:
    """Return the fastest device that is there."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def build(options: argparse.Namespace) -> tuple[gradio.Blocks, dict[str, Any]]:
    """Load the model and build the page; the second part is for `launch`."""
    # Imported here, so that --help and a mistyped option do not wait for torch and gradio.
    from gan_space.pipelines.generation import GenerationPipeline
    from gan_space.pipelines.loading import parse_packs

    check_port()
    packs = parse_packs(os.environ.get("GAN_SPACE_PACKS", ""))
    pipe = GenerationPipeline.from_pretrained(
        os.environ.get("GAN_SPACE_MODEL") or None, os.environ.get("GAN_SPACE_REVISION") or None
    )
    from gan_space.ui.app import build_app, launch_options  # gradio: not before it is known that there is a model

    launch = launch_options(
        host=options.host, port=options.port, mcp=options.mcp or None, allowed_hosts=options.allowed_host
    )
    app = build_app(pipe.to(choose_device()), gpu=None if spaces is None else spaces.GPU, packs=packs)
    return app, launch


def end_on_signals() -> Callable[[], None]:
    """Let the signals that end a process run what comes after, which deletes visitors' files; a second one is final.

    One that whoever started us has switched off stays so: `nohup` and shells do that for what runs in the background.

    Returns:
        raises SystemExit once more where a signal has come: Python prints and forgets what is raised while an object is
        being finalised or a weak reference cleared, and a signal's handler may find it at that.
    """
    came: list[int] = []

    def end(number: int, frame: object) -> None:
        came.append(number)
        signal.signal(number, signal.SIG_DFL)
        raise SystemExit(SIGNALLED + number)

    def end_if_told() -> None:
        if came:
            raise SystemExit(SIGNALLED + came[0])

    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) != signal.SIG_IGN:
            signal.signal(getattr(signal, name), end)
    return end_if_told


def main(arguments: Sequence[str] | None = None) -> None:
    """Load the model, build the page, serve it; delete what visitors left when it ends."""
    options = parse_options(arguments)
    from gan_space.ui.server.folder import server_folder
    from gan_space.ui.server.hosts import reach

    end_if_told = end_on_signals()
    with closing(server_folder()):
        with garbage_collection_paused():
            app, launch = build(options)
        if note := reach(launch["server_name"], options.allowed_host):
            print(note, flush=True)
        if spaces is None:  # a borrowed GPU is for visitors alone
            preparing = Timer(PREPARE_SEC, app.prepare)
            preparing.daemon = True
            preparing.start()
        try:
            app.launch(**launch, prevent_thread_lock=True)
            while app.is_running:
                end_if_told()
                time.sleep(LOOK_EVERY_SEC)
        finally:
            app.close(verbose=False)


if __name__ == "__main__":
    try:
        main()
    except GanSpaceError as error:
        sys.exit(f"cannot start: {error}")
    except SystemExit as ended:
        if isinstance(ended.code, int) and ended.code > SIGNALLED:
            sys.stdout.flush()
            os._exit(ended.code)  # threads that still draw for somebody would keep the process for minutes
        raise
