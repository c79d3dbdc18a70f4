"""The map of layers: who may import whom. See docs/architecture.md for the reasons behind it."""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import gan_space

ROOT = Path(__file__).resolve().parent.parent

# From the ground up; a layer imports only from lines above its own, never from a neighbour on its line.
LEVELS = (
    ("errors", "settings", "images", "seeding", "hub", "hub_errors", "foreign_files", "whole_files", "folder_locks"),
    ("nn", "photos"),
    ("models", "faces"),
    ("latents", "packs", "metrics", "formats", "output"),
    ("portraits",),
    ("looks", "styles"),
    ("sets",),
    ("pipelines",),
    ("ui", "cli"),
)
LEVEL_OF = {layer: level for level, layers in enumerate(LEVELS) for layer in layers}
NEIGHBOURS_ALLOWED = {
    ("images", "errors"): "every part of the package raises the package's errors",
    ("hub", "errors"): "every part of the package raises the package's errors",
    ("hub", "hub_errors"): "what its client's errors mean",
    ("hub", "settings"): "an error shows what was got, cut",
    ("hub", "whole_files"): "what names a folder",
    ("whole_files", "errors"): "every part of the package raises the package's errors",
    ("whole_files", "settings"): "an error shows what was got, cut",
    ("folder_locks", "errors"): "every part of the package raises the package's errors",
    ("foreign_files", "errors"): "every part of the package raises the package's errors",
    ("seeding", "errors"): "every part of the package raises the package's errors",
    ("seeding", "settings"): "seeds are settings",
}
# `python -m gan_space` and the lazy names of the package stand above everything.
ENTRY_MODULES = ("__init__", "__main__")
ONLY_IN = {
    "gradio": ("gan_space.ui", "app", "tests"),
    "gradio_client": ("tests",),
    "accelerate": ("training", "tests"),
    "datasets": ("training", "tests"),
    "torchvision": (),
}


@dataclass(frozen=True)
class Import:
    """One imported module, as a dotted name, and where it stands."""

    importer: str
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}: imports {self.target}"


def module_name(path: Path) -> str:
    """gan_space/nn/fir.py -> gan_space.nn.fir, a/__init__.py -> a.__init__."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports_of(source: str, importer: str) -> list[Import]:
    """All imports in a source text, also those inside functions and behind `TYPE_CHECKING` or `import_module("…")`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = importer.split(".")[: -node.level]
                base = ".".join([*package, *([base] if base else [])])
            # `from gan_space import nn` and `from gan_space import Generator` mean different layers.
            targets = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                targets = [node.args[0].value]
        found += [Import(importer, node.lineno, target) for target in targets]
    return found


@functools.cache
def imports_in(path: Path) -> list[Import]:
    """All imports in a file."""
    return imports_of(path.read_text(encoding="utf-8"), module_name(path))


def layer_of(module: str) -> str | None:
    """The layer that a dotted name below gan_space belongs to; None for the package itself and other packages."""
    parts = module.split(".")
    if parts[0] != "gan_space" or len(parts) == 1:
        return None
    if parts[1] in gan_space._HOMES:  # a lazy public name stands for the module that it lives in
        return gan_space._HOMES[parts[1]].split(".")[1]
    return None if parts[1].startswith("__") else parts[1]


def fault_in(one: Import) -> str | None:
    """What is wrong with an import, or None."""
    importer_top, target_top = one.importer.split(".")[0], one.target.split(".")[0]
    if target_top in ONLY_IN:
        homes = ONLY_IN[target_top]
        if not any(one.importer == home or one.importer.startswith(home + ".") for home in homes):
            return f"{one}; {target_top} is only for {', '.join(homes) or 'nobody'}"
    if importer_top in ("gan_space", "app") and target_top in ("training", "benchmarks", "tests"):
        return f"{one}; nothing below may import {target_top}"
    if importer_top == "training" and target_top in ("benchmarks", "tests", "app"):
        return f"{one}; training may not import {target_top}"
    if one.importer.startswith("training.common.") and re.match(r"training\.(?!common\.)", one.target):
        return f"{one}; what all trainings share stands on none of them"
    target = layer_of(one.target)
    if target is None:
        return None
    if target not in LEVEL_OF:
        return f"{one}; gan_space.{target} is not in the map of layers"
    if importer_top == "training" and target in ("ui", "cli"):
        return f"{one}; training builds on the layers below the user interfaces"
    if importer_top != "gan_space" or one.importer.split(".")[1] in ENTRY_MODULES:
        return None
    importer = one.importer.split(".")[1]
    if importer == target or (importer, target) in NEIGHBOURS_ALLOWED:
        return None
    if importer not in LEVEL_OF:
        return f"{one}; gan_space.{importer} is not in the map of layers"
    return f"{one}; it is not below gan_space.{importer}" if LEVEL_OF[target] >= LEVEL_OF[importer] else None


def source_files() -> list[Path]:
    """Every Python file of the project."""
    folders = ("gan_space", "training", "benchmarks", "tests")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted([*files, *ROOT.glob("*.py")])


def test_every_import_points_downward():
    faults = [fault for path in source_files() for one in imports_in(path) if (fault := fault_in(one))]
    assert not faults, "\n" + "\n".join(faults)


