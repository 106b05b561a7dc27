"""What a model is asked to shorten reasoning, and whether what came of it still leads to the answer.

C3oT (arXiv 2412.11664) publishes no prompt, only what it demands: as short as possible, all key information kept, still
readable as reasoning, nothing but redundant words taken out. The wording is ours.
"""

from __future__ import annotations

from typing import Literal

from lengthctl.decode.flow import Call
from lengthctl.judged_text import fill_in, harmless, mark_of
from lengthctl.writing_system import wording_language

__all__ = ["judge_call", "shorten_call"]

Language = Literal["en", "zh"]

_SHORTEN: dict[Language, str] = {
    "en": """\
Below are a question and somebody's reasoning about it, each between its marks.

<question-{mark}>
{question}
</question-{mark}>

<reasoning-{mark}>
{reasoning}
</reasoning-{mark}>

Rewrite the reasoning. {order} Keep every number, intermediate result and condition that the answer rests on, in \
their order, and leave it readable as a chain of thoughts. Take out only what adds nothing: repetition, small talk, \
checks that change nothing. Solve nothing anew, and add no step.{again}

Write the new reasoning alone, then a last line with #### and the final answer that it leads to.""",
    "zh": """\
下面是一道题和别人对它的推理，各在自己的标记之间。

<question-{mark}>
{question}
</question-{mark}>

<reasoning-{mark}>
{reasoning}
</reasoning-{mark}>

请改写这段推理。{order}答案所依据的每个数字、中间结果和条件都要按原来的顺序保留，读起来仍要像一条思路。\
只删去没有作用的内容：重复、闲话、不改变结果的检查。不要重新解题，也不要添加步骤。{again}

只写新的推理，最后另起一行写 #### 和由它得出的最终答案。""",
}
_ORDERS: dict[Language, tuple[str, str]] = {
    "en": ("Make it as short as you can.", "Leave out about {share} % of it, no less."),
    "zh": ("请写得尽可能短。", "请删去大约百分之{share}的内容，不要更少。"),
}
_AGAIN: dict[Language, dict[str, str]] = {
    "en": {
        "answer_lost": "Be sure that the last line gives the answer of the reasoning above.",
        "not_shorter": "It has to come out clearly shorter than the reasoning above.",
        "numbers_lost": "Be sure that the number of the answer stands in the reasoning, too.",
        "judged_wrong": "Be sure that each step follows from those before it.",
    },
    "zh": {
        "answer_lost": "最后一行必须是上面推理的答案。",
        "not_shorter": "结果必须明显短于上面的推理。",
        "numbers_lost": "答案中的数字也必须出现在推理里。",
        "judged_wrong": "每一步都必须由前面的步骤得出。",
    },
}
_MARKED = """\
<question-{mark}>
{question}
</question-{mark}>

<reasoning-{mark}>
{reasoning}
</reasoning-{mark}>

<answer-{mark}>
{answer}
</answer-{mark}>"""
_JUDGE: dict[Language, str] = {
    "en": f"""\
A question, a short reasoning about it and an answer stand between their marks.

{_MARKED}

Does the answer follow from the reasoning, with no step wrong or missing? Begin your answer with yes or no.""",
    "zh": f"""\
下面是一道题、一段简短的推理和一个答案，各在自己的标记之间。

{_MARKED}

这段推理能否得出该答案，没有错误或缺失的步骤？请以“是”或“否”开头回答。""",
}
_NAMES = ("question", "reasoning", "answer")
_JUDGE_TOKENS = 16


def shorten_call(
    name: str, question: str, reasoning: str, *, max_tokens: int, share: float | None = None, fault: str | None = None
) -> Call:
    """Ask for shorter reasoning.

    Args:
        name: of the call.
        question: what is reasoned about.
        reasoning: the long form.
        max_tokens: limit of the answer.
        share: of the reasoning that is to be left out, 0 to 1; None: as much as possible.
        fault: what was wrong with the last attempt, a key of `compression.Fault`; others add nothing.
    """
    language = wording_language(reasoning)
    shortest, by_share = _ORDERS[language]
    again = _AGAIN[language].get(fault or "", "")
    parts = {
        "mark": mark_of([question, reasoning]),
        "question": harmless(question, _NAMES),
        "reasoning": harmless(reasoning, _NAMES),
        "order": shortest if share is None else fill_in(by_share, {"share": f"{100 * share:.0f}"}),
        "again": f" {again}" if again else "",
    }
    return Call(name, ({"role": "user", "content": fill_in(_SHORTEN[language], parts)},), max_tokens)


def judge_call(name: str, question: str, reasoning: str, answer: str) -> Call:
    """Ask whether the answer follows; at temperature 0."""
    parts = {
        "mark": mark_of([question, reasoning, answer]),
        "question": harmless(question, _NAMES),
        "reasoning": harmless(reasoning, _NAMES),
        "answer": harmless(answer, _NAMES),
    }
    message = fill_in(_JUDGE[wording_language(reasoning)], parts)
    return Call(name, ({"role": "user", "content": message},), _JUDGE_TOKENS, temperature=0.0)
