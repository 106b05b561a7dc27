"""What a set of preference pairs holds, in numbers and as a dataset card; its length bias stands first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any

from lengthctl.data_gen.preference_rules import Pair, PairRules, PairSet
from lengthctl.data_gen.preference_texts import PairDrop

__all__ = ["pair_card", "pair_stats"]

_SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))
_MOST_TARGETS = 40
_ABOUT = """\
Pairs of texts for one request, one preferred when a certain length is asked, in TRL's preference format: `prompt`,
`chosen` and `rejected` are lists of messages. `length_chosen` and `length_rejected` count `unit`; `margin` is the
difference of |ln((length + 1) / (target + 1))|, of `kind` score that of the weighted S_l and S_q; `target` is what was
asked.

- `adherence`: both texts were written for the target; the chosen one hit it, the rejected one did not.
- `hindsight`: the target is the length of the chosen text, whatever was asked. Each two texts make two pairs, one each
  way, so that no text is preferred for anything but its length. Over all targets nothing is preferred for being long;
  at the shortest target the shorter text always is, and at the longest the longer one.
- `score`: the chosen text is the best by S_l and S_q together (LongWriter, arXiv 2408.07055)."""
_ASKED = {
    False: "The length is asked in words, at the end or the beginning of the prompt's last message.",
    True: "The length is asked by a meta length token in front of both completions (column `mlt`); the prompt does not"
    " name it. Only for models that have these tokens. The token is the same on both sides and comes after the prompt"
    " alone, so that it cancels in DPO's `sigmoid` loss: what is learned is to keep it, not to choose it.",
}
_LIMITS = """\
TRL cuts prompt and completion together after `max_length` tokens (1024 if nothing is set): a text that is cut has lost
the end that made it right or wrong. The texts are a model's own: facts in them were not checked."""


def pair_stats(sets: Sequence[PairSet], rules: PairRules, unread: Mapping[PairDrop, int]) -> dict[str, Any]:
    """A JSON object: counts and mean lengths of both sides, by kind and unit and by target, and what was left out.

    `longer` is the share of pairs whose chosen text is the longer one, in [0, 1]; those of equal length count half, so
    0.5 is no bias.
    """
    by_kind: dict[tuple[str, str], list[Pair]] = {}
    by_target: dict[tuple[str, str, int, str], list[Pair]] = {}
    for one in sets:
        for pair in one.pairs:
            target = pair.label.target
            name = target.label if pair.label.token is None else pair.label.token.text
            by_kind.setdefault((one.kind, target.unit), []).append(pair)
            by_target.setdefault((one.kind, target.unit, target.value, name), []).append(pair)
    settings = {key: value for key, value in vars(rules).items() if key not in ("table", "wordings")}
    table = None if rules.table is None else [token.text for token in rules.table.tokens]
    dropped = {"reading": dict(unread), **{str(one.kind): dict(one.dropped) for one in sets}}
    return {
        "pairs": sum(len(one.pairs) for one in sets),
        "kinds": [{"kind": kind, "unit": unit, **_measures(pairs)} for (kind, unit), pairs in sorted(by_kind.items())],
        "targets": [
            {"kind": kind, "unit": unit, "target": name, **_measures(pairs)}
            for (kind, unit, _, name), pairs in sorted(by_target.items())
        ],
        "dropped": {stage: _in_order(counts) for stage, counts in dropped.items() if any(counts.values())},
        "rules": {**settings, "table": table, "wordings": list(rules.wordings) if table is None else None},
    }


def _measures(pairs: Sequence[Pair]) -> dict[str, Any]:
    return {
        "pairs": len(pairs),
        "longer": round(mean((1 + pair.longer) / 2 for pair in pairs), 4),
        "mean_length_chosen": round(mean(pair.chosen.length for pair in pairs), 2),
        "mean_length_rejected": round(mean(pair.rejected.length for pair in pairs), 2),
        "mean_repetition_chosen": round(mean(pair.chosen.repetition for pair in pairs), 4),
        "mean_repetition_rejected": round(mean(pair.rejected.repetition for pair in pairs), 4),
        "mean_margin": round(mean(pair.margin for pair in pairs), 4),
    }


def _in_order(counts: Mapping[PairDrop, int]) -> dict[str, int]:
    return {str(reason): counts[reason] for reason in PairDrop if counts.get(reason)}


def pair_card(stats: Mapping[str, Any], title: str, licence: str | None) -> str:
    """Markdown with the front matter of the Hugging Face hub, from `pair_stats`."""
    targets, rules = stats["targets"], stats["rules"]
    unit_named = [{**row, "lengths in": row["unit"]} for row in stats["kinds"]]
    more = [f"{len(targets) - _MOST_TARGETS} more in `stats.json`.", ""] if len(targets) > _MOST_TARGETS else []
    dropped = [
        f"| {stage} | {reason} | {PairDrop(reason).meaning} | {n} |"
        for stage, counts in stats["dropped"].items()
        for reason, n in counts.items()
    ]
    return "\n".join(
        [
            *_front_matter(stats["pairs"], licence),
            f"# {title}",
            "",
            _ABOUT,
            "",
            _ASKED[rules["table"] is not None],
            "",
            f"## Length bias: {stats['pairs']} pairs",
            "",
            "`longer`: share of the pairs whose chosen text is the longer one; 0.5 is no bias.",
            "",
            *_table(unit_named, "kind", "lengths in"),
            "## By target",
            "",
            *_table(targets[:_MOST_TARGETS], "kind", "target"),
            *more,
            "## Left out",
            "",
            *(["| stage | reason | what | number |", "|---|---|---|---:|", *dropped] if dropped else ["Nothing."]),
            "",
            "## Rules",
            "",
            *(f"- {name}: `{json.dumps(value, ensure_ascii=False)}`" for name, value in rules.items()),
            "",
            "## Limits",
            "",
            _LIMITS,
            "",
        ]
    )


def _table(rows: Iterable[Mapping[str, Any]], *names: str) -> list[str]:
    head = [*names, "pairs", "longer", "mean length chosen", "rejected", "repetition chosen", "rejected"]
    keys = [*names, "pairs", "longer", "mean_length_chosen", "mean_length_rejected"]
    keys += ["mean_repetition_chosen", "mean_repetition_rejected"]
    cells = [" | ".join(str(row[key]) for key in keys) for row in rows]
    aligned = "---|" * len(names) + "---:|" * (len(head) - len(names))
    return [f"| {' | '.join(head)} |", f"|{aligned}", *(f"| {line} |" for line in cells), ""]


def _front_matter(pairs: int, licence: str | None) -> list[str]:
    """A JSON string is YAML too."""
    size = next((name for limit, name in _SIZES if pairs < limit), "n>100K")
    lines = ["---", "task_categories: [text-generation]", f"size_categories: [{json.dumps(size)}]"]
    lines += ['tags: ["lengthctl", "dpo", "preference"]', *([f"license: {json.dumps(licence)}"] if licence else [])]
    return [*lines, "configs:", "- config_name: default", "  data_files: train.jsonl", "---", ""]
