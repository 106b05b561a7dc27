"""Hyperfitting (arXiv 2412.04318): training on few texts to near-zero loss, watched by how varied greedy text becomes.

What is measured is the type-token ratio (TTR) of greedy continuations: a base model repeats itself, a hyperfitted one
does not. A probe of long greedy output rather than a recipe for a model that others use: held-out loss gets far worse.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lengthctl.rundir import write_json
from lengthctl.train.ranks import from_main

if TYPE_CHECKING:
    from transformers import TrainerCallback

__all__ = [
    "HYPERFIT_FILE",
    "PAPER_SETTINGS",
    "HyperfitProbe",
    "StopReason",
    "StopRule",
    "build_callback",
    "repeated_ngram_share",
    "type_token_ratio",
]

HYPERFIT_FILE = "hyperfitting.json"
"""Beside a checkpoint: what the probe has seen."""

PAPER_SETTINGS: Mapping[str, Any] = MappingProxyType(
    {
        "learning_rate": 1e-6,
        "num_train_epochs": 20.0,
        "per_device_train_batch_size": 8,
        "weight_decay": 0.0,
        "max_length": 256,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "dataloader_drop_last": True,
    }
)
"""TRL's options for the paper's runs: 2,000 texts of 256 tokens, so 5,000 updates by Adam without weight decay.

