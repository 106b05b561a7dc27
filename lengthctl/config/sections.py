"""The whole recipe, and the sections of training, evaluation and the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from lengthctl.config.data import DataConfig
from lengthctl.config.inputs import ModelConfig, PromptsConfig
from lengthctl.config.section import Section
from lengthctl.config.sources import JudgeConfig, RolloutConfig

__all__ = ["Config", "RewardSpec"]


class RewardSpec(Section):
    """One reward in the mix."""

    model_config = ConfigDict(populate_by_name=True)

    name: str
    """A registered name, or path/file.py:function."""
    weight: float = 1.0
    """Weight in the sum; strength of a gate, 0 to 1."""
    role: Literal["reward", "gate"] = "reward"
    """Summed, or a factor that only takes away."""
    args: dict[str, Any] = Field({})
    """Arguments of the reward."""
    label: str | None = Field(None, alias="as")
    """Another name for a second instance."""

    @field_validator("name")
    @classmethod
    def _own_file_is_absolute(cls, name: str) -> str:
        """So that the run can be resumed from any folder."""
        path, separator, function = name.rpartition(":")
        return f"{Path(path).expanduser().resolve()}:{function}" if separator and path.endswith(".py") else name

    @model_validator(mode="after")
    def _buildable(self) -> RewardSpec:
        from lengthctl.rewards.build import build_reward

        build_reward(self.name, self.args)
        if self.role == "gate" and not 0 <= self.weight <= 1:
            raise ValueError(f"the weight of a gate lies between 0 and 1, found {self.weight}")
        return self


class HyperfitSection(Section):
    """Watch a hyperfitting (arXiv 2412.04318), and end it when it has done what it does."""

    every: int = Field(50, ge=1)
    """Steps between looks at greedy continuations of held-out prompts."""
    prompts: int = Field(16, ge=1)
    """How many are continued."""
    loss_below: float | None = Field(0.05, gt=0)
    """Stop when the mean loss of the last `loss_steps` steps is below, in nats; None: not by the loss."""
    loss_steps: int = Field(50, ge=1)
    """Steps of that mean."""
    patience: int | None = Field(5, ge=1)
    """Stop when so many looks in a row saw no more varied texts than before; None: not by that."""


class TrainConfig(Section):
    """What lengthctl adds to TRL's trainer."""

    method: Literal["grpo", "sft", "dpo"] = "grpo"
    """The way of training: reinforcement (`grpo`, with `rewards`), on given texts (`sft`) or on pairs of a better and a
    worse text (`dpo`), both with `data`."""
    batching: Literal["packed", "padded", "buckets"] = "packed"
    """Of `sft`. `packed`: rows drawn at random stand one behind the other in one flat row, each attending to itself;
    `padded`: the same rows, padded to the longest; `buckets`: a batch holds rows of one power of two in length and
    `batch_tokens` tokens, padding included (dataset decomposition, arXiv 2405.13226, for rows that are never cut)."""
    batch_tokens: int = Field(8192, ge=1)
    """Of `batching: buckets`: tokens of a step."""
    curriculum: Literal["grow_p2", "grow_linear", "uniform"] = "grow_p2"
    """Of `data.pieces`: odds of the lengths; the first two begin short and grow within each epoch."""
    hyperfit: HyperfitSection | None = None
    """Of `sft`: watch how varied greedy texts become, and when to stop."""
    loss_weighting: Literal["tokens", "sequences"] = "tokens"
    """Of `sft`: every completion token of a step weighs the same, or every completion does, however long. LongWriter
    (arXiv 2408.07055) found the former needed for long outputs."""
    mlt_weight: float = Field(1.0, ge=0)
    """Of `sft`: weight of the loss on a meta length token, beside 1 for the others; 0 leaves it to be given."""
    keep_best: int | None = Field(None, ge=0)
    """Members of a group with the highest rewards that are trained; None trains all."""
    keep_worst: int | None = Field(None, ge=0)
    """The same for the lowest rewards."""
    survivor_decay: float | None = Field(None, ge=0, le=1)
    """Judge each token against the members of its group that are still being written there, not against the whole
    group; how much of what comes k tokens later it answers for is this to the power k. None: TRL's advantages."""
    micro_batch_tokens: int | None = Field(4096, ge=1)
    """Tokens of one forward, a shared prompt counted once (and padding, where rows cannot be packed); None takes a
    batch whole."""
    release_memory: bool = False
    """Give freed memory back to the system after every update: several GiB less between steps, and on a CPU a third
    more time for the update, which pages them in again. False: only when the machine is short of memory."""
    overlap: bool = False
    """Draw the next step's completions while this one is learned from. They come from weights one step old, which the
    importance ratio corrects. Pays where engines and trainer have cores or devices of their own."""
    average_last: int | None = Field(None, ge=2)
    """Let the trained model be the mean of the weights after each of the last so many steps: lengths that swing around
    their targets settle between."""
    share_prompts: bool = True
    """Compute a group's prompt once in the update, and pad nothing, where the model allows it."""


