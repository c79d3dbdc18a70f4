"""bfloat16 is used where it is faster, and only there."""

from __future__ import annotations

import pytest
import torch

from training.common import precision
from training.common.precision import precision_remark, training_dtype

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("asked", "native", "dtype", "said"),
    [
        ("bf16", True, torch.bfloat16, False),
        ("bf16", False, torch.float32, True),
        ("no", True, torch.float32, False),
        ("no", False, torch.float32, False),
    ],
)
def test_emulated_bfloat16_is_not_used_and_that_is_said(monkeypatch, asked, native, dtype, said):
    monkeypatch.setattr(precision, "has_native_bfloat16", lambda device_type: native)
    assert training_dtype(asked, CPU) == dtype
    assert bool(precision_remark(asked, CPU)) == said
