"""`lengthctl data judge`: files that train a judge of pairs, from preference pairs or from texts of known truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from lengthctl.data_gen.composed_critiques import compose_verdict
from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import WHOLE, Instructions, Reading, read_rows
from lengthctl.data_gen.judge_files import (
    ABOUT,
    PLACES,
    JudgeDataSettings,
    JudgeFiles,
    Tally,
    check_used,
    finish,
    longer_is,
    write_pair,
)
from lengthctl.data_gen.judge_pairs import Preference, is_right, parse_preference, sft_row
from lengthctl.data_gen.known_truth import PairMaker, Truth
from lengthctl.errors import DataError
from lengthctl.evaluate.judge import Judge
from lengthctl.evaluate.judge_items import PairItem
from lengthctl.judging_pairs import PairForm, Place
from lengthctl.prompts import stable_hash

if TYPE_CHECKING:
    from lengthctl.config import Config

__all__ = ["build_known_data", "build_preference_data", "opened_writer"]

_BATCH = 128
"""Pairs that a judge is asked about at once."""
_LONGEST_PAIR = 4096
"""Tokens of a request and two texts that a local judge has room for, as far as its own context goes."""


@contextmanager
def opened_writer(config: Config | None, out: Path, say: Callable[[str], None]) -> Iterator[Judge[PairForm] | None]:
    """The judge of a config, started, with `verdicts.jsonl` in `out` as its cache unless it has another; None without
    a config.

    Raises:
        ConfigError: it has no judge.
        EndpointError, EngineError: the judge cannot be started.
    """
    if config is None:
        yield None
        return
    from lengthctl.pipelines.judge_opening import cached_judging
    from lengthctl.pipelines.pair_judging import opened_pair_judge

    with (
        cached_judging(config, out / "verdicts.jsonl", "writes the verdicts") as own,
        opened_pair_judge(own, longest_tokens=_LONGEST_PAIR, say=say) as judge,
    ):
        yield judge


def build_known_data(
    sources: Sequence[Instructions],
    truths: Sequence[Truth],
    settings: JudgeDataSettings,
    out: Path,
    *,
    contamination: Contamination | None = None,
    command: str = "",
    on_pair: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Pairs of known truth from any texts, with composed verdicts. The same rows and settings give the same bytes.

    Args:
        sources: instruction data.
        truths: kinds of pairs, in equal parts.
        settings: see there.
        out: gets `rl.jsonl`, `sft.jsonl`, `held_out.jsonl`, `stats.json` and `README.md`.
        contamination: prompts of an evaluation, which no pair may hold.
        command: for the card.
        on_pair: told how many pairs there are.

    Raises:
        DataError: a source cannot be read, or no pair can be made.
    """
    tally = Tally()
    sides = {side: PairMaker(truths, max_words=settings.max_words, seed=settings.seed) for side in (False, True)}
    room = {False: settings.pairs, True: round(settings.pairs * settings.held_out)}
    for side, name in ((False, "pairs"), (True, "held-out pairs")):
        if (room[side] or not side) and room[side] < sides[side].round_size:
            told = f"{room[side]} {name} are asked for, and a round of all kinds takes {sides[side].round_size}"
            raise DataError(told, "Raise --n")
    with ExitStack() as stack:
        files = JudgeFiles(stack, out)
        for source in sources:
            for row in source:
                request = row.messages[-1]["content"]
                if contamination is not None and contamination.hit(request):
                    tally.drop(source.source, DropReason.CONTAMINATED)
                    continue
                side = settings.is_held_out(request)
                made = sides[side].add(row) if room[side] >= sides[side].round_size else []
                if made is None:
                    tally.drop(source.source, DropReason.OUTSIDE_BANDS)
                for pair in made or ():
                    room[side] -= 1
                    found = Preference(pair.id, pair.request, pair.better, pair.worse, pair.licence, pair.truth)
                    tally.use(pair.source, found, f"{pair.truth}, {longer_is(found)} is better")
                    write_pair(files, found, held_out=side)
                    for better in () if side else PLACES:
                        rng = Random(f"{settings.seed}|{pair.id}|{better}")
                        verdict = compose_verdict(pair, better_first=better == "a", rng=rng)
                        files.write("sft", sft_row(found, better, verdict))
                    if on_pair is not None:
                        on_pair(sum(tally.used.values()))
                if all(room[side] < maker.round_size for side, maker in sides.items()):
                    break
        check_used(tally)
    about = f"{ABOUT} The truth is known by counting ({', '.join(truths)}); the verdicts are composed by a program."
    return finish(tally, settings, out, about, command)


