"""The script as a user starts it: it trains, is killed, resumes bit for bit, refuses what it cannot continue."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from gan_space import GenerationPipeline
from gan_space.errors import ConfigError
from gan_space.output.provenance import read_provenance
from tests.training.full_disk import full_disk
from tests.training.in_process import train_script
from tests.training.killing import kill_at
from tests.warm import PATIENCE_SEC, Script, free_port
from training.checkup import Checkup
from training.common.claim import claim_run
from training.common.tables import open_table
from training.config import PRESETS, TrainConfig
from training.steps import discriminator_step

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FACES = str(ROOT / "tests" / "data" / "fairface64.parquet")
ACCELERATE = str(Path(sys.executable).parent / "accelerate")
LAUNCH_ON_CPU = shlex.split("--num_machines 1 --mixed_precision no --dynamo_backend no --main_process_port 0")
SMALL = shlex.split(
    "--resolution 16 --z_dim 8 --w_dim 8 --channel_base 128 --channel_max 8 --batch_size 8 --total_kimg 0.128 "
    "--checkpoint_kimg 0.032 --sample_kimg 0.064 --eval_kimg 0.064 --eval_images 32 --loss relativistic --r2_gamma "
    "0.1 --r1_interval 2 --style_mixing_prob 0.5 --path_length_weight 1 --augment adaptive --augment_speed_kimg 1 "
    "--lr_start 4 --beta2_start 0.9 --r1_gamma_start 0.5 --ramp_kimg 0.1"
)

UNJUDGED = ("--eval_kimg", "0")  # for runs whose judgement is not the subject


def command(output_dir: Path, *flags: str) -> list[str]:
    script = [sys.executable, str(ROOT / "training" / "train.py"), "--preset", "tiny", "--dataset_name", FACES]
    return [*script, *SMALL, "--output_dir", str(output_dir), *flags]


def environment(**extra: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "HF_HUB_OFFLINE": "1", **extra}


def weights(output_dir: Path, nimg: int = 128) -> dict[str, torch.Tensor]:
    checkpoint = output_dir / "checkpoints" / f"nimg-{nimg:09d}"
    return {
        f"{file.stem}/{key}": tensor
        for file in sorted(checkpoint.glob("*.safetensors"))
        for key, tensor in load_file(file).items()
    }


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    with train_script() as start:
        assert start(command(folder)).returncode == 0
    return folder


def test_a_run_leaves_what_it_should(whole_run):
    names = {path.name for path in whole_run.iterdir()}
    assert {"config.json", "metrics.jsonl", "tensorboard", "samples", "checkpoints", "export"} <= names
    lines = [json.loads(line) for line in (whole_run / "metrics.jsonl").read_text().splitlines()]
    assert [line["nimg"] for line in lines] == [64, 64, 128, 128]
    verdicts = [line["verdict"] for line in lines if "verdict" in line]
    assert len(verdicts) == 2
    report = json.loads((whole_run / "metrics.json").read_text())
    assert (report["nimg"], report["verdict"]) == (128, verdicts[1])
    assert report["metrics"]["kid_random_conv"]["num_fake"] == 32
    assert {"loss_g", "loss_d", "r1", "r2", "path_length", "augment_p", "images_per_sec"} <= set().union(*lines)
    assert {f.name for f in (whole_run / "samples").iterdir()} >= {"nimg-000000064.png", "nimg-000000128.png"}
    assert list((whole_run / "tensorboard").iterdir())
    labels = {file.name: read_provenance(file) for file in (whole_run / "samples").iterdir()}
    assert labels.pop("reals.png") is None
    assert len(labels) == 2 and all(label.is_ai_made for label in labels.values())
    assert labels["nimg-000000064.png"].recipe["images_seen"] == 64


def test_the_export_opens_in_the_pipeline(whole_run):
    out = GenerationPipeline.from_pretrained(whole_run / "export")(seeds=[1, 2])
    assert [picture.size for picture in out.images] == [(16, 16)] * 2
    ema = load_file(whole_run / "checkpoints" / "nimg-000000128" / "ema.safetensors")
    pipe = GenerationPipeline.from_pretrained(whole_run / "export")
    assert torch.equal(pipe.generator.synthesis.b16.conv1.weight, ema["synthesis.b16.conv1.weight"])


def test_killed_while_writing_a_checkpoint_it_ends_in_the_same_weights(whole_run, tmp_path, in_process):
    folder = tmp_path / "killed"
    _, script, *arguments = command(folder)
    kill_at("open", ".partial-000000096/state.json", Path(script), arguments, **environment())
    result = in_process(command(folder))
    assert result.returncode == 0, result.stderr
    assert "resuming at" in result.stdout + result.stderr
    assert_same(weights(whole_run), weights(folder))
    lines = [json.loads(line)["nimg"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert lines == [64, 64, 128, 128]


def test_while_the_discriminator_catches_up_the_generator_stays(whole_run, tmp_path, in_process):
    folder = tmp_path / "warm"
    result = in_process(command(folder, "--init_from", str(whole_run), "--d_warmup_kimg", "1", *UNJUDGED))
    assert result.returncode == 0, result.stderr
    before, after = weights(whole_run), weights(folder)
    moved = {key.split("/")[0] for key in before.keys() & after.keys() if not torch.equal(before[key], after[key])}
    assert "discriminator" in moved and "generator" not in moved


def test_its_launcher_ended_it_saves_and_the_same_command_goes_on(tmp_path, in_process):
    """SIGTERM to `accelerate launch`, which passes nothing on: within one step the run has saved and let go."""
    folder = tmp_path / "stopped"
    launched = [ACCELERATE, "launch", "--num_processes", "1", *LAUNCH_ON_CPU, *command(folder)[1:]]
    reader, writer = os.pipe()
    launcher = subprocess.Popen([*launched, "--total_kimg", "50"], env=environment(), stdout=writer, stderr=writer)
    os.close(writer)
    wait_for(folder / "samples" / "nimg-000000064.png", launcher)
    second = in_process(command(folder, "--total_kimg", "50"))
    assert second.returncode == 2 and f"another run is working in {folder} (process " in second.stderr
    launcher.terminate()
    launcher.wait()
    with os.fdopen(reader) as pipe:
        output = pipe.read()  # ends when the run has ended, too
    assert "told to stop: saved at" in output and "Traceback" not in output
    saved = newest_nimg(folder)
    lines = [json.loads(line)["nimg"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert set(lines[:2]) == {64} and not [file for file in folder.rglob("*") if "partial" in file.name]
    assert not (folder / "export").exists()
    result = in_process(command(folder, "--total_kimg", str((saved + 8) / 1000)))
    assert result.returncode == 0, result.stderr
    assert "resuming at" in result.stdout and newest_nimg(folder) == saved + 8 and (folder / "export").exists()


def wait_for(file: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE_SEC
    while not file.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


def newest_nimg(folder: Path) -> int:
    return max(int(path.name.removeprefix("nimg-")) for path in (folder / "checkpoints").iterdir())


def test_a_fault_in_the_evaluation_of_a_small_data_set_loses_nothing(in_process, tmp_path, monkeypatch):
    """11 pictures to train on and 5 held out are no whole groups of the minibatch statistics."""
    table = pq.read_table(FACES)
    pq.write_table(table.slice(0, 11), tmp_path / "train.parquet")
    pq.write_table(table.slice(11, 5), tmp_path / "test.parquet")
    flags = command(tmp_path / "run", "--total_kimg", "0.064", "--dataset_name", str(tmp_path), "--no_horizontal_flip")
    with monkeypatch.context() as patch:
        patch.setattr(Checkup, "visit", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            in_process(flags)
    assert newest_nimg(tmp_path / "run") == 64
    result = in_process(flags)
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["nimg"] for line in lines] == [64, 64] and "loss_g" in lines[0] and "verdict" in lines[1]
    assert (tmp_path / "run" / "export" / "generator").is_dir()


def test_a_full_disk_is_one_line(in_process, tmp_path):
    open_table(FACES)  # fills the cache of `datasets`, which is not what fails here
    with full_disk(6_000):
        result = in_process(command(tmp_path / "run"))
    error = result.stderr
    assert result.returncode == 1
    (line,) = [line for line in error.splitlines() if line.startswith("error: ")]
    assert str(tmp_path / "run") in line and "File too large; make room there" in line
    assert "Traceback" not in error and error.rstrip().endswith(line)


def test_other_settings_are_refused(whole_run, in_process):
    result = in_process(command(whole_run, "--r1_gamma", "9", "--g_lr", "0.1"))
    assert result.returncode == 2
    assert "--r1_gamma: 0.05 -> 9" in result.stderr
    assert "--g_lr: 0.0025 -> 0.1" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_run_of_an_earlier_version_goes_on(tmp_path):
    """It knows nothing of settings that came later; what they default to is what it did."""
    config = dataclasses.replace(PRESETS["tiny"], output_dir=str(tmp_path))
    claim_run(tmp_path, config, ())
    file = tmp_path / "config.json"
    settings = json.loads(file.read_text())
    del settings["g_eps"]
    file.write_text(json.dumps(settings))
    claim_run(tmp_path, config, ())
    file.write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match=r"--g_eps: 1e-08 -> 0\.01"):
        claim_run(tmp_path, dataclasses.replace(config, g_eps=0.01), ())


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0])
def test_no_setting_is_a_number_that_trains_nothing(number):
    wrong = ("g_lr", "d_lr", "g_eps", "lr_start", "r1_gamma", "ramp_kimg", "lr_warmup_kimg", "total_kimg", "beta1")
    with pytest.raises(ConfigError) as caught:
        TrainConfig(dataset_name="user/faces", output_dir="never", **dict.fromkeys(wrong, number))
    for name in wrong:
        assert f"--{name} must be" in str(caught.value), name


def test_adam_takes_no_momentum_of_one():
    with pytest.raises(ConfigError, match=r"--beta2 must be from 0 to below 1, got 1\.0"):
        TrainConfig(dataset_name="user/faces", output_dir="never", beta2=1.0)


def test_bad_flags_are_all_named_before_anything_starts(tmp_path, in_process):
    folder = tmp_path / "never"
    flags = ["--resolution", "48", "--loss", "magic", "--batch_size", "0", "--dataset_name", "./nowhere"]
    flags += ["--streaming", "--balance_column", "age_group"]
    result = in_process(command(folder, *flags))
    assert result.returncode == 2
    for word in ("power of two", "magic", "--batch_size", "./nowhere", "does not go with"):
        assert word in result.stderr
    assert "Traceback" not in result.stderr
    assert not folder.exists()


@pytest.mark.parametrize("dry", [[], ["--dry_run"]], ids=["run", "dry run"])
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--image_column", "mood"], "no column 'mood'"),
        (["--label_column", "mood"], "no column 'mood'"),
        (["--balance_column", "mood"], "no column 'mood'"),
        (["--init_from", "nowhere"], "--init_from nowhere is no model folder"),
        (["--init_from", "default"], "do not fit the generator of this run"),
    ],
)
def test_what_cannot_be_used_stops_a_run_before_it_leaves_a_trace(flags, words, dry, tmp_path, in_process):
    result = in_process(command(tmp_path / "never", *flags, *dry))
    assert result.returncode == 2
    assert words in result.stderr
    assert not (tmp_path / "never").exists()


def test_a_run_outlives_what_it_started_from(whole_run, tmp_path, in_process):
    source = tmp_path / "source"
    shutil.copytree(whole_run / "export", source)
    flags = [*UNJUDGED, "--init_from", str(source), "--total_kimg"]
    assert in_process(command(tmp_path / "run", *flags, "0.032")).returncode == 0
    shutil.rmtree(source)
    result = in_process(command(tmp_path / "run", *flags, "0.064"))
    assert result.returncode == 0, result.stderr
    assert "resuming at" in result.stdout + result.stderr


def test_a_run_may_go_on_with_balanced_groups(tmp_path, in_process):
    assert in_process(command(tmp_path / "run", *UNJUDGED, "--total_kimg", "0.032")).returncode == 0
    result = in_process(command(tmp_path / "run", *UNJUDGED, "--total_kimg", "0.064", "--balance_column", "age_group"))
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "run" / "export" / "training.json").read_text())["images_seen"] == 64


def test_dry_run_tells_the_cost_and_writes_nothing(tmp_path, in_process):
    result = in_process([*command(tmp_path / "never"), "--dry_run"])
    assert result.returncode == 0, result.stderr
    for word in ("64 pictures", "parameters", "GFLOP a picture", "memory", "images/s", '"resolution": 16'):
        assert word in result.stdout
    assert not (tmp_path / "never").exists()


def test_a_run_that_blows_up_stops_and_names_the_last_good_checkpoint(tmp_path, in_process):
    folder, flags = tmp_path / "blown", ["--augment", "none", *UNJUDGED]
    assert in_process(command(folder, *flags, "--total_kimg", "0.032")).returncode == 0
    checkpoint = folder / "checkpoints" / "nimg-000000032"
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "d_lr": 1e30, "g_lr": 1e30}))
    wild = ["--d_lr", "1e30", "--g_lr", "1e30", "--max_bad_steps", "3", "--checkpoint_kimg", "99"]
    result = in_process(command(folder, *flags, *wild, "--total_kimg", "5"))
    assert result.returncode == 1
    assert f"Last good checkpoint: {checkpoint}" in result.stderr
    assert "step skipped" in result.stdout + result.stderr


def test_two_processes_train_stop_and_resume(tmp_path):
    """The documented launch on CPU; from an earlier checkpoint, a stopped run comes to the same place again."""
    launch, folder = [ACCELERATE, "launch", "--multi_gpu", "--num_processes", "2", *LAUNCH_ON_CPU], tmp_path / "run"
    process = subprocess.Popen(
        [*launch, *command(folder, *UNJUDGED, "--total_kimg", "50", "--num_workers", "1")[1:]],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_for(folder / "samples" / "nimg-000000064.png", process)
    process.terminate()
    output, _ = process.communicate(timeout=400)  # ends when all that it started have ended
    assert output.count("told to stop: saved at") == 1, output
    nimg = newest_nimg(folder)
    stopped = weights(folder, nimg)
    assert not torch.equal(stopped["rng-0/torch"], stopped["rng-1/torch"])  # every process keeps its own
    shutil.rmtree(folder / "checkpoints" / f"nimg-{nimg:09d}")
    _, script, *arguments = command(folder, *UNJUDGED, "--total_kimg", str(nimg / 1000))
    group = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    again = [
        Script(Path(script), arguments, **environment(**group, RANK=rank, LOCAL_RANK=rank)) for rank in ("0", "1")
    ]  # as the launcher starts them
    (code, printed), (other_code, _) = [process.wait() for process in again]
    assert (code, other_code) == (0, 0) and "resuming at" in printed, printed
    assert_same(stopped, weights(folder, nimg))
    state = json.loads((folder / "checkpoints" / f"nimg-{nimg:09d}" / "state.json").read_text())
    assert state["world_size"] == 2


def test_a_conditional_streamed_run_on_a_folder(tmp_path, in_process, monkeypatch):
    from PIL import Image

    labels = []

    def step(players, config, real, real_c, fake_c, **where):
        labels.append((real_c, fake_c))
        return discriminator_step(players, config, real, real_c, fake_c, **where)

    monkeypatch.setattr("training.loop.discriminator_step", step)

    for index in range(16):
        file = tmp_path / "pictures" / ("day" if index % 2 else "night") / f"{index}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((24, 24), 40).convert("RGB").save(file)
    (tmp_path / "pictures" / "day" / "broken.jpg").write_bytes(b"")
    flags = ["--dataset_name", str(tmp_path / "pictures"), "--label_column", "label", "--streaming"]
    folder = tmp_path / "run"
    result = in_process(command(folder, *flags, *UNJUDGED, "--total_kimg", "0.064"))
    assert result.returncode == 0, result.stderr
    record = json.loads((folder / "export" / "training.json").read_text())
    assert record["labels"] == {"column": "label", "classes": ["day", "night"]}
    assert all(torch.equal(real.sum(dim=0), fake.sum(dim=0)) for real, fake in labels)  # the batch's own labels
    assert all((fake.sum(dim=1) == 1).all() for _, fake in labels)
    assert not all(torch.equal(real, fake) for real, fake in labels)  # in another order
    assert "broken.jpg" in (folder / "broken_pictures.txt").read_text()
    assert GenerationPipeline.from_pretrained(folder / "export").generator.config.c_dim == 2
