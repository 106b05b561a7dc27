"""TRL's SFTTrainer with our batches: rows without padding or in buckets of length, and weights on single tokens.

Differs from TRL 1.16 in: rows come as ids of prompt and completion; a step is computed in micro-batches of a token
budget; packed rows need no flash attention, and their prompts do not pass the head; the loss is a weighted mean over
the tokens of the step, on all processes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader
from trl import SFTTrainer

from lengthctl.errors import ConfigError, Problem
from lengthctl.train.batching import MicroBatch, pack_micro_batches, pad_micro_batches, row_lengths, take_rows
from lengthctl.train.bucket_batches import BucketBatches
from lengthctl.train.curriculum_batches import CurriculumBatches
from lengthctl.train.decomposition import Curriculum
from lengthctl.train.packed_head import add_packed_head, batch_logprobs, packing_obstacle
from lengthctl.train.row_rate import hasten_rows
from lengthctl.train.supervised_rows import CompletionCollator

__all__ = ["LengthSFTTrainer"]

Batching = Literal["packed", "padded", "buckets"]


class LengthSFTTrainer(SFTTrainer):  # type: ignore[misc]  # TRL is untyped
    """Supervised training on completions.

    Args:
        train_dataset: columns `prompt_ids` and `completion_ids`.
        collator: lays out a batch and weighs its tokens.
        batching: see `TrainConfig.batching`.
        batch_tokens: of `buckets`.
        curriculum: of `buckets`, where rows are pieces of raw text (`decompose`).
        micro_batch_tokens: tokens of one forward; None takes a step whole.
        mlt_rate: see `TrainConfig.mlt_rate`.
        trl: the rest, as TRL's trainer takes it; `args.dataset_kwargs` says that rows are made already.
    """

    def __init__(
        self,
        *,
        collator: CompletionCollator,
        batching: Batching = "packed",
        batch_tokens: int = 8192,
        curriculum: Curriculum | None = None,
        micro_batch_tokens: int | None = None,
        mlt_rate: float = 1.0,
        **trl: Any,
    ) -> None:
        self._lead_ids, self._mlt_rate = collator.lead_ids, mlt_rate
        self._is_scaled = collator.is_scaled
        super().__init__(data_collator=collator, **trl)
        self._batching, self._batch_tokens, self._curriculum = batching, batch_tokens, curriculum
        self._micro_batch_tokens = micro_batch_tokens
        self.packing_obstacle = self._prepare_packing() if batching == "packed" else f"train.batching is {batching}"
        # transformers would divide by a count of tokens of its own; ours is in the loss
        self.model_accepts_loss_kwargs = False

    def _prepare_packing(self) -> str | None:
        """Give the model its packed head; returns why packing cannot be used, if it cannot."""
        model = self.model
        add_packed_head(model.get_base_model() if hasattr(model, "peft_config") else model, 1.0)
        return packing_obstacle(model, 1.0)

    def create_optimizer(self, *given: Any) -> Any:
        """TRL's, in which the rows of meta length tokens have their own rate."""
        optimizer = super().create_optimizer(*given)
        if self._lead_ids and self._mlt_rate != 1:
            hasten_rows(optimizer, self.accelerator.unwrap_model(self.model), sorted(self._lead_ids), self._mlt_rate)
        return optimizer

    def get_train_dataloader(self) -> Any:
        """Of `buckets`: batches of equal tokens and near-equal lengths; else TRL's own."""
        if self._batching != "buckets":
            return super().get_train_dataloader()
        columns = (self.train_dataset["prompt_ids"], self.train_dataset["completion_ids"])
        lengths = [len(prompt) + len(completion) for prompt, completion in zip(*columns, strict=True)]
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        batches: BucketBatches | CurriculumBatches
        if self._curriculum is None:
            batches = BucketBatches(lengths, self._batch_tokens, self.args.seed, rank=rank, world=world)
        elif world > 1:
            problem = Problem("data.pieces", f"= true is for one process, and there are {world}")
            raise ConfigError("train", [problem], "Start one process")
        else:
            batches = CurriculumBatches(lengths, self._batch_tokens, self._curriculum, self.args.seed)
        loader: Any = DataLoader(self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator)
        loader.set_epoch = batches.set_epoch  # transformers tells loaders their epoch, not samplers
        return loader

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward over micro-batches of one step; their losses sum to the step's."""
        started = time.perf_counter()
        batch = self._prepare_inputs(inputs)
        weight = self._total_weight(batch)
        planned = self._plan(batch)
        total = torch.zeros((), device=self.accelerator.device)
        for left, plan in zip(reversed(range(len(planned))), planned, strict=True):
            micro = {**take_rows(batch, plan.rows), "total_weight": weight}
            if self.packing_obstacle is None:
                micro["packs"] = plan.places
            # Processes differ in micro-batches: they meet once, in the last backward.
            with self.accelerator.no_sync(model) if left else nullcontext():
                total += super().training_step(model, micro, None)
        self._log_speed(planned, time.perf_counter() - started)
        return total

    def _total_weight(self, batch: Mapping[str, Any]) -> float:
        """What a step's losses are divided by: its weights on all processes, a process's share of them; 1 where the
        weights are scaled already."""
        if self._is_scaled:
            return 1.0
        weights = batch["loss_weights"].sum()
        return float(self.accelerator.reduce(weights, "sum") / self.accelerator.num_processes)

    def _plan(self, batch: Mapping[str, Any]) -> list[MicroBatch]:
        prompts, completions = row_lengths(batch["prompt_mask"]), row_lengths(batch["completion_mask"])
        if self.packing_obstacle is None:
            return pack_micro_batches(range(len(prompts)), prompts, completions, self._micro_batch_tokens)
        lengths = [prompt + completion for prompt, completion in zip(prompts, completions, strict=True)]
        return pad_micro_batches(lengths, self._micro_batch_tokens)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Weighted mean of the negative logprobs, in nats.

        Raises:
            NotImplementedError: outputs are asked for; none are made.
        """
        if return_outputs:
            raise NotImplementedError("logits are not computed")
        mode = "train" if model.training else "eval"
        weights = inputs["loss_weights"]
        total = inputs.get("total_weight") or (1.0 if self._is_scaled else float(weights.sum()))
        if "packs" in inputs:
            logps, _ = batch_logprobs(model, inputs, inputs["packs"])
        else:
            logps = _padded_logprobs(model, inputs)
        self._log_parts(mode, logps.detach(), inputs)
        return -(logps * weights).sum() / max(total, 1e-9)

    def _log_parts(self, mode: str, logps_BT: torch.Tensor, inputs: Mapping[str, Any]) -> None:
        """Nats of the leading tokens and of the text apart: the former are learned first."""
        mask = inputs["completion_mask"].bool()
        is_lead = torch.zeros_like(mask)
        if self._lead_ids:
            first = inputs["completion_ids"][:, 0]
            is_lead[:, 0] = torch.isin(first, torch.tensor(sorted(self._lead_ids), device=first.device))
        for name, part in (("nats/lead", mask & is_lead), ("nats/text", mask & ~is_lead)):
            if part.any():
                self._metrics[mode][name].append(-logps_BT[part].mean().item())
        self._total_train_tokens += int(mask.sum() + inputs["prompt_mask"].sum()) if mode == "train" else 0
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]

    def _log_speed(self, planned: Sequence[MicroBatch], seconds: float) -> None:
        needed, computed = (sum(getattr(plan, name) for plan in planned) for name in ("needed", "computed"))
        metrics = self._metrics["train"]
        metrics["speed/train_tokens_per_second"].append(needed / seconds)
        metrics["speed/train_padding_fraction"].append(1 - needed / computed)


def _padded_logprobs(model: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
    """(B, T) logprobs of completion tokens, 0 elsewhere, from rows that stand below each other."""
    ids, mask, is_completion = _joined(inputs)
    labels = ids.masked_fill(~is_completion, -100)
    scored = model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True).log_probs
    wanted = inputs["completion_mask"].bool()
    out: torch.Tensor = scored.new_zeros(wanted.shape).masked_scatter(wanted, scored[is_completion[:, 1:]])
    return out


def _joined(inputs: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of prompt and completion without the gap that padding on both sides leaves: ids, mask, completion mask."""
    prompts, completions = row_lengths(inputs["prompt_mask"]), row_lengths(inputs["completion_mask"])
    width = max(prompt + completion for prompt, completion in zip(prompts, completions, strict=True))
    ids = inputs["prompt_ids"].new_zeros((len(prompts), width))
    mask, is_completion = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
    for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        end = prompt + completion
        ids[row, :prompt] = inputs["prompt_ids"][row, inputs["prompt_ids"].size(1) - prompt :]
        ids[row, prompt:end] = inputs["completion_ids"][row, :completion]
        mask[row, :end] = 1
        is_completion[row, prompt:end] = True
    return ids, mask, is_completion