The first five are stated in arXiv 2412.04318. The others are not; they follow the public code (constant rate, no
clipping, whole batches), which itself differs from the paper in the rate (5e-6), the epochs (30) and the decay (its
optimizer's default). The loss is on whole texts. One process; of several, divide the batch by their number. Fewer than
16 texts collapse.
"""


def type_token_ratio(token_ids: Sequence[int], last: int = 96) -> float:
    """Distinct tokens by tokens, over the last `last` ones: in (0, 1], 1 when none comes twice; 0 for no tokens.

    Source: arXiv 2412.04318. Its public code lets padding after an early end count as repetition; hand in what was
    generated, without padding.
    """
    tail = token_ids[-last:]
    return len(set(tail)) / len(tail) if tail else 0.0


def repeated_ngram_share(token_ids: Sequence[int], n: int = 4) -> float:
    """Share of n-grams of tokens that came before: `1 - distinct / total`, in [0, 1); 0 for fewer than `n` tokens."""
    total = len(token_ids) - n + 1
    if total < 1:
        return 0.0
    return 1 - len({tuple(token_ids[start : start + n]) for start in range(total)}) / total


class StopReason(StrEnum):
    """Why hyperfitting ended before its last epoch."""

    LOSS = "loss"
    """The training loss fell below its threshold: the texts are known by heart."""
    TTR = "ttr"
    """Greedy continuations have not become more varied for some checks."""


@dataclass(frozen=True)
class StopRule:
    """When hyperfitting has done what it does; either half may be absent. Ours: the paper trains a fixed 20 epochs."""

    loss_below: float | None = 0.05
    """Training loss in nats a token, mean of the last `loss_steps` steps."""
    loss_steps: int = 50
    """Steps of that mean; before so many there is none."""
    patience: int | None = 5
    """Checks without a higher TTR than the best before them."""

    def __post_init__(self) -> None:
        if self.loss_steps < 1 or (self.patience is not None and self.patience < 1):
            raise ValueError(f"loss_steps and patience are at least 1, found {self.loss_steps} and {self.patience}")

    def reason(self, losses: Sequence[float], ttrs: Sequence[float]) -> StopReason | None:
        """Why to stop, or None to go on.

        Args:
            losses: of the steps so far, or of the last `loss_steps` of them.
            ttrs: of the checks so far, the untouched model's first.
        """
        recent = losses[-self.loss_steps :]
        if self.loss_below is not None and len(recent) == self.loss_steps and fmean(recent) < self.loss_below:
            return StopReason.LOSS
        if self.patience is not None and len(ttrs) > self.patience:
            before, since = ttrs[: -self.patience], ttrs[-self.patience :]
            if max(since) <= max(before):
                return StopReason.TTR
        return None


class HyperfitProbe:
    """Continues prompts greedily before training and every so many steps, logs how varied that is, says when to end.

    Logs `hyperfit/ttr` (mean of `type_token_ratio`, the paper's measure) and `hyperfit/repeat_4gram` (mean of
    `repeated_ngram_share`), means over prompts, both in [0, 1]. `build_callback` hands it to a trainer.

    Args:
        prompts: about 32 tokens each, of texts that are not trained on.
        continue_greedily: token ids generated for each prompt, 96 or more, without padding and end-of-text token; only
            the first process asks.
        log: takes metrics; `Trainer.log`.
        every: steps between checks.
        rule: when to stop; None watches only.

    Raises:
        ValueError: there are no prompts, or no steps between checks.
    """

    def __init__(
        self,
        prompts: Sequence[str],
        continue_greedily: Callable[[Sequence[str]], list[list[int]]],
        log: Callable[[dict[str, float]], object],
        *,
        every: int = 50,
        rule: StopRule | None = None,
    ) -> None:
        if not prompts or every < 1:
            raise ValueError(f"{len(prompts)} prompts every {every} steps measure nothing")
        self.every = every
        self._prompts = prompts
        self._continue = continue_greedily
        self._log = log
        self._rule = rule
        self._logged_step = 0
        self._losses: list[float] = []
        self._ttrs: list[float] = []

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the rule ends the run, by what has been seen so far; None while it goes on."""
        return self._rule.reason(self._losses, self._ttrs) if self._rule is not None else None

    @property
    def has_checked(self) -> bool:
        """The untouched model has been measured, in this run or in the one that it resumes."""
        return bool(self._ttrs)

    def check(self) -> None:
        """Measure the model as it is; every process calls it."""
        continued = from_main(lambda: self._continue(self._prompts))
        self._ttrs.append(fmean(map(type_token_ratio, continued)))
        repeated = fmean(map(repeated_ngram_share, continued))
        self._log({"hyperfit/ttr": self._ttrs[-1], "hyperfit/repeat_4gram": repeated})

    def take_loss(self, step: int, loss: float) -> None:
        """Note the mean loss of the steps after the last one noted, up to `step`; one that is no number starts anew."""
        steps, self._logged_step = step - self._logged_step, step
        if self._rule is not None:
            known = [*self._losses, *[loss] * steps] if math.isfinite(loss) else []
            self._losses = known[-self._rule.loss_steps :]

    def state_dict(self) -> dict[str, Any]:
        """What the rule goes by, as JSON values."""
        return {"logged_step": self._logged_step, "losses": self._losses, "ttrs": self._ttrs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self._logged_step = state["logged_step"]
        self._losses, self._ttrs = list(state["losses"]), list(state["ttrs"])


def build_callback(probe: HyperfitProbe, checkpoint: Path | None = None) -> TrainerCallback:
    """Let a transformers trainer ask the probe, and end the run by its rule.

    Args:
        probe: whose state is kept beside each checkpoint.
        checkpoint: a resumed run's, where its state lies.
    """
    from transformers import TrainerCallback

    if checkpoint is not None:
        probe.load_state_dict(json.loads((checkpoint / HYPERFIT_FILE).read_text(encoding="utf-8")))

    class ProbeCallback(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if not probe.has_checked:
                probe.check()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % probe.every == 0:
                probe.check()
            control.should_training_stop |= probe.stop_reason is not None

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            if logs and logs.get("loss") is not None:
                probe.take_loss(state.global_step, float(logs["loss"]))
                control.should_training_stop |= probe.stop_reason is not None

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                write_json(
                    Path(args.output_dir) / f"checkpoint-{state.global_step}" / HYPERFIT_FILE, probe.state_dict()
                )

    return ProbeCallback()
