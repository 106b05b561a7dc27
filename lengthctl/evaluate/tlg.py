"""TLG, Ruler's task: one of nine targets in words for each prompt, PM and FM by target and level. arXiv 2409.18943.

The bands of the targets are `length.ruler_band`'s. `tlg` is drawn by Ruler's recipe from prompts that the user has;
`tlg_open` [ours] asks all nine targets of every open prompt. Their numbers are not comparable: never put them in one
column.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lengthctl.evaluate.bootstrap import mean_interval
from lengthctl.length import BandKind, Relation, Target, ruler_band
from lengthctl.prompts import LengthPrompt, SeedPrompt
from lengthctl.scoring import Scored

__all__ = [
    "ALL_LEVELS",
    "DRAW_SIZE",
    "LEVELS",
    "TARGETS",
    "Hits",
    "build_tlg_open",
    "draw_tlg",
    "tlg_hits",
    "tlg_name",
    "tlg_summary",
]

TARGETS: Mapping[str, Target] = {
    **{str(value): Target(value) for value in (10, 30, 50, 80, 150, 300, 500, 700)},
    ">800": Target(801, Relation.AT_LEAST),
}
"""Ruler's nine targets by its names, in its order."""

LEVELS: Mapping[str, tuple[str, ...]] = {
    "Level:0": ("10", "30", "50", "80"),
    "Level:1": ("150", "300", "500"),
    "Level:2": ("700", ">800"),
}
"""Ruler's levels (its figure 3 counts them from 1, its code from 0)."""

ALL_LEVELS = "All Level"
"""Ruler's name of the pool of all nine."""

_GROUPS: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in TARGETS},
    **LEVELS,
    ALL_LEVELS: tuple(TARGETS),
}
_NAMES = {target: name for name, target in TARGETS.items()}
_DRAW_SEED, DRAW_SIZE = 10, 2000
"""Ruler's: src/data_process/build_tlg_dataset.py."""


@dataclass(frozen=True)
class Hits:
    """Texts of one target or level, and how many lie in Ruler's bands."""

    n: int
    pm_hits: int
    fm_hits: int

    @property
    def pm(self) -> float:
        """Share of precise matches, in [0, 1]."""
        return self.pm_hits / self.n

    @property
    def fm(self) -> float:
        """Share of flexible matches, in [0, 1]."""
        return self.fm_hits / self.n


def tlg_name(target: Target) -> str | None:
    """Ruler's name of a target, e.g. `>800`; None for one that is not among the nine."""
    return _NAMES.get(target)


def tlg_hits(lengths: Iterable[tuple[Target, int]]) -> dict[str, Hits | None]:
    """Hits by target, level and over all, as Ruler's code counts them: every level pools its texts.

    None where there are no texts (Ruler divides by zero). An empty text is no hit.

    Args:
        lengths: targets and numbers of words; a target that is not among the nine is left out.
    """
    counts = dict.fromkeys(TARGETS, (0, 0, 0))
    for target, length in lengths:
        name = tlg_name(target)
        if name is not None:
            n, pm, fm = counts[name]
            is_pm, is_fm = (length > 0 and length in ruler_band(target, kind) for kind in BandKind)
            counts[name] = (n + 1, pm + is_pm, fm + is_fm)
    pooled = {
        group: Hits(*map(sum, zip(*(counts[m] for m in members), strict=True))) for group, members in _GROUPS.items()
    }
    return {group: hits if hits.n else None for group, hits in pooled.items()}


def tlg_summary(scored: Sequence[Scored], seed: int) -> dict[str, dict[str, dict[str, Any] | None]]:
    """Hits of measured completions ready for JSON, by target and level, counted two ways.

    `{n, pm, fm, pm_interval, fm_interval}`; the intervals are of 95 % by a bootstrap over prompts. `as_ruler`: a
    truncated text is scored as it is. `truncated_is_no_hit` [ours]: what the limit ended keeps no target.
    """
    return {
        "as_ruler": _counted(scored, [s.length for s in scored], seed),
        "truncated_is_no_hit": _counted(scored, [0 if s.is_truncated else s.length for s in scored], seed),
    }


def _counted(scored: Sequence[Scored], lengths: Sequence[int], seed: int) -> dict[str, dict[str, Any] | None]:
    hits = tlg_hits((s.target, length) for s, length in zip(scored, lengths, strict=True))
    return {
        group: None
        if found is None
        else {"n": found.n, "pm": found.pm, "fm": found.fm, **_intervals(scored, lengths, group, seed)}
        for group, found in hits.items()
    }


def _intervals(scored: Sequence[Scored], lengths: Sequence[int], group: str, seed: int) -> dict[str, list[float]]:
    rows = [(s, n) for s, n in zip(scored, lengths, strict=True) if tlg_name(s.target) in _GROUPS[group]]
    prompts = [s.prompt_id for s, _ in rows]
    return {
        f"{kind}_interval": list(
            mean_interval([float(n > 0 and n in ruler_band(s.target, kind)) for s, n in rows], prompts, seed)
        )
        for kind in BandKind
    }


def build_tlg_open(seeds: Sequence[SeedPrompt]) -> list[LengthPrompt]:
    """Every seed prompt with each of the nine targets, so that micro and macro averages agree [ours]."""
    return [_tlg_prompt(seed, name) for seed in seeds for name in TARGETS]


def draw_tlg(seeds: Sequence[SeedPrompt], *, seed: int = _DRAW_SEED, size: int = DRAW_SIZE) -> list[LengthPrompt]:
    """TLG by Ruler's recipe: shuffle the prompts, take the first `size`, then draw a target for each.

    Over the human turns of the 612,687 single-turn dialogues of OpenHermes-2.5 in its file order, the defaults give
    Ruler's own set, and its counts by target whatever the order.
    """
    generator = random.Random(seed)
    shuffled = list(seeds)
    generator.shuffle(shuffled)
    names = list(TARGETS)
    return [_tlg_prompt(item, generator.choice(names)) for item in shuffled[:size]]


def _tlg_prompt(seed: SeedPrompt, name: str) -> LengthPrompt:
    """Ruler's baseline form in words of ours: the request, a new line, one sentence with the number of words."""
    *rest, last = seed.messages
    number = f"more than {name[1:]}" if name.startswith(">") else name
    text = f"{last['content']}\nWrite a response that is {number} words long."
    messages = (*rest, {**last, "content": text})
    key = f"{seed.id}|{name}"
    return LengthPrompt(key, seed.id, messages, TARGETS[name], 0, seed.topic, seed.columns, seed.messages)
