"""Texts to learn from as token ids: the conversation before a completion, the completion, its end. Their batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, assert_never

from lengthctl.errors import ModelError
from lengthctl.models import LoadedTokenizer
from lengthctl.train.reasoning_ids import has_reasoning, reasoning_ids

if TYPE_CHECKING:
    import torch

__all__ = ["CompletionCollator", "TrainRow", "Weighting", "build_row"]

Weighting = Literal["tokens", "sequences", "longwriter"]

_LONGWRITER_SEQUENCES = 30
"""A constant of LongWriter's code."""


@dataclass(frozen=True)
class TrainRow:
    """One conversation; the completion ends with a stop token."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    end_places: tuple[int, ...] = ()
    """Places in `completion_ids` where the text could end, where they were looked for (`end_places`)."""

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


def build_row(
    tokenizer: LoadedTokenizer, messages: Sequence[Mapping[str, str]], completion: str, lead_id: int | None = None
) -> TrainRow:
    """Ids of a prompt and its completion, exactly as the model sees them when it writes.

    The template writes the conversation; what it puts behind the stop token of the completion is left out, and where it
    writes none the tokenizer's eos is added. A completion that reasons between tags is put together by
    `reasoning_ids`. `lead_id`: a token in front of the completion, such as an MLT.

    Raises:
        ModelError: the template changes what stands before the completion when that follows.
    """
    lead = () if lead_id is None else (lead_id,)
    if has_reasoning(completion):
        prompt, reasoned = reasoning_ids(tokenizer, messages, completion)
        return TrainRow(prompt, (*lead, *reasoned))
    asked = [dict(message) for message in messages]
    prompt = tokenizer.prompt_ids(asked)
    whole = tokenizer.tokenizer.apply_chat_template(
        [*asked, {"role": "assistant", "content": completion}], return_dict=False
    )
    if tuple(whole[: len(prompt)]) != prompt:
        raise ModelError(
            "the chat template writes a prompt otherwise when its answer follows: what is trained is not what is asked",
            "Set model.chat_template to one that only appends (chatml, or a .jinja file)",
        )
    written = [int(token) for token in whole[len(prompt) :]]
    stops = set(tokenizer.stop_token_ids)
    end = next((place for place, token in enumerate(written) if token in stops), None)
    ids = written[: end + 1] if end is not None else [*written, int(tokenizer.tokenizer.eos_token_id)]
    return TrainRow(prompt, (*lead, *ids))


@dataclass(frozen=True)
class CompletionCollator:
    """Rows of a dataset as TRL lays out a batch: prompts padded on the left, completions on the right.

    Adds `loss_weights` (B, T): 1 for each completion token, `lead_weight` for a first token among `lead_ids`,
    `end_weight` for those at a row's `end_places`. By `weighting`:

    - `tokens`: so they stay;
    - `sequences`: each row's are divided by their sum, so that every completion weighs the same;
    - `longwriter`: they are the parts of LongWriter's loss, which its released code (arXiv 2408.07055, `train/main.py`)
      scales with the batch: the token mean of a process's batch times its completions / 30. `is_scaled` then.
    """

    lead_ids: frozenset[int] = frozenset()
    lead_weight: float = 1.0
    weighting: Weighting = "tokens"
    end_weight: float = 1.0

    @property
    def is_scaled(self) -> bool:
        """The weighted sum of a batch is its loss already: it is not to be divided by the weights."""
        return self.weighting == "longwriter"

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Tensors of the batch."""
        import torch

        prompt_ids, prompt_mask = _padded([row["prompt_ids"] for row in rows], on_the_left=True)
        completion_ids, completion_mask = _padded([row["completion_ids"] for row in rows], on_the_left=False)
        weights = completion_mask.to(torch.float32)
        if self.lead_ids:
            is_lead = torch.isin(completion_ids[:, 0], torch.tensor(sorted(self.lead_ids)))
            weights[is_lead, 0] = self.lead_weight
        for weight, row in zip(weights, rows, strict=True):
            weight[list(row.get("end_places") or ())] *= self.end_weight
        match self.weighting:
            case "tokens":
                pass
            case "sequences":
                weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-9)
            case "longwriter":
                weights = weights * (len(rows) / _LONGWRITER_SEQUENCES) / weights.sum().clamp(min=1e-9)
            case _:
                assert_never(self.weighting)
        return {
            "prompt_ids": prompt_ids,
            "prompt_mask": prompt_mask,
            "completion_ids": completion_ids,
            "completion_mask": completion_mask,
            "loss_weights": weights,
        }


def _padded(rows: Sequence[Sequence[int]], *, on_the_left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, T) ids with zeros for padding, and their mask."""
    import torch

    width = max(map(len, rows))
    ids, mask = (torch.zeros((len(rows), width), dtype=torch.long) for _ in range(2))
    for place, row in enumerate(rows):
        part = slice(width - len(row), width) if on_the_left else slice(0, len(row))
        ids[place, part] = torch.tensor(row, dtype=torch.long)
        mask[place, part] = 1
    return ids, mask
