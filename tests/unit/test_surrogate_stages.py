"""The forms in which the base of the surrogate's measurement answers."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from lengthctl.reasoning import parse_reasoning
from lengthctl.rewards.accuracy import last_number

SCRIPTS = Path(__file__).parents[2] / "scripts"
WORKED = "9 plus 5 is 14.\n14 times 3 is 42.\n#### 42"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return runpy.run_path(str(SCRIPTS / "surrogate_stages.py"))


def test_what_is_missing_is_the_form_and_never_the_work(script: dict[str, Any]) -> None:
    said = {form: script["in_form"](WORKED, form, "Take the number 7. Add 3.") for form in script["FORMS"]}
    assert all(text.startswith("9 plus 5 is 14.\n14 times 3 is 42.\n") for text in said.values())
    numbers = {form: last_number(text) for form, text in said.items()}
    assert numbers == {"marked": "42", "unmarked": "42", "runs on": "3"}
    assert {form for form, text in said.items() if parse_reasoning(text).format == "hashes"} == {"marked", "runs on"}
    assert sum(script["FORMS"].values()) == pytest.approx(1)
