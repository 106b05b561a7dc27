"""Settings of Self-Lengthen (arXiv 2410.23933), and the two profiles: the paper's sizes, and a small one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lengthctl.data_gen.written_checks import WrittenRules

__all__ = ["PROFILES", "SMALL", "SelfLengthenSettings"]


@dataclass(frozen=True)
class SelfLengthenSettings:
    """The defaults are the paper's, for models of 7B and more; `SMALL` is for a few hundred million parameters.

    Raises:
        ValueError: a value out of its range.
    """

    rounds: int = 3
    """Times that instructions are answered, the answers extended, and the models trained on them."""
    instructions: int = 5000
    """A round."""
    self_instruct: bool = True
    """The model proposes the instructions, from the given ones as examples; else the given ones are used in turn."""
    proposals: int = 10
    """Tries for one instruction of its own."""
    long_words: int = 2000
    """What counts as long where the model judges whether an instruction calls for a long text."""
    responses: int = 2
    """First responses of an instruction."""
    response_attempts: int = 20
    """Tries for each, until it passes the check."""
    extensions: int = 2
    """Extended texts of a first response."""
    extension_rounds: int = 3
    """Extensions on top of each other in an attempt."""
    extension_calls: int = 12
    """Calls for one extended text at most, over all attempts (ours: the released code may make 120)."""
    growth: float = 1.2
    """An extended text counts when it is longer than the first response by more than this factor."""
    temperature: float = 0.7
    """Of calls that name no other."""
    top_p: float = 0.8
    """Share of the distribution kept."""
    top_k: int = 20
    """Most likely tokens kept; 0 keeps all."""
    repetition_penalty: float = 1.1
    """By which logits of tokens that occurred already are divided; 1 changes nothing."""
    max_tokens: int = 16_384
    """Limit of an answer."""
    probe_tokens: int = 16_384
    """Limit of an answer to the probe: what a round adds has to find room."""
    check: WrittenRules = field(default_factory=WrittenRules)
    """What texts are refused for."""
    drop_short: bool = True
    """Leave out short texts at random, the more probably the shorter."""
    drop_short_least: int = 20
    """Texts of a language below which none is left out for its length."""
    thin_keep: float = 0.8
    """Share of lines of the first response that the extender is shown in training."""
    roles: Literal["two", "one"] = "two"
    """A generator and an extender, each trained on its own data; or one model, trained on both."""
    probe: int = 50
    """Given instructions that are kept out of training and answered before each round and at the end: what a round's
    growth and quality are measured on."""
    least_growth: float = 1.02
    """A round has to lengthen the median of the probe's sound texts by this factor; else no further one begins."""
    most_loss: float = 0.1
    """And may lower the share of finished texts, that of texts without repetition, and their variety by this much."""
    seed: int = 0

    def __post_init__(self) -> None:
        counts = ("rounds", "instructions", "proposals", "long_words", "responses", "response_attempts", "extensions")
        for name in (*counts, "extension_rounds", "max_tokens", "probe_tokens", "probe"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, found {getattr(self, name)}")
        if self.extension_calls < 2:
            raise ValueError("extension_calls is at least 2: an extension takes two")
        for name in ("growth", "least_growth"):
            if not 1 <= getattr(self, name) <= 100:
                raise ValueError(f"{name} is a factor of at least 1, found {getattr(self, name)}")
        if not 0 < self.thin_keep <= 1 or not 0 <= self.most_loss <= 1:
            raise ValueError(f"thin_keep and most_loss are shares, found {self.thin_keep} and {self.most_loss}")
        if not 0 <= self.temperature <= 2 or not 0 < self.top_p <= 1 or self.top_k < 0:
            drawn = f"{self.temperature}, {self.top_p} and {self.top_k}"
            raise ValueError(f"temperature lies in [0, 2], top_p in (0, 1] and top_k is not negative, found {drawn}")
        if not 0 < self.repetition_penalty <= 2:
            raise ValueError(f"repetition_penalty lies in (0, 2], found {self.repetition_penalty}")
        if self.roles not in ("one", "two"):
            raise ValueError(f"roles is one or two, found {self.roles!r}")

    def to_row(self) -> dict[str, Any]:
        """For files and cards."""
        return asdict(self)


SMALL = SelfLengthenSettings(
    rounds=2,
    instructions=32,
    self_instruct=False,
    long_words=60,
    responses=1,
    response_attempts=3,
    extensions=1,
    extension_rounds=2,
    extension_calls=8,
    growth=1.1,
    repetition_penalty=1.2,
    max_tokens=768,
    probe_tokens=1536,
    check=WrittenRules(end_mark=False, max_rep=0.3),
    roles="one",
    probe=16,
    most_loss=0.3,  # of 16 texts, four
)
"""For models of a few hundred million parameters: about 20 minutes on two CPU cores with the bundled one (reckoned from
its rates, not measured)."""

PROFILES: Mapping[str, SelfLengthenSettings] = {"large": SelfLengthenSettings(), "small": SMALL}
