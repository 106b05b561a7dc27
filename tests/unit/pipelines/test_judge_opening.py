"""The judge of a config and the file that keeps its verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lengthctl.config import Config
from lengthctl.errors import ConfigError
from lengthctl.pipelines.judge_opening import cached_judging

ENDPOINT = {"backend": "endpoint", "endpoint": {"base_url": "http://127.0.0.1:9/v1", "model": "m"}}


@pytest.mark.parametrize(("own", "expected"), [(None, "aside.jsonl"), ("mine.jsonl", "mine.jsonl")])
def test_verdicts_are_kept_aside_unless_the_judge_has_a_file(own: str | None, expected: str) -> None:
    config = Config.model_validate({"judge": {**ENDPOINT, "cache": own}})
    with cached_judging(config, Path("aside.jsonl"), "grades") as found:
        assert found.judge is not None
        assert found.judge.cache == expected
    assert config.judge is not None
    assert config.judge.cache == own


def test_a_config_without_a_judge_is_told() -> None:
    with pytest.raises(ConfigError, match="is needed: who grades"), cached_judging(Config(), Path("x"), "grades"):
        pass
