"""Make the end of the text, or of the thought, likelier or less likely at every step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from lengthctl.decode.control import Context, Draw, Steps, Task, outcome_of
from lengthctl.decode.forced_answer import thought_ends
from lengthctl.length import Target
from lengthctl.registry import register
from lengthctl.rollout.backend import Ability

__all__ = ["StopTemperature"]


@register("control", "stop_temperature")
@dataclass(frozen=True)
class StopTemperature:
    """Scale the logit of the end; see `logit_rules.StopScale` for the modes and their signs.

    It knows no target: one value makes all texts shorter or longer. Source: TS of arXiv 2505.07961 (`raw`); `bias` and
    `logp` are ours, since the direction of `raw` depends on the sign of a logit.
    """

    value: float = 1.0
    """Bias, or temperature."""
    mode: Literal["bias", "raw", "logp"] = "bias"
    """The form of scaling."""
    end: str | None = None
    """The text of the token that ends the thought, e.g. `</think>`; None: the model's stop tokens."""
    after: int = 0
    """Tokens before which nothing is done; 16 keeps thoughts from being empty."""
    token: int = -1
    """Id of the token that ends the text, as an endpoint is told it, whose tokenizer is not at hand: sent as a
    `logit_bias`. Only with mode bias, from the first token on. -1: the model's own."""

    def __post_init__(self) -> None:
        if self.token >= 0 and (self.mode != "bias" or self.after or self.end is not None):
            raise ValueError("token is for mode=bias alone, without after or end")

    @property
    def needs(self) -> frozenset[Ability]:
        """A bias, or rules of ours."""
        return frozenset({Ability.LOGIT_BIAS if self.token >= 0 else Ability.RULES})

    def refuses(self, target: Target | None) -> str | None:
        """Nothing."""
        return None

    def room(self, task: Task, limit: int) -> int:
        """The text."""
        return limit

    def steps(self, task: Task, context: Context) -> Steps:
        """See the class."""
        if self.token >= 0:
            biased = replace(context.sampling, logit_bias={self.token: self.value})
            (completion,) = yield [Draw(task.messages, biased)]
            return outcome_of(completion)
        assert context.tokenizer is not None
        tokens = thought_ends(context.tokenizer, self.end)
        rule = {"tokens": tokens, "mode": self.mode, "value": self.value, "after": self.after}
        (completion,) = yield [Draw(task.messages, replace(context.sampling, rules={"stop_scale": rule}))]
        return outcome_of(completion)
