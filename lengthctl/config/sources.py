"""Sections of where completions and verdicts come from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from lengthctl.config.inputs import ModelConfig
from lengthctl.config.section import Section

__all__ = ["EndpointSection", "JudgeConfig", "RolloutConfig"]


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
    gpus: float = Field(0, ge=0)
    """GPUs an engine. 1: one; a whole number above: tensor parallel; a share such as 0.3: that share of one GPU's
    memory, the rest is left to the trainer or to other engines; 0: engines run on the CPU, and want a CPU build of
    vLLM."""
    weight_transfer: Literal["object_store", "nccl"] = "object_store"
    """How weights reach the engines: through Ray's object store, or from GPU to GPU. The latter was never run."""
    max_num_seqs: int = Field(128, ge=1)
    """Sequences an engine runs at once."""
    kv_cache_gib: int | None = Field(None, ge=1)
    """KV cache an engine, whole GiB; None: 1 on a CPU, and on a GPU what its share of the memory leaves. A number
    is taken on a GPU whatever the share."""
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

    @property
    def cache_gib(self) -> int | None:
        """`kv_cache_gib` with its default on a CPU; None: what is free of a GPU's share."""
        return 1 if self.kv_cache_gib is None and not self.gpus else self.kv_cache_gib


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
    engines: int | None = Field(None, ge=1)
    """For backend `vllm`: engines of its own; None: as `rollout.engines`."""
    threads: int | None = Field(None, ge=1)
    """For backend `vllm`: threads an engine; None: as `rollout.threads`."""
    gpus: float | None = Field(None, ge=0)
    """For backend `vllm`: GPUs an engine; None: as `rollout.gpus`."""
    concurrent: bool = True
    """In training: ask as soon as a group's completions are there, while others are still being drawn. False: when the
    reward is computed. The verdicts are the same."""
    patience_s: float = Field(300.0, gt=0)
    """In training: seconds that a reward waits for verdicts, those that another reward asked for first included; what
    is not there then counts as no verdict."""
    silent_steps: int = Field(5, ge=1)
    """In training: stop the run when so many steps in a row got verdicts on less than a tenth of what they asked. All
    that is asked in a step counts as one, `train.advantage.resample_rounds` included; evaluation does not count."""

    @model_validator(mode="after")
    def _engines_have_effect(self) -> JudgeConfig:
        for key in ("engines", "threads", "gpus"):
            if self.backend != "vllm" and getattr(self, key) is not None:
                raise ValueError(f"judge.{key} has no effect with judge.backend = {self.backend}")
        return self

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
