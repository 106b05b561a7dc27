"""vLLM's fused norms against the plain formula."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("vllm")


@pytest.fixture(scope="module")
def ops() -> object:
    from vllm import ir

    from lengthctl.rollout.cpu_kernels import register_fused_norms

    if not register_fused_norms():
        pytest.skip("this build of vLLM has no fused norms")
    return ir.ops


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_fused_norms_equal_the_native_ones(ops: object, rows: int) -> None:
    torch.manual_seed(0)
    x, residual = (torch.randn(rows, 576).to(torch.bfloat16) for _ in range(2))
    weight = (1 + torch.randn(576) / 10).to(torch.bfloat16)
    for name, inputs in (("rms_norm", (x,)), ("fused_add_rms_norm", (x, residual))):
        impls = getattr(ops, name).impls
        found, wanted = (
            impls[provider].impl_fn(*(part.clone() for part in inputs), weight, 1e-5)
            for provider in ("lengthctl_cpu", "native")
        )
        for got, expected in zip(
            *(result if isinstance(result, tuple) else (result,) for result in (found, wanted)), strict=True
        ):
            assert torch.allclose(
                got.float(), expected.float(), rtol=2**-6, atol=2**-8
            )  # each rounds to bf16 once or twice


def test_arguments_that_they_do_not_serve_are_refused(ops: object) -> None:
    x = torch.randn(4, 576).to(torch.bfloat16)
    serves = ops.rms_norm.impls["lengthctl_cpu"].supports_args  # type: ignore[attr-defined]
    assert serves(x, x[0], 1e-5)
    assert not serves(x, None, 1e-5)
    assert not serves(x, x[0].float(), 1e-5)
    assert not serves(x[:, ::2], x[0, ::2], 1e-5)
    assert not serves(x, x[0], 1e-5, 32)
