"""What the models are asked in Self-Lengthen, in English and Chinese. Our own words; what is asked for is the paper's
(arXiv 2410.23933): enrich a text without going on behind its end, and judge whether a task calls for a long text."""

from __future__ import annotations

from collections.abc import Sequence

from lengthctl.prompts import Message
from lengthctl.writing_system import wording_language

__all__ = ["extend_messages", "long_enough_messages", "proposal_messages", "proposal_prefill"]


def extend_messages(instruction: str, text: str) -> tuple[Message, ...]:
    """Ask for the same text, longer. The text stands at the end, as it is, in the language of the instruction."""
    if wording_language(instruction) == "zh":
        asked = (
            "下面是一项写作任务，以及它的一份简略稿。请把简略稿当作提纲，写成内容更充实、篇幅更长的完整文章："
            "把每一段写得更具体，补充信息、例子和细节，需要时可以增加小标题。"
            "保持原来的顺序，写到原稿结尾为止，不要续写后面的内容；不要重复，也不要空话凑字数。只输出文章本身。"
        )
        return _asked(f"{asked}\n\n写作任务：\n{instruction}\n\n简略稿：\n{text}")
    asked = (
        "Below are a writing task and a brief draft for it. Treat the draft as an outline and write it out in full, "
        "much longer and richer: make every paragraph more concrete, add facts, examples and details, and use further "
        "subheadings where they help. Keep its order and stop where it stops; do not go on with what would come next. "
        "Do not repeat yourself, and do not pad. Give the text alone."
    )
    return _asked(f"{asked}\n\nWriting task:\n{instruction}\n\nBrief draft:\n{text}")


def proposal_messages(examples: Sequence[str]) -> tuple[Message, ...]:
    """Ask for a writing task unlike the examples, in their language; answers begin with `proposal_prefill`."""
    is_chinese = wording_language("\n".join(examples)) == "zh"
    if is_chinese:
        asked = "请再想出一项写作任务。题材、文体和场景都要与下面的不同，一两句话说清楚，并且需要写成长文才能完成。"
        shown = "\n".join(f"任务{i}：{_one_line(example)}" for i, example in enumerate(examples, 1))
    else:
        asked = (
            "Think of one more writing task. It differs from those below in subject, kind of text and setting, "
            "is told in one or two sentences, and calls for a long text."
        )
        shown = "\n".join(f"Task {i}: {_one_line(example)}" for i, example in enumerate(examples, 1))
    return _asked(f"{asked}\n\n{shown}")


def proposal_prefill(examples: Sequence[str]) -> str:
    """How the answer to `proposal_messages` begins."""
    number = len(examples) + 1
    return f"任务{number}：" if wording_language("\n".join(examples)) == "zh" else f"Task {number}:"


def long_enough_messages(instruction: str, words: int) -> tuple[Message, ...]:
    """Ask whether an instruction calls for a text of more than `words` words; to be answered by yes or no."""
    if wording_language(instruction) == "zh":
        return _asked(f"一项写作任务：\n{instruction}\n\n要写好它，合理的篇幅会超过{words}字吗？请只回答“是”或“否”。")
    return _asked(
        f"A writing task:\n{instruction}\n\nWould a good answer to it be a text of more than {words} words? "
        "Answer with yes or no only."
    )


def _asked(content: str) -> tuple[Message, ...]:
    return ({"role": "user", "content": content},)


def _one_line(text: str) -> str:
    return " ".join(text.split())
