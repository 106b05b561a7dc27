"""The whole recipe, and the sections of training, evaluation and the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from lengthctl.config.advantage import AdvantageConfig
from lengthctl.config.data import DataConfig
from lengthctl.config.inputs import ModelConfig, PromptsConfig
from lengthctl.config.presets import preset_names
from lengthctl.config.section import Section
from lengthctl.config.sources import JudgeConfig, RolloutConfig
from lengthctl.registry import did_you_mean

__all__ = ["Config", "RewardSpec"]


class RewardSpec(Section):
    """One reward in the mix."""

    model_config = ConfigDict(populate_by_name=True)

    name: str
    """A registered name, or path/file.py:function."""
    weight: float = 1.0
    """Weight in the sum; strength of a gate, 0 to 1; where the multiplier of a constraint begins."""
    role: Literal["reward", "gate", "floor", "constraint"] = "reward"
    """`reward`: summed; `gate`: a factor that only takes away; `floor`: comes first, and while it is below `at_least`
    the other rewards count at their lowest; `constraint`: its mean is held at `at_least`, at a price that is learned
    (Lagrangian)."""
    at_least: float | None = None
    """Of a floor and of a constraint: what it is not to fall below, e.g. an accuracy of 0.8."""
    multiplier_rate: float = Field(0.1, gt=0)
    """Of a constraint: how much a shortfall of 1 raises its multiplier in a step."""
    highest_multiplier: float = Field(10.0, gt=0)
    """Of a constraint: the greatest multiplier."""
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
        if self.role == "floor" and self.weight <= 0:
            raise ValueError(f"the weight of a floor is above 0, found {self.weight}")
        if self.role == "constraint" and not 0 <= self.weight <= self.highest_multiplier:
            found = f"highest_multiplier = {self.highest_multiplier}, found {self.weight}"
            raise ValueError(f"the weight of a constraint, where its multiplier begins, lies between 0 and {found}")
        return self

    @model_validator(mode="after")
    def _keys_have_effect(self) -> RewardSpec:
        if (self.role in ("floor", "constraint")) != (self.at_least is not None):
            raise ValueError(f"at_least {'has no effect' if self.at_least is not None else 'is needed'} {self._role}")
        for key in ("multiplier_rate", "highest_multiplier"):
            if self.role != "constraint" and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key} has no effect {self._role}")
        return self

    @property
    def _role(self) -> str:
        return f"with role = {self.role}"


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
    preset: list[str] = Field([])
    """Papers by name, one or a list: they fill what this recipe leaves open in `train` and `trainer`, a later one over
    an earlier one, and `rewards` if it names none. Known: grpo, dr_grpo, dapo, gspo, cispo, rloo, reinforce_pp,
    reinforce_pp_baseline, gfpo, dler, brpo; for lengths l1_exact, l1_max, kimi, shorter_better, o1_pruner,
    arora_zanette, alp, grpo_lambda, short_rl, laser, laser_d, gr3, tldr, surrogate."""
    advantage: AdvantageConfig = AdvantageConfig()
    """How rewards become advantages, and which groups are trained."""
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
    loss_weighting: Literal["tokens", "sequences", "longwriter"] = "tokens"
    """Of `sft`: every completion token of a step weighs the same, or every completion does, however long. LongWriter
    (arXiv 2408.07055) found the former needed for long outputs. `longwriter`, to compare with: the loss of its released
    code, the mean over a process's tokens times its completions / 30, which grows with the number of completions."""
    mlt_weight: float = Field(1.0, ge=0)
    """Of `sft`: weight of the loss on a meta length token, beside 1 for the others; 0 leaves it to be given."""
    mlt_rate: float = Field(1.0, gt=0)
    """Of `sft`: how many times `trainer.learning_rate` the rows of meta length tokens learn with. They begin as near
    neighbours, and at the rate of the rest need many steps to come apart (ours)."""
    end_weight: float = Field(1.0, gt=0)
    """Of `sft`: weight of the loss where a text could end, on the tokens behind whole sentences and on the stop token,
    beside 1 for the others. There the length is decided: above 1 it is learned with fewer texts (ours)."""
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

    @field_validator("preset", mode="before")
    @classmethod
    def _one_preset_is_a_list(cls, preset: Any) -> Any:
        return [preset] if isinstance(preset, str) else preset

    @field_validator("preset")
    @classmethod
    def _presets_exist(cls, preset: list[str]) -> list[str]:
        for name in preset:
            if name not in preset_names():
                raise ValueError(f"no preset {name!r}{did_you_mean(name, preset_names())}")
        return preset


class EvaluateConfig(Section):
    """Sampling of the held-out prompts."""

    samples: int = Field(2, ge=1)
    """Completions a prompt and target."""
    temperature: float = Field(1.0, ge=0)
    """As in training by default: lengths differ between temperatures."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Share of the distribution kept."""
    repetition_penalty: float = Field(1.0, gt=0, le=2)
    """By which logits of tokens that occurred already are divided; 1 changes nothing."""
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
