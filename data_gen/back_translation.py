"""The request that a long text answers, written by a model: instructions for texts that people wrote.

Source of the idea: Suri, arXiv 2406.19371 (texts of people with instructions made from them). Ours: the prompts, the
checks of what comes back, and the question whether the text answers it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Literal

from lengthctl.data_gen.curate_filters import other_language
from lengthctl.data_gen.length_demands import strip_length_demands
from lengthctl.data_gen.stated_length import Unstated, find_stated_length
from lengthctl.decode.flow import Answer, Call, Flow, FlowFailedError, Setback
from lengthctl.judged_text import fill_in, harmless, mark_of
from lengthctl.judging import is_refusal
from lengthctl.length import Unit, count_length
from lengthctl.normal_text import normal_words, word_grams
from lengthctl.reasoning import without_reasoning
from lengthctl.records import FinishReason
from lengthctl.writing_system import wording_language

__all__ = ["BackTranslated", "BackTranslationSettings", "back_translate", "check_request", "clean_request"]

Language = Literal["en", "zh"]

_ASK: dict[Language, str] = {
    "en": """\
Between <text-{mark}> and </text-{mark}> stands a finished text. Somebody asked for it in one message. Write that \
message: what a person would type to get a text like this one.

Say which kind of text is wanted, what it is about, what it has to cover and, where the text shows it, for whom it is \
and in which tone. One to five sentences, as an order or a question. Do not quote the text, do not mention that it \
exists, and say nothing about its length.

<text-{mark}>
{text}
</text-{mark}>

Answer with the message alone, in the language of the text.""",
    "zh": """\
<text-{mark}> 与 </text-{mark}> 之间是一篇写好的文章。当初有人用一条消息提出要求，才有了这篇文章。请写出那条消息：\
一个人想得到这样的文章时会怎样提要求。

说明要什么体裁、写什么主题、必须涉及哪些内容；如果从文章看得出来，也说明写给谁看、用什么语气。用一到五句话，写成要求或问题。\
不要引用原文，不要提到文章已经存在，也不要提字数。

<text-{mark}>
{text}
</text-{mark}>

只回答那条消息本身，使用文章的语言。""",
}
_VERIFY: dict[Language, str] = {
    "en": """\
Here are a request and a text, each between its marks.

<request-{mark}>
{request}
</request-{mark}>

<text-{mark}>
{text}
</text-{mark}>

Could the text have been written in answer to the request? Begin your answer with yes or no.""",
    "zh": """\
下面是一条要求和一篇文章，各在自己的标记之间。

<request-{mark}>
{request}
</request-{mark}>

<text-{mark}>
{text}
</text-{mark}>

这篇文章可以看作是按这条要求写的吗？请以“是”或“否”开头回答。""",
}
_CUT = "\n\n[...]\n\n"
_NAMED = "(?:message|request|instruction|prompt)"
_LABEL = re.compile(
    rf"[\s*#_]{{0,6}}(?:here(?: is|['\u2019]s) (?:the|a|one possible) {_NAMED}|(?:the )?{_NAMED}|user"
    r"|消息|要求|指令|提示词?|用户)[*_]{0,3}\s{0,2}[:：]\s{0,3}[*_]{0,3}",
    re.IGNORECASE,
)
_QUOTES = (('"', '"'), ("\u201c", "\u201d"), ("\u300c", "\u300d"), ("'", "'"), ("```", "```"))
_YES = re.compile(r"\W*(?:yes\b|是|可以|能)", re.IGNORECASE)
_NO = re.compile(r"\W*(?:no\b|否|不)", re.IGNORECASE)
_SHORTENINGS = 3
_NAMES = ("request", "text")
"""Of the marks in both prompts."""


@dataclass(frozen=True)
class BackTranslationSettings:
    """How a request is asked for.

    Raises:
        ValueError: a value out of its range.
    """

    attempts: int = 2
    """At most so many requests are written for a text."""
    shown: int = 12_000
    """Characters of the text that the model is shown: two thirds from its start, the rest from its end."""
    max_tokens: int = 400
    """Of a request."""
    most_words: int = 300
    """Of a request: an ideograph counts one."""
    least_words: int = 4
    most_copied: float = 0.2
    """Share of a request's runs of 8 words (of ideographs 12) that stand in the text, from which on it is a copy."""
    least_text_words: int = 200
    """Shorter texts are not asked about."""
    verify: bool = False
    """Ask whether the text answers the request, and take another one where not."""

    def __post_init__(self) -> None:
        for is_right, said in (
            (self.attempts >= 1, "attempts is at least 1"),
            (self.shown >= 500, "shown is at least 500"),
            (self.max_tokens >= 16, "max_tokens is at least 16"),
            (self.least_text_words >= 1, "least_text_words is at least 1"),
            (1 <= self.least_words <= self.most_words, "1 <= least_words <= most_words"),
            (0 <= self.most_copied <= 1, "most_copied lies in [0, 1]"),
        ):
            if not is_right:
                raise ValueError(f"{said}, found {self}")


@dataclass(frozen=True)
class BackTranslated:
    """What became of a text."""

    request: str
    attempts: int
    """Requests that were written."""
    is_verified: bool | None
    """The model said that the text answers it; None: not asked, or no clear answer."""


