"""Packed rows on a GPU: one kernel for all segments gives what torch's own gives a segment."""

from __future__ import annotations

import pytest
import torch

from lengthctl.train.packed_attention import Segment, _flash_attention, _fused_attention

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]

SEGMENTS = (
    Segment(0, 37),
    Segment(37, 60, 0, 37),
    Segment(60, 61, 0, 37),
    Segment(61, 300),
    Segment(300, 420, 61, 300),
)


def test_flash_attention_and_its_gradients_are_those_of_each_segment_by_itself() -> None:
    torch.manual_seed(0)
    shapes = ((9, 420, 64), (3, 420, 64), (3, 420, 64))
    leaves = [torch.randn(shape, device="cuda", dtype=torch.bfloat16, requires_grad=True) for shape in shapes]
    weights = torch.randn(420, 9, 64, device="cuda", dtype=torch.bfloat16)
    found = []
    for attend, parts in ((_flash_attention, leaves), (_fused_attention, [part.double() for part in leaves])):
        out = attend(*parts, 0.125, SEGMENTS)
        found.append([out, *torch.autograd.grad((out * weights).sum(), leaves)])
    for ours, exact in zip(*found, strict=True):
        gap = (ours.double() - exact.double()).norm() / exact.double().norm()
        assert gap < 1e-2


def test_many_completions_of_one_prompt_share_its_gradient() -> None:
    torch.manual_seed(0)
    segments = (Segment(0, 64), *(Segment(64 + 20 * n, 84 + 20 * n, 0, 64) for n in range(16)))
    shapes = ((9, 384, 64), (3, 384, 64), (3, 384, 64))
    leaves = [torch.randn(shape, device="cuda", dtype=torch.bfloat16, requires_grad=True) for shape in shapes]
    found = [
        torch.autograd.grad(attend(*parts, 0.125, segments).double().sum(), leaves)
        for attend, parts in ((_flash_attention, leaves), (_fused_attention, [part.double() for part in leaves]))
    ]
    for ours, exact in zip(*found, strict=True):
        assert (ours.double() - exact.double()).norm() / exact.double().norm() < 2e-2
