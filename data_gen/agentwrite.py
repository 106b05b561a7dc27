"""Training data of texts that were planned and written in parts: requests in, rows in TRL's conversational form out.

Source: AgentWrite and LongWriter-6k, arXiv 2408.07055. Differs from it: a target that a request does not name is worded
into it, and every row tells its plan, its parts and its length by our count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from lengthctl.data_gen.demand_forms import draw_phrase, put_demand
from lengthctl.data_gen.filters import DropReason, empty, repetitive
from lengthctl.data_gen.length_demands import strip_length_demands
from lengthctl.data_gen.stated_length import find_stated_length
from lengthctl.decode.agentwrite import LongRequest, LongText
from lengthctl.decode.agentwrite_context import is_ideographic
from lengthctl.decode.agentwrite_options import WritingOptions
from lengthctl.judging import is_refusal
from lengthctl.length import Encoder, Relation, Target, Unit, count_length
from lengthctl.normal_text import content_digest
from lengthctl.prompts import Message, stable_hash
from lengthctl.records import FinishReason
from lengthctl.scoring import s_l
from lengthctl.writing_system import language_of, wording_language

__all__ = ["AgentWriteSettings", "LongPrompt", "long_prompt", "row_of"]

_WORDED_TOLERANCE = 0.1
"""A bare number is worded as "about"; only the wording reads it."""


@dataclass(frozen=True)
class AgentWriteSettings:
    """How data are made.

    Raises:
        ValueError: `least_s_l` outside [0, 1].
    """

    writing: WritingOptions = field(default_factory=WritingOptions)
    least_s_l: float = 0.0
    """Texts whose S_l is below it are left out; 0 keeps any length."""
    seed: int = 0
    """Of the wordings of lengths."""

    def __post_init__(self) -> None:
        if not 0 <= self.least_s_l <= 1:
            raise ValueError(f"least_s_l lies between 0 and 1, found {self.least_s_l}")


@dataclass(frozen=True)
class LongPrompt:
    """A request for a text, from a source."""

    id: str
    messages: tuple[Message, ...]
    """As it came."""
    target: Target | None = None
    """None: nobody names a length, and the plan sets it. Words of a Chinese or Japanese request are counted by
    `Unit.WORDS_MIXED`."""
    source: str = ""
    licence: str | None = None
    states_length: bool = False
    """The request names the target itself."""
    unusable: DropReason | None = None
    """The row is no request."""

    def __post_init__(self) -> None:
        if self.target is not None and self.target.unit is Unit.WORDS and is_ideographic(self.messages[-1]["content"]):
            # a run of ideographs is one word of that unit
            object.__setattr__(self, "target", replace(self.target, unit=Unit.WORDS_MIXED))

    @property
    def digest(self) -> str:
        """32 hex digits of request and target; neither id nor source."""
        target = None if self.target is None else self.target.to_row()
        return content_digest([[m["role"], m["content"]] for m in self.messages], target)

    def asked(self, settings: AgentWriteSettings) -> LongRequest:
        """The conversation that asks for the length, as the row will have it, and the one that does not.

        Short prompts show the request beside the length of a part, so there the length of the whole is taken out.
        """
        *before, last = self.messages
        if self.target is None:
            return LongRequest(self.messages)
        if self.states_length:
            plain = strip_length_demands(last["content"]) if settings.writing.brief else last["content"]
            return LongRequest(self.messages, self.target, (*before, {**last, "content": plain or last["content"]}))
        rng = Random(stable_hash(f"{settings.seed}|{self.digest}"))
        language = wording_language(last["content"])
        phrase = draw_phrase(_worded(self.target), language, rng)
        worded = put_demand(last["content"], phrase, language, rng)
        return LongRequest((*before, {**last, "content": worded}), self.target, self.messages)


def _worded(target: Target) -> Target:
    """Nobody asks for exactly 5,000 words."""
    if target.relation is not Relation.EXACT:
        return target
    return Target(target.value, Relation.ABOUT, target.unit, tolerance=_WORDED_TOLERANCE)


def long_prompt(
    messages: tuple[Message, ...],
    source: str,
    *,
    target: Target | None = None,
    id: str = "",
    licence: str | None = None,
) -> LongPrompt:
    """A request; its target is the one given, else the one length that it states for its whole answer."""
    text = messages[-1]["content"]
    stated = find_stated_length(text)
    found = target if target is not None else stated if isinstance(stated, Target) else None
    states = isinstance(stated, Target) and found is not None and stated.value == found.value
    if empty(text) or "\0" in text:
        return LongPrompt(id, messages, found, source, licence, states, DropReason.NO_PROMPT)
    made = LongPrompt(id, messages, found, source, licence, states)
    return made if id else LongPrompt(made.digest, messages, found, source, licence, states)


def row_of(
    prompt: LongPrompt, made: LongText, settings: AgentWriteSettings, tokenizer: Encoder | None = None
) -> Mapping[str, Any] | DropReason:
    """A row of training data, or why the text is not used.

    `words` counts `Unit.WORDS_MIXED`, `length` the target's unit; `plan` (null: written in one call) has the main point
    and the length of each step, `parts` the place in the text, the asked length and the length of each part.
    """
    text, asked = made.text.strip(), prompt.asked(settings)
    if reason := empty(text):
        return reason
    if is_refusal(text):
        return DropReason.REFUSED
    if made.finish is FinishReason.LIMIT:
        return DropReason.UNFINISHED
    if reason := repetitive(text):
        return reason
    target = prompt.target
    length = count_length(text, made.unit, tokenizer)
    score = None if target is None else s_l(length, target)
    if score is not None and score < settings.least_s_l:
        return DropReason.LENGTH_MISSED
    return {
        "prompt": [dict(message) for message in asked.messages],
        "completion": [{"role": "assistant", "content": text}],
        "id": prompt.id,
        "target": None if target is None else target.to_row(),
        "words": count_length(text, Unit.WORDS_MIXED),
        "length": length,
        "unit": str(made.unit),
        "s_l": None if score is None else round(score, 4),
        "language": language_of(text),
        "plan": None if made.made is None else made.made.plan.to_rows(),
        "plan_origin": None if made.made is None else made.made.origin,
        "plan_attempts": None if made.made is None else made.made.attempts,
        "parts": None if made.made is None else _parts(made),
        "left_out": made.left_out,
        "source": prompt.source,
        "licence": prompt.licence,
    }


def _parts(made: LongText) -> list[dict[str, Any]]:
    """Of the parts that stand in the text; `start` and `end` are offsets in it, in code points."""
    rows, at = [], 0
    for part in made.parts:
        if not part.text:
            continue
        rows.append(
            {
                "point": part.point,
                "start": at,
                "end": at + len(part.text),
                "asked": part.asked,
                "length": part.length,
                "attempts": part.attempts,
                "fault": None if part.fault is None else str(part.fault),
                "is_cut": part.is_cut,
                "is_shortened": part.is_shortened,
            }
        )
        at += len(part.text) + 2
    return rows
