"""Rows that reason between tags are trained as a model writes them, whatever its chat template does to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.config import ModelConfig
from lengthctl.errors import ModelError
from lengthctl.models import BUNDLED, CHATML, LoadedTokenizer, load_tokenizer
from lengthctl.reasoning import opens_reasoning, parse_reasoning
from lengthctl.train.reasoning_ids import reasoning_ids, reasoning_text
from lengthctl.train.supervised_rows import build_row

ASKED = [{"role": "user", "content": "How many?"}]
WHOLE = "<think>\n2 and 3 make 5.\n</think>\n\nThe answer is 5."
INSIDE = "2 and 3 make 5.\n</think>\n\nThe answer is 5."
OPENS = CHATML.replace("assistant\n' }}", "assistant\n<think>\n' }}")
"""Writes the opening tag behind the conversation, as R1's does."""
DROPS = CHATML.replace("message['content']", "message['content'].split('</think>')[-1]")
"""Takes the reasoning out of a completion, without a word."""


@pytest.fixture(scope="module")
def chatml() -> LoadedTokenizer:
    return load_tokenizer(ModelConfig(name=BUNDLED, chat_template="chatml"))


@pytest.mark.parametrize("completion", [WHOLE, INSIDE], ids=["whole", "inside"])
@pytest.mark.parametrize(
    ("template", "opens"), [(CHATML, False), (OPENS, True), (DROPS, False)], ids=["appends", "opens", "drops"]
)
def test_prompt_and_completion_are_one_text_under_every_template(
    chatml: LoadedTokenizer, monkeypatch: pytest.MonkeyPatch, template: str, opens: bool, completion: str
) -> None:
    tokenizer = chatml
    monkeypatch.setattr(tokenizer.tokenizer, "chat_template", template)
    row = build_row(tokenizer, ASKED, completion)
    prompt = tokenizer.tokenizer.decode(list(row.prompt_ids))
    assert opens_reasoning(prompt) is opens
    assert row.prompt_ids == tokenizer.prompt_ids(ASKED)
    written = tokenizer.decode(row.completion_ids)
    assert f"{prompt}{written}".endswith(f"<|im_start|>assistant\n{WHOLE}")
    assert row.completion_ids[-1] in tokenizer.stop_token_ids
    assert sum(i in tokenizer.stop_token_ids for i in row.completion_ids) == 1
    parsed = parse_reasoning(written, starts_open=opens)
    assert (parsed.reasoning.strip(), parsed.final) == ("2 and 3 make 5.", "5")


def test_a_template_that_only_appends_writes_the_same(chatml: LoadedTokenizer) -> None:
    prompt, completion = reasoning_ids(chatml, ASKED, WHOLE)
    turns = [*ASKED, {"role": "assistant", "content": WHOLE}]
    whole = tuple(chatml.tokenizer.apply_chat_template(turns, return_dict=False))
    assert (*prompt, *completion) == whole[: len(prompt) + len(completion)]


def test_a_stop_token_in_the_text_ends_it(chatml: LoadedTokenizer) -> None:
    row = build_row(chatml, ASKED, f"{WHOLE}<|im_end|> and more", lead_id=7)
    assert row.completion_ids[0] == 7
    assert chatml.decode(row.completion_ids[1:]) == WHOLE
    assert sum(i in chatml.stop_token_ids for i in row.completion_ids) == 1


@given(st.text(), st.text(), st.sampled_from(["assistant\n", "assistant\n<think>\n", "<think>", "<think></think>\n"]))
def test_reasoning_is_opened_once(reasoning: str, answer: str, prompt_end: str) -> None:
    inner = reasoning.replace("<", "").strip()
    for completion in (f"<think>\n{inner}\n</think>{answer}", f"{inner}\n</think>{answer}"):
        text = reasoning_text(completion, prompt_end)
        opens = opens_reasoning(prompt_end)
        before = text.partition("</think>")[0]
        assert before.count("<think>") == (0 if opens else 1)
        assert parse_reasoning(text, starts_open=opens).reasoning.strip().startswith(inner)
        assert text.endswith(f"</think>{answer}")


def test_a_tokenizer_without_the_tag_is_told() -> None:
    class Deaf:
        eos_token_id = 0

        def apply_chat_template(self, messages: object, **_: object) -> list[int]:
            return [1]

        def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
            return [2 for _ in text]

        def decode(self, ids: object, **_: object) -> str:
            return ""

    with pytest.raises(ModelError, match="no thinking format"):
        reasoning_ids(LoadedTokenizer(Deaf(), (0,)), ASKED, WHOLE)


def test_a_question_about_tags_opens_no_thought(chatml: LoadedTokenizer) -> None:
    asked = [{"role": "user", "content": "What is <think>"}]
    assert not opens_reasoning(chatml.opening_text(asked))
    _, completion = reasoning_ids(chatml, asked, INSIDE)
    assert chatml.tokenizer.decode(list(completion)).startswith("<think>\n2 and 3 make 5.")


def test_a_template_that_always_opens_a_thought_is_believed(
    chatml: LoadedTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    always = "{% for message in messages %}{{ message['content'] }}{% endfor %}{{ '<think>\n' }}"
    monkeypatch.setattr(chatml.tokenizer, "chat_template", always)
    assert opens_reasoning(chatml.opening_text([dict(m) for m in ASKED]))
