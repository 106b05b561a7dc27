"""Prompts: a request with each target, and one of several wordings of the demand."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lengthctl.length import Relation, Target, Unit

__all__ = [
    "WORDINGS",
    "LengthPrompt",
    "Message",
    "SeedPrompt",
    "build_length_prompts",
    "describe_target",
    "draw_wording",
    "name_unit",
    "stable_hash",
    "unword_length",
    "word_length",
]

Message = Mapping[str, str]

WORDINGS = (
    "{request} Answer in {length}.",
    "{request} Write {length}.",
    "{request} Your answer should have {length}.",
    "In {length}: {request}",
    "{request} Use {length}.",
    "{request} ({length})",
)
"""Several forms of the same demand, so that a model cannot learn one phrase. `{length}` is `describe_target`."""

_UNIT_NAMES = {Unit.CHARACTERS: "characters", Unit.SENTENCES: "sentences", Unit.TOKENS: "tokens"}


@dataclass(frozen=True)
class SeedPrompt:
    """A request that names no length yet."""

    id: str
    messages: tuple[Message, ...]
    topic: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LengthPrompt:
    """A request with its target worded into the last message; `request` is it without."""

    id: str
    seed_id: str
    messages: tuple[Message, ...]
    target: Target
    wording: int
    topic: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    request: tuple[Message, ...] = ()


def describe_target(target: Target) -> str:
    """The demand in words, e.g. `about 50 words`, `at most 50 words`, `50 to 80 words`."""
    unit = name_unit(target.unit, target.high or target.value)
    match target.relation:
        case Relation.AT_MOST:
            return f"at most {target.value} {unit}"
        case Relation.AT_LEAST:
            return f"at least {target.value} {unit}"
        case Relation.RANGE:
            return f"{target.value} to {target.high} {unit}"
        case Relation.EXACT | Relation.ABOUT:
            return f"about {target.value} {unit}"


def name_unit(unit: Unit, count: int) -> str:
    """The unit as a prompt calls it: `words`, and `word` for one."""
    name = _UNIT_NAMES.get(unit, "words")
    return name.removesuffix("s") if count == 1 else name


def check_wording(form: str) -> None:
    """A wording has both places.

    Raises:
        ValueError: `{request}` or `{length}` is missing.
    """
    if "{request}" not in form or "{length}" not in form:
        raise ValueError(f"a wording holds {{request}} and {{length}}, found {form!r}")


def build_length_prompts(
    seeds: Sequence[SeedPrompt], targets: Sequence[Target], *, wordings: Sequence[str] | None, seed: int
) -> list[LengthPrompt]:
    """Every seed prompt with every target; the wording is drawn by a hash, so it does not depend on the others.

    Raises:
        ValueError: a wording without `{request}` or `{length}`.
    """
    forms = tuple(wordings) if wordings else WORDINGS
    for form in forms:
        check_wording(form)
    prompts = []
    for item in seeds:
        for target in targets:
            wording = draw_wording(forms, seed, item.id, target)
            messages = word_length(item.messages, target, forms[wording])
            key = f"{item.id}|{target.label}"
            prompts.append(
                LengthPrompt(key, item.id, messages, target, wording, item.topic, item.columns, item.messages)
            )
    return prompts


def draw_wording(forms: Sequence[str], seed: int, seed_id: str, target: Target) -> int:
    """The number of the form in which a request asks for a target: by a hash, so it does not depend on the others."""
    return stable_hash(f"{seed}|{seed_id}|{target.label}") % len(forms)


def word_length(messages: Sequence[Message], target: Target, wording: str) -> tuple[Message, ...]:
    """A conversation whose last message asks for the target, in the form of `wording`."""
    *rest, last = messages
    text = wording.replace("{length}", describe_target(target)).replace("{request}", last["content"])
    return (*rest, {**last, "content": text})


def unword_length(messages: Sequence[Message], target: Target, wordings: Sequence[str]) -> tuple[Message, ...] | None:
    """A conversation with the demand of `target` taken out of its last message: `word_length` backwards.

    The first of `wordings` that fits counts; None where none does. A request that itself ends like a wording of the
    same length is taken for one.
    """
    if not messages:
        return None
    *rest, last = messages
    for wording in wordings:
        form = re.escape(wording).replace(r"\{length\}", re.escape(describe_target(target)))
        form = form.replace(r"\{request\}", "(?P<request>.+)", 1).replace(r"\{request\}", "(?P=request)")
        if found := re.fullmatch(form, last["content"], re.DOTALL):
            return (*rest, {**last, "content": found["request"]})
    return None


def stable_hash(text: str) -> int:
    """64 bits of a text, the same in every process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
