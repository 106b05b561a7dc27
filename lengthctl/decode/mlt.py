"""Ruler's meta length tokens at inference: given for the target, or written by the model itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from lengthctl.decode.control import Context, Draw, Outcome, Steps, Task, outcome_of
from lengthctl.errors import ModelError
from lengthctl.length import Target, Unit
from lengthctl.mlt import MltRecord, split_output
from lengthctl.models import LoadedTokenizer
from lengthctl.records import Completion
from lengthctl.registry import register
from lengthctl.rollout.backend import Ability, Sampling

__all__ = ["MetaLength", "lead_id"]

_MODES = ("auto", "given", "free", "forced", "served")
_NEVER, _SURELY = -100.0, 100.0
"""The ends of what engines take as a bias: no other token makes up for it."""


@register("control", "mlt")
@dataclass(frozen=True)
class MetaLength:
    """Put the target's token in front of the answer, or let the model write one and take it out of the text.

    For models with an `mlt.json` (`train.method: sft` with `data.mlt` makes them). A target takes the token whose FM
    band holds it. Source: arXiv 2409.18943, sections 4.1 and 4.2; `forced`, and that no second token is written inside
    the answer, are ours.
    """

    mode: Literal["auto", "given", "free", "forced", "served"] = "auto"
    """`given` for the target; `free`: the model may write a token first, or none; `forced`: it must. `auto` is given
    where a length is asked, else forced. `served`, for endpoints: the server puts the token, as the model's saved chat
    template does with `target_words`; whether it did cannot be seen from here."""
    ask: bool = False
    """Leave the length in the prompt too; Ruler's prompts do not name it."""

    def __post_init__(self) -> None:
        if self.mode not in _MODES:
            raise ValueError(f"mode is {', '.join(_MODES[:-1])} or {_MODES[-1]}, found {self.mode!r}")

    @property
    def needs(self) -> frozenset[Ability]:
        """A server's template, or the engine's own abilities."""
        return frozenset({Ability.TEMPLATE} if self.mode == "served" else {Ability.PREFIX, Ability.LOGIT_BIAS})

    def refuses(self, target: Target | None) -> str | None:
        """A target is needed only where its token is given."""
        if self.mode in ("given", "served") and target is None:
            return f"mode={self.mode} needs a length"
        if self.mode == "served" and target is not None and target.unit is not Unit.WORDS:
            return "mode=served asks in words"
        return None

    def room(self, task: Task, limit: int) -> int:
        """The text and its token."""
        return limit + 1

    def steps(self, task: Task, context: Context) -> Steps:
        """See the class.

        Raises:
            ModelError: the model has no meta length tokens, or none for the target's unit.
        """
        messages = task.messages if self.ask or not task.request else task.request
        base = context.sampling
        if self.mode == "served":
            assert task.target is not None
            (completion,) = yield [Draw(messages, base, template_values={"target_words": _words(task.target)})]
            return outcome_of(completion)
        record = _record(context.tokenizer)
        if self.mode == "free":
            (completion,) = yield [Draw(messages, base)]
            return _outcome(completion, completion.token_ids, record, context)
        if self.mode != "forced" and task.target is not None:
            lead = lead_id(context.tokenizer, task.target)
        else:
            choice = replace(base, max_tokens=1, logit_bias=dict.fromkeys(record.by_id, _SURELY))
            (first,) = yield [Draw(messages, choice)]
            lead = first.token_ids[0]
        (completion,) = yield [Draw(messages, _without(base, record), (lead,))]
        return _outcome(completion, (lead, *completion.token_ids), record, context)


def _words(target: Target) -> int:
    """One number for a template: the value asked for, or the middle of a range."""
    return target.value if target.high is None else (target.value + target.high) // 2


def lead_id(tokenizer: LoadedTokenizer | None, target: Target) -> int:
    """The token that asks for a target.

    Raises:
        ModelError: the model has no meta length tokens, or none for the target.
    """
    record = _record(tokenizer)
    try:
        wanted = record.table.token_for_target(target)
    except ValueError as error:
        raise ModelError(f"no meta length token for {target.label} {target.unit} ({error})", "Ask otherwise") from error
    return next(i for i, token in record.by_id.items() if token == wanted)


def _record(tokenizer: LoadedTokenizer | None) -> MltRecord:
    record = None if tokenizer is None else tokenizer.mlt
    if record is None:
        raise ModelError("the model has no meta length tokens", "Tune one with data.mlt, or ask in words")
    return record


def _without(sampling: Sampling, record: MltRecord) -> Sampling:
    return replace(sampling, logit_bias={**sampling.logit_bias, **dict.fromkeys(record.by_id, _NEVER)})


def _outcome(completion: Completion, ids: tuple[int, ...], record: MltRecord, context: Context) -> Outcome:
    """The text without its tokens."""
    assert context.tokenizer is not None
    found = split_output(ids, record.by_id)
    text = context.tokenizer.decode(found.answer_ids)
    lead = None if found.token is None else found.token.name
    forced = len(ids) - len(completion.token_ids)
    return Outcome(text, found.answer_ids, completion.finish, forced_tokens=forced, lead=lead)
