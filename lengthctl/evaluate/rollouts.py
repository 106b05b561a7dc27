"""Completions of training as they were recorded (`samples/rollouts.jsonl`): the last steps of a run, and one group."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lengthctl.errors import DataError
from lengthctl.evaluate.browsing import prompt_text
from lengthctl.length import Target
from lengthctl.records import FinishReason, read_records

__all__ = ["ROLLOUTS", "RolloutRow", "last_rollouts", "read_group", "telling_group"]

ROLLOUTS = Path("samples") / "rollouts.jsonl"
"""Inside a run folder."""
_TAIL_BYTES = 16 * 2**20
"""Read from the end of the file for a page: records hold token ids and logprobs, and a long run many of them."""


@dataclass(frozen=True)
class RolloutRow:
    """One completion of training."""

    step: int
    group: int
    text: str
    tokens: int
    reward: float | None
    advantage: float | None
    """Mean over its tokens; None: not trained."""
    is_trained: bool
    is_truncated: bool
    is_correct: bool | None
    prompt: str
    target: str
    """Label, or nothing."""
    parts: Mapping[str, float | None] = field(default_factory=dict)


def last_rollouts(run_dir: Path, steps: int) -> list[RolloutRow]:
    """Completions of the last `steps` recorded steps, as far as they stand in the last 16 MiB; those of a step that
    begins before are left out, unless there is no other. Nothing where nothing was recorded, or by an older version."""
    path = run_dir / ROLLOUTS
    if not path.is_file():
        return []
    rows = [row for line in _last_lines(path) if (row := _row_of(line)) is not None]
    found = sorted({row.step for row in rows})
    whole = found[1:] if path.stat().st_size > _TAIL_BYTES and len(found) > 1 else found
    kept = set(whole[-steps:])
    return [row for row in rows if row.step in kept]


def read_group(run_dir: Path, step: int | None, group: int | None) -> list[RolloutRow]:
    """One group of a run. Without a step: of the last one recorded; without a group: the most telling one.

    Raises:
        DataError: nothing was recorded, or not this step or group; it says which there are.
    """
    path = run_dir / ROLLOUTS
    if not path.is_file():
        raise DataError(f"{path} does not exist", "Only a run of train.method = grpo records its completions")
    if step is None:
        rows = last_rollouts(run_dir, 1)
    else:
        rows = [row for record in _records_of(path, step) if (row := _parse(record)) is not None]
    if not rows:
        raise DataError(f"{path} holds no groups of step {step or 'any'}", "Name another step; they begin at 1")
    if group is None:
        return telling_group(rows)
    found = [row for row in rows if row.group == group]
    if not found:
        last = max(row.group for row in rows)
        raise DataError(f"step {rows[0].step} has no group {group}", f"Name one from 0 to {last}")
    return found


def telling_group(rows: Sequence[RolloutRow]) -> list[RolloutRow]:
    """The group of the last step whose rewards differ most, trained ones first; the first of equals. Empty without
    rows."""
    last = max((row.step for row in rows), default=0)
    groups: dict[int, list[RolloutRow]] = {}
    for row in rows:
        if row.step == last:
            groups.setdefault(row.group, []).append(row)

    def telling(group: Sequence[RolloutRow]) -> tuple[bool, float]:
        rewards = [row.reward for row in group if row.reward is not None]
        return any(row.is_trained for row in group), max(rewards) - min(rewards) if rewards else -1.0

    return max(groups.values(), key=telling, default=[])


def _records_of(path: Path, step: int) -> Iterator[Mapping[str, Any]]:
    """Steps stand in order, so what comes after is not read."""
    for _, record in read_records(path, allow_torn_tail=True):
        found = record.get("step")
        if found == step:
            yield record
        elif isinstance(found, int) and found > step:
            return


def _last_lines(path: Path) -> Iterator[bytes]:
    """Whole lines at the end of a file."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        lines = file.read().split(b"\n")
    return iter(lines[1:-1] if size > _TAIL_BYTES else lines[:-1])


def _row_of(line: bytes) -> RolloutRow | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return _parse(record) if isinstance(record, dict) else None


def _parse(record: Mapping[str, Any]) -> RolloutRow | None:
    """None for a record without a group: of an older version, or none of ours."""
    step, group, text = record.get("step"), record.get("group"), record.get("text")
    if not isinstance(step, int) or not isinstance(group, int) or not isinstance(text, str):
        return None
    ids, parts, target = record.get("token_ids"), record.get("parts"), record.get("target")
    correct = record.get("is_correct")
    return RolloutRow(
        step=step,
        group=group,
        text=text,
        tokens=len(ids) if isinstance(ids, list) else 0,
        reward=_number(record.get("reward")),
        advantage=_number(record.get("advantage")),
        is_trained=record.get("is_trained") is True,
        is_truncated=record.get("finish") in (FinishReason.LIMIT, FinishReason.REWARD_CEILING),
        is_correct=correct if isinstance(correct, bool) else None,
        prompt=prompt_text(record.get("prompt")),
        target=_label(target),
        parts={str(k): _number(v) for k, v in parts.items()} if isinstance(parts, Mapping) else {},
    )


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


def _label(target: Any) -> str:
    try:
        found = Target.parse(target)
    except (TypeError, ValueError):
        return ""
    return f"{found.label} {found.unit}"
