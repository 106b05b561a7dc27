"""The RL trainer: TRL's `GRPOTrainer` with few, named overrides.

TRL keeps the loop, the loss, the optimizer, checkpoints and trackers. Ours: completions come from the rollout pool,
advantages and the choice of groups and members follow from the recipe (`GroupUpdate`), a group's prompt is computed
once and nothing is padded, the correction for the sampler/trainer mismatch costs no forward of its own, and every step
logs how lengths kept their targets.
Read against TRL 1.16.0; the overrides are the methods of `LengthTrainer`.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from trl import GRPOConfig, GRPOTrainer

from lengthctl.config.advantage import AdvantageConfig
from lengthctl.errors import RewardError
from lengthctl.length import Target
from lengthctl.records import FinishReason
from lengthctl.rewards.combine import Combined
from lengthctl.train.batching import loss_share, plan_update, take_rows
from lengthctl.train.diagnosis import ratio_quantiles
from lengthctl.train.epoch_sampler import EpochSampler
from lengthctl.train.generation import PoolGeneration
from lengthctl.train.group_update import GroupUpdate, Update
from lengthctl.train.lookahead import Lookahead
from lengthctl.train.mismatch import importance_ratio
from lengthctl.train.packed_head import add_packed_head, batch_logprobs, packing_obstacle
from lengthctl.train.ranks import gather_lists, gathering_nothing, is_main, merge_metrics, rank, world_size
from lengthctl.train.resampling import Row, prompt_key, spare_rows
from lengthctl.train.rollout_log import RolloutLog
from lengthctl.train.scored import Scored
from lengthctl.train.step_log import StepLog
from lengthctl.train.watch import named_wait

__all__ = ["LengthTrainer"]


class LengthTrainer(GRPOTrainer):  # type: ignore[misc]  # TRL is untyped
    """`GRPOTrainer` over a rollout pool.

    Args:
        generation: adapter that TRL takes for its vLLM client.
        reward: the combined reward, which logs its parts by itself.
        advantage: how rewards become advantages and which groups are trained; None: TRL's advantages of every group.
        keep_best, keep_worst: members of each group that are trained; None trains all.
        micro_batch_tokens: tokens of one forward, padding included; None takes a batch whole.
        overlap: the next step's completions are drawn during the update, from weights one step older than it.
        share_prompts: a group's prompt is computed once where the model allows it (`packing_obstacle` says why not).
        lead_id: the token that a target puts behind its prompt; it belongs to the prompt and is not trained.
        rollout_log: where every training completion is written, if anywhere.
        say: told of a reward that takes long, and of a step without anything to learn.
        args, model, train_dataset, eval_dataset, processing_class, callbacks: as TRL's. The datasets need the columns
            `prompt` (messages), `target` (`Target.to_row`) and `prompt_id`.
    """

    vllm_importance_sampling_correction: bool
    _logs: dict[str, Any]

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
        advantage: AdvantageConfig | None = None,
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
        self._update = GroupUpdate(
            rule=advantage or AdvantageConfig(),
            group_size=self.num_generations,
            loss_type=self.loss_type,
            pad_id=self._tokenizer.pad_token_id,
            survivor_decay=survivor_decay,
            extremes=None if keep_best is None and keep_worst is None else (keep_best or 0, keep_worst or 0),
        )
        self._micro_batch_tokens = micro_batch_tokens
        self._step_log = StepLog(self.processing_class, rollout_log)
        self._say = say
        self._ahead = Lookahead() if overlap else None
        self._lead_id = lead_id
        # With one update a batch the weights of the update are those of the sampler: the ratio is then read off the
        # training forward itself. With more, TRL computes old logprobs by a forward of its own.
        self._ratio_in_forward = self.num_iterations == 1 and args.steps_per_generation == 1
        self._forward_batch: dict[str, Any] | None = None
        self._own_rewards: list[float | None] = []
        self._own_correct: list[bool | None] | None = None
        self._reward = reward
        graded = any("answer" in getattr(part.reward, "columns", ()) for part in reward.parts)
        self._checks_answers = graded or self._update.rule.filter == "correct"
        self._told_empty = False
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
        """TRL's random order, but found again by a resumed run, with a share of each target or level in every batch."""
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
        elif "level" in rows.column_names:
            sampler.strata = list(rows["level"])
        return sampler

    def _generate_and_score_completions(self, inputs: list[Row]) -> dict[str, Any]:
        """Adds: what is trained of the completions, and by which advantages."""
        mode = "train" if self.model.training else "eval"
        metrics = self._metrics[mode]
        scored = self._score(inputs)
        told = self._generation.speed() if is_main() else {}  # the pool is the first process's
        if mode == "eval":
            update = Update(scored.batch)
        else:
            self._look_ahead()
            update = self._update(scored, lambda: self._spare(inputs), self._score_more)
            self._normaliser_rows = update.rows
            if update.is_empty and not self._told_empty:
                self._told_empty = True
                self._say(f"step {self.state.global_step + 1}: no group passes the filter, so its gradient is zero")
            shown = gather_lists([update.advantages.get(place, 0.0) for place in range(len(inputs))])
            self._logs["advantages"].extend(value for share in shown for value in share)  # over TRL's own
        for name, value in {**told, **update.metrics}.items():
            metrics[name].append(value)
        self._step_log.write(
            metrics,
            own=len(inputs),
            group_size=self._group_size,
            step=self.state.global_step + 1 if mode == "train" else None,
            advantages=update.advantages,
        )
        return update.batch

    @property
    def _group_size(self) -> int:
        """Completions a prompt, in training or in evaluation."""
        return int(self.num_generations if self.model.training else self.num_generations_eval)

    def _score(self, inputs: list[Row]) -> Scored:
        """TRL's completions and rewards; the pool is told rows and targets, and a forward for old logprobs is saved
        where it can be."""
        self._generation.targets, self._generation.rows = _targets(inputs), inputs
        correction = self.vllm_importance_sampling_correction
        if self._ratio_in_forward or not self.model.training:
            self.vllm_importance_sampling_correction = False
        first = len(self._step_log)
        try:
            batch: dict[str, Any] = super()._generate_and_score_completions(inputs)
        finally:
            self.vllm_importance_sampling_correction = correction
        return Scored(batch, self._own_rewards, self._own_correct, list(range(first, first + len(inputs))))

    def _score_more(self, rows: list[Row]) -> Scored:
        """In place of groups that taught nothing; metrics and table of the step stay those of its own draw."""
        earlier = {name: len(values) for name, values in self._metrics["train"].items()}
        table = copy.deepcopy(self._logs)
        scored = self._score(rows)
        self._logs = table
        for name, values in self._metrics["train"].items():
            del values[earlier.get(name, 0) :]
        return scored

    def _spare(self, inputs: list[Row]) -> Iterator[Row]:
        """Rows with other prompts than this step's, in all processes the same."""
        used = [key for share in gather_lists([prompt_key(row) for row in inputs]) for key in share]
        return spare_rows(self.train_dataset, used, seed=self.args.seed, step=self.state.global_step)

    def _look_ahead(self) -> None:
        """Begin to draw the next step's completions."""
        more = self.state.global_step + 1 < self.state.max_steps
        if more and self._ahead is not None and (rows := self._ahead.batch) is not None:
            targets = _targets(rows)
            ids, *_ = super()._tokenize_prompts([row["prompt"] for row in rows])
            self._generation.begin(self._led(ids, targets), targets, self.num_generations, rows)

    def _tokenize_prompts(self, prompts: list[Any]) -> Any:
        """Adds: each target's leading token, as a part of the prompt."""
        ids, *rest = super()._tokenize_prompts(prompts)
        return (self._led(ids, self._generation.targets), *rest)

    def _led(self, prompts: list[list[int]], targets: Sequence[Target | None]) -> list[list[int]]:
        if self._lead_id is None:
            return prompts
        pairs = zip(prompts, targets, strict=True)
        return [[*ids, self._lead_id(target)] if target is not None else ids for ids, target in pairs]

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        """Looks one batch ahead, where rollouts overlap with the update."""
        ahead = self._ahead
        source = epoch_iterator if ahead is None else ahead.chained(epoch_iterator)
        samples: tuple[list[Any], Any] = super().get_batch_samples(source, num_batches, device)
        if ahead is not None:
            ahead.fetch(epoch_iterator)
        return samples

    def _calculate_rewards(
        self, inputs: list[Row], prompts: list[Any], completions: list[Any], completion_ids_list: list[Any]
    ) -> torch.Tensor:
        """Adds: group, truncation, failure and evaluation as columns, a record of every completion."""
        done = self._generation.completions
        for place, (row, completion) in enumerate(zip(inputs, done, strict=True)):
            row["group"] = place // self._group_size
            row["is_truncated"] = completion.is_truncated
            row["is_failed"] = completion.finish is FinishReason.ERROR
            row["is_evaluation"] = not self.model.training
        others = " or another trainer process" if world_size() > 1 else ""
        with named_wait(f"the rewards ({self.reward_func_names[0]}){others}", self._say):
            rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
            if self._checks_answers:
                self._own_correct = self._correct(inputs, prompts, completions)
        start = rank() * len(done)
        own = rewards[start : start + len(done), 0].tolist()
        self._own_rewards = [None if math.isnan(value) else value for value in own]
        self._step_log.add(inputs, done, self._own_rewards, self._own_correct, self._pending_extra_logs)
        return rewards

    def _correct(self, rows: Sequence[Row], prompts: Sequence[Any], completions: Sequence[Any]) -> list[bool | None]:
        """Which completions are right; None for one that failed or whose row has no answer."""
        columns = {**{name: [row.get(name) for row in rows] for name in rows[0]}, "prompts": prompts}
        try:
            right = self._reward.correct(completions, columns)
        except ValueError as error:
            raise RewardError(f"the answers cannot be checked: {error}") from error
        return [None if row["is_failed"] else value for row, value in zip(rows, right, strict=True)]

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
            share = loss_share(self.loss_type, micro, batch, self._normaliser_rows)
            micro["loss_share"] = share * float(batch.get("loss_weight", 1.0))
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
            for name, value in ratio_quantiles(used).items():
                self._metrics["train"][name].append(value)
        return clipped

    def prediction_step(self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None) -> Any:
        """Evaluation generates and scores; the loss of a policy gradient says nothing there, so no forward is spent."""
        self._prepare_inputs(inputs)
        return torch.zeros((), device=self.accelerator.device), None, None


def _targets(rows: Sequence[dict[str, Any]]) -> list[Target | None]:
    return [Target.parse(row["target"]) if row.get("target") else None for row in rows]
