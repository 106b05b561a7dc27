"""The control inside another one, as an option of that one names it."""

from __future__ import annotations

from lengthctl.decode.control import Control

__all__ = ["parse_inner"]


def parse_inner(text: str) -> Control:
    """A control whose options are divided by semicolons, as in `close:starts=1;hold=true`.

    Raises:
        ValueError: as `parse_control`.
    """
    from lengthctl.decode.build import parse_control  # it imports every control, those that ask for this too

    return parse_control(text.replace(";", ","))
