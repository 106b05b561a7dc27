"""Preference pairs for DPO that teach a length, from texts that a model wrote itself.

Three kinds: by adherence (two texts for one target, one hit it), in hindsight (a text is preferred under the length
that it has, and rejected under that of another text for the same request), and by score (S_l + S_q: LongWriter, arXiv
2408.07055). All but the last are ours. The rows are TRL's preference format: conversations with an explicit prompt.

How the length is asked changes what DPO learns. In words it stands in the prompt. A meta length token (MLT) stands in
front of both completions, and the request is left as it is: TRL counts the token as part of each completion, yet its
log ratio to the reference model is one and the same number on both sides, since only the prompt stands before it. In
losses of the plain difference (`sigmoid`, `hinge`, `robust`, `exo_pair`, `aot`, `discopop`; default divergence) it
cancels: DPO then teaches what follows the token, never which token to write. In those that divide by the number of
tokens (`sigmoid_norm`, `ipo`) a share of `1/chosen - 1/rejected` is left, which favours the token where the chosen text
is the shorter one; those that look at each side by itself (`bco_pair`, `nca_pair`, `sppo_hard`, `apo_zero`, `apo_down`,
`sft`) keep it whole.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

from lengthctl.data_gen.dataset_folder import refuse_other_data
from lengthctl.data_gen.filters import asks_for_length
from lengthctl.data_gen.preference_card import pair_card, pair_stats
from lengthctl.data_gen.preference_rules import DEFAULT_RULES, Label, Pair, PairKind, PairRules, PairSet, choose_pairs
from lengthctl.data_gen.preference_texts import PairDrop, Text, parse_text, read_texts
from lengthctl.errors import DataError
from lengthctl.length import Target, Unit
from lengthctl.prompts import stable_hash, word_length
from lengthctl.rundir import write_atomic, write_json
from lengthctl.scoring import s_l

__all__ = [
    "DEFAULT_RULES",
    "Label",
    "Pair",
    "PairDrop",
    "PairKind",
    "PairRules",
    "PairSet",
    "Text",
    "adherence_pairs",
    "hindsight_pairs",
    "pair_row",
    "parse_text",
    "read_texts",
    "score_pairs",
    "write_pairs",
]

_TOKEN_BEGINS = "[MLT:"
Group = TypeVar("Group", bound=Hashable)


def adherence_pairs(texts: Iterable[Text], rules: PairRules = DEFAULT_RULES) -> PairSet:
    """Of the texts for one request and target, one inside the band over one outside it, `rules.margin` farther away.

    The chosen text is finished and not repetitive. Texts that are asked by the same token count as one target. Ours.
    """
    dropped: Counter[PairDrop] = Counter()
    prompts = []
    for label, group in _by_prompt(texts, rules, dropped):
        clean = [text for text in group if text.fault is None]
        dropped.update(t.fault for t in group if t.fault and (rules.clean_rejected or t.length in label.band))
        misses = [text for text in (clean if rules.clean_rejected else group) if text.length not in label.band]
        hits = [text for text in clean if text.length in label.band]
        possible = (_by_distance(PairKind.ADHERENCE, label, hit, miss, rules) for hit in hits for miss in misses)
        prompts.append([pair for pair in possible if pair is not None])
    return PairSet(PairKind.ADHERENCE, tuple(choose_pairs(prompts, rules, dropped)), dict(+dropped))


def hindsight_pairs(
    texts: Iterable[Text], rules: PairRules = DEFAULT_RULES, *, targets: Sequence[Target] = ()
) -> PairSet:
    """Of two texts for one request, each over the other under the length that it has itself, whatever was asked.

    Pairs come in twos, so every text is chosen as often as rejected, and as many pairs prefer the longer text as the
    shorter one. `per_prompt` counts for each label of a request. Both texts are finished and not repetitive,
    and neither they nor the request name a length ("here are 30 words"), since another one is asked. Ours.

    Args:
        texts: of any targets; those whose targets count in another unit are not paired.
        rules: with a `table` the labels are its tokens, by their `data` bands.
        targets: without a table, the lengths that may be asked; none: each text's own length, to the unit.

    Raises:
        ValueError: targets and a table.
    """
    if targets and rules.table is not None:
        raise ValueError("hindsight pairs are asked by targets or by a table, not by both")
    dropped: Counter[PairDrop] = Counter()
    requests: dict[tuple[str, Unit], list[tuple[Text, Label]]] = {}
    for unit, text in _distinct(texts, rules, dropped, lambda text: text.target.unit):
        label = rules.label_for_length(text.length, unit, targets)
        named = asks_for_length(text.request[-1]["content"]) or asks_for_length(text.text)
        fault = PairDrop.LENGTH_DEMAND if named else text.fault
        if label is not None and fault is None:
            requests.setdefault((text.request_key, unit), []).append((text, label))
        else:
            dropped[fault or PairDrop.NO_LABEL] += 1
    pairs = [pair for group in requests.values() for pair in _take_twins(_twins(group, rules), rules, dropped)]
    return PairSet(PairKind.HINDSIGHT, tuple(sorted(pairs, key=lambda pair: pair.rank(rules))), dict(+dropped))


def score_pairs(
    texts: Iterable[Text],
    rules: PairRules = DEFAULT_RULES,
    *,
    weights: tuple[float, float] = (0.5, 0.5),
    min_gap: float = 0.05,
    min_s_l: float = 0.8,
) -> PairSet:
    """Of the texts for one request and target, the best by S_l and S_q over another one, as LongWriter's DPO does.

    Source: arXiv 2408.07055, which ranks four samples a prompt and draws the rejected one among the other three.
    Differs: it is drawn among those that are `min_gap` worse, so that fewer prompts go without a pair; the thresholds
    are ours. A better text may be farther from the target, if its quality makes up for it. `rules.margin` and
    `rules.band` are not looked at; a truncated text is in no pair.

    Args:
        texts: with `quality`.
        rules: `seed`, `per_prompt`, `balance`, `matched`, `table` and `wordings`.
        weights: of S_l and S_q, both in [0, 1]; only their proportion counts. The paper's proportion is not known.
        min_gap: least difference of the weighted means, in (0, 1].
        min_s_l: least S_l of the chosen text, in [0, 1].

    Raises:
        ValueError: a weight below 0, both 0, or a threshold outside its range.
    """
    total = sum(weights)
    if min(weights) < 0 or total <= 0 or not 0 < min_gap <= 1 or not 0 <= min_s_l <= 1:
        raise ValueError("needs weights >= 0, not both 0, 0 < min_gap <= 1 and 0 <= min_s_l <= 1")
    dropped: Counter[PairDrop] = Counter()
    prompts = []
    for label, group in _by_prompt(texts, rules, dropped):
        scored: list[tuple[float, Text]] = []
        for text in group:
            if text.is_truncated or text.quality is None:
                dropped[PairDrop.UNFINISHED if text.is_truncated else PairDrop.NO_QUALITY] += 1
            else:
                mean = (weights[0] * s_l(text.length, label.target) + weights[1] * text.quality) / total
                scored.append((mean, text))
        score, best = max(scored, key=lambda item: item[0], default=(0.0, None))  # of equals the first
        possible = []
        if best is not None and s_l(best.length, label.target) >= min_s_l:
            gaps = [(score - other, text) for other, text in scored]
            possible = [Pair(PairKind.SCORE, label, best, text, gap) for gap, text in gaps if gap >= min_gap]
        prompts.append(possible)
    return PairSet(PairKind.SCORE, tuple(choose_pairs(prompts, rules, dropped)), dict(+dropped))


def pair_row(pair: Pair, rules: PairRules = DEFAULT_RULES) -> dict[str, Any]:
    """A row of TRL's preference format: `prompt`, `chosen` and `rejected` are lists of messages.

    Further columns: `kind`, `target` (a row of `Target`), `length_chosen` and `length_rejected` in `unit`, `margin`,
    `prompt_id`, and with a token `mlt`, its name. How the length is asked: see the module.
    """
    target, token = pair.label.target, pair.label.token
    lead = "" if token is None else token.text
    prompt: Sequence[Mapping[str, str]] = pair.chosen.request
    if token is None:
        wording = stable_hash(f"{rules.seed}|{pair.prompt_id}|{target.label}") % len(rules.wordings)
        prompt = word_length(prompt, target, rules.wordings[wording])
    return {
        "prompt": [dict(message) for message in prompt],
        "chosen": [{"role": "assistant", "content": lead + pair.chosen.text}],
        "rejected": [{"role": "assistant", "content": lead + pair.rejected.text}],
        "kind": str(pair.kind),
        "target": target.to_row(),
        "length_chosen": pair.chosen.length,
        "length_rejected": pair.rejected.length,
        "unit": str(target.unit),
        "margin": round(pair.margin, 6),
        "prompt_id": pair.prompt_id,
        **({} if token is None else {"mlt": token.name}),
    }


def write_pairs(
    sets: Sequence[PairSet],
    folder: Path,
    rules: PairRules = DEFAULT_RULES,
    *,
    unread: Mapping[PairDrop, int] | None = None,
    title: str = "Preference pairs for length",
    licence: str | None = None,
) -> dict[str, Any]:
    """`train.jsonl`, `stats.json` and `README.md`, each whole or not at all; returns the statistics.

    Args:
        sets: of one or more kinds, made with `rules`.
        folder: is made.
        rules: see there.
        unread: what `read_texts` left out.
        title: of the card.
        licence: of the texts, as the hub names it.

    Raises:
        DataError: there is no pair; the message says why.
        RunFolderError: the folder holds data of another kind.
    """
    refuse_other_data(folder, title)
    pairs = sorted((pair for one in sets for pair in one.pairs), key=lambda pair: pair.rank(rules)[1:])
    stats = {"title": title, **pair_stats(sets, rules, unread or {})}
    if not pairs:
        found = ", ".join(f"{kind}: {counts}" for kind, counts in stats["dropped"].items())
        raise DataError(
            f"no preference pairs ({found or 'no texts'})", "Sample more texts a prompt, or ask less of them"
        )
    # `datasets` takes a column that is null in its first 10 MB for one that always is: each relation comes once early
    first = {pair.label.target.relation: pair for pair in reversed(pairs)}
    early = [pair for pair in pairs if first[pair.label.target.relation] is pair]
    late = [pair for pair in pairs if first[pair.label.target.relation] is not pair]
    lines = (json.dumps(pair_row(pair, rules), ensure_ascii=False) + "\n" for pair in early + late)
    write_atomic(folder / "train.jsonl", "".join(lines))
    write_json(folder / "stats.json", stats)
    write_atomic(folder / "README.md", pair_card(stats, title, licence))
    return stats


def _distinct(
    texts: Iterable[Text], rules: PairRules, dropped: Counter[PairDrop], group_of: Callable[[Text], Group | None]
) -> list[tuple[Group, Text]]:
    """In an order of their own, each with its group; without equal texts for one request in one group."""
    seen: set[tuple[str, str, Group]] = set()
    kept = []
    for text in sorted(texts, key=lambda text: (text.fault is not None, text.order)):
        group = group_of(text)
        if text.is_empty or group is None:
            dropped[PairDrop.EMPTY if text.is_empty else PairDrop.NO_LABEL] += 1
            continue
        key = (text.request_key, text.text.strip(), group)
        if key in seen:
            dropped[PairDrop.DUPLICATE] += 1
        elif rules.table is not None and _TOKEN_BEGINS in text.request_key + text.text:
            dropped[PairDrop.HOLDS_TOKEN] += 1
        else:
            kept.append((group, text))
        seen.add(key)
    return kept


def _by_prompt(
    texts: Iterable[Text], rules: PairRules, dropped: Counter[PairDrop]
) -> Iterable[tuple[Label, list[Text]]]:
    """Texts for one request that are asked for one length in one way."""
    groups: dict[tuple[str, Label], list[Text]] = {}
    for label, text in _distinct(texts, rules, dropped, lambda text: rules.label_for_target(text.target)):
        groups.setdefault((text.request_key, label), []).append(text)
    return [(label, group) for (_, label), group in groups.items()]


def _by_distance(kind: PairKind, label: Label, chosen: Text, rejected: Text, rules: PairRules) -> Pair | None:
    """A pair, where the rejected text misses and is farther away by the margin."""
    margin = label.distance(rejected.length) - label.distance(chosen.length)
    if rejected.length in label.band or margin < rules.margin:
        return None
    return Pair(kind, label, chosen, rejected, margin)


def _twins(group: list[tuple[Text, Label]], rules: PairRules) -> list[tuple[Pair, Pair]]:
    """Two texts, each way."""
    found = []
    for (a, of_a), (b, of_b) in combinations(group, 2):
        there = _by_distance(PairKind.HINDSIGHT, of_a, a, b, rules)
        back = _by_distance(PairKind.HINDSIGHT, of_b, b, a, rules)
        if there is not None and back is not None:
            found.append((there, back))
    return found


def _take_twins(twins: list[tuple[Pair, Pair]], rules: PairRules, dropped: Counter[PairDrop]) -> list[Pair]:
    """Those of a request, each label as often as the rules allow."""
    dropped[PairDrop.NO_PAIR] += not twins
    uses: Counter[Label] = Counter()
    taken: list[Pair] = []
    for twin in sorted(twins, key=lambda twin: min(pair.rank(rules) for pair in twin)):
        labels = [pair.label for pair in twin]
        if all(uses[label] < rules.per_prompt for label in labels):
            uses.update(labels)
            taken += twin
    return taken
