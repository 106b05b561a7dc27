"""Make the end of the text, or of the thought, likelier or less likely at every step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from lengthctl.decode.control import Context, Draw, Steps, Task, outcome_of
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
    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.RULES})

    def refuses(self, target: Target | None) -> str | None:
        """Nothing."""
        return None

    def room(self, task: Task, limit: int) -> int:
        """The text."""
        return limit

    def steps(self, task: Task, context: Context) -> Steps:
        """See the class."""
        assert context.tokenizer is not None
        tokens = context.tokenizer.stop_token_ids if self.end is None else (context.tokenizer.single_id(self.end),)
        rule = {"tokens": tokens, "mode": self.mode, "value": self.value, "after": self.after}
        (completion,) = yield [Draw(task.messages, replace(context.sampling, rules={"stop_scale": rule}))]
        return outcome_of(completion)
