"""What was drawn in one step, brought together from all trainer processes: metrics and records."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

from lengthctl.records import Completion
from lengthctl.train.adherence_log import step_adherence
from lengthctl.train.diagnosis import step_diagnosis
from lengthctl.train.ranks import gather_lists, is_main
from lengthctl.train.rollout_log import RolloutLog
from lengthctl.train.step_row import StepRow

__all__ = ["StepLog"]


class StepLog:
    """Collects the rows of a step and writes them once it is known what is trained.

    Args:
        tokenizer: counts where a target is in tokens.
        rollouts: where the completions of training go, if anywhere.
    """

    def __init__(self, tokenizer: Any, rollouts: RolloutLog | None) -> None:
        self._tokenizer = tokenizer
        self._rollouts = rollouts
        self._drawn: list[StepRow] = []

    def __len__(self) -> int:
        return len(self._drawn)

    def add(
        self,
        inputs: Sequence[Mapping[str, Any]],
        done: Sequence[Completion],
        rewards: Sequence[float | None],
        correct: Sequence[bool | None] | None = None,
        told: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        """Completions of this process, in the order in which they were asked for.

        Args:
            inputs: rows of the data set.
            done, rewards, correct: of each row; `correct` is None where nobody knows.
            told: columns that rewards told (TRL's `log_extra`), of each row.
        """
        for place, (row, completion, reward) in enumerate(zip(inputs, done, rewards, strict=True)):
            self._drawn.append(
                StepRow(
                    completion=completion,
                    reward=reward,
                    group=0,  # known when all processes are together
                    prompt_id=row.get("prompt_id"),
                    prompt=row.get("prompt"),
                    target=row.get("target"),
                    level=row.get("level"),
                    is_correct=None if correct is None else correct[place],
                    columns={name: values[place] for name, values in (told or {}).items() if len(values) == len(done)},
                )
            )

    def write(
        self,
        metrics: MutableMapping[str, list[float]],
        *,
        own: int,
        group_size: int,
        step: int | None,
        advantages: Mapping[int, float],
    ) -> None:
        """Tell the first process's metrics what the step shows, record its completions, and begin anew.

        Args:
            metrics: of the process, by name.
            own: rows of each process that the step drew for itself; those after them came in place of others.
            group_size: completions a prompt.
            step: that the completions train; None in an evaluation, which is not recorded.
            advantages: by the number of a row in this process; what is not trained is not there.
        """
        drawn, self._drawn = self._drawn, []
        shares = gather_lists(
            [
                replace(row, group=place // group_size, advantage=advantages.get(place), is_resampled=place >= own)
                for place, row in enumerate(drawn)
            ]
        )
        if not is_main():
            return
        rows, before = [], 0
        for share in shares:
            rows += [replace(row, group=before + row.group) for row in share]
            before += len(share) // group_size
        asked = [row for row in rows if not row.is_resampled]
        for name, value in {**step_adherence(asked, self._tokenizer), **step_diagnosis(rows)}.items():
            metrics[name].append(value)
        if self._rollouts is not None and step is not None:
            self._rollouts.write(step, rows)
