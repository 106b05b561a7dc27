"""Names of the columns in which a dataset keeps its conversations, where those have none of the known shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from lengthctl.registry import did_you_mean

__all__ = ["Columns"]


@dataclass(frozen=True)
class Columns:
    """`prompt` and `completion` hold a text or a list of messages; `messages` a whole conversation, in place of both.
    `context` is put behind the prompt, a blank line between, and `system` in front.

    Raises:
        ValueError: neither `messages` nor both of `prompt` and `completion`, or one beside the other.
    """

    prompt: str | None = None
    completion: str | None = None
    messages: str | None = None
    context: str | None = None
    system: str | None = None
    id: str | None = None
    licence: str | None = None

    def __post_init__(self) -> None:
        asked, others = (self.prompt, self.completion), (self.context, self.system)
        is_known = None not in asked if self.messages is None else not any((*asked, *others))
        if not is_known:
            raise ValueError("columns name messages, or prompt and completion with context and system")

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> Columns:
        """From what a config or a command line names, e.g. `{"prompt": "question", "completion": "answer"}`.

        Raises:
            ValueError: an unknown key, or as above.
        """
        known = [field.name for field in fields(cls)]
        for key in given:
            if key not in known:
                raise ValueError(f"columns have no {key!r}{did_you_mean(key, known)}")
        return cls(**given)

    @property
    def named(self) -> tuple[str, ...]:
        """Those that a row must have: all but `id` and `licence`."""
        found = (self.messages, self.prompt, self.completion, self.context, self.system)
        return tuple(name for name in found if name is not None)
