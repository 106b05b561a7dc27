"""Quality of texts that become data: the judge of a recipe grades them, and every verdict is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lengthctl.data_gen.preference_texts import Text
from lengthctl.evaluate.judge import Judge
from lengthctl.evaluate.judge_items import JudgeItem
from lengthctl.judging import LONGBENCH_WRITE, Rubric
from lengthctl.pipelines.judge_opening import cached_judging, opened_judges

if TYPE_CHECKING:
    from lengthctl.config import Config

__all__ = ["grade_texts", "opened_text_judge"]


@contextmanager
def opened_text_judge(
    config: Config,
    items: Sequence[JudgeItem],
    *,
    cache: Path,
    longest_tokens: int = 0,
    rubric: Rubric = LONGBENCH_WRITE,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[Judge[Rubric]]:
    """The judge of `config.judge`, started; closed behind the block. A request that fails costs its own verdict only.

    Args:
        config: with a judge; `rollout` says how a local one runs.
        items: that will be asked, as far as they are known: a local judge's context holds the longest, as far as the
            model goes.
        longest_tokens: of requests and texts that are not known yet.
        cache: keeps the verdicts, unless the judge has a file of its own.
        rubric: what is graded.
        say: told of engines that are replaced.

    Raises:
        ConfigError: the config has no judge.
        EngineError, EndpointError: it cannot be started.
    """
    filler = JudgeItem("", "", "word " * longest_tokens)
    with (
        cached_judging(config, cache, "grades the texts") as own,
        opened_judges(own, {rubric: [filler, *items]}, say=say) as (judge,),
    ):
        yield judge


def grade_texts(
    config: Config,
    texts: Sequence[Text],
    *,
    cache: Path,
    say: Callable[[str], None] = lambda line: None,
    tick: Callable[[int], None] | None = None,
) -> list[Text]:
    """The texts with the judge's S_q; None stays where there is no verdict that can be read. See `opened_text_judge`.

    Raises:
        ConfigError: the config has no judge.
        EndpointError, EngineError, FailureBudgetError: the judge is gone; verdicts so far are in its cache.
    """
    items = [JudgeItem(str(place), text.request[-1]["content"], text.text) for place, text in enumerate(texts)]
    with opened_text_judge(config, items, cache=cache, say=say) as judge:
        judgement = judge.judge(items, tick)
    say(judgement.line)
    judgement.check_answered()
    graded = []
    for item, text in zip(items, texts, strict=True):
        scores = judgement.verdicts[item.id].scores
        graded.append(replace(text, quality=judge.rubric.quality(scores) if scores else None))
    return graded
