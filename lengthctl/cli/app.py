"""The command line: results go to stdout, narration to stderr; heavy packages are imported inside the verbs."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated, NoReturn, TextIO

import typer

from lengthctl.errors import ConfigError, LengthctlError, Problem, first_line
from lengthctl.exits import fail, fail_unforeseen, how_to_go_on

__all__ = [
    "AsJson",
    "Overrides",
    "RepetitionPenalty",
    "app",
    "emit",
    "hub_name",
    "main",
    "prepare_for",
    "prepare_heavy",
    "result_stream",
]

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Make an open LLM hit a requested length, prove it with numbers, and do it fast.",
)

Overrides = Annotated[
    list[str] | None, typer.Argument(help="key=value, e.g. trainer.learning_rate=2e-5; trainer.KEY=null drops it")
]
RepetitionPenalty = Annotated[
    float, typer.Option(min=0.01, max=2.0, help="Divides logits of tokens that occurred already; 1 changes nothing.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def hub_name(repository: str | None) -> str | None:
    """Refuse what can be no name on the hub, before anything is done.

    Raises:
        ConfigError: it cannot.
    """
    if repository is not None:
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id

        try:
            validate_repo_id(repository)
        except HFValidationError as error:
            problem = Problem("--push", f"{repository!r} is no name of a hub repository ({first_line(error)})")
            raise ConfigError("--push", [problem], "Give it as USER/NAME") from error
    return repository


_result: TextIO | None = None
"""The standard output that the command was started with, once file descriptor 1 is another."""


def result_stream() -> TextIO:
    """Where results go: the standard output that the command was started with."""
    return _result or sys.stdout


def emit(text: str) -> None:
    """Print a result."""
    out = result_stream()
    out.write(text + "\n")
    out.flush()


def prepare_for(backend: str) -> None:
    """Before a backend of this kind is opened."""
    if backend == "vllm":
        prepare_heavy()


def prepare_heavy() -> None:
    """Before torch, Ray and vLLM: the last two print on file descriptor 1, which the result must not share."""
    from lengthctl.memory import keep_freed_memory

    global _result
    keep_freed_memory()
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if _result is None:
        sys.stdout.flush()
        _result = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
    from transformers.utils import logging

    logging.disable_progress_bar()  # "Loading weights" and the like, between our own lines


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> NoReturn:
    """Entry point: errors become one message and an exit code."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        # typer turns Ctrl-C into the exit code that it returns here
        code = app(standalone_mode=False)
    except KeyboardInterrupt:
        code = 130
    except SystemExit as leaving:  # ray.init (2.60) replaces our SIGTERM handler by one that exits with the signal
        code = 130 if leaving.code == signal.SIGTERM else leaving.code
    except LengthctlError as error:
        fail(str(error), error.exit_code)
    except Exception as error:
        fail_unforeseen(error, debug=debug)
    if code == 130:
        fail(f"interrupted; {how_to_go_on()}", 130)
    sys.exit(code or 0)
