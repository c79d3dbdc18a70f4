from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks import training_step
from benchmarks.common import Timing, describe_machine, format_table, interleave, ratio
from benchmarks.peer import Peer, copy_weights
from gan_space import Discriminator
from gan_space.errors import ConfigError, WeightsError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent


def test_contenders_take_turns_and_warm_up_is_not_timed():
    order = []
    timings = interleave({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=3, warmup=2)
    assert order == ["a", "b"] * 5
    assert [len(timing.cpu_sec) for timing in timings.values()] == [3, 3]


def test_sleep_takes_wall_time_but_no_cpu_time():
    timing = interleave({"sleep": lambda: time.sleep(0.05)}, repeats=3)["sleep"]
    assert timing.median("wall") >= 0.05
    assert timing.median("cpu") < 0.02


def test_work_takes_cpu_time():
    def work():
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass

    timing = interleave({"work": work}, repeats=2, warmup=0)["work"]
    assert 0.02 <= timing.median("cpu") <= timing.median("wall") + 1e-3


def test_ratio_pairs_the_runs_of_one_round():
    # The machine is twice as slow in the second round; what counts is that b is always four times as fast.
    timings = {"a": Timing([4.0, 8.0, 4.0], [1, 1, 1]), "b": Timing([1.0, 2.0, 1.0], [2, 2, 2])}
    assert ratio(timings, "a", "b", "cpu") == 4.0
    assert ratio(timings, "a", "b", "wall") == 0.5


@pytest.mark.parametrize(("contenders", "repeats"), [({}, 1), ({"a": print}, 0)])
def test_nothing_to_time_is_an_error(contenders, repeats):
    with pytest.raises(ConfigError, match="1 repeat or more"):
        interleave(contenders, repeats)


def test_table_is_aligned_markdown():
    table = format_table(["name", "ms"], [["a", 1234.5678], ["long name", 0.00123]])
    assert table.splitlines() == [
        "| name      | ms      |",
        "| --------- | ------- |",
        "| a         | 1235    |",
        "| long name | 0.00123 |",
    ]


def test_machine_is_described_without_paths():
    text = describe_machine()
    assert f"torch {torch.__version__}" in text
    assert f"threads  {torch.get_num_threads()}" in text
    assert re.search(r"commit   ([0-9a-f]{7,}|unknown)", text)
    assert os.sep + "home" not in text
    assert str(ROOT) not in text


def test_folder_that_is_no_checkout_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path))):
        Peer(tmp_path)


def test_peer_is_imported_without_replacing_our_training_package(tmp_path):
    for package in ("training", "torch_utils"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "torch_utils" / "misc.py").write_text("NAME = 'theirs'")
    # Like the real one, it looks a module up again when a network is built.
    (tmp_path / "training" / "networks.py").write_text(
        "from torch_utils import misc\n"
        "def Discriminator(**sizes):\n"
        "    import torch_utils.misc, training.networks\n"
        "    return misc.NAME, torch_utils.misc is misc, training.networks.__file__, sizes['img_resolution']\n"
    )
    import training as ours

    path = list(sys.path)
    peer = Peer(tmp_path)
    built = peer.build(Discriminator(resolution=16, channel_base=64))
    assert built == ("theirs", True, str(tmp_path / "training" / "networks.py"), 16)
    assert sys.modules["training"] is ours
    assert "torch_utils" not in sys.modules
    assert sys.path == path


def test_networks_of_other_sizes_are_not_copied():
    with pytest.raises(WeightsError, match="weight"):
        copy_weights(torch.nn.Linear(2, 3), torch.nn.Linear(2, 4))


def test_synthesis_benchmark_prints_its_table_with_the_malloc_settings():
    command = [sys.executable, "-m", "benchmarks.synthesis", "--resolutions", "16", "--repeats", "2"]
    command += ["--channel_base", "256", "--channel_max", "16", "--malloc", "keep"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert "MALLOC_MMAP_MAX_=0" in done.stdout
    assert re.search(r"\| 16 px +\| ours fp32 +\| [\d.e+-]+ +\|", done.stdout)


def test_training_step_benchmark_prints_its_table(printed_by):
    sizes = ("--resolution", "16", "--batch", "4", "--channel_base", "256", "--channel_max", "16", "--z_dim", "16")
    out = printed_by(training_step, *sizes, "--repeats", "2", "--r1_interval", "2")
    assert re.search(r"\| ours bf16 +\| [\d.e+-]+ +\|", out)
