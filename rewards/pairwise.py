"""PairwiseReward: see the class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from lengthctl.judging_pairs import Disagree, Pair, PairJudge, outcome
from lengthctl.registry import register
from lengthctl.rewards.completions import Completions
from lengthctl.rewards.duels import Duel, Rules, question, settle
from lengthctl.rewards.groups import group_places
from lengthctl.rewards.judge_calls import judge_in_call
from lengthctl.rewards.pair_groups import Group, Truncated, read_groups
from lengthctl.rewards.pair_log import tell_duels
from lengthctl.rewards.pair_modes import Mode, first_pairs, play

__all__ = ["PairwiseReward"]


@register("reward", "pairwise")
@dataclass(frozen=True)
class PairwiseReward:
    """Better or worse than others of the group, by a judge that sees pairs in both orders; in [-1, 1].

    `brpo`: 1 for beating a reference under all verdicts, else -1; the reference, drawn anew from the group at each
    step, has 0, and so has what equals it, has no verdict, or lies outside `length_band`. A cut or empty completion
    has -1 without judging and is no reference; a group without one is left out (None), a failed completion too.
    Source: BRPO of Writing-Zero, arXiv 2506.00103, from public summaries, with one vote an order; the edge cases are
    ours. Train it with `train.preset: brpo`: no baseline, and a filter of one-sided groups. Other modes: `pair_modes`.
    """

    lowest: ClassVar[float] = -1.0
    highest: ClassVar[float] = 1.0
    scope: ClassVar[Literal["completion", "group", "batch"]] = "group"
    columns: ClassVar[tuple[str, ...]] = ()

    mode: Mode = "brpo"
    """`brpo`; `winrate`: the mean over all others, G - 1 times the questions; `tournament`: rounds won."""
    votes: Literal[1, 2] = 2
    """Questions a comparison: 2, one an order; 1, in an order drawn by chance."""
    disagree: Disagree = "loss"
    """What ties and verdicts that differ by order are worth: -1 (`loss`, the paper's) or 0 (`zero`)."""
    truncated: Truncated = "loss"
    """Completions that the limit cut: -1 without judging, or judged (`judge`)."""
    length_band: float | None = None
    """Compare only lengths in words within this share of the other's, e.g. 0.2; else the comparison is worth 0."""
    seed: int = 0
    """Of the draws, with the step and the prompt."""
    judge: PairJudge | None = field(default=None, repr=False, compare=False)
    """What compares; a run gives it the judge of its config."""

    def __post_init__(self) -> None:
        if self.length_band is not None and self.length_band <= 0:
            raise ValueError(f"length_band is above 0, found {self.length_band}")

    @property
    def rules(self) -> Rules:
        """How two are compared."""
        return Rules(self.votes, self.disagree, self.length_band)

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion; numbers of `pair_log` go to `log_metric`, records of duels to `log_extra`.

        Raises:
            ValueError: no judge, or no column `prompts`.
        """
        if self.judge is None:
            raise ValueError("pairwise has no judge; give the config a section judge, or the reward its argument judge")
        judge, seen = judge_in_call(self.judge, columns), list[Duel]()
        all_places = group_places(len(completions), columns)
        groups = read_groups(completions, all_places, columns, name_of=self.draws_of, truncated=self.truncated)

        def ask(pairs: Sequence[tuple[Group, int, int]]) -> list[Duel]:
            seen.extend(found := settle(pairs, self.rules, judge))
            return found

        played = play(groups, self.mode, ask, lambda duel: outcome(duel.scores, self.disagree))
        failed = columns.get("is_failed") or [False] * len(completions)
        values: list[float | None] = [None] * len(completions)
        for places, found in zip(all_places, played, strict=True):
            for member, place in enumerate(places):
                values[place] = None if failed[place] or not found else found.get(member, -1.0)
        places_of = {id(group): places for group, places in zip(groups, all_places, strict=True)}
        tell_duels(seen, columns, lambda duel, member: places_of[id(duel.group)][member], len(completions))
        return values

    def questions(self, group: Group) -> list[Pair]:
        """What will be asked about a group first, so that it can be asked ahead."""
        duels = [Duel(g, i, j, tuple(self.rules.orders(g, i, j))) for g, i, j in first_pairs(group, self.mode)]
        return [question(duel, second) for duel in duels for second in duel.stood_second]

    def draws_of(self, prompt_id: object, step: int) -> str:
        """Name of a group's draws."""
        return f"{self.seed}|{step}|{prompt_id}"
