"""Open the judge of a config for pairs, and measure it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import read_rows
from lengthctl.data_gen.judge_pairs import parse_preference
from lengthctl.errors import DataError
from lengthctl.evaluate.judge import Judge
from lengthctl.evaluate.judge_accuracy import judge_accuracy
from lengthctl.evaluate.judge_items import PairItem
from lengthctl.judging_pairs import PAIR_FORM, Pair, PairForm
from lengthctl.pipelines.judge_opening import opened_judges

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator

__all__ = ["measure_pair_judge", "opened_pair_judge"]


@contextmanager
def opened_pair_judge(
    config: Config,
    pairs: Sequence[Pair] = (),
    *,
    longest_tokens: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[Judge[PairForm]]:
    """The judge of `config.judge` for pairs, started; closed behind the block. A request that fails costs its own
    verdict only.

    Args:
        config: with a judge; `rollout` says how a local one runs.
        pairs: that will be asked, as far as they are known: a local judge's context holds the longest.
        longest_tokens: of the request and both answers of pairs that are not known yet.
        say: told of engines that are replaced.

    Raises:
        EngineError, EndpointError: it cannot be started.
    """
    filler = Pair("word " * longest_tokens, "", "")
    items = [PairItem(str(i), pair) for i, pair in enumerate([filler, *pairs])]
    with opened_judges(config, {PAIR_FORM: items}, say=say) as (judge,):
        yield judge


def measure_pair_judge(config: Config, source: str, narrator: Narrator, *, limit: int | None = None) -> dict[str, Any]:
    """`judge_accuracy` of `config.judge` on preference pairs, each asked in both orders.

    Args:
        config: with a judge.
        source: a file or hub id in TRL's preference format, such as `held_out.jsonl` of `lengthctl data judge`.
        narrator: shows progress, and tells of engines that are replaced.
        limit: pairs at most.

    Raises:
        DataError: the source cannot be read, or holds no pair that can be used.
        EndpointError, EngineError: the judge is gone.
    """
    from lengthctl.rollout.cluster import disconnect

    found = (parse_preference(row, where) for where, row in read_rows(source))
    known = list(islice((f for f in found if not isinstance(f, DropReason)), limit))
    pairs = [one.shown("a") for one in known]
    if not pairs:
        raise DataError(f"{source} has no pair that can be used", "Give preference pairs: prompt, chosen, rejected")
    try:
        with (
            opened_pair_judge(config, pairs, say=narrator.say) as judge,
            narrator.bar(2 * len(pairs), "verdicts") as bar,
        ):
            kinds = [one.kind for one in known]
            return judge_accuracy(judge, pairs, config.run.seed, kinds=kinds, tick=bar.update)
    finally:
        disconnect()
