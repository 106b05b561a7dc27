"""When a judge has been silent for too long."""

from __future__ import annotations

from lengthctl.errors import FailureBudgetError

__all__ = ["SilenceWatch"]

_ENOUGH = 0.1
"""Share of the questions of a step with a verdict, below which the judge counts as silent. Ours."""


class SilenceWatch:
    """Counts training steps in a row in which the judge was silent. All that is asked in a step counts as one, however
    many calls it takes (several rewards, rounds of dynamic sampling), so a step is known when the next one begins.

    Args:
        most_steps: silent steps that end the run, at least 1.
    """

    def __init__(self, most_steps: int) -> None:
        self._most_steps = most_steps
        self._step: int | None = None
        self._asked = self._heard = self._silent = 0

    def begin(self, step: int | None) -> None:
        """A call in this step (TRL's `global_step`, from 0) is about to be made; None: it is a step of its own.

        Raises:
            FailureBudgetError: the steps before it were silent, `most_steps` of them.
        """
        if step is None or step != self._step:
            self._end_step()
        self._step = step

    def add(self, asked: int, heard: int) -> None:
        """Its questions, and those of them with a verdict.

        Raises:
            FailureBudgetError: as `begin`, for a step that ends with this call.
        """
        self._asked += asked
        self._heard += heard
        if self._step is None:
            self._end_step()

    def _end_step(self) -> None:
        asked, heard, self._asked, self._heard = self._asked, self._heard, 0, 0
        if asked:
            self._silent = 0 if heard >= _ENOUGH * asked else self._silent + 1
        if self._silent >= self._most_steps:
            where = "" if self._step is None else f" in step {self._step + 1}"
            raise FailureBudgetError(
                f"the judge gave {heard} verdicts on {asked} questions{where}, and as few in each of the last "
                f"{self._silent} steps",
                "Check the judge (scripts/judge_accuracy.py measures one of pairs), or raise judge.silent_steps or "
                "judge.patience_s",
            )