def build_preference_data(
    sources: Sequence[str],
    settings: JudgeDataSettings,
    out: Path,
    *,
    judge: Judge[PairForm] | None = None,
    reading: Reading = WHOLE,
    command: str = "",
    on_pair: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """From preference pairs; see `build_known_data`.

    Args:
        sources: files or hub ids in TRL's preference format.
        settings: see there.
        out: as above; `sft.jsonl` is empty without a judge.
        judge: writes verdicts on the training pairs in both orders, of which those that are right are kept. One with a
            cache is not asked again when an interrupted command is started anew.
        reading: which part of hub datasets.
        command: for the card.
        on_pair: told how many pairs there are.

    Raises:
        DataError: a source cannot be read, a row is no pair, or none can be used.
        EndpointError, EngineError, FailureBudgetError: the judge is gone; verdicts so far are in its cache.
    """
    tally = Tally()
    with ExitStack() as stack:
        files = JudgeFiles(stack, out)
        found = _preferences(sources, reading, settings, tally)
        while batch := list(islice(found, _BATCH)):
            for pair in batch:
                write_pair(files, pair, held_out=settings.is_held_out(pair.request))
            if judge is not None:
                asked = [pair for pair in batch if not settings.is_held_out(pair.request)]
                for pair, better, verdict in _right_verdicts(judge, asked, tally.verdicts):
                    files.write("sft", sft_row(pair, better, verdict))
            if on_pair is not None:
                on_pair(sum(tally.used.values()))
        check_used(tally)
    about = ABOUT
    if judge is not None:
        about += f" Verdicts of the judge, by what became of them: {dict(tally.verdicts)}."
    return finish(tally, settings, out, about, command)


def _preferences(
    sources: Sequence[str], reading: Reading, settings: JudgeDataSettings, tally: Tally
) -> Iterator[Preference]:
    seen: set[str] = set()
    room = {False: settings.pairs, True: round(settings.pairs * settings.held_out)}
    for source in sources:
        for where, row in read_rows(source, reading):
            found = parse_preference(row, where)
            if isinstance(found, Preference):
                key = f"{stable_hash(found.request)}|{stable_hash(found.better)}|{stable_hash(found.worse)}"
                side = settings.is_held_out(found.request)
                if key in seen:
                    found = DropReason.EXACT_DUPLICATE
                elif room[side] < 1:
                    found = DropReason.OVER_QUOTA
                else:
                    seen.add(key)
                    room[side] -= 1
                    tally.use(source, found, f"{longer_is(found)} is better")
                    yield found
                    continue
            tally.drop(source, found)
            if not any(left > 0 for left in room.values()):
                return


def _right_verdicts(
    judge: Judge[PairForm], pairs: Sequence[Preference], counts: Counter[str]
) -> Iterable[tuple[Preference, Place, str]]:
    asked = {f"{n}{better}": (pair, better) for n, pair in enumerate(pairs) for better in PLACES}
    verdicts = judge.judge([PairItem(name, pair.shown(better)) for name, (pair, better) in asked.items()]).verdicts
    for name, (pair, better) in asked.items():
        right = verdicts[name].status == "ok" and is_right(verdicts[name].raw, pair, better)
        counts["right" if right else "wrong or tied" if verdicts[name].status == "ok" else verdicts[name].status] += 1
        if right:
            yield pair, better, verdicts[name].raw
