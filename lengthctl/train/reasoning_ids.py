"""Completions that reason between tags as token ids, behind whatever the chat template opens.

Templates of reasoning models change such a completion when they write it into a conversation: they take the reasoning
out of it, or have opened it in the prompt already. What is trained is what the model writes, so it is put together
here, and a row of one template fits a model of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lengthctl.errors import ModelError
from lengthctl.reasoning import THINK_TAGS, opens_reasoning

if TYPE_CHECKING:
    from lengthctl.models import LoadedTokenizer

__all__ = ["has_reasoning", "reasoning_ids", "reasoning_text"]


def has_reasoning(completion: str) -> bool:
    """It closes reasoning, so it is to be written by `reasoning_ids`."""
    return THINK_TAGS.closing in completion


def reasoning_text(completion: str, prompt_end: str) -> str:
    """A completion that closes its reasoning as it follows a prompt: with the opening tag where the prompt's end does
    not hold it, without where it does."""
    begun = completion.lstrip()
    inside = begun.removeprefix(THINK_TAGS.opening)
    if opens_reasoning(prompt_end):
        written = prompt_end.rpartition(THINK_TAGS.opening)[2]
        return inside.removeprefix(written) if inside.startswith(written) else inside.lstrip("\n")
    if inside != begun or THINK_TAGS.opening in completion.partition(THINK_TAGS.closing)[0]:
        return completion
    return f"{THINK_TAGS.opening}\n{begun}"


def reasoning_ids(
    tokenizer: LoadedTokenizer, messages: Sequence[Mapping[str, str]], completion: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids of the prompt, and of the completion with its stop token: the one that the template puts behind an answer,
    else the tokenizer's eos.

    Raises:
        ModelError: the tokenizer does not give the closing tag back, so no parser would find it in what is drawn.
    """
    asked = [dict(message) for message in messages]
    prompt = tokenizer.prompt_ids(asked)
    text = reasoning_text(completion, tokenizer.opening_text(asked))
    written = list(tokenizer.encode(text))
    if THINK_TAGS.closing not in tokenizer.tokenizer.decode(written, skip_special_tokens=False):
        raise ModelError(
            f"the tokenizer cannot write {THINK_TAGS.closing}: the model has no thinking format",
            "Give rows with worked steps and a line like `#### 42`, or another model",
        )
    stops = set(tokenizer.stop_token_ids)
    answered = tokenizer.tokenizer.apply_chat_template(
        [*asked, {"role": "assistant", "content": "."}], return_dict=False
    )
    stop = next((int(i) for i in reversed(answered) if int(i) in stops), int(tokenizer.tokenizer.eos_token_id))
    end = next((place for place, token in enumerate(written) if token in stops), len(written))
    return prompt, (*written[:end], stop)