class EvaluateConfig(Section):
    """Sampling of the held-out prompts."""

    samples: int = Field(2, ge=1)
    """Completions a prompt and target."""
    temperature: float = Field(1.0, ge=0)
    """As in training by default: lengths differ between temperatures."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Share of the distribution kept."""
    max_tokens: int | None = Field(None, ge=1)
    """Limit; None takes trainer.max_completion_length."""
    limit: int | None = Field(None, ge=1)
    """At most so many held-out prompts."""
    likelihood: bool = False
    """Measure, too, how likely the texts are under the first side's model, per token: what a control costs in
    naturalness. Loads the model once more."""
    problems: str | None = None
    """Answered beside the prompts, for accuracy against tokens: `builtin`, gsm8k, math500, math or aime, or NAME=SOURCE
    with a file or hub id. Not under controls that need a length."""
    problem_limit: int = Field(100, ge=1)
    """At most so many problems."""
    suite: Literal["prompts", "tlg", "tlg_open", "longbench_write", "longen"] = "prompts"
    """What is asked: the held-out prompts with `prompts.targets`; the same in Ruler's form, each with one of its nine
    targets as Ruler draws them (`tlg`) or with all nine (`tlg_open`); LongBench-Write or LonGen from `data`."""
    data: str | None = None
    """Of the last two: a .jsonl, .parquet or .csv file, or a hub id."""

    @model_validator(mode="after")
    def _data_have_effect(self) -> EvaluateConfig:
        needed = self.suite in ("longbench_write", "longen")
        if needed != (self.data is not None):
            raise ValueError(f"data {'is needed' if needed else 'has no effect'} with suite = {self.suite}")
        return self


class RunConfig(Section):
    """The run folder and its seed."""

    name: str | None = None
    """Folder name, without a path; None takes the recipe's."""
    dir: str = "runs"
    """Parent of run folders."""
    seed: int = Field(42, ge=0, lt=2**32)
    """Random seed."""

    @field_validator("name")
    @classmethod
    def _stays_in_its_folder(cls, name: str | None) -> str | None:
        if name is not None and (Path(name).name != name or "\0" in name):
            raise ValueError("a run's name is one folder name, without a path")
        return name


class Config(Section):
    """A whole recipe. `trainer` goes to TRL's config of the method as it is."""

    model: ModelConfig = ModelConfig()
    prompts: PromptsConfig = PromptsConfig()  # type: ignore[call-arg]
    rollout: RolloutConfig = RolloutConfig()  # type: ignore[call-arg]
    rewards: list[RewardSpec] = Field([])
    data: DataConfig | None = None
    judge: JudgeConfig | None = None
    train: TrainConfig = TrainConfig()  # type: ignore[call-arg]
    trainer: dict[str, Any] = Field({})
    evaluate: EvaluateConfig = EvaluateConfig()  # type: ignore[call-arg]
    run: RunConfig = RunConfig()  # type: ignore[call-arg]
