"""Tasks that a program makes, solves and checks: chains of small arithmetic steps, worked out in chosen verbosity.

For models that are too small for published problem sets, and for tests of rewards: difficulty is known and adjustable.
Ours.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from lengthctl.errors import DataError
from lengthctl.problem_sources import Problem
from lengthctl.prompts import stable_hash

__all__ = ["CheckableTask", "Verbosity", "make_tasks"]

_TEST_SHARE = 0.2
_TRIES_PER_TASK = 100


class Verbosity(StrEnum):
    """How a worked solution is written; words rise in this order for every task."""

    TERSE = "terse"
    """Equations only."""
    PLAIN = "plain"
    """One short sentence a step."""
    LONG = "long"
    """Restates the task and every step, and checks each."""


@dataclass(frozen=True)
class CheckableTask:
    """A task with its answer, and its solution in each verbosity; every solution ends in `#### answer`."""

    id: str
    question: str
    answer: str
    steps: int
    digits: int
    worked: dict[str, str]

    def to_problem(self) -> Problem:
        """As a problem of the evaluation; the difficulty is the number of steps."""
        return Problem(self.id, self.question, self.answer, "checkable", float(self.steps), {"digits": self.digits})


@dataclass(frozen=True)
class _Step:
    before: int
    sign: Literal["+", "-", "*"]
    operand: int

    @property
    def after(self) -> int:
        match self.sign:
            case "+":
                return self.before + self.operand
            case "-":
                return self.before - self.operand
            case "*":
                return self.before * self.operand

    @property
    def equation(self) -> str:
        return f"{self.before} {self.sign} {self.operand} = {self.after}"


_WORDS = {"+": "plus", "-": "minus", "*": "times"}
_ORDERS = {"+": "add {}", "-": "subtract {}", "*": "multiply by {}"}
_ASKED = (
    "Start with {start}. {orders} What number do you get?",
    "Take the number {start}. {orders} What is the result?",
    "You have the number {start}. {orders} Which number do you have at the end?",
)


def make_tasks(
    n: int,
    seed: int,
    steps: tuple[int, int] = (1, 4),
    digits: int = 1,
    split: Literal["train", "test"] = "train",
) -> list[CheckableTask]:
    """`n` different tasks; the same arguments give the same tasks, and a smaller `n` gives the first of them.

    Args:
        n: how many, at least 1.
        seed: any whole number.
        steps: fewest and most steps of a chain, both ends inside.
        digits: of the numbers in the question, 1 to 6; results stay below 10 ** (digits + 1) and above -1.
        split: a chain belongs to one split for every seed (by its hash, a fifth to `test`).

    Raises:
        ValueError: an argument out of its range.
        DataError: there are not that many different tasks.
    """
    low, high = steps
    if n < 1 or not 1 <= low <= high <= 50 or not 1 <= digits <= 6 or split not in ("train", "test"):
        raise ValueError("needs n >= 1, 1 <= fewest <= most steps <= 50, 1 <= digits <= 6, and split train or test")
    rng = random.Random(f"checkable|{seed}|{low}|{high}|{digits}|{split}")
    tasks: dict[str, CheckableTask] = {}
    for _ in range(n * _TRIES_PER_TASK):
        chain = _draw_chain(rng, rng.randint(low, high), digits)
        form = rng.randrange(len(_ASKED))
        key = f"{chain[0].before}{''.join(step.sign + str(step.operand) for step in chain)}"
        is_test = stable_hash(f"checkable|{key}") < _TEST_SHARE * 2**64
        if is_test == (split == "test") and key not in tasks:
            tasks[key] = _build_task(key, chain, digits, _ASKED[form])
        if len(tasks) == n:
            return list(tasks.values())
    raise DataError(
        f"{n} {split} tasks wanted, only {len(tasks)} different of {low} to {high} steps and {digits} digits found",
        "Ask for fewer, or allow more steps or digits",
    )


def _draw_chain(rng: random.Random, count: int, digits: int) -> list[_Step]:
    """Steps whose results stay in range; each possible sign is as likely as the others."""
    least, limit = 10 ** (digits - 1), 10 ** (digits + 1)
    value = rng.randint(least, 10**digits - 1)
    chain: list[_Step] = []
    for _ in range(count):
        operand = rng.randint(max(2, least), 10**digits - 1)
        possible = [_Step(value, "+", operand), _Step(value, "-", operand), _Step(value, "*", operand)]
        step = rng.choice([s for s in possible if 0 <= s.after < limit])
        chain.append(step)
        value = step.after
    return chain


def _build_task(key: str, chain: list[_Step], digits: int, form: str) -> CheckableTask:
    orders = [_ORDERS[step.sign].format(step.operand) for step in chain]
    sentences = [f"{order.capitalize()}." if i == 0 else f"Then {order}." for i, order in enumerate(orders)]
    question = form.format(start=chain[0].before, orders=" ".join(sentences))
    answer = str(chain[-1].after)
    worked = {
        str(Verbosity.TERSE): _terse(chain),
        str(Verbosity.PLAIN): _plain(chain),
        str(Verbosity.LONG): _long(chain, orders),
    }
    worked = {name: f"{text}\n#### {answer}" for name, text in worked.items()}
    return CheckableTask(f"checkable_{key}", question, answer, len(chain), digits, worked)


def _terse(chain: list[_Step]) -> str:
    return "\n".join(step.equation.replace(" ", "") for step in chain)


def _plain(chain: list[_Step]) -> str:
    return "\n".join(f"{step.before} {_WORDS[step.sign]} {step.operand} is {step.after}." for step in chain)


def _long(chain: list[_Step], orders: list[str]) -> str:
    many = f"{len(chain)} step{'s' if len(chain) > 1 else ''}"
    lines = [f"Let me work this out slowly. The task starts with the number {chain[0].before} and has {many}."]
    for i, (step, order) in enumerate(zip(chain, orders, strict=True), 1):
        lines.append(
            f"Step {i} says to {order}. The number before this step is {step.before}. "
            f"So I work out {step.before} {_WORDS[step.sign]} {step.operand}, and that is {step.equation}. "
            f"{_check(step)} After step {i} the number is {step.after}."
        )
    lines.append(f"All steps are done, and the last number is {chain[-1].after}, so this is the result.")
    return "\n".join(lines)


def _check(step: _Step) -> str:
    """The step backwards."""
    match step.sign:
        case "+":
            return f"To check: {step.after} - {step.operand} = {step.before}, which fits."
        case "-":
            return f"To check: {step.after} + {step.operand} = {step.before}, which fits."
        case "*":
            return f"To check: {step.after} / {step.operand} = {step.before}, which fits."
