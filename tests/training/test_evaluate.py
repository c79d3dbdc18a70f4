from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from gan_space import Discriminator, GenerationPipeline, Generator
from gan_space.errors import ConfigError, DataError, InputError
from gan_space.images import from_uint8, to_uint8
from gan_space.metrics.distances import frechet_distance, precision_recall
from gan_space.metrics.features import FeatureExtractor, random_conv_extractor, weights_sha256
from gan_space.metrics.swd import sliced_wasserstein
from gan_space.output.provenance import read_provenance
from gan_space.seeding import latents_from_seeds
from training.evaluate import EvaluateConfig, format_table, main
from training.measure import Reals, evaluate_generator, sample, sample_seeds, scalars, shrink

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FACES = ROOT / "tests" / "data" / "fairface64.parquet"


def tiny_generator(resolution: int = 16, c_dim: int = 0) -> Generator:
    torch.manual_seed(0)
    sizes = {"z_dim": 8, "w_dim": 8, "channel_base": 64, "channel_max": 8, "num_mapping_layers": 2}
    return Generator(resolution=resolution, c_dim=c_dim, **sizes).eval()


def random_images(count: int, side: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


class CountingExtractor(torch.nn.Module):
    """Counts the images that pass through it."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += len(images)
        return images.flatten(1)[:, :12]


@pytest.fixture(scope="module")
def dataset_folder(tmp_path_factory) -> Path:
    """48 training and 16 test portraits."""
    folder = tmp_path_factory.mktemp("faces")
    table = pq.read_table(FACES)
    pq.write_table(table.slice(0, 48), folder / "train.parquet")
    pq.write_table(table.slice(48), folder / "test.parquet")
    return folder


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_generator(32).save_pretrained(folder / "generator")
    torch.manual_seed(1)
    Discriminator(resolution=32, channel_base=128, channel_max=8).save_pretrained(folder / "discriminator")
    return folder


def test_every_number_stands_beside_what_it_depends_on():
    generator, extractor = tiny_generator(), random_conv_extractor()
    reals = Reals(random_images(30), heldout=random_images(12, seed=1))
    report = evaluate_generator(
        generator, reals, num_images=20, seed=3, extractor=extractor, truncation_psi=0.7, batch_size=7
    )
    names = set(report["metrics"])
    suffixes = ["fd", "kid", "precision", "recall", "density", "coverage", "copy_ratio", "copy_share"]
    assert {f"{suffix}_random_conv" for suffix in suffixes} <= names
    assert {"swd_16", "swd_mean", "diversity", "duplicate_rate", "fd_random_conv_of_heldout"} <= names
    assert not any(name.startswith("fid") for name in names)
    for name, record in report["metrics"].items():
        assert record["seed"] == 3 and record["resolution"] == 16 and record["truncation_psi"] == 0.7
        assert record["model_sha256"] == weights_sha256(generator)
        assert record["num_real"] == (30 if name.startswith("copy") else 20)
        assert record.get("num_fake", 20) == 20 and record.get("num_heldout", 12) == 12
        if "random_conv" in name:
            assert (record["extractor"], record["extractor_sha256"]) == ("random_conv", extractor.sha256)
    assert json.loads(json.dumps(report)) == report
    assert set(scalars(report)) == names
    table = format_table(report)
    assert all(name in table for name in names) and "N real" in table


def test_numbers_are_those_of_the_metric_functions():
    generator, extractor = tiny_generator(), random_conv_extractor()
    images = random_images(25)
    report = evaluate_generator(generator, Reals(images), num_images=20, extractor=extractor)
    with torch.no_grad():
        fakes = to_uint8(generator(latents_from_seeds(range(20), 8), truncation_psi=1.0, noise_mode="const"))
    values = scalars(report)
    real, fake = extractor(images[:20]), extractor(fakes)
    assert values["fd_random_conv"] == pytest.approx(frechet_distance(real, fake), rel=1e-3)
    assert values["recall_random_conv"] == pytest.approx(precision_recall(real, fake).recall)
    assert values["swd_mean"] == pytest.approx(sliced_wasserstein(images[:20], fakes)["mean"], rel=1e-3)
    assert not any("heldout" in name or "copy" in name for name in values)


def test_reals_are_measured_once_and_results_repeat():
    module = CountingExtractor()
    extractor = FeatureExtractor("counting", module, "0" * 64, 12)
    reals = Reals(random_images(30), heldout=random_images(10, seed=1))
    generator = tiny_generator()
    first = evaluate_generator(generator, reals, num_images=20, extractor=extractor)
    assert module.seen == 30 + 10 + 20
    second = evaluate_generator(generator, reals, num_images=20, extractor=extractor)
    assert module.seen == 30 + 10 + 20 + 20
    assert first == second
    fresh = evaluate_generator(generator, Reals(reals.images, reals.heldout), num_images=20, extractor=extractor)
    assert fresh == first
    other = evaluate_generator(generator, reals, num_images=20, seed=1, extractor=extractor)
    assert scalars(other)["fd_counting"] != scalars(first)["fd_counting"]


def test_evaluation_leaves_generator_and_random_numbers_as_training_needs_them():
    generator = tiny_generator()
    before = weights_sha256(generator)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    evaluate_generator(generator, Reals(random_images(10)), num_images=10, extractor=random_conv_extractor())
    assert weights_sha256(generator) == before
    assert torch.get_rng_state().equal(torch_state) and (np.random.get_state()[1] == numpy_state).all()
    generator(torch.randn(2, 8)).sum().backward()
    assert generator.synthesis.b4.const.grad is not None


def test_a_generator_of_training_images_is_found_out():
    generator, extractor = tiny_generator(32), random_conv_extractor()
    seeds = sample_seeds(0, 20)
    train = random_images(40, 32)
    train[10:30] = sample(generator, seeds)
    reals = Reals(train, heldout=random_images(30, 32, seed=5))
    report = evaluate_generator(generator, reals, num_images=20, extractor=extractor)
    values = scalars(report)
    assert values["copy_ratio_random_conv"] < 0.01 and values["copy_share_random_conv"] == 1.0
    assert all(pair["train_index"] == 10 + pair["seed"] for pair in report["neighbours"])


def test_samples_do_not_depend_on_batch_size_and_conditional_ones_need_labels():
    generator = tiny_generator()
    seeds = sample_seeds(1, 5)
    assert seeds == [1_000_000, 1_000_001, 1_000_002, 1_000_003, 1_000_004]
    a, b = sample(generator, seeds), sample(generator, seeds, batch_size=2)
    assert (a.int() - b.int()).abs().max() <= 1
    conditional = tiny_generator(c_dim=2)
    with pytest.raises(ConfigError, match="takes labels"):
        sample(conditional, seeds)
    labels = torch.eye(2)
    both = sample(conditional, [7, 7, 7], labels=labels, batch_size=2)
    assert both[0].equal(both[2]) or (both[0].int() - both[2].int()).abs().max() <= 1
    reals = Reals(random_images(12), labels=labels.repeat(6, 1))
    report = evaluate_generator(conditional, reals, num_images=10, extractor=random_conv_extractor())
    assert scalars(report)["fd_random_conv"] > 0


def test_rejection_replaces_the_pictures_that_the_pipeline_would():
    pipe = GenerationPipeline.from_pretrained()
    seeds = [20036, 20164, 20247]  # the last one is broken
    plain, accepted = (
        sample(pipe.generator, seeds, landmarker=landmarker, batch_size=2) for landmarker in (None, pipe.landmarker)
    )
    assert [not torch.equal(*pair) for pair in zip(plain, accepted, strict=True)] == [False, False, True]
    expected = pipe(seeds=seeds, truncation_psi=1.0, rejection_sampling=True, output_type="pt").images
    assert (accepted.float() - to_uint8(expected).float()).abs().max() <= 1


def test_shrinking_averages_and_keeps_equal_sizes():
    images = random_images(3, 32)
    assert shrink(images, 32) is images
    flat = torch.full((2, 3, 32, 32), 77, dtype=torch.uint8)
    assert (shrink(flat, 16).int() - 77).abs().max() <= 1
    ramp = (torch.arange(32) * 8).to(torch.uint8).expand(1, 3, 32, 32)
    expected = from_uint8(ramp)[..., 4:-4].view(1, 3, 32, 12, 2).mean(-1)  # a ramp stays one away from the borders
    torch.testing.assert_close(from_uint8(shrink(ramp, 16))[..., 2:-2], expected[:, :, ::2], atol=0.02, rtol=0)


def test_reals_are_drawn_by_seed_without_repeats():
    dataset = [(torch.full((3, 16, 16), index, dtype=torch.uint8), torch.tensor([float(index)])) for index in range(20)]
    reals = Reals.from_datasets(dataset, dataset[:5], num_images=8, seed=1, use_labels=True)
    drawn = reals.images[:, 0, 0, 0].tolist()
    assert len(set(drawn)) == 8 and reals.labels[:, 0].tolist() == drawn and len(reals.heldout) == 5
    again = Reals.from_datasets(dataset, num_images=8, seed=1)
    assert again.images.equal(reals.images) and again.heldout is None
    assert not Reals.from_datasets(dataset, num_images=8, seed=2).images.equal(reals.images)
    with pytest.raises(DataError, match="got 1"):
        Reals.from_datasets(dataset[:1], num_images=8)


def test_images_to_compare_with_are_drawn_by_weights_and_the_others_are_kept_for_copies():
    dataset = [(torch.full((3, 16, 16), index, dtype=torch.uint8), 0) for index in range(40)]
    weights = np.where(np.arange(40) < 4, 5.0, 5 / 9)  # four rare ones, to be half of what is compared with
    reals = Reals.from_datasets(dataset, num_images=40, seed=3, weights=weights, num_weighted=8)
    drawn = reals.images[:, 0, 0, 0]
    assert (drawn[:8] < 4).sum() == 4
    assert sorted(drawn.tolist()) == list(range(40))
    with pytest.raises(DataError, match="at most 8 can be drawn"):
        Reals.from_datasets(dataset, num_images=40, weights=weights, num_weighted=9)


def test_unusable_input_is_refused():
    generator, extractor = tiny_generator(), random_conv_extractor()
    with pytest.raises(InputError, match="10 images or more, got 20 fake and 4 real"):
        evaluate_generator(generator, Reals(random_images(4)), num_images=20, extractor=extractor)
    with pytest.raises(InputError, match="cannot measure at 32 px"):
        evaluate_generator(generator, Reals(random_images(20, 32)), num_images=20, extractor=extractor)
    with pytest.raises(InputError, match="do not fit training images"):
        Reals(random_images(20), heldout=random_images(5, 32))
    with pytest.raises(ConfigError, match=r"(?s)num_images.*batch_size.*does not exist"):
        EvaluateConfig("m", "d", num_images=2, batch_size=0, output=Path("no/such/folder/file.json")).check()
    with pytest.raises(ConfigError, match="one file, with no held-out images"):
        EvaluateConfig("m", str(FACES)).check()


def test_script_writes_table_json_and_labelled_sheet(dataset_folder, model_folder, tmp_path, capsys):
    output, sheet = tmp_path / "metrics.json", tmp_path / "sheet.png"
    flags = (
        f"--model {model_folder} --dataset_name {dataset_folder} --num_images 20 --output {output} --neighbours {sheet}"
    )
    assert main(flags.split()) == 0
    said, progress = capsys.readouterr()
    assert "fd_random_conv" in said and "32 px, seed 0" in said
    assert "reading 48 training images, 16 held-out ones" in progress
    report = json.loads(output.read_text())
    record = report["metrics"]["fd_random_conv"]
    assert (record["num_real"], record["num_fake"], record["resolution"]) == (20, 20, 32)
    assert report["metrics"]["copy_ratio_random_conv"]["num_real"] == 48
    assert len(report["neighbours"]) == 20
    with Image.open(sheet) as picture:
        assert picture.size == (8 * 32, 5 * 32)  # 20 pairs, four a row
    assert read_provenance(sheet).recipe["model_sha256"] == record["model_sha256"]


def test_script_measures_lower_resolutions_and_other_features(dataset_folder, model_folder, tmp_path, capsys):
    output = tmp_path / "metrics.json"
    common = ["--model", str(model_folder), "--dataset_name", str(dataset_folder), "--num_images", "20"]
    assert main([*common, "--resolution", "16", "--heldout_split", "None", "--output", str(output)]) == 0
    metrics = json.loads(output.read_text())["metrics"]
    assert metrics["swd_mean"]["resolution"] == 16 and "swd_32" not in metrics
    assert main([*common, "--features", f"discriminator:{model_folder}"]) == 0
    assert "fd_discriminator" in capsys.readouterr().out


def test_script_compares_with_a_balanced_draw(dataset_folder, model_folder, tmp_path):
    flags = ["--model", str(model_folder), "--dataset_name", str(dataset_folder), "--num_images", "12"]
    assert main([*flags, "--balance_column", "age_group", "--output", str(tmp_path / "balanced.json")]) == 0
    assert main([*flags, "--output", str(tmp_path / "plain.json")]) == 0
    balanced, plain = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("balanced", "plain"))
    assert balanced["balance"] == {"column": "age_group", "power": 0.5} and "balance" not in plain
    fd = "fd_random_conv"
    assert balanced["metrics"][fd]["value"] != plain["metrics"][fd]["value"]
    assert f"{fd}_of_heldout" in plain["metrics"] and f"{fd}_of_heldout" not in balanced["metrics"]
    assert balanced["metrics"]["copy_ratio_random_conv"]["num_real"] == 48


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--model": "missing_folder"}, "missing_folder"),
        ({"--balance_column": "nothing"}, "nothing"),
        ({"--resolution": "64"}, "from 16 to the model's 32 px"),
        ({"--features": "vgg"}, "random_conv, efficientnet, discriminator:FOLDER"),
        ({"--heldout_split": "validation"}, "--heldout_split None"),
        ({"--num_images": "3"}, "num_images must be 10 or more"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(dataset_folder, model_folder, capsys, change, message):
    flags = {"--model": str(model_folder), "--dataset_name": str(dataset_folder), "--num_images": "20"} | change
    assert main([part for flag in flags.items() for part in flag]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert len(error.strip().splitlines()) == 1
