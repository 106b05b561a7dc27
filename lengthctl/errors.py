"""One exception type for each boundary that something can fail at.

Every error carries what was found and what to do, survives pickling (errors cross Ray), also subclasses the
builtin that it stands for, and knows the exit code of the command line.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ConfigError",
    "DataError",
    "EndpointError",
    "EngineError",
    "FailureBudgetError",
    "LengthctlError",
    "MissingDependencyError",
    "ModelError",
    "Problem",
    "RewardError",
    "RunFolderError",
    "WeightSyncError",
]


class LengthctlError(Exception):
    """A fault that the user can act on: printed as one line with its remedy, without a traceback.

    Args:
        message: what was found, and where.
        remedy: what to do about it; empty when the message says it.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        stop = "" if self.message.endswith("?") else "."
        return f"{self.message}{stop} {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True)
class Problem:
    """One fault of a config: `where` is a dotted key, `line` its line in the file if it has one."""

    where: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"line {self.line}  " if self.line is not None else ""
        return f"{place}{self.where}  {self.message}"


class ConfigError(LengthctlError, ValueError):
    """A config, an override or an argument is wrong. Lists every problem at once."""

    exit_code = 2

    def __init__(self, source: str, problems: tuple[Problem, ...] | list[Problem], remedy: str = "") -> None:
        self.source = source
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__(f"{source}: {count}", remedy)

    def __reduce__(self) -> tuple[type[ConfigError], tuple[str, tuple[Problem, ...], str]]:
        return type(self), (self.source, self.problems, self.remedy)

    def __str__(self) -> str:
        lines = [self.message, *(f"  {problem}" for problem in self.problems)]
        return "\n".join([*lines, self.remedy] if self.remedy else lines)


class DataError(LengthctlError, ValueError):
    """A prompt file or dataset cannot be used: torn line, missing column, no rows."""

    exit_code = 2


class ModelError(LengthctlError, OSError):
    """A model folder, adapter or tokenizer cannot be used."""

    exit_code = 2


class MissingDependencyError(LengthctlError, ImportError):
    """A package that this command needs is not installed."""

    exit_code = 2


class RunFolderError(LengthctlError, OSError):
    """A run folder is in use, torn, or of another config."""

    exit_code = 2


class EngineError(LengthctlError, RuntimeError):
    """An inference engine failed to start, died, or stopped answering."""


class WeightSyncError(EngineError):
    """An engine does not hold the weights that it should: names, shapes or version differ."""


class EndpointError(LengthctlError, ConnectionError):
    """An OpenAI-compatible endpoint, or a Ray cluster, refused or did not answer."""


class RewardError(LengthctlError, RuntimeError):
    """A reward function raised, or returned something that is no list of numbers."""


class FailureBudgetError(LengthctlError, RuntimeError):
    """More completions failed than the run allows."""


def first_line(error: BaseException) -> str:
    """The first line of a foreign error's message, at most 200 characters; its type's name when it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
