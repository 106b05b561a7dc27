"""A chat template that takes a target length and writes its meta length token (MLT) behind the generation prompt.

Ours; the place of the token is that of arXiv 2409.18943, section 4.1. Any server that renders the model's own template
can so be asked for a length, with `chat_template_kwargs={"target_words": 120}`.
"""

from __future__ import annotations

import math
import re
from typing import Any

from lengthctl.errors import ModelError, first_line
from lengthctl.length import Unit
from lengthctl.mlt_table import MltTable
from lengthctl.reasoning import opens_reasoning

__all__ = ["target_kwarg", "with_mlt"]

_LAST_LINE_BREAK = re.compile(r"(\r\n|\r|\n)\Z")
_PROBE = "Xanadu"
"""An answer that no template writes by itself."""


def target_kwarg(table: MltTable) -> str:
    """The template's argument for a length, e.g. `target_words`."""
    return f"target_{table.unit}"


def with_mlt(template: str, table: MltTable) -> str:
    """The model's chat template with two more arguments; without them it renders character for character as before.

    - `target_<unit>`, e.g. `target_words`: a whole number >= 1 as int or text, or a token's name such as `>800`. The
      token whose `fm` band holds it stands right behind the generation prompt.
    - `mlt`: a token's name or text, taken as it is.

    A template that came from here with the same table is returned as it is.

    Without a generation prompt both are ignored. With one, these call the template's `raise_exception`, where there is
    one: a number below 1 or beyond the table, an unknown name, both arguments at once, the argument of another unit.

    Raises:
        ModelError: the template cannot be rendered, has such an argument for another table, or does not let the answer
            begin right behind the generation prompt, as those of reasoning models.
    """
    if template.endswith(_ending(table)):
        return template
    _refuse(template, target_kwarg(table))
    # jinja drops one line break at the end of a template; an expression, unlike a block, strips nothing before it
    return _LAST_LINE_BREAK.sub("", template) + "{{ '' }}" + _ending(table)


def _ending(table: MltTable) -> str:
    """What is appended. It renders to a token's text or to nothing: all white space is stripped."""
    own, listed = target_kwarg(table), ", ".join(token.name for token in table.tokens)
    known = ", ".join(f"'{key}': '{token.text}'" for token in table.tokens for key in (token.name, token.text))
    bands = ", ".join(
        f"({token.fm.low}, {'none' if math.isinf(token.fm.high) else token.fm.high}, '{token.text}')"
        for token in table.tokens
    )
    foreign = [f"target_{unit}" for unit in Unit if unit is not table.unit]
    lines = [
        "if add_generation_prompt",
        f"set mlt_known = {{{known}}}",
        f"if {_given(own)} and {_given('mlt')}",
        *_raise(f"give {own} or mlt, not both"),
        f"elif {' or '.join(map(_given, foreign))}",
        *_raise(f"lengths of this model are in {table.unit}: give {own}"),
        f"elif {_given('mlt')} or {_given(own)}",
        f"set mlt_asked = (mlt if {_given('mlt')} else {own}) | string",
        "if mlt_asked in mlt_known",
        "= mlt_known[mlt_asked]",
        f"elif {_given('mlt')}",
        *_raise(f"mlt is one of {listed}"),
        "else",
        "set mlt_count = mlt_asked | int(0)",
        f"for low, high, text in [{bands}] if low <= mlt_count and (high is none or mlt_count <= high)",
        "= text",
        "else",
        *_raise(f"{own} is a length that this model has a token for, or one of {listed}"),
        "endfor",
        "endif",
        "endif",
        "endif",
    ]
    return "\n".join(f"{{{{-{line[1:]} -}}}}" if line.startswith("=") else f"{{%- {line} -%}}" for line in lines)


def _given(name: str) -> str:
    return f"({name} is defined and {name} is not none)"


def _raise(message: str) -> list[str]:
    return ["if raise_exception is defined", f"= raise_exception('{message}')", "endif"]


def _refuse(template: str, own: str) -> None:
    if taken := re.search(rf"\b(mlt|{own})\b", template):
        raise ModelError(f"the chat template uses {taken[1]} already", "Start from the model's own template")
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": _PROBE}]
    prompt = _rendered(template, turns[:1], add_generation_prompt=True)
    answered = _rendered(template, turns, add_generation_prompt=False)
    shared, _, behind = answered.partition(prompt.rstrip())  # templates differ in the white space around an answer
    if opens_reasoning(prompt) or shared or not behind.lstrip().startswith(_PROBE):
        raise ModelError(
            "the answer does not begin right behind the generation prompt of the chat template, "
            f"which ends in {prompt[-20:]!r}",
            "Set a template without reasoning: a length token belongs behind it, where no prompt reaches",
        )


def _rendered(template: str, messages: list[dict[str, str]], **options: Any) -> str:
    """As at inference. Special tokens are empty: a template may add them to a text."""
    from jinja2 import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    special = dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token"), "")
    try:
        rendered, _ = render_jinja_template([messages], chat_template=template, **special, **options)
    except (TemplateError, TypeError, ValueError, KeyError) as error:
        raise ModelError(f"the chat template cannot be rendered ({first_line(error)})", "Set another one") from error
    return str(rendered[0])
