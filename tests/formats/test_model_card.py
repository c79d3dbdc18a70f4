from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import HfApi
from safetensors.numpy import save_file

from gan_space.errors import WeightsError
from gan_space.formats.model_card import MARK, CardFacts, front_matter, read_facts, render_card, write_card
from tests.hub_server import WRITE_TOKEN

METRIC = {
    "value": 0.0123456,
    "std": 0.001,
    "num_real": 500,
    "num_fake": 480,
    "extractor": "random_conv",
    "extractor_sha256": "abcdef0123456789",
    "resolution": 64,
    "truncation_psi": 1.0,
}
CONFIG = {"loss": "relativistic", "r1_gamma": 0.2, "dataset_name": "fairface128", "batch_size": 32}


@pytest.fixture
def folder(tmp_path) -> Path:
    def write(name: str, content: object) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")

    write("generator/config.json", {"resolution": 64, "z_dim": 128, "w_dim": 128, "c_dim": 0})
    save_file({"a": np.zeros((1000, 10), np.float32)}, tmp_path / "generator/one.safetensors")
    save_file(
        {"b": np.zeros(234_567, np.float32), "c": np.zeros((), np.float32)}, tmp_path / "generator/two.safetensors"
    )
    write("metadata.json", {"name": "faces", "credit": "Trained on <FairFace> (K. & J., 2021)", "license": "CC BY 4.0"})
    training = {"images_seen": 1_234_567, "images_seen_before": 765_432, "config": CONFIG}
    write("training.json", training | {"hardware": {"device": "cuda", "name": "H200"}})
    write("metrics.json", {"nimg": 1_234_567, "verdict": "healthy", "metrics": {"kid_random_conv": METRIC}})
    write("samples/seeds.png", 0)
    return tmp_path


def body_and_front(card: str) -> tuple[str, dict]:
    _, front, body = card.split("---\n", 2)
    return body, yaml.safe_load(front)


def test_the_card_tells_everything_that_the_folder_knows(folder):
    body, front = body_and_front(write_card(folder, "user/faces").read_text(encoding="utf-8"))
    assert front["license"] == "cc-by-4.0" and front["library_name"] == "gan_space"
    assert front["pipeline_tag"] == "unconditional-image-generation" and "gan" in front["tags"]
    assert "datasets" not in front  # fairface128 is a folder, not a data set on the Hub
    for part in (
        *("# user/faces", "0.24 million", "64 x 64 px", 'from_pretrained("user/faces")', "GAN_SPACE_MODEL=user/faces"),
        *("Trained on &lt;FairFace&gt; (K. &amp; J., 2021)", "Licence: CC BY 4.0", "`fairface128`"),
        *("1,234,567", "765,432", "cuda, H200", "| loss | relativistic |", "| r1_gamma | 0.2 |"),
        "| `kid_random_conv` | 0.012346 ± 0.001 | 500 | 480 | random_conv abcdef01 | 64 | 1.0 |",
        *("after 1,234,567 images", "healthy", "![seeds](samples/seeds.png)"),
        *("Adults only", "named person", "is generated", "consent", "## Limits", "## Intended use"),
    ):
        assert part in body, part


def test_the_same_folder_gives_the_same_card(folder):
    first = write_card(folder, "user/faces").read_bytes()
    assert write_card(folder, "user/faces").read_bytes() == first
    assert b"user/other" in write_card(folder, "user/other").read_bytes()


def test_a_card_made_by_hand_is_kept(folder):
    card = write_card(folder)
    card.write_text(card.read_text().replace(MARK, "") + "My own words.", encoding="utf-8")
    before = card.read_bytes()
    assert write_card(folder, "user/faces").read_bytes() == before


def test_what_the_folder_does_not_say_is_not_made_up(folder):
    for name in ("metadata.json", "training.json", "metrics.json", "samples/seeds.png"):
        (folder / name).unlink()
    body, front = body_and_front(write_card(folder).read_text(encoding="utf-8"))
    assert front["license"] == "unknown"
    for part in ("has not said whose pictures", "No licence is stated", "does not record how", "Not measured"):
        assert part in body, part
    assert "![" not in body


@pytest.mark.parametrize(
    ("license_name", "expected"),
    [
        ("CC BY 4.0", {"license": "cc-by-4.0"}),
        ("CC0-1.0", {"license": "cc0-1.0"}),
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("My lab's: own\nlicence", {"license": "other", "license_name": "my-lab-s-own-licence"}),
        ("", {"license": "unknown"}),
    ],
)
def test_the_hub_takes_the_front_matter_of_every_licence(hub, license_name, expected):
    facts = CardFacts(name='a: "name" # --- x', metadata={"license": license_name})
    front = front_matter(facts).to_dict()
    assert {key: front.get(key) for key in ("license", "license_name")} == {"license_name": None, **expected}
    api = HfApi(token=WRITE_TOKEN)
    api._validate_yaml(render_card(facts))
    with pytest.raises(ValueError, match="license"):
        api._validate_yaml("---\nlicense: my own\n---\n")


def test_networks_name_whose_answers_they_learned(folder):
    for name, record in (("identity", {"teacher": "somebody's network (CC0)"}), ("encoder", {"faces_seen": 3})):
        (folder / name).mkdir()
        (folder / name / "training.json").write_text(json.dumps(record))
    card = render_card(read_facts(folder))
    assert "`identity/` learned, on such pictures, from somebody's network (CC0)." in card
    assert "`encoder/`" not in card


@pytest.mark.parametrize(
    ("kind", "judged"), [("stylegan", None), ("both", "judged, too, by what"), ("projected", "judged by what")]
)
def test_a_generator_names_the_network_that_judged_it(folder, kind, judged):
    record = json.loads((folder / "training.json").read_text())
    record["config"] |= {"discriminator": kind, "projected_features": "efficientnet"}
    (folder / "training.json").write_text(json.dumps(record))
    card = write_card(folder).read_text()
    named = f"`generator/` was {judged} an EfficientNet-Lite0 (Apache-2.0, trained on ImageNet) sees"
    assert (named in card, "judged" in card) == (judged is not None,) * 2
    assert f"| discriminator | {kind} |" in card


def test_a_data_set_on_the_hub_is_linked(folder):
    training = {"config": {"dataset_name": "HuggingFaceM4/FairFace"}}
    (folder / "training.json").write_text(json.dumps(training))
    assert front_matter(read_facts(folder)).datasets == ["HuggingFaceM4/FairFace"]


def test_a_folder_that_is_no_model_is_refused(folder):
    (folder / "generator/config.json").unlink()
    with pytest.raises(WeightsError, match=r"has no config\.json"):
        write_card(folder)
    (folder / "generator/config.json").write_text("{}")
    (folder / "metrics.json").write_text("[]")
    with pytest.raises(WeightsError, match="must hold a JSON object, got list"):
        write_card(folder)
    (folder / "metrics.json").unlink()
    (folder / "generator/one.safetensors").write_bytes(b"short")
    with pytest.raises(WeightsError, match=r"one\.safetensors cannot be read"):
        write_card(folder)
