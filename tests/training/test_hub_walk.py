"""The commands of docs/hub.md, one after the other and as they stand there, against the Hub of the tests."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from gan_space.cli.app import main as gan_space_main
from gan_space.output.provenance import read_provenance
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.loading import parse_packs
from gan_space.ui.app import build_app
from tests.formats.foreign_writers import dump, nvidia_snapshot
from tests.formats.test_nvidia import make_generator
from tests.hub_server import WRITE_TOKEN
from tests.links import needs_links
from tests.training.in_process import Start
from training import publish
from training.encoder import train as train_encoder
from training.packs import train_style

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {
    "training/publish.py": publish.main,
    "training/encoder/train.py": train_encoder.main,
    "training/packs/train_style.py": train_style.main,
}
# Less of everything, so that the walk takes seconds; what is given twice counts as it was given last.
QUICK = {
    "training/train.py": "--total_kimg 0.016 --checkpoint_kimg 0.016 --sample_kimg 1 --eval_kimg 0 --batch_size 8",
    "training/encoder/train.py": "--total_kimg 0.016",
    "training/packs/train_style.py": "--num_faces 6 --tune.num_steps 2",
}


def commands(page: str) -> list[list[str]]:
    """Words of every command in a document's blocks without a language."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    found = []
    for block in blocks:
        # A line that ends with a backslash, or inside quotes, goes on in the next one.
        lines = re.findall(r"(?:[^'\"\n]|'[^']*'|\"[^\"]*\")+", block.replace("\\\n", " "))
        found += [shlex.split(line) for line in lines]
    return found


class Walker:
    """Runs the document's commands, in a folder that has the parts of the project that they name.

    All of them in this process: test_train_script.py has the launcher, test_loading_hub.py has fresh processes.
    """

    def __init__(self, train: Start):
        self.train = train
        self.pages: list[list[str]] = []  # captions of the looks, for every app that was opened

    def run(self, words: list[str]) -> None:
        variables = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
        words = words[len(variables) :]
        if words[:2] == ["accelerate", "launch"]:
            assert variables == {"ACCELERATE_USE_CPU": "true"} and words[2] == "training/train.py"
            assert self.train([sys.executable, *words[2:], *shlex.split(QUICK[words[2]])]).returncode == 0
        elif words[:2] == ["python", "-c"]:
            exec(compile(words[2], "docs/hub.md", "exec"), {})
        elif words[0] == "python":
            assert SCRIPTS[words[1]]([*words[2:], *shlex.split(QUICK.get(words[1], ""))]) == 0
        elif words[0] == "gan-space":
            assert gan_space_main(words[1:]) == 0
        elif words[:2] == ["cp", "-r"]:
            shutil.copytree(*words[2:])
        elif words == ["make", "app"]:
            # What app.py does, without serving; tests/ui/test_start.py starts it.
            pipe = GenerationPipeline.from_pretrained(variables["GAN_SPACE_MODEL"])
            page = build_app(pipe, packs=parse_packs(variables.get("GAN_SPACE_PACKS", "")))
            galleries = [block for block in page.blocks.values() if getattr(block, "elem_id", None) == "looks"]
            self.pages.append([item["caption"] for gallery in galleries for item in gallery.value])
        else:
            raise AssertionError(f"the document has a command that this test cannot run: {shlex.join(words)}")


@needs_links
def test_the_path_of_a_new_user(hub, in_process, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    for name in ("gan_space", "tests", "training"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    dump(nvidia_snapshot(make_generator()), tmp_path / "network.pkl")  # somebody else's file
    walked, walker = [], Walker(in_process)
    for words in commands("hub.md"):
        # Logging in and the Hub of one's own are what the fixtures do; a Space is another test's.
        if words[0] == "hf" or words[-1] == "tests.hub_server" or words[:2] == ["gan-space", "publish-space"]:
            continue
        walker.run(words)
        walked.append(next(word for word in words if not re.match(r"[A-Z_]+=", word)))
    assert walked.count("make") == 3 and walked.count("python") >= 7 and walked.count("gan-space") == 2

    model, pack = hub.repository("user/tiny-faces"), hub.repository("user/ink")
    assert set(model.tags) == {"v1", "v2"}
    assert b"base_model: user/tiny-faces" in pack.commits[-1].files["README.md"].data
    assert {"encoder/config.json", "aligner/config.json"} <= model.commits[-1].files.keys()
    label = read_provenance(tmp_path / "portrait.png")
    assert label.recipe["model"] == "user/tiny-faces" and label.recipe["revision"] == model.tags["v1"]
    assert walker.pages == [[], ["Ink wash"], []]

    # The ONNX files draw with the document's own lines.
    lines = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import numpy as np\nimport onnxruntime\n.*?)```", lines, re.DOTALL)
    pytest.importorskip("onnxruntime")
    exec(compile(code.replace('f"out/', 'f"runs/onnx/'), "docs/onnx.md", "exec"), {})
    assert all((tmp_path / f"seed{seed:04d}.png").is_file() for seed in range(4))
