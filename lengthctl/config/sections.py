"""The sections of a recipe: every key, its default and its meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, field_validator, model_validator

from lengthctl.length import Relation, Target, Unit
from lengthctl.prompts import check_wording

__all__ = ["Config", "EndpointSection", "ModelConfig", "PromptsConfig", "RewardSpec", "Section", "is_hub_id"]


class Section(BaseModel):
    """Base of every section: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class LoraSection(Section):
    """Low-rank adapters instead of full weights."""

    r: int = Field(16, ge=1)
    """Rank."""
    alpha: float = 32
    """Scale."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on the adapter's input."""
    target_modules: str | list[str] = "all-linear"
    """Modules that get an adapter; PEFT's names."""


class ModelConfig(Section):
    """The model that is sampled and trained."""

    name: str = "smollm2-135m-instruct"
    """The bundled model, a folder, or a hub id."""
    adapter: str | None = None
    """A LoRA adapter to merge on load."""
    chat_template: str | None = None
    """None: the tokenizer's own. `chatml`: plain ChatML without default system prompt. Else a .jinja file."""
    system_prompt: str | None = None
    """Put in front of every conversation that has none."""
    lora: LoraSection | None = None
    """Train adapters instead of all weights."""


_FILE_SUFFIXES = (".jsonl", ".json", ".parquet", ".csv")


def is_hub_id(source: str) -> bool:
    """Neither the built-in set nor a file."""
    return source != "builtin" and not source.lower().endswith(_FILE_SUFFIXES)


class PromptsConfig(Section):
    """Seed prompts and the lengths asked of them."""

    source: str = "builtin"
    """`builtin`, a .jsonl, .parquet or .csv file, or a hub id."""
    subset: str | None = None
    """Config name of a hub dataset."""
    split: str = "train"
    """Split of a hub dataset."""
    eval_source: str | None = None
    """A held-out set of its own; else `eval_fraction` of `source` is held out by a hash. A text that stands in both is
    not trained."""
    eval_split: str | None = None
    """Split of a hub `eval_source`, or of `source` itself where that has a held-out split."""
    column: str = "prompt"
    """Column with text or messages."""
    eval_fraction: float = Field(0.1, gt=0, lt=1)
    """Share held out of `source`."""
    limit: int | None = Field(None, ge=1)
    """At most so many seed prompts a split."""
    targets: list[StrictInt | dict[str, Any]] = Field([10, 30, 50, 80], min_length=1)
    """Numbers, or mappings with value, relation, unit, high, tolerance."""
    relation: Relation = Relation.EXACT
    """Relation of bare numbers."""
    unit: Unit = Unit.WORDS
    """Unit of bare numbers."""
    tolerance: float | None = None
    """Relative slack of bare numbers under `about`."""
    wordings: list[str] | None = Field(None, min_length=1)
    """Forms of the demand with {request} and {length}; None takes the built-in ones."""

    @field_validator("wordings")
    @classmethod
    def _wordings_have_both_places(cls, wordings: list[str] | None) -> list[str] | None:
        for form in wordings or ():
            check_wording(form)
        return wordings

    @property
    def resolved_targets(self) -> list[Target]:
        """The targets as objects."""
        base = {"relation": self.relation, "unit": self.unit, "tolerance": self.tolerance}
        return [Target.parse({**base, **(t if isinstance(t, dict) else {"value": t})}) for t in self.targets]

    @model_validator(mode="after")
    def _targets_are_valid(self) -> PromptsConfig:
        try:
            _ = self.resolved_targets
        except TypeError as error:
            raise ValueError(f"targets: a target has value, relation, unit, high, tolerance ({error})") from error
        except ValueError as error:
            raise ValueError(f"targets: {error}") from error
        return self

    @model_validator(mode="after")
    def _eval_split_has_a_source(self) -> PromptsConfig:
        source = self.eval_source or self.source
        if self.eval_split is not None and not is_hub_id(source):
            raise ValueError(f"eval_split has no effect: {source} is no hub dataset")
        return self


class EndpointSection(Section):
    """An OpenAI-compatible endpoint."""

    base_url: str
    """Up to and with /v1."""
    model: str
    """Model name there."""
    concurrency: int = Field(8, ge=1)
    """Requests under way at once."""
    timeout_s: float = Field(120.0, gt=0)
    """Seconds one try of a request may take."""
    attempts: int = Field(6, ge=1)
    """Tries of a request that meets a busy, slow, broken or silent server."""
    backoff_s: float = Field(0.5, gt=0)
    """Seconds before the second try; doubled for each further one, and spread. A server's Retry-After comes first."""
    max_backoff_s: float = Field(60.0, gt=0)
    """Longest wait between two tries, in seconds."""
    api_key_env: str | None = "OPENAI_API_KEY"
    """Environment variable that holds the key; never the key itself. Needed where the server is not this machine;
    null: the server wants no key."""

    @field_validator("base_url")
    @classmethod
    def _is_a_web_address(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"base_url begins with http:// or https://, found {url!r}")
        return url


