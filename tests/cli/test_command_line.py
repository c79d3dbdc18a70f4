"""The command line as a shell sees it: exit codes, one line of error, nothing overwritten. Most of it in-process."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from gan_space.cli import app
from gan_space.cli.app import main
from gan_space.cli.generate import parse_seeds, random_seeds
from gan_space.errors import InputError
from gan_space.models.generator import Generator
from gan_space.output.provenance import read_provenance
from gan_space.pipelines.generation import GenerationPipeline
from tests.cli.running import run
from tests.formats.foreign_writers import dump, nvidia_snapshot
from tests.warm import Script

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(16, z_dim=4, w_dim=4, channel_base=64, channel_max=4, num_mapping_layers=2).eval()


@pytest.fixture(scope="module")
def model(tmp_path_factory, generator) -> str:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    GenerationPipeline(generator).save_pretrained(folder)
    return str(folder)


def error_of(*arguments, capsys, code: int = 2) -> str:
    """The one line of a command that fails, which prints nothing else."""
    got, out, err = run(*arguments, capsys=capsys)
    assert (got, out) == (code, "")
    assert err.startswith("gan-space: error: ") and err.count("\n") == 1 and err.endswith("\n")
    return err


def test_generate_writes_one_labelled_file_a_seed(tmp_path, model, capsys):
    out = tmp_path / "deep" / "faces"
    arguments = ("generate", "--seeds", "0-2,7", "--out", out, "--model", model, "--psi", 0.5, "--batch-size", 3)
    arguments += ("--no-visible-label",)
    code, text, err = run(*arguments, capsys=capsys)
    assert (code, text, err) == (0, f"4 labelled pictures in {out}\n", "")
    assert sorted(path.name for path in out.iterdir()) == [f"seed000{seed}.png" for seed in (0, 1, 2, 7)]
    provenance = read_provenance(out / "seed0007.png")
    assert provenance.is_ai_made
    assert (provenance.recipe["seed"], provenance.recipe["truncation_psi"]) == (7, 0.5)
    expected = GenerationPipeline.from_pretrained(model)(seeds=[7], truncation_psi=0.5).images[0]
    with Image.open(out / "seed0007.png") as picture:
        assert picture.tobytes() == expected.tobytes()


def test_generate_draws_random_seeds_and_other_formats(tmp_path, model, capsys):
    options = ("--format", "webp", "--visible-label", "--model", model, "--out", tmp_path)
    assert run("generate", "--num", 3, "--as", "files", *options, capsys=capsys)[0] == 0
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3
    assert all(f"seed{read_provenance(path).recipe['seed']:04d}.webp" == path.name for path in files)


def test_generate_never_overwrites_unless_told(tmp_path, model, capsys):
    (tmp_path / "seed0001.png").write_text("mine")
    arguments = ("generate", "--seeds", "0-1", "--out", tmp_path, "--model", model)
    assert "seed0001.png already there; --overwrite" in error_of(*arguments, capsys=capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["seed0001.png"]
    assert (tmp_path / "seed0001.png").read_text() == "mine"
    assert run(*arguments, "--overwrite", capsys=capsys)[0] == 0
    assert read_provenance(tmp_path / "seed0001.png").recipe["seed"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate"], "Missing option '--out'"),
        (["generate", "--out", "x"], "give either --seeds, such as 0-63, or --num"),
        (["generate", "--out", "x", "--seeds", "1", "--num", "2"], "give either"),
        (["generate", "--out", "x", "--seeds", "5-2,x,99999999999"], "3 problems: --seeds: '5-2' must rise"),
        (["generate", "--out", "x", "--seeds", "1,2,1"], "seed 1 is there twice"),
        (["generate", "--out", "x", "--num", "0", "--format", "bmp"], "2 problems"),
        (["generate", "--out", "x", "--num", "many"], "Invalid value for '--num'"),
        (["generate", "--out", "x", "--num", "1", "--model", "no/such/model"], "neither a folder nor a Hub id"),
        (["paint"], "No such command 'paint'"),
        (["generate", "--colour", "red"], "No such option: --colour"),
        (["--debugging"], "No such option: --debugging"),
        (["convert", "only-one"], "Missing argument 'OUT'"),
        (["convert", "missing.pkl", "out"], "cannot read 'missing.pkl'"),
        (["export"], "Missing option '--onnx'"),
        (["generate", "--seeds", "1", "--out", ""], "an empty value stands after --out;"),
        (["generate", "--seeds=", "--out", "x"], "an empty value stands after --seeds;"),
        (["stylize", "", "--out", "x", "--post", ""], "an argument is empty"),
        (["pack", "fit", "missing.png", "--out", "x=", "--credit=https://a.org/?id="], "does not exist"),
        (["verify"], "Missing argument 'files'"),
        (["verify", "missing\x1b[31m.png"], "missing"),
    ],
)
def test_bad_input_is_one_line_and_code_2(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    text = error_of(*arguments, capsys=capsys)
    assert message.lower() in text.lower() and "\x1b" not in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        ("InputError('two\\n  - faults\\n  - here')", 2, "two faults; here"),
        ("TrainingError('went wrong')", 1, "went wrong"),
        ("ZeroDivisionError('by zero')", 1, "ZeroDivisionError: by zero (this is a fault"),
        ("KeyboardInterrupt", 1, "interrupted"),
        ("MemoryError", 1, "MemoryError"),
    ],
)
def test_a_new_command_is_one_file_and_its_failure_one_line(tmp_path, monkeypatch, capsys, error, code, message):
    source = f"from gan_space.errors import *\n\ndef command(file: str) -> None:\n    raise {error}\n"
    (tmp_path / "command_that_fails.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "command_that_fails", raising=False)
    monkeypatch.setitem(app.COMMANDS, "fail", "command_that_fails")
    assert message in error_of("fail", "a", capsys=capsys, code=code)
    for arguments in (("--debug", "fail", "a"), ("fail", "a", "--debug")):
        got, _, err = run(*arguments, capsys=capsys)
        assert got == code and message in err.splitlines()[-1]
        assert ("Traceback" in err) == (message != "interrupted")


def test_words_after_two_dashes_are_no_options(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "'--debug'" in error_of("verify", "--", "--debug", capsys=capsys)


def test_verify_prints_a_line_a_file_and_tells_unlabelled_ones_by_code_1(tmp_path, model, capsys):
    run("generate", "--seeds", 3, "--out", tmp_path, "--model", model, capsys=capsys)
    labelled, bare = tmp_path / "seed0003.png", tmp_path / "bare.png"
    Image.new("RGB", (8, 8)).save(bare)
    code, out, err = run("verify", labelled, capsys=capsys)
    assert (code, err) == (0, "") and out.startswith(f"{labelled}: AI-generated") and "seed 3" in out
    code, out, err = run("verify", bare, labelled, capsys=capsys)
    assert (code, err, out.count("\n")) == (1, "", 2) and f"{bare}: no provenance label" in out
    code, out, err = run("verify", tmp_path / "gone.png", labelled, capsys=capsys)
    assert code == 2 and "AI-generated" in out and "gone.png" in err and err.count("\n") == 1


def test_convert_makes_a_model_that_generate_loads(tmp_path, generator, capsys):
    file = dump(nvidia_snapshot(generator), tmp_path / "tiny.pkl")
    code, out, err = run("convert", file, tmp_path / "out", "--credit", "Thanks", capsys=capsys)
    assert (code, err) == (0, "") and "16 px from a NVIDIA pickle" in out and "no --license was given" in out
    assert "exists" in error_of("convert", file, tmp_path / "out", capsys=capsys)
    assert run("convert", file, tmp_path / "out", "--overwrite", "--license", "CC0-1.0", capsys=capsys)[0] == 0
    options = ("--num", 1, "--out", tmp_path / "faces", "--model", tmp_path / "out")
    assert run("generate", *options, capsys=capsys)[0] == 0
    file.write_bytes(b"\x80\x02cos\nsystem\nU\x04true\x85R.")
    assert "asks for 'os.system'" in error_of("convert", file, tmp_path / "evil", capsys=capsys)


def test_help_and_version(capsys):
    assert run("--version", capsys=capsys)[:2] == (0, f"gan-space {app.__version__}\n")
    code, out, _ = run("--help", capsys=capsys)
    assert code == 0 and all(f"\n  {name} " in out for name in app.COMMANDS)
    assert run(capsys=capsys)[0] == 2
    for group in app.GROUPS:
        code, out, err = run(group, capsys=capsys)
        assert (code, err) == (2, "") and f"gan-space {group}" in out and "Commands:" in out
    for name in app.COMMANDS:
        code, out, _ = run(name, "--help", capsys=capsys)
        assert code == 0 and f"gan-space {name}" in out


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from gan_space.cli.app import main\n"
        "for words in (['--help'], ['generate', '--help'], ['generate', '--out', 'x', '--seeds', 'x']): main(words)\n"
        "print('loaded', *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=400)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "gan_space" in loaded and not loaded & {"torch", "numpy", "PIL", "diffusers", "gradio", "huggingface_hub"}


def test_the_module_runs_as_a_program(tmp_path):
    command = [sys.executable, "-m", "gan_space", "generate", "--out", "x", "--seeds", "x"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=400)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.slow
def test_a_full_disk_behind_what_is_printed_is_one_line():
    with open("/dev/full", "wb") as full:
        ended = subprocess.run([sys.executable, "-m", "gan_space", "look", "list"], stdout=full, stderr=subprocess.PIPE)
    assert ended.returncode == 1 and ended.stderr.count(b"\n") == 1
    assert b"cannot print: No space left on device" in ended.stderr


@pytest.mark.slow
def test_closed_output_is_no_fault():
    command = 'exec "$0" -m gan_space look list >&-'
    ended = subprocess.run(["sh", "-c", command, sys.executable], stderr=subprocess.PIPE)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.slow
def test_what_decoders_warn_of_is_not_printed(tmp_path):
    """In a process of its own: pytest takes warnings for itself."""
    stream = io.BytesIO()
    Image.effect_noise((80, 60), 40).save(stream, "TIFF", compression="tiff_lzw")
    (tmp_path / "cut.tif").write_bytes(stream.getvalue()[:-40])  # cuts the last of its entries, which stand there
    verify = ["verify", str(tmp_path / "cut.tif")]
    told, told_all = (Script(ROOT / "gan_space" / "__main__.py", words) for words in (verify, [*verify, "--debug"]))
    code, printed = told.wait()
    assert code == 1 and printed.count("\n") == 1 and "no provenance label" in printed
    assert "UserWarning" in told_all.wait()[1]


def test_the_console_script_is_declared():
    import tomllib

    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"gan-space": f"{app.__name__}:{main.__name__}"}


def test_seeds_are_read_in_order():
    assert parse_seeds("5, 0-2,4294967295") == [5, 0, 1, 2, 4294967295]
    with pytest.raises(InputError, match="more than 1,000,000 pictures"):
        parse_seeds("0-999999,1000001")
    assert len(set(random_seeds(1000))) == 1000
