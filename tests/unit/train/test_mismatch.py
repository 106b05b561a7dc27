"""The importance ratio in TRL's four modes, worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from lengthctl.train.mismatch import importance_ratio

TRAINER = torch.tensor([[math.log(4.0), 0.0, 9.0], [math.log(0.25), 0.0, 0.0]])
SAMPLER = torch.zeros(2, 3)
MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("token_truncate", [[2.0, 1.0, 1.0], [0.5, 1.0, 1.0]]),
        ("token_mask", [[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]),
        ("sequence_truncate", [[2.0], [0.5]]),
        ("sequence_mask", [[0.0], [0.0]]),
    ],
)
def test_modes(mode: str, expected: list[list[float]]) -> None:
    clipped, used = importance_ratio(TRAINER, SAMPLER, MASK, mode=mode, low=0.5, high=2.0)
    torch.testing.assert_close(clipped, torch.tensor(expected))
    unclipped = [4.0, 1.0, 0.25, 1.0, 1.0] if mode.startswith("token") else [4.0, 0.25]
    torch.testing.assert_close(used, torch.tensor(unclipped))


def test_no_lower_clip_and_a_token_that_the_sampler_did_not_tell() -> None:
    sampler = torch.tensor([[0.0, math.nan, 0.0], [0.0, 0.0, 0.0]])
    clipped, _ = importance_ratio(TRAINER, sampler, MASK, mode="token_truncate", low=None, high=2.0)
    torch.testing.assert_close(clipped, torch.tensor([[2.0, 1.0, 1.0], [0.25, 1.0, 1.0]]))
    opened, _ = importance_ratio(TRAINER, sampler, MASK, mode="token_mask", low=None, high=None)
    torch.testing.assert_close(opened, torch.tensor([[4.0, 1.0, 1.0], [0.25, 1.0, 1.0]]))
