"""Groups that teach nothing leave a step, and other prompts come in their place.

Source: dynamic sampling, DAPO, arXiv 2503.14476. Differs from it: the rounds are bounded, each draws as many prompts as
are missing, and what is missing after the last one stays missing.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from lengthctl.config.advantage import AdvantageConfig
from lengthctl.train.group_filters import teaching_groups
from lengthctl.train.ranks import gather_lists, rank, world_size
from lengthctl.train.scored import Scored, by_group

__all__ = ["over_ranks", "prompt_key", "refill", "spare_rows"]

Row = dict[str, Any]


class Rows(Protocol):
    """A data set: rows by their number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Mapping[str, Any]: ...


def refill(
    scored: Scored,
    rule: AdvantageConfig,
    group_size: int,
    spare: Callable[[], Iterator[Row]],
    score: Callable[[list[Row]], Scored],
) -> tuple[list[Scored], dict[str, float]]:
    """What passes the filter, of a step's draw and of the rounds after it, in pieces that have rows; and its metrics.

    Several trainer processes go through every round together and draw as many prompts each, the number that is missing
    where most are; surplus groups are left out.

    Args:
        scored: the step's draw; its number of groups is what is wanted.
        rule: filter and rounds.
        group_size: completions a prompt.
        spare: prompts to draw, the same in every process; asked only when some are missing.
        score: draws and scores a completion for each row.
    """
    if rule.filter == "none":
        return [scored], {}
    wanted = len(scored.rewards) // group_size
    pieces = _pieces(_teaching(scored, rule, group_size))
    metrics = {"groups/kept_fraction": over_ranks(_groups(pieces, group_size)) / over_ranks(wanted)}
    rounds, tokens = 0, 0
    rows: Iterator[Row] = iter(())
    while rounds < rule.resample_rounds:
        missing = wanted - _groups(pieces, group_size)
        most = max(count for (count,) in gather_lists([missing]))
        if most == 0:
            break
        rows = rows if rounds else spare()
        drawn = list(itertools.islice(rows, most * world_size()))
        share = len(drawn) // world_size()
        if share == 0:  # the data set has no other prompts
            break
        own = drawn[rank() * share : (rank() + 1) * share]
        more = score([dict(row) for row in own for _ in range(group_size)])
        rounds, tokens = rounds + 1, tokens + sum(more.lengths)
        if (taught := _teaching(more, rule, group_size)) is not None:
            room = min(missing * group_size, len(taught.rewards))
            pieces += _pieces(taught.take(range(room)))
    if rule.resample_rounds:
        metrics |= {"resample/rounds": float(rounds), "resample/tokens": float(over_ranks(tokens))}
    return pieces, {**metrics, "groups/trained": float(over_ranks(_groups(pieces, group_size)))}


def spare_rows(rows: Rows, used: Iterable[str], *, seed: int, step: int) -> Iterator[Row]:
    """Rows whose prompts (`prompt_key`) are not among the `used`, nor drawn before, in an order that follows from seed
    and step alone: a resumed run, and every trainer process, draws the same."""
    seen = set(used)
    for index in _shuffled(len(rows), random.Random(f"{seed}|{step}")):
        row = dict(rows[index])
        key = prompt_key(row)
        if key not in seen:
            seen.add(key)
            yield row


def prompt_key(row: Mapping[str, Any]) -> str:
    """What tells the prompt of a row apart from others: its messages or its text."""
    return json.dumps(row["prompt"], sort_keys=True)


def over_ranks(count: int) -> int:
    """The sum over all trainer processes."""
    return sum(value for share in gather_lists([count]) for value in share)


def _teaching(scored: Scored, rule: AdvantageConfig, group_size: int) -> Scored | None:
    flags = teaching_groups(
        by_group(scored.rewards, group_size),
        rule.filter,
        correct=None if scored.correct is None else by_group(scored.correct, group_size),
        max_skew=rule.max_skew,
    )
    if all(flags):
        return scored
    return scored.take([row for row in range(len(scored.rewards)) if flags[row // group_size]])


def _pieces(scored: Scored | None) -> list[Scored]:
    return [] if scored is None else [scored]


def _groups(pieces: Sequence[Scored], group_size: int) -> int:
    return sum(len(piece.rewards) for piece in pieces) // group_size


def _shuffled(count: int, draw: random.Random) -> Iterator[int]:
    """0 to count - 1 in random order (Fisher and Yates), at the cost of those that are taken."""
    moved: dict[int, int] = {}
    for last in reversed(range(count)):
        place = draw.randint(0, last)
        yield moved.get(place, place)
        moved[place] = moved.get(last, last)
