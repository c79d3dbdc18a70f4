"""The measurement of profiles: its numbers on made-up embeddings, and the scripts on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from gan_space.errors import ConfigError, DataError
from gan_space.models.analyzer import Analyzer
from gan_space.models.face_identity import FaceIdentity
from gan_space.packs.identity import IdentityPack
from gan_space.pipelines.personalization import PersonalizationPipeline
from tests.pipelines.styling import make_networks
from tests.pipelines.test_personalization import make_directions
from training.identity.intruders import intruder_rates
from training.packs import evaluate_person, train_person
from training.packs.evaluate_person import EvaluateIdentityConfig, choose_people, similarity, summarise, to_markdown

pytestmark = pytest.mark.slow

DATA = Path(__file__).resolve().parents[2] / "data"


def unit(rows: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(rows, dim=1)


def made_up_people(likeness: float) -> list[dict[str, torch.Tensor]]:
    """Four people far apart; what is drawn of them lies `likeness` of the way from a common face to their own."""
    random = torch.Generator().manual_seed(0)
    people = []
    for number in range(4):
        own, common = torch.eye(8)[number], torch.eye(8)[7]

        def near(middle, count):
            return unit(middle + 0.05 * torch.randn(count, 8, generator=random))

        mixed = likeness * own + (1 - likeness) * common
        kinds = {"photos": near(own, 5), "held_out": near(own, 3), "generated": near(mixed, 6)}
        people.append(kinds | {"random": near(common, 6), "untuned": near(common, 6), "reconstructed": near(own, 5)})
    return people


def test_similarity_is_every_pair():
    one, other = unit(torch.randn(3, 8)), unit(torch.randn(2, 8))
    by_hand = [float((a.double() * b.double()).sum()) for a in one for b in other]
    np.testing.assert_allclose(similarity(one, other), by_hand)


def test_a_summary_tells_good_profiles_from_bad_ones():
    good, bad = (summarise(made_up_people(likeness), threshold=0.5) for likeness in (0.9, 0.0))
    assert good["likeness"]["photos"]["mean"] > 0.9 and abs(good["likeness"]["others"]["mean"]) < 0.1
    assert good["likeness"]["generated"]["share"] == 1 and bad["likeness"]["generated"]["share"] == 0
    for kind in ("random", "untuned", "others"):
        gain = good["gains"][kind]
        assert gain["low"] > 0.5 and gain["better"] == 1 and gain["low"] <= gain["mean"] <= gain["high"]
        assert bad["gains"][kind]["mean"] < 0.1
    assert good["gains"]["reconstructed"]["mean"] < 0  # what is copied is more alike than what is drawn
    assert abs(good["strangers"]["rise_mean"]) < 0.1 and good["strangers"]["share_generated"] == 0
    assert "nearest" not in good["likeness"]


def test_a_profile_that_looks_like_somebody_else_is_noticed():
    people = made_up_people(0.9)
    people[0]["generated"] = people[1]["generated"]
    strangers = summarise(people, threshold=0.5)["strangers"]
    assert strangers["rise_largest"] > 0.8 and strangers["share_generated"] == pytest.approx(1 / 12)
    assert strangers["share_photos"] == 0
    # Of A's real pictures nobody would think that: the whole rise is the profile's.
    assert strangers["excess_largest"] == pytest.approx(strangers["rise_largest"], abs=0.2)
    assert strangers["excess_low"] <= strangers["excess_mean"] <= strangers["excess_high"]


def test_a_strangers_photo_is_found_as_often_as_embeddings_tell_people_apart():
    random = torch.Generator().manual_seed(1)
    person = torch.tensor([0, 1, 2] * 8 + [-1] * 5)
    for spread, found in ((0.1, 1.0), (5.0, 0.0)):
        embeddings = unit(torch.eye(8)[person] + spread * torch.randn(29, 8, generator=random))
        rates = intruder_rates(embeddings, person, num_photos=5, margins=(0.2, 2.0), rounds=40)
        assert rates["0.2"]["found"] == pytest.approx(found, abs=0.25)
        assert rates["2"] == {"found": 0, "refused": 0}
        assert spread > 1 or rates["0.2"]["refused"] == 0
    assert intruder_rates(embeddings, person, num_photos=9) == {}


def test_people_with_most_pictures_are_chosen_and_no_picture_serves_twice():
    person = torch.tensor([0] * 3 + [1] * 9 + [-1] * 20 + [2] * 6 + [3] * 7)
    config = EvaluateIdentityConfig("x", num_people=3, num_photos=4, min_held_out=2)
    people = choose_people(person, config)
    assert [one.number for one in people] == [1, 3, 2]
    for one in people:
        assert len(one.photos) == 4 and not set(one.photos) & set(one.held_out)
        assert set(one.photos + one.held_out) == set(torch.nonzero(person == one.number).flatten().tolist())
    assert people == choose_people(person, config)
    with pytest.raises(DataError, match="1 people with 9 pictures"):
        choose_people(person, EvaluateIdentityConfig("x", num_photos=7, min_held_out=2))
    with pytest.raises(ConfigError, match="3 problems"):
        EvaluateIdentityConfig("x", num_people=1, num_photos=30, beyond=1).check()


@pytest.fixture(scope="module")
def model(aligner, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    generator, encoder = make_networks()
    torch.manual_seed(0)
    identity = FaceIdentity(resolution=32, width=4, embedding_dim=8).eval()
    person = PersonalizationPipeline(generator, encoder, aligner, identity)
    person.directions = make_directions(generator)
    person.save_pretrained(folder)
    Analyzer(width=4, features_dim=16, embedding_dim=8).save_pretrained(folder / "analyzer")
    return folder


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> str:
    """Sixty-four faces under the names of five people; which face belongs to whom means nothing here."""
    table = datasets.Dataset.from_parquet(str(DATA / "fairface64.parquet"), cache_dir=str(tmp_path_factory.mktemp("c")))
    table = table.add_column("identity", [f"person {index % 5}" if index < 30 else None for index in range(64)])
    file = tmp_path_factory.mktemp("people") / "test.parquet"
    table.to_parquet(str(file))
    return str(file)


def test_the_script_writes_numbers_tables_and_a_sheet_and_goes_on(tmp_path, model, people, capsys):
    arguments = ["--dataset_name", people, "--model", str(model), "--output_dir", str(tmp_path / "run")]
    arguments += ["--framing", "tight", "--split", "test", "--num_photos", "3", "--min_held_out", "2"]
    arguments += ["--num_generated", "4", "--num_steps", "2", "--rank", "1"]
    assert evaluate_person.main([*arguments, "--num_people", "2"]) == 0
    first = json.loads((tmp_path / "run" / "identity.json").read_text())
    assert set(first["likeness"]) == {"photos", "generated", "untuned", "reconstructed", "others", "random"}
    assert first["num_people"] == 2 and {"psnr", "diversity_generated", "edit_smile_profile"} <= set(first["numbers"])
    assert (tmp_path / "run" / "identity.md").read_text() == to_markdown(first)
    weak, strong = (to_markdown(first | {"eer": rate}) for rate in (0.4, 0.01))
    assert "The judge is weak" in weak and "one in 2.5 pairs" in weak and "judge" not in strong
    files = {path: path.read_bytes() for path in (tmp_path / "run").glob("person-*")}
    assert len(files) == 4 and (tmp_path / "run" / "sheet.png").is_file()

    assert evaluate_person.main([*arguments, "--num_people", "3"]) == 0
    assert all(path.read_bytes() == content for path, content in files.items())  # not measured again
    assert json.loads((tmp_path / "run" / "identity.json").read_text())["num_people"] == 3
    capsys.readouterr()
    assert evaluate_person.main([*arguments, "--num_people", "3", "--seed", "5"]) == 2
    assert "--seed" in capsys.readouterr().err


def test_the_pack_script_writes_a_profile(tmp_path, model, capsys):
    photos = [str(DATA / "samples" / name) for name in ("woman-lake.jpg", "woman-park.jpg")]
    arguments = ["--output_dir", str(tmp_path / "me"), "--model", str(model), "--whose_face", "a woman"]
    arguments += ["--agreed_by", "herself", "--tune.num_steps", "2", "--tune.rank", "2", "--tune.num_random", "2"]
    assert train_person.main(["--photos", *photos, *arguments]) == 0
    pack = IdentityPack.from_pretrained(tmp_path / "me")
    assert (
        pack.num_photos == 2
        and pack.training["settings"]["num_random"] == 2
        and "step 2 of 2" in capsys.readouterr().out
    )
    assert train_person.main(["--photos", "gone.jpg", *arguments]) == 2
    assert "gone.jpg does not exist" in capsys.readouterr().err
