"""The losses that are taken from TRL, on golden vectors: ratio and clip, and the weight of a token. And the correction
for the engine's numerics, which is TRL's formula computed here."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from trl import GRPOTrainer  # noqa: E402

from lengthctl.train.mismatch import importance_ratio  # noqa: E402

CASES = json.loads((Path(__file__).parents[2] / "golden" / "rl_objectives.json").read_text())["cases"]
OPTIONS: dict[str, dict[str, Any]] = {
    "loss.token_clip": {"loss_type": "dapo"},
    "loss.sequence_clip": {"loss_type": "grpo", "importance_sampling_level": "sequence"},
    "loss.cispo": {"loss_type": "cispo"},
}


class FakeTrainer:
    """What `GRPOTrainer._compute_loss` of TRL 1.16 reads of its trainer, over logprobs that are given."""

    def __init__(self, logps_BT: Any, *, delta: float | None = None, **options: Any) -> None:
        self.__dict__.update(
            {"importance_sampling_level": "token", "epsilon_low": 0.2, "epsilon_high": 0.2, "max_completion_length": 16}
        )
        self.__dict__.update(options)
        self.aux_loss_enabled = self._entropy_bonus_enabled = self.use_vllm = False
        self.top_entropy_quantile, self.off_policy_mask_threshold, self.beta = 1.0, None, 0.0
        self.current_gradient_accumulation_steps = 1
        self.args = SimpleNamespace(delta=delta, steps_per_generation=1)
        self.model = SimpleNamespace(training=True)
        self.accelerator = SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, **_: x)
        self._metrics: dict[str, Any] = {"train": defaultdict(list)}
        self._logps_BT = logps_BT

    def _get_per_token_logps_and_entropies(self, *_: Any, **__: Any) -> Any:
        return self._logps_BT, torch.zeros_like(self._logps_BT), None


def loss_of(logps_BT: Any, old_BT: Any, mask_BT: Any, advantages: list[float], items: float, **options: Any) -> Any:
    batch = {
        "prompt_ids": torch.zeros(len(mask_BT), 1),
        "prompt_mask": torch.ones(len(mask_BT), 1),
        "completion_ids": torch.zeros(mask_BT.shape),
        "completion_mask": mask_BT,
        "advantages": torch.tensor(advantages, dtype=logps_BT.dtype),
        "old_per_token_logps": old_BT,
        "num_items_in_batch": torch.tensor(items),
    }
    return GRPOTrainer._compute_loss(FakeTrainer(logps_BT, **options), None, batch)


@pytest.mark.parametrize("case", [c for c in CASES if c["method"] in OPTIONS], ids=lambda c: str(c["id"]))
def test_ratio_and_clip(case: dict[str, Any]) -> None:
    known = case["inputs"]
    logps = torch.tensor([known["logp"]], dtype=torch.float64, requires_grad=True)
    old = torch.tensor([known["old"]], dtype=torch.float64)
    clip = {"epsilon_high": known.get("cap", known.get("hi")), "epsilon_low": known.get("lo", 0.2)}
    options = {**OPTIONS[case["method"]], **clip, "delta": known.get("delta")}
    loss = loss_of(logps, old, torch.ones(logps.shape), [known["adv"]], 1.0, **options)  # the sum over its tokens
    loss.backward()
    wanted = case["expected"]["loss"]
    total = sum(wanted) if isinstance(wanted, list) else wanted
    assert loss.item() == pytest.approx(total, abs=case["tolerance"])
    assert logps.grad is not None
    assert logps.grad[0].tolist() == pytest.approx(case["expected"]["dloss_dlogp"], abs=case["tolerance"])


@pytest.mark.parametrize("case", [c for c in CASES if c["method"].startswith("agg.")], ids=lambda c: str(c["id"]))
def test_the_weight_of_a_token(case: dict[str, Any]) -> None:
    """With ratio and advantage 1 the gradient of a token's logprob is minus its weight."""
    lengths, masked = case["inputs"]["lengths"], case["inputs"]["masked"]
    counted = torch.tensor([0 if row in masked else length for row, length in enumerate(lengths)])
    mask = (torch.arange(max(lengths)) < counted[:, None]).double()
    logps = torch.full(mask.shape, -1.0, dtype=torch.float64, requires_grad=True)
    kind = case["method"].removeprefix("agg.")
    options = {"loss_type": kind, "max_completion_length": case["inputs"]["l_max"]}
    loss_of(logps, logps.detach(), mask, [1.0] * len(lengths), float(mask.sum()), **options).backward()
    assert logps.grad is not None
    assert (-logps.grad[:, 0]).tolist() == pytest.approx(case["expected"], abs=case["tolerance"])


@pytest.mark.parametrize(
    "case", [c for c in CASES if c["method"].startswith("is.") and "old" in c["inputs"]], ids=lambda c: str(c["id"])
)
def test_the_correction_for_the_engine(case: dict[str, Any]) -> None:
    known = case["inputs"]
    sampler = [math.nan if value is None else value for value in known["sampler"]]
    logps = (torch.tensor([values], dtype=torch.float64) for values in (known["old"], sampler))
    mode = case["method"].removeprefix("is.")
    ratio, _ = importance_ratio(*logps, torch.ones(1, len(sampler)), mode=mode, low=None, high=known["cmax"])
    found = ratio.expand(1, len(sampler))[0].tolist()
    assert found == pytest.approx(case["expected"], abs=case["tolerance"])


def test_a_ratio_of_whole_sequences_shrinks_with_their_length() -> None:
    (case,) = [c for c in CASES if c["id"] == "C7-length-bias"]
    lengths, gap = case["inputs"]["lengths"], case["inputs"]["per_token_gap"]
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).double()
    for mode, wanted in case["expected"].items():
        ratio, _ = importance_ratio(gap * mask, 0 * mask, mask, mode=mode, low=None, high=3.0)
        assert ratio[:, 0].tolist() == pytest.approx(wanted, abs=1e-9)
