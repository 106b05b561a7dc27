"""Hyperfitting: the paper's measure, when a run is done, and a probe that outlives its process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.train.hyperfitting import (
    HYPERFIT_FILE,
    PAPER_SETTINGS,
    HyperfitProbe,
    StopReason,
    StopRule,
    build_callback,
    repeated_ngram_share,
    type_token_ratio,
)
from lengthctl.trl_fields import trainer_problems

IDS = st.lists(st.integers(0, 30), max_size=200)


@pytest.mark.parametrize(
    ("ids", "ttr"),
    [
        ([1, 2, 3, 1], 0.75),
        ([7] * 96, 0.010417),
        (list(range(96)), 1.0),
        (list(range(50)) * 2, 0.520833),
        ([], 0.0),
    ],
)
def test_type_token_ratio_is_the_papers(ids: list[int], ttr: float) -> None:
    assert type_token_ratio(ids) == pytest.approx(ttr, abs=1e-6)  # methods/short.md, section 5


@pytest.mark.parametrize(
    ("ids", "share"),
    [([], 0.0), ([1, 2, 3], 0.0), ([1, 2, 3, 4], 0.0), ([5] * 6, 2 / 3), ([1, 2, 3, 4, 1, 2, 3, 4], 0.2)],
)
def test_repeated_four_grams(ids: list[int], share: float) -> None:
    assert repeated_ngram_share(ids) == pytest.approx(share)


@given(IDS, IDS)
def test_measures_are_shares_that_look_at_the_end_and_at_equality_alone(before: list[int], ids: list[int]) -> None:
    assert 0 <= type_token_ratio(ids) <= 1
    assert 0 <= repeated_ngram_share(ids) < 1
    renamed = [1000 - token for token in ids]
    assert type_token_ratio(renamed) == type_token_ratio(ids)
    assert repeated_ngram_share(renamed) == repeated_ngram_share(ids)
    assert type_token_ratio(before + ids, last=len(ids) or 1) == type_token_ratio(ids or before[-1:])


@pytest.mark.parametrize(
    ("losses", "ttrs", "reason"),
    [
        ([], [], None),
        ([0.0, 0.0], [], None),  # too few steps for a mean
        ([9.0, 0.1, 0.1, 0.1], [], None),
        ([9.0, 0.1, 0.1, 0.09], [], StopReason.LOSS),
        ([], [0.3, 0.4, 0.5], None),
        ([], [0.5, 0.5, 0.4], StopReason.TTR),  # equal has not risen
        ([], [0.5, 0.4, 0.6], None),
        ([], [0.5, 0.6, 0.6, 0.6], StopReason.TTR),
        ([0.0] * 3, [0.5, 0.4, 0.3], StopReason.LOSS),
        ([float("nan")] * 3, [], None),
    ],
)
def test_a_run_is_done_at_low_loss_or_when_variety_stays(
    losses: list[float], ttrs: list[float], reason: StopReason | None
) -> None:
    assert StopRule(loss_below=0.1, loss_steps=3, patience=2).reason(losses, ttrs) is reason


def test_either_half_of_the_rule_may_be_absent() -> None:
    assert StopRule(loss_below=None, loss_steps=1).reason([0.0], []) is None
    assert StopRule(patience=None).reason([], [0.5] * 99) is None
    with pytest.raises(ValueError, match="at least 1"):
        StopRule(patience=0)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.integers(1, 4))
def test_ever_more_variety_never_ends_a_run(ttrs: list[float], patience: int) -> None:
    rising = sorted(set(ttrs))
    assert StopRule(patience=patience).reason([], rising) is None
    stays = [*rising, *[rising[-1]] * patience]
    assert StopRule(patience=patience).reason([], stays) is StopReason.TTR


def test_paper_settings_are_options_of_trl() -> None:
    assert trainer_problems(PAPER_SETTINGS, "sft") == []
    stated = ("learning_rate", "num_train_epochs", "per_device_train_batch_size", "weight_decay")
    assert [PAPER_SETTINGS[name] for name in stated] == [1e-6, 20, 8, 0]
    assert 2000 * PAPER_SETTINGS["num_train_epochs"] / PAPER_SETTINGS["per_device_train_batch_size"] == 5000


class FakeRun:
    """A model that says what it is told to, and what a trainer tells its callbacks."""

    def __init__(self, folder: Path) -> None:
        self.says: list[list[int]] = [[1] * 8, [1] * 8]
        self.logged: list[dict[str, float]] = []
        self.args = SimpleNamespace(output_dir=str(folder))
        self.state = SimpleNamespace(global_step=0, is_world_process_zero=True)
        self.control = SimpleNamespace(should_training_stop=False)

    def continue_greedily(self, prompts: Sequence[str]) -> list[list[int]]:
        assert list(prompts) == ["a", "b"]
        return self.says

    def probe(self, rule: StopRule | None = None) -> HyperfitProbe:
        return HyperfitProbe(["a", "b"], self.continue_greedily, self.logged.append, every=2, rule=rule)

    def steps(self, callback: Any, count: int, loss: float | None = None) -> None:
        for _ in range(count):
            self.state.global_step += 1
            callback.on_step_end(self.args, self.state, self.control)
            if loss is not None:
                callback.on_log(self.args, self.state, self.control, {"loss": loss})


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    pytest.importorskip("transformers", reason="the callback builds on transformers")
    return FakeRun(tmp_path)


def test_the_probe_measures_before_training_and_every_so_many_steps(run: FakeRun) -> None:
    callback = build_callback(run.probe())
    callback.on_train_begin(run.args, run.state, run.control)
    run.says = [list(range(8)), [1, 2] * 4]
    run.steps(callback, 5, loss=0.0)
    assert [sorted(logs) for logs in run.logged] == [["hyperfit/repeat_4gram", "hyperfit/ttr"]] * 3
    assert [logs["hyperfit/ttr"] for logs in run.logged] == pytest.approx([0.125, 0.625, 0.625])
    assert [logs["hyperfit/repeat_4gram"] for logs in run.logged] == pytest.approx([0.8, 0.3, 0.3])
    assert not run.control.should_training_stop  # without a rule


def test_the_probe_ends_a_run_whose_variety_stays(run: FakeRun) -> None:
    probe = run.probe(StopRule(patience=2))
    callback = build_callback(probe)
    callback.on_train_begin(run.args, run.state, run.control)
    run.steps(callback, 3, loss=1.0)
    assert not run.control.should_training_stop
    run.steps(callback, 1)
    assert run.control.should_training_stop
    assert probe.stop_reason is StopReason.TTR


def test_a_logged_loss_stands_for_the_steps_since_the_last(run: FakeRun) -> None:
    probe = run.probe(StopRule(loss_below=0.5, loss_steps=4, patience=None))
    for step, loss, reason in [
        (3, 0.1, None),
        (4, 2.0, None),
        (7, 0.1, None),  # 2, 0.1, 0.1, 0.1 have a mean of 0.575
        (8, 0.1, StopReason.LOSS),
        (9, float("nan"), None),
        (12, 0.1, None),
        (13, 0.1, StopReason.LOSS),
    ]:
        probe.take_loss(step, loss)
        assert probe.stop_reason is reason


def test_a_resumed_probe_goes_on_as_if_never_stopped(run: FakeRun, tmp_path: Path) -> None:
    rule = StopRule(patience=2, loss_steps=3)
    probe = run.probe(rule)
    callback = build_callback(probe)
    callback.on_train_begin(run.args, run.state, run.control)
    run.steps(callback, 3, loss=1.0)
    (tmp_path / "checkpoint-3").mkdir()
    callback.on_save(run.args, run.state, run.control)
    assert json.loads((tmp_path / "checkpoint-3" / HYPERFIT_FILE).read_text()) == probe.state_dict()
    resumed = run.probe(rule)
    callback = build_callback(resumed, tmp_path / "checkpoint-3")
    assert resumed.state_dict() == probe.state_dict()
    checks = len(run.logged)
    callback.on_train_begin(run.args, run.state, run.control)
    assert len(run.logged) == checks
    run.steps(callback, 1, loss=1.0)
    assert run.control.should_training_stop


def test_a_probe_that_measures_nothing_is_refused(run: FakeRun) -> None:
    with pytest.raises(ValueError, match="0 prompts"):
        HyperfitProbe([], run.continue_greedily, run.logged.append)
