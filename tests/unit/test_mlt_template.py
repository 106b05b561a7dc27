"""The chat template with a length: as before without one, the right token behind the generation prompt with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment, TemplateError, meta

from lengthctl.errors import ModelError
from lengthctl.length import Target, Unit
from lengthctl.mlt import RULER_TABLE, MltTable
from lengthctl.mlt_template import target_kwarg, with_mlt
from lengthctl.models import CHATML

USER = {"role": "user", "content": "Hi"}
THINKING = (
    "{%- for m in messages -%}<|{{ m.role }}|>{% if m.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}\n{%- endfor -%}{% if add_generation_prompt %}<|assistant|>"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
ENDINGS = [
    "",
    "\n",
    "\n\n",
    "\r\n",
    "  ",
    "\n  ",
    "{# c #}\n",
    "{% if true %}\n{% endif %}\n",
    "{{- '' -}}\n ",
]
CHATML_WITH = with_mlt(CHATML, RULER_TABLE)


def render(template: str, messages: list[dict[str, str]] | None = None, /, **options: Any) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    options = {"add_generation_prompt": True, **options}
    return str(render_jinja_template([messages or [USER]], chat_template=template, **options)[0][0])


@pytest.mark.parametrize("ending", ENDINGS)
def test_without_a_length_nothing_changes(ending: str) -> None:
    template = CHATML + ending
    changed = with_mlt(template, RULER_TABLE)
    answered = [USER, {"role": "assistant", "content": "Yes."}]
    absent: list[dict[str, Any]] = [{}, {"target_words": None, "mlt": None}]
    for options in absent:
        assert render(changed, **options) == render(template)
    for options in [*absent, {"target_words": 50}, {"mlt": "50"}, {"target_words": -1}]:
        ended = render(changed, answered, add_generation_prompt=False, **options)
        assert ended == render(template, answered, add_generation_prompt=False)
    assert render(changed, target_words=50) == render(template) + "[MLT:50]"


@settings(max_examples=30)
@given(st.text(alphabet=" \n\r\t", max_size=4), st.sampled_from(ENDINGS))
def test_no_white_space_is_won_or_lost(text: str, ending: str) -> None:
    template = CHATML + text + ending
    assert render(with_mlt(template, RULER_TABLE)) == render(template)


@given(st.integers(1, 10**7), st.sampled_from([int, str, float]))
def test_the_token_is_that_of_the_target(value: int, given_as: type) -> None:
    expected = RULER_TABLE.token_for_target(Target(value)).text
    assert render(CHATML_WITH, target_words=given_as(value)).endswith(f"<|im_start|>assistant\n{expected}")


def test_names_and_texts_of_tokens_are_taken() -> None:
    for token in RULER_TABLE.tokens:
        for options in ({"target_words": token.name}, {"mlt": token.name}, {"mlt": token.text}):
            assert render(CHATML_WITH, **options) == render(CHATML) + token.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_words": 0}, "target_words is a length"),
        ({"target_words": -50}, "target_words is a length"),
        ({"target_words": "-50"}, "target_words is a length"),
        ({"target_words": ""}, "target_words is a length"),
        ({"target_words": "inf"}, "target_words is a length"),
        ({"target_words": ">500"}, "or one of 10, 30, 50"),
        ({"target_words": [50]}, "target_words is a length"),
        ({"mlt": "[MLT:200]"}, "mlt is one of 10, 30, 50"),
        ({"mlt": 120}, "mlt is one of"),
        ({"mlt": "50", "target_words": 50}, "not both"),
        ({"target_tokens": 50}, "lengths of this model are in words"),
    ],
)
def test_what_names_no_token_is_refused_at_rendering(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        render(CHATML_WITH, **options)
    plain = Environment().from_string(CHATML_WITH)  # an engine without raise_exception writes no token
    assert plain.render(messages=[USER], add_generation_prompt=True, **options) == render(CHATML)


def test_servers_that_pass_only_what_a_template_reads_pass_the_length() -> None:
    assert {"target_words", "mlt"} <= meta.find_undeclared_variables(Environment().parse(CHATML_WITH))


@pytest.mark.parametrize("unit", Unit)
def test_own_tables_and_units(unit: Unit) -> None:
    table = MltTable.parse(
        {"unit": unit, "tokens": [20, {"target": 90, "name": "long"}, {"target": 200, "fm": [150, 260]}]}
    )
    template = with_mlt(CHATML, table)
    assert target_kwarg(table) == f"target_{unit}"
    for value, token in ((1, "20"), (43, "long"), ("long", "long"), (260, "200")):
        assert render(template, **{f"target_{unit}": value}).endswith(f"assistant\n[MLT:{token}]")
    with pytest.raises(TemplateError, match="is a length that this model has a token for"):
        render(template, **{f"target_{unit}": 261})


def test_reasoning_templates_are_refused_until_they_close_it() -> None:
    opened = CHATML.replace("assistant\n'", "assistant\n<think>\n'")
    opened_in_both = "{% for m in messages %}{{ m.role }}{% if m.role != 'user' %}<think>{% endif %}{{ m.content }}"
    opened_in_both += "{% endfor %}{% if add_generation_prompt %}assistant<think>{% endif %}"
    for template in (opened, opened_in_both, THINKING, CHATML + "x"):
        with pytest.raises(ModelError, match=r"does not begin right behind .*without reasoning"):
            with_mlt(template, RULER_TABLE)
    closed = with_mlt("{%- set enable_thinking = false -%}" + THINKING, RULER_TABLE)
    assert render(closed, mlt="30").endswith("<|assistant|><think>\n\n</think>\n\n[MLT:30]")


def test_unusable_templates_are_refused() -> None:
    assert with_mlt(CHATML_WITH, RULER_TABLE) == CHATML_WITH
    with pytest.raises(ModelError, match="uses target_words already"):
        with_mlt(CHATML_WITH, MltTable.parse({"tokens": [10, 30]}))
    for template in ("{% if %}", "{{ nothing.at.all }}", "{{ raise_exception('no') }}", "{{ 1 + messages }}"):
        with pytest.raises(ModelError, match="cannot be rendered"):
            with_mlt(template, RULER_TABLE)


def test_templates_of_published_models() -> None:
    trl = pytest.importorskip("trl", reason="its templates are the ones tested")
    folder = Path(trl.__file__).parent / "chat_templates"
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    for name in ("llama3", "gemma3", "qwen2_5", "qwen3_instruct_2507", "phi3_5", "cohere2"):
        template = (folder / f"{name}.jinja").read_text()
        changed = with_mlt(template, RULER_TABLE)
        assert render(changed, **special) == render(template, **special), name
        assert render(changed, target_words=300, **special) == render(template, **special) + "[MLT:300]", name
    for name in ("qwen3", "deepseek_r1_distill", "gptoss"):
        with pytest.raises(ModelError, match="without reasoning"):
            with_mlt((folder / f"{name}.jinja").read_text(), RULER_TABLE)