class RolloutConfig(Section):
    """Where completions come from."""

    backend: Literal["vllm", "endpoint", "scripted"] = "vllm"
    """The kind of source."""
    engines: int | None = Field(None, ge=1)
    """vLLM engines; None: one."""
    threads: int | None = Field(None, ge=1)
    """Threads an engine; None: all cores shared out."""
    gpus: int = Field(0, ge=0)
    """GPUs an engine, tensor parallel; 0: engines run on the CPU. Not tried on a GPU yet."""
    weight_transfer: Literal["object_store", "nccl"] = "object_store"
    """How weights reach the engines: through Ray's object store, or from GPU to GPU. The latter was never run."""
    max_num_seqs: int = Field(128, ge=1)
    """Sequences an engine runs at once."""
    kv_cache_gib: int = Field(1, ge=1)
    """KV cache an engine, whole GiB."""
    max_model_len: int | None = Field(None, ge=1)
    """Context of the engine in tokens; None: longest prompt plus limit."""
    dtype: str = "bfloat16"
    """Precision of the engine."""
    endpoint: EndpointSection | None = None
    """For backend `endpoint`."""
    script: str | None = None
    """JSONL of completions, for backend `scripted`."""
    lengths: str | None = None
    """Table of earlier lengths (`lengthctl eval --out` writes one a side), by which requests are ordered."""
    failure_budget: float = Field(0.02, ge=0, le=1)
    """Share of completions that may fail before the run stops."""
    reward_stop: Literal["off", "measure", "on"] = "off"
    """Stop a training completion when its reward cannot change any more. `measure` stops nothing and logs what it
    would save, and what it would do to the loss."""
    reproducible: bool = False
    """Give each request a seed of its own and poll engines by steps, not by time: with one engine, the same machine
    and versions, a seed then gives the same run, interrupted or not. What earlier steps showed of lengths does not
    order requests, and a slow engine is noticed later."""
    stall_seconds: float = Field(300.0, gt=0)
    """An engine that does not answer for so long is replaced."""

    @model_validator(mode="after")
    def _keys_have_effect(self) -> RolloutConfig:
        for key, backend in (("endpoint", "endpoint"), ("script", "scripted")):
            given = getattr(self, key) is not None
            if given != (self.backend == backend):
                word = "has no effect" if given else "is needed"
                raise ValueError(f"rollout.{key} {word} with rollout.backend = {self.backend}")
        return self


class JudgeConfig(Section):
    """The model that grades what was written."""

    backend: Literal["endpoint", "vllm", "scripted"] = "endpoint"
    """The kind of source."""
    endpoint: EndpointSection | None = None
    """For backend `endpoint`."""
    model: ModelConfig | None = None
    """For backend `vllm`."""
    script: str | None = None
    """JSONL of verdicts by item, for backend `scripted`."""
    attempts: int = Field(3, ge=1)
    """Verdicts asked for until one can be read."""
    temperature: float = Field(0.0, ge=0)
    """Of the first verdict; further ones are drawn at 0.5 at least, so that they differ."""
    max_tokens: int = Field(1024, ge=1)
    """Limit of a verdict."""
    cache: str | None = None
    """JSONL file that keeps verdicts, so that none is paid for twice; None: nothing is kept."""

    @model_validator(mode="after")
    def _keys_have_effect(self) -> JudgeConfig:
        for key, backend in (("endpoint", "endpoint"), ("model", "vllm"), ("script", "scripted")):
            given = getattr(self, key) is not None
            if given != (self.backend == backend):
                word = "has no effect" if given else "is needed"
                raise ValueError(f"judge.{key} {word} with judge.backend = {self.backend}")
        return self

    @property
    def model_name(self) -> str:
        """What answers, as the cache of verdicts knows it."""
        if self.endpoint is not None:
            return self.endpoint.model
        if self.model is not None:
            return f"{self.model.name}+{self.model.adapter}" if self.model.adapter else self.model.name
        return f"script {self.script}"


class RewardSpec(Section):
    """One reward in the mix."""

    model_config = ConfigDict(populate_by_name=True)

    name: str
    """A registered name, or path/file.py:function."""
    weight: float = 1.0
    """Weight in the sum; strength of a gate, 0 to 1."""
    role: Literal["reward", "gate"] = "reward"
    """Summed, or a factor that only takes away."""
    args: dict[str, Any] = {}
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


class TrainConfig(Section):
    """What lengthctl adds to TRL's trainer."""

    method: Literal["grpo"] = "grpo"
    """The way of training."""
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
    suite: Literal["prompts", "tlg", "longbench_write", "longen"] = "prompts"
    """What is asked: the held-out prompts with `prompts.targets`; the same with Ruler's nine targets in Ruler's form;
    LongBench-Write or LonGen from `data`."""
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
    """A whole recipe. `trainer` goes to TRL's GRPOConfig as it is."""

    model: ModelConfig = ModelConfig()
    prompts: PromptsConfig = PromptsConfig()  # type: ignore[call-arg]
    rollout: RolloutConfig = RolloutConfig()  # type: ignore[call-arg]
    rewards: list[RewardSpec] = Field(min_length=1)
    judge: JudgeConfig | None = None
    train: TrainConfig = TrainConfig()  # type: ignore[call-arg]
    trainer: dict[str, Any] = {}
    evaluate: EvaluateConfig = EvaluateConfig()  # type: ignore[call-arg]
    run: RunConfig = RunConfig()  # type: ignore[call-arg]