def back_translate(text: str, settings: BackTranslationSettings) -> Flow[BackTranslated]:
    """Ask for the request that a text answers, check it, and ask again where it is none.

    Calls: `ask/ATTEMPT/SHORTENING` and `verify/ATTEMPT/SHORTENING`. Where the text does not fit the model's context,
    half as much of it is shown, up to three times.

    Raises:
        FlowFailedError: no attempt gave a usable request, or the backend failed.
    """
    language = wording_language(text)
    last = FlowFailedError(Setback.EMPTY)
    for attempt in range(settings.attempts):
        answer = yield from _fitting(
            f"ask/{attempt}", settings, lambda shown: _asked(shown, language), text, settings.max_tokens
        )
        if answer.finish is FinishReason.ERROR:
            raise FlowFailedError(Setback.BACKEND, answer.error or "")
        request = clean_request(answer.text)
        fault = check_request(request, text, settings)
        if fault is None and answer.finish is FinishReason.LIMIT:
            fault = FlowFailedError(Setback.UNFINISHED, "the request ends in the limit")
        if fault is not None:
            last = fault
            continue
        if not settings.verify:
            return BackTranslated(request, attempt + 1, None)
        is_verified = yield from _verified(attempt, request, text, settings, language)
        if is_verified is not False:
            return BackTranslated(request, attempt + 1, is_verified)
        last = FlowFailedError(Setback.UNSUITABLE, "the text does not answer any request that was written")
    raise last


def _fitting(
    name: str, settings: BackTranslationSettings, prompt: Callable[[str], str], text: str, max_tokens: int
) -> Generator[Sequence[Call], Sequence[Answer], Answer]:
    """The answer to a prompt that shows as much of the text as fits."""
    for shortening in range(_SHORTENINGS + 1):
        content = prompt(_shown(text, settings.shown >> shortening))
        try:
            (answer,) = yield [Call(f"{name}/{shortening}", ({"role": "user", "content": content},), max_tokens)]
        except FlowFailedError as error:
            if error.setback is not Setback.TOO_LONG or shortening == _SHORTENINGS:
                raise
        else:
            return answer
    raise AssertionError("the last shortening answers or raises")


def _verified(
    attempt: int, request: str, text: str, settings: BackTranslationSettings, language: Language
) -> Generator[Sequence[Call], Sequence[Answer], bool | None]:
    """What the model says; None for an error or no clear word."""

    def prompt(shown: str) -> str:
        parts = {
            "mark": mark_of([request, shown]),
            "request": harmless(request, _NAMES),
            "text": harmless(shown, _NAMES),
        }
        return fill_in(_VERIFY[language], parts)

    answer = yield from _fitting(f"verify/{attempt}", settings, prompt, text, 16)
    said = without_reasoning(answer.text)
    if answer.finish is FinishReason.ERROR or not (_YES.match(said) or _NO.match(said)):
        return None
    return _NO.match(said) is None


def _asked(shown: str, language: Language) -> str:
    return fill_in(_ASK[language], {"mark": mark_of(shown), "text": harmless(shown, _NAMES)})


def _shown(text: str, most: int) -> str:
    """The start and the end of a long text."""
    if len(text) <= most:
        return text
    head = most * 2 // 3
    return f"{text[:head]}{_CUT}{text[len(text) - (most - head) :]}"


def clean_request(answer: str) -> str:
    """A model's answer without reasoning, label, and quotes around the whole; without what it says of a length, since
    the length is asked for elsewhere."""
    text = without_reasoning(answer).strip()
    label = _LABEL.match(text)
    if label is not None:
        text = text[label.end() :].strip()
    for opening, closing in _QUOTES:
        inner = text[len(opening) : -len(closing)]
        if len(text) > len(opening) + len(closing) and text.startswith(opening) and text.endswith(closing):
            text = inner.strip() if opening not in inner and closing not in inner else text
    return strip_length_demands(text).strip()


def check_request(request: str, text: str, settings: BackTranslationSettings) -> FlowFailedError | None:
    """Why a request is not used: too short or long, refused, with a length, in another writing system, or copied."""
    words = count_length(request, Unit.WORDS_MIXED)
    if is_refusal(request):
        return FlowFailedError(Setback.REFUSED)
    if words < settings.least_words:
        return FlowFailedError(Setback.EMPTY, f"a request of {words} words")
    if words > settings.most_words:
        return FlowFailedError(Setback.UNSUITABLE, f"a request of {words} words, which is no request")
    if find_stated_length(request) is not Unstated.ABSENT:
        return FlowFailedError(Setback.UNSUITABLE, "the request names a length, which nobody counted")
    if other_language(text, request):
        return FlowFailedError(Setback.UNSUITABLE, "a request in another language than the text's")
    n = 12 if wording_language(text) == "zh" else 8
    grams = set(word_grams(normal_words(request), n))
    if grams and len(grams & set(word_grams(normal_words(text), n))) > settings.most_copied * len(grams):
        return FlowFailedError(Setback.UNSUITABLE, "the request copies the text")
    return None
