"""The options that turn a measure into an exit code, the same for every verb that measures."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["FailOver", "FailUnder"]

FailUnder = Annotated[
    list[str] | None, typer.Option("--fail-under", metavar="MEASURE=NUMBER", help="Exit 3 when a measure is lower.")
]
FailOver = Annotated[
    list[str] | None, typer.Option("--fail-over", metavar="MEASURE=NUMBER", help="Exit 3 when a measure is higher.")
]
