"""Models by Hub id: pushed from one process, loaded in fresh ones; the transfer itself is tested in formats."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gan_space import hub as transfer
from gan_space.errors import InputError, WeightsError
from gan_space.output.provenance import read_provenance
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.loading import ModelSource
from tests.hub_server import WRITE_TOKEN

LOAD = """
import sys
from gan_space.errors import GanSpaceError
from gan_space.pipelines.generation import GenerationPipeline
for revision in sys.argv[2:]:
    try:
        pipe = GenerationPipeline.from_pretrained("user/tiny", revision or None, cache_dir=sys.argv[1])
        print(pipe.model_name, pipe.revision, pipe.credit, pipe(seeds=[1]).recipe[0]["revision"])
    except GanSpaceError as error:
        print(error)
"""


@pytest.fixture
def pushed(hub, pipe) -> transfer.Upload:
    """user/tiny on the Hub, with things in it that must never be fetched."""
    pipe.source = ModelSource(name="tiny", credit="Credit", license="CC BY 4.0")
    done = pipe.push_to_hub("user/tiny", token=WRITE_TOKEN, tag="v1")
    files = {path: blob.data for path, blob in hub.repository("user/tiny").commits[-1].files.items()}
    hub.add("user/tiny", {**files, "evil.py": b"raise SystemExit('executed')", "generator/evil.bin": b"pickle"})
    return done


def load_offline(cache: Path, *revisions: str) -> list[str]:
    """What a fresh process without a network says of each revision, "" for none."""
    command = [sys.executable, "-c", LOAD, str(cache), *revisions]
    environment, root = {**os.environ, "HF_HUB_OFFLINE": "1"}, Path(__file__).parents[2]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_hub_id_loads_safe_files_at_a_named_commit(hub, pushed, tmp_path):
    loaded = f"user/tiny {pushed.commit} Credit {pushed.commit}"
    GenerationPipeline.from_pretrained("user/tiny", "v1", cache_dir=tmp_path / "cache")
    assert hub.count("resolve.*evil") == 0
    # Only v1 was asked for, so main is not known without the network.
    main, offline = load_offline(tmp_path / "cache", "", pushed.commit)
    assert "it is not in the cache of this machine" in main
    assert offline == loaded


def test_a_pushed_pipeline_comes_back_the_same(pushed, pipe, tmp_path):
    loaded = GenerationPipeline.from_pretrained("user/tiny", "v1", cache_dir=tmp_path)
    loaded.generator.compute_dtype = pipe.generator.compute_dtype
    assert np.array_equal(np.asarray(loaded(seeds=[5]).images[0]), np.asarray(pipe(seeds=[5]).images[0]))


def test_what_is_pushed_is_whole_and_tells_nothing_of_this_machine(hub, pushed, pipe, tmp_path):
    pipe.save_pretrained(tmp_path / "local")
    record = {"images_seen": 5000, "config": {"loss": "hinge", "dataset_name": "faces"}}
    (tmp_path / "local/training.json").write_text(json.dumps(record))
    loaded = GenerationPipeline.from_pretrained(tmp_path / "local")
    loaded.push_to_hub("user/again", token=WRITE_TOKEN)
    files = {path: blob.data for path, blob in hub.repository("user/again").commits[-1].files.items()}
    assert len(hub.repository("user/again").commits) == 2
    assert {"README.md", "model_index.json", "metadata.json", "training.json"} <= files.keys()
    grids = [name for name in files if name.startswith("samples/")]
    assert grids == ["samples/seeds-0-63-psi-0.7.png", "samples/seeds-0-63-psi-1.0.png"]
    for name in grids:
        assert read_provenance(files[name]).is_ai_made
    assert "5,000" in files["README.md"].decode() and 'from_pretrained("user/again")' in files["README.md"].decode()
    for name, data in files.items():
        assert str(tmp_path).encode() not in data, name
        assert WRITE_TOKEN.encode() not in data, name
        assert not re.search(rb"/(root|home|tmp|Users)/", data) or name.endswith((".safetensors", ".png")), name


def test_pushing_the_same_pipeline_twice_makes_one_commit(hub, pipe):
    first = pipe.push_to_hub("user/tiny", token=WRITE_TOKEN, tag="v1")
    again = pipe.push_to_hub("user/tiny", token=WRITE_TOKEN, tag="v1")
    assert first.changed and not again.changed and again.commit == first.commit
    assert len(hub.repository("user/tiny").commits) == 2


def test_records_of_other_weights_are_not_passed_on(hub, pipe, tmp_path):
    pipe.save_pretrained(tmp_path / "local")
    (tmp_path / "local/training.json").write_text("{}")
    loaded = GenerationPipeline.from_pretrained(tmp_path / "local")
    loaded.generator.mapping.w_avg += 1
    loaded.push_to_hub("user/tiny", token=WRITE_TOKEN)
    assert "training.json" not in hub.repository("user/tiny").commits[-1].files


def test_damaged_weights_from_the_hub_are_no_model(hub, pushed, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "WAITS_SEC", (0.01,))
    hub.fail("flip", "GET /cdn")
    with pytest.raises(WeightsError, match="arrived damaged"):
        GenerationPipeline.from_pretrained("user/tiny", cache_dir=tmp_path)


def test_a_repository_that_is_no_model_is_explained(hub, tmp_path):
    hub.add("user/text", {"README.md": b"hi"})
    with pytest.raises(WeightsError, match=r"no model_index\.json"):
        GenerationPipeline.from_pretrained("user/text", cache_dir=tmp_path)
    with pytest.raises(WeightsError, match="no such repository"):
        GenerationPipeline.from_pretrained("user/none", cache_dir=tmp_path)


def test_pushing_without_a_token_is_explained(hub, pipe):
    with pytest.raises(InputError, match="needs a token"):
        pipe.push_to_hub("user/tiny")
