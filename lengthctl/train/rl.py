"""The RL trainer: TRL's `GRPOTrainer` with few, named overrides.

TRL keeps the loop, the loss, the optimizer, checkpoints and trackers. Ours: completions come from the rollout pool,
only the informative members of a group are trained, a group's prompt is computed once and nothing is padded, the
correction for the sampler/trainer mismatch costs no forward of its own, and every step logs how lengths
kept their targets.
Read against TRL 1.16.0; the overrides are the methods of `LengthTrainer`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from trl import GRPOConfig, GRPOTrainer

from lengthctl.length import Target
from lengthctl.records import Completion, FinishReason
from lengthctl.rewards.combine import Combined
from lengthctl.train.adherence_log import step_adherence
from lengthctl.train.batching import loss_share, plan_update, row_lengths, take_rows
from lengthctl.train.epoch_sampler import EpochSampler
from lengthctl.train.estimators import survivor_advantages
from lengthctl.train.generation import PoolGeneration
from lengthctl.train.lookahead import Lookahead
from lengthctl.train.mismatch import importance_ratio
from lengthctl.train.packed_head import add_packed_head, batch_logprobs, packing_obstacle
from lengthctl.train.ranks import gather_lists, gathering_nothing, is_main, merge_metrics, rank, world_size
from lengthctl.train.rollout_log import RolloutLog
from lengthctl.train.selection import select_extremes
from lengthctl.train.watch import named_wait

__all__ = ["LengthTrainer"]


class LengthTrainer(GRPOTrainer):  # type: ignore[misc]  # TRL is untyped
    """`GRPOTrainer` over a rollout pool.

    Args:
        generation: adapter that TRL takes for its vLLM client.
        reward: the combined reward, which logs its parts by itself.
        keep_best, keep_worst: members of each group that are trained; None trains all.
        micro_batch_tokens: tokens of one forward, padding included; None takes a batch whole.
        overlap: the next step's completions are drawn during the update, from weights one step older than it.
        share_prompts: a group's prompt is computed once where the model allows it (`packing_obstacle` says why not).
        lead_id: the token that a target puts behind its prompt; it belongs to the prompt and is not trained.
        rollout_log: where every training completion is written, if anywhere.
        say: told of a reward that takes long.
        args, model, train_dataset, eval_dataset, processing_class, callbacks: as TRL's. The datasets need the columns
            `prompt` (messages), `target` (`Target.to_row`) and `prompt_id`.
    """

    vllm_importance_sampling_correction: bool

    def __init__(
        self,
        *,
        generation: PoolGeneration,
        reward: Combined,
        keep_best: int | None,
        keep_worst: int | None,
        micro_batch_tokens: int | None,
        share_prompts: bool = True,
        overlap: bool = False,
        survivor_decay: float | None = None,
        lead_id: Callable[[Target], int] | None = None,
        rollout_log: RolloutLog | None = None,
        say: Callable[[str], None] = lambda line: None,
        args: GRPOConfig,
        **kwargs: Any,
    ) -> None:
        super().__init__(reward_funcs=[reward], args=args, **kwargs)
        # TRL builds its own engine only when `use_vllm` is set in the config; set afterwards, it uses ours and still
        # syncs at the right step and applies its importance sampling.
        self.use_vllm = True
        self.vllm_generation = generation
        self._last_loaded_step = -1
        generation.bind(self)
        self._generation = generation
        self._keep = None if keep_best is None and keep_worst is None else (keep_best or 0, keep_worst or 0)
        self._micro_batch_tokens = micro_batch_tokens
        self._rollout_log = rollout_log
        self._say = say
        self._ahead = Lookahead() if overlap else None
        self._survivor_decay = survivor_decay
        self._lead_id = lead_id
        # With one update a batch the weights of the update are those of the sampler: the ratio is then read off the
        # training forward itself. With more, TRL computes old logprobs by a forward of its own.
        self._ratio_in_forward = self.num_iterations == 1 and args.steps_per_generation == 1
        self._forward_batch: dict[str, Any] | None = None
        self._own_rewards: list[float | None] = []
        self._normaliser_rows: int | None = None
        self.packing_obstacle = self._prepare_packing() if share_prompts else "train.share_prompts is off"

    def _prepare_packing(self) -> str | None:
        """Give the model its packed head; returns why packing cannot be used, if it cannot."""
        if self._entropy_bonus_enabled or self.aux_loss_enabled or self.args.cast_lm_head_to_fp32:
            return "entropy bonus, router loss and cast_lm_head_to_fp32 need TRL's own forward"
        model = self.model
        add_packed_head(model.get_base_model() if hasattr(model, "peft_config") else model, self.temperature)
        return packing_obstacle(model, self.temperature)

    def _get_train_sampler(self, dataset: Any = None) -> EpochSampler:
        """TRL's random order, but one that a resumed run finds again, with each target's share in every batch."""
        base = super()._get_train_sampler(dataset)
        sampler = EpochSampler(
            data_source=base.data_source,
            mini_repeat_count=base.mini_repeat_count,
            batch_size=base.batch_size,
            repeat_count=base.repeat_count,
            shuffle=base.shuffle,
            seed=base.seed,
        )
        rows = base.data_source
        if "target" in rows.column_names:
            sampler.strata = [Target.parse(row).label if row else None for row in rows["target"]]
        return sampler

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Adds: targets for the pool, no old-logprob forward where it can be saved, the choice of group members."""
        mode = "train" if self.model.training else "eval"
        self._generation.targets = _targets(inputs)
        correction = self.vllm_importance_sampling_correction
        if self._ratio_in_forward or mode == "eval":
            self.vllm_importance_sampling_correction = False
        try:
            batch: dict[str, Any] = super()._generate_and_score_completions(inputs)
        finally:
            self.vllm_importance_sampling_correction = correction
        more = self.state.global_step + 1 < self.state.max_steps
        if mode == "train" and more and self._ahead is not None and (rows := self._ahead.batch) is not None:
            targets = _targets(rows)
            ids, *_ = super()._tokenize_prompts([row["prompt"] for row in rows])
            self._generation.begin(self._led(ids, targets), targets, self.num_generations)
        if mode == "train" and self._survivor_decay is not None:
            batch["advantages"] = self._survivor_advantages(batch["completion_mask"], self._survivor_decay)
        if mode == "train" and self._keep is not None:
            batch = self._keep_informative(batch)
        return batch

    def _tokenize_prompts(self, prompts: list[Any]) -> Any:
        """Adds: each target's leading token, as a part of the prompt."""
        ids, *rest = super()._tokenize_prompts(prompts)
        return (self._led(ids, self._generation.targets), *rest)

    def _led(self, prompts: list[list[int]], targets: Sequence[Target | None]) -> list[list[int]]:
        if self._lead_id is None:
            return prompts
        pairs = zip(prompts, targets, strict=True)
        return [[*ids, self._lead_id(target)] if target is not None else ids for ids, target in pairs]

    def _survivor_advantages(self, mask: torch.Tensor, decay: float) -> torch.Tensor:
        """(B, T), zero where the completion mask is."""
        advantages_BT = torch.zeros(mask.shape, device=mask.device)
        lengths, size = row_lengths(mask), self.num_generations
        for start in range(0, len(lengths), size):
            group = slice(start, start + size)
            for row, own in enumerate(
                survivor_advantages(self._own_rewards[group], lengths[group], decay=decay), start
            ):
                advantages_BT[row, : len(own)] = torch.tensor(own)
        return advantages_BT

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        """Looks one batch ahead, where rollouts overlap with the update."""
        ahead = self._ahead
        source = epoch_iterator if ahead is None else ahead.chained(epoch_iterator)
        samples: tuple[list[Any], Any] = super().get_batch_samples(source, num_batches, device)
        if ahead is not None:
            ahead.fetch(epoch_iterator)
        return samples

    def _keep_informative(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Rows of the extremes; the advantages keep the baseline of their whole group."""
        assert self._keep is not None
        local = len(batch["completion_ids"])
        counts = batch["completion_mask"].any(dim=1).tolist()  # TRL can mask truncated completions whole
        rewards = [value if counted else None for value, counted in zip(self._own_rewards, counts, strict=True)]
        kept = select_extremes(rewards, self.num_generations, *self._keep)
        self._normaliser_rows = local // self.num_generations * sum(self._keep)
        batch = take_rows(batch, kept)
        tokens = batch["completion_mask"].sum()
        batch["num_items_in_batch"] = self.accelerator.gather(tokens).sum()
        self._metrics["train"]["selection/kept_fraction"].append(len(kept) / local)
        return batch

    def _calculate_rewards(
        self, inputs: list[dict[str, Any]], prompts: list[Any], completions: list[Any], completion_ids_list: list[Any]
    ) -> torch.Tensor:
        """Adds: truncation as a column, length adherence in the log, a record of every completion."""
        done = self._generation.completions
        for row, completion in zip(inputs, done, strict=True):
            row["is_truncated"] = completion.is_truncated
            row["is_failed"] = completion.finish is FinishReason.ERROR
        others = " or another trainer process" if world_size() > 1 else ""
        with named_wait(f"the rewards ({self.reward_func_names[0]}){others}", self._say):
            rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        start = rank() * len(done)
        own = rewards[start : start + len(done), 0].tolist()
        self._own_rewards = [None if math.isnan(value) else value for value in own]
        self._log(inputs, done)
        return rewards

    def _log(self, inputs: list[dict[str, Any]], done: Sequence[Completion]) -> None:
        """Adherence and records of the rows of all processes, in the first."""
        mode = "train" if self.model.training else "eval"
        own = [
            (row.get("prompt_id"), row.get("target"), completion, reward)
            for row, completion, reward in zip(inputs, done, self._own_rewards, strict=True)
        ]
        rows = [row for share in gather_lists(own) for row in share]
        if not is_main():
            return
        for name, value in {**step_adherence(rows, self.processing_class), **self._generation.speed()}.items():
            self._metrics[mode][name].append(value)
        if self._rollout_log is not None and mode == "train":
            self._rollout_log.write(self.state.global_step + 1, rows)

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        """A micro-batch made by `training_step` passes through."""
        if isinstance(generation_batch, dict) and "loss_share" in generation_batch:
            return generation_batch
        prepared: dict[str, Any] = super()._prepare_inputs(generation_batch)
        return prepared

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward over length-sorted micro-batches of one batch; the summed loss is the batch's."""
        started = time.perf_counter()
        model.train()
        batch = self._prepare_inputs(inputs)
        prepared = time.perf_counter()
        total = torch.zeros((), device=self.accelerator.device)
        planned = plan_update(batch, self._micro_batch_tokens, packed=self.packing_obstacle is None)
        earlier = {name: len(values) for name, values in self._metrics["train"].items()}
        for left, plan in zip(reversed(range(len(planned))), planned, strict=True):
            micro = take_rows(batch, plan.rows)
            micro["loss_share"] = loss_share(self.loss_type, micro, batch, self._normaliser_rows)
            if self.packing_obstacle is None:
                micro["packs"] = plan.places
            # Processes differ in micro-batches: they meet once, in the last backward.
            with self.accelerator.no_sync(model) if left else nullcontext(), gathering_nothing(self.accelerator):
                total += super(GRPOTrainer, self).training_step(model, micro, num_items_in_batch)
        merge_metrics(self._metrics["train"], earlier)
        self._step += 1
        seconds = time.perf_counter() - prepared
        rows = int(batch["prompt_mask"].sum() + batch["completion_mask"].sum())
        computed = sum(plan.computed for plan in planned)
        metrics = self._metrics["train"]
        metrics["step_time"].append(time.perf_counter() - started)
        metrics["speed/train_seconds"].append(seconds)
        metrics["speed/train_tokens_per_second"].append(rows / seconds)
        metrics["speed/train_computed_fraction"].append(computed / rows)
        metrics["speed/train_padding_fraction"].append(1 - sum(plan.needed for plan in planned) / computed)
        return total

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Adds: the share of a micro-batch, and the batch in view of the forward below."""
        self._forward_batch = inputs
        try:
            loss: torch.Tensor = super()._compute_loss(model, inputs) * inputs.get("loss_share", 1.0)
        finally:
            self._forward_batch = None
        return loss

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> tuple[Any, Any, Any]:
        """Adds: packs, and the importance ratio from this very forward (its logprobs are the old ones on a first
        update)."""
        batch = self._forward_batch
        out: tuple[Any, Any, Any]
        if batch is not None and "packs" in batch:
            with self.accelerator.autocast():
                out = (*batch_logprobs(args[0], batch, batch["packs"]), None)
        else:
            out = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if batch is not None and self._ratio_in_forward and self.vllm_importance_sampling_correction:
            batch["importance_sampling_ratio"] = self._importance_ratio(out[0].detach(), batch)
        return out

    def _importance_ratio(self, logps_BT: torch.Tensor, batch: dict[str, Any]) -> torch.Tensor:
        """By TRL's own options, and logged."""
        clipped, used = importance_ratio(
            logps_BT,
            batch["sampling_per_token_logps"],
            batch["completion_mask"],
            mode=self.vllm_importance_sampling_mode,
            low=self.vllm_importance_sampling_clip_min,
            high=self.vllm_importance_sampling_clip_max,
        )
        if used.numel():
            self._metrics["train"]["sampling/importance_sampling_ratio/mean"].append(used.mean().item())
            self._metrics["train"]["sampling/importance_sampling_ratio/max"].append(used.max().item())
        return clipped

    def prediction_step(self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None) -> Any:
        """Evaluation generates and scores; the loss of a policy gradient says nothing there, so no forward is spent."""
        self._prepare_inputs(inputs)
        return torch.zeros((), device=self.accelerator.device), None, None


def _targets(rows: Sequence[dict[str, Any]]) -> list[Target | None]:
    return [Target.parse(row["target"]) if row.get("target") else None for row in rows]