def modules_of(folders: tuple[str, ...]) -> dict[str, list[Import]]:
    """Modules below some folders, and all that each imports, inside functions and for types too."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {module_name(path).removesuffix(".__init__"): imports_in(path) for path in paths}


def circles_of(modules: dict[str, list[Import]]) -> list[set[str]]:
    """Sets of modules that import each other, directly or by way of others."""

    def module_of(target: str) -> str:
        while target and target not in modules:  # a name in a module, or another package
            target = target.rpartition(".")[0]
        return target

    # A package's __init__ stands above its modules: it only hands their names on.
    next_to = {
        name: {found for one in imports if "." in (found := module_of(one.target)) and found != name}
        for name, imports in modules.items()
    }

    def reachable(start: str) -> set[str]:
        seen, waiting = set(), [start]
        while waiting:
            new = next_to[waiting.pop()] - seen
            seen |= new
            waiting += new
        return seen

    reached = {name: reachable(name) for name in modules}
    in_circle = {name for name in modules if name in reached[name]}
    circles = {frozenset(other for other in reached[name] if name in reached[other]) for name in in_circle}
    return sorted(map(set, circles), key=sorted)


def test_no_modules_import_each_other_in_a_circle():
    circles = circles_of(modules_of(("gan_space", "training", "benchmarks")))
    assert not [sorted(circle) for circle in circles]


@pytest.mark.parametrize(
    ("sources", "circles"),
    [
        ({"p.a": "from p.b import x", "p.b": "import p.c", "p.c": ""}, []),
        ({"p.a": "from p.b import x", "p.b": "def f():\n    from p.a import y"}, [{"p.a", "p.b"}]),
        ({"p.a": "from p import b", "p.b": "import p.c", "p.c": "from .a import x"}, [{"p.a", "p.b", "p.c"}]),
        ({"p.a": "if TYPE_CHECKING:\n    from p.b import X", "p.b": "from p.a import y"}, [{"p.a", "p.b"}]),
        ({"p.a": "import numpy", "p.b": "from p.a import x", "p.c": "from p.b import x"}, []),
    ],
)
def test_a_circle_is_found(sources, circles):
    assert circles_of({name: imports_of(source, name) for name, source in sources.items()}) == circles


def test_no_script_is_imported():
    """What a training or measuring script shares with others stands in a module of its own."""
    modules = modules_of(("training", "benchmarks"))
    main = 'if __name__ == "__main__":'
    paths = [path for folder in ("training", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    scripts = {module_name(path) for path in paths if main in path.read_text(encoding="utf-8")}
    assert {"training.train", "benchmarks.app"} <= scripts
    faults = [one for imports in modules.values() for one in imports if one.target.rpartition(".")[0] in scripts]
    assert not faults, "\n" + "\n".join(map(str, faults))


def test_every_part_of_the_package_is_in_the_map():
    parts = {path.relative_to(ROOT / "gan_space").parts[0] for path in (ROOT / "gan_space").rglob("*.py")}
    names = {part.removesuffix(".py") for part in parts} - set(ENTRY_MODULES)
    assert names <= set(LEVEL_OF), f"not in the map of layers: {sorted(names - set(LEVEL_OF))}"


def test_the_package_itself_imports_nothing_of_ours_when_loaded():
    tree = ast.parse((ROOT / "gan_space" / "__init__.py").read_text(encoding="utf-8"))
    eager = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in eager if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in eager if isinstance(node, ast.ImportFrom)}
    assert names <= {"__future__", "importlib", "os", "typing"}


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("gan_space.nn.fir", "from gan_space.models.generator import Generator"),
        ("gan_space.nn.fir", "from gan_space import Generator"),
        ("gan_space.nn.fir", "from ..models import generator"),
        ("gan_space.nn.fir", "from .. import models"),
        ("gan_space.nn.fir", "def f():\n    import gan_space.pipelines"),
        ("gan_space.nn.fir", "import_module('gan_space.pipelines.generation')"),
        ("gan_space.models.generator", "from gan_space import faces"),
        ("gan_space.packs.tune", "from gan_space.latents import directions"),
        ("gan_space.cli.__main__", "from gan_space.ui import app"),
        ("gan_space.pipelines.generation", "from gan_space.something_new import x"),
        ("gan_space.something_new", "from gan_space.errors import InputError"),
        ("gan_space.pipelines.generation", "import gradio as gr"),
        ("gan_space.packs.tune", "from accelerate import Accelerator"),
        ("gan_space.metrics.fid", "from torchvision.models import inception_v3"),
        ("tests.metrics.test_fid", "import torchvision"),
        ("training.loop", "import gradio"),
        ("training.common.runlog", "from training.config import TrainConfig"),
        ("training.loop", "from gan_space.ui import build_app"),
        ("gan_space.packs.tune", "from training.losses import r1_penalty"),
        ("app", "import training.config"),
        ("training.loop", "import benchmarks.common"),
    ],
)
def test_an_import_upward_or_sideways_is_found(importer, source):
    assert any(fault_in(one) for one in imports_of(source, importer))


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("gan_space.models.generator", "from gan_space.nn.fir import make_filter"),
        ("gan_space.models.discriminator", "from gan_space.models.architecture import channels_at"),
        ("gan_space.models.generator", "from . import mapping"),
        ("gan_space.output.provenance", "from gan_space import __version__"),
        ("gan_space.images", "from gan_space.errors import InputError"),
        ("gan_space.ui.app", "import gradio as gr\nfrom gan_space import GenerationPipeline"),
        ("app", "from gan_space.ui import build_app\nimport gradio"),
        ("training.loop", "from accelerate import Accelerator\nfrom gan_space import Generator"),
        ("tests.training.test_loop", "from training.loop import train"),
        ("training.common.runlog", "from training.common.files import append_line"),
        ("benchmarks.synthesis", "from gan_space import Generator"),
        ("gan_space.metrics.fid", "import gradually"),
    ],
)
def test_an_import_downward_is_let_through(importer, source):
    found = imports_of(source, importer)
    assert found
    assert not [fault for one in found if (fault := fault_in(one))]
