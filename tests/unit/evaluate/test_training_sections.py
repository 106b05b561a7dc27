"""The report's part about learning: what each title says, that its numbers stand beneath, and odd runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from learning_run import HOSTILE, learning_records, write_learning
from synthetic_evaluation import write_evaluation

from lengthctl.evaluate.report import write_report
from lengthctl.evaluate.rollouts import last_rollouts, read_group
from lengthctl.evaluate.sections import Section
from lengthctl.evaluate.training_sections import group_table, training_sections


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_learning(folder)
    return folder


@pytest.fixture(scope="module")
def sections(run: Path) -> list[Section]:
    return training_sections(learning_records(), last_rollouts(run, 5))


def test_titles_state_what_was_found(sections: list[Section]) -> None:
    assert [section.title for section in sections] == [
        "Learning. Of the reward's parts, length moved most, from 0.144 to 0.774",
        "Learning. The length of completions went from 194 to 104 tokens; "
        "at the end right answers take 92, wrong ones 134",
        "Learning. 38 % of groups teach nothing at the end, 2 % did at first",
        "Learning. Entropy went from 1.94 to 1.04",
        "Learning. Reward and length correlate with r = -0.42 in the last 5 steps",
        "Learning. No sign that the reward is gamed",
        "Learning. Group 2 of step 8: rewards from 0.2 to 0.8",
    ]


def test_every_figure_has_its_numbers_beneath(sections: list[Section]) -> None:
    for section in sections:
        assert not section.figures or section.tables, section.title
        assert all(table.rows for table in section.tables), section.title
        assert all(len(row) == len(table.head) for table in section.tables for row in table.rows), section.title
    drawn = sections[0].tables[0]
    assert drawn.head == ("step", "split", "length", "length_std", "style")
    last = {name: cell.text for name, cell in zip(drawn.head, drawn.rows[-1], strict=True)}
    assert (last["step"], last["length"], last["style"]) == ("40", "0.8", "0.5")


def test_fifths_by_length(sections: list[Section]) -> None:
    table = sections[4].tables[0]
    assert [row[0].text for row in table.rows] == ["5 to 5", "5 to 15", "15 to 25", "25 to 25", "25 to 35"]
    assert sum(int(row[3].text) for row in table.rows) == 55  # 60 completions, 5 of which earned nothing
    assert [row[1].text for row in table.rows] == ["0.4", "0.3364", "0.2727", "0.2", "0.1091"]
    assert [row[2].text for row in table.rows] == ["100.0", "36.4", "0.0", "", "0.0"]


def test_a_group_is_shown_best_first(run: Path) -> None:
    table = group_table(read_group(run, 8, 1))
    assert table.head[:3] == ("member", "reward", "length")
    assert table.head[-5:] == ("advantage", "tokens", "ended", "answer", "text")
    assert [row[0].text for row in table.rows] == ["0", "1", "2", "3"]
    assert [row[1].text for row in table.rows] == ["0.4", "0.3", "0.2", ""]
    assert [row[-2].text for row in table.rows] == ["right", "wrong", "", "wrong"]
    assert table.rows[3][-3].text == "cut"
    assert all("\x1b" not in cell.text and "\u202e" not in cell.text for row in table.rows for cell in row)
    dropped = group_table(read_group(run, 8, 0))
    assert {row[-5].text for row in dropped.rows} == {"not trained"}


def test_a_gamed_reward_is_named_with_what_to_do() -> None:
    section = training_sections(learning_records(gamed=True), [])[-1]
    assert section.title == "Learning. Signs that the reward is gamed: repetition"
    (row,) = section.tables[0].rows
    assert row[0].text == "repetition"
    assert 20 <= int(row[1].text) <= 40
    assert "the reward rose while" in row[2].text
    assert "as a gate" in row[3].text


def test_a_run_without_rewards_has_no_such_part() -> None:
    supervised = [{"step": step, "split": "train", "loss": 1 / step} for step in range(1, 9)]
    assert training_sections(supervised, []) == []
    assert training_sections([], []) == []


@pytest.mark.parametrize(
    "keep",
    [("reward",), ("reward", "entropy"), ("reward", "reward_parts/length"), ("reward", "groups/silent_fraction")],
)
def test_a_run_that_logged_little(keep: tuple[str, ...]) -> None:
    records = [{k: r[k] for k in ("step", "split", *keep) if k in r} for r in learning_records(1)]
    found = training_sections(records, [])
    assert len(found) == len(keep) - 1
    assert all(section.tables for section in found)


def test_many_parts_and_targets_are_bounded() -> None:
    many: dict[str, Any] = {f"reward_parts/part {place}": place / 9 for place in range(12)}
    many |= {f"adherence/words/target_{t}/mean_abs_relative_deviation": 0.1 for t in range(1, 30)}
    found = training_sections([{**record, **many} for record in learning_records()], [])
    assert "Drawn: 8 of 14." in found[0].note
    assert len(found[0].tables[0].head) == 2 + 15
    assert len(found[1].tables[0].head) == 2 + 3 + 1  # tokens, and the deviation of all targets


def test_the_page_holds_it_escaped(tmp_path: Path) -> None:
    write_evaluation(tmp_path)
    write_learning(tmp_path, gamed=True)
    page = write_report(tmp_path).read_text()
    assert page.count("<h2>Learning. ") == 7
    assert page.count("<script") == 1
    assert "&lt;script&gt;alert(1)" in page
    assert not any(character in page for character in HOSTILE if not character.isprintable())
    assert 'class="prose"' in page
    assert len(page.encode()) < 2_000_000


def test_same_data_same_bytes(run: Path, sections: list[Section]) -> None:
    assert training_sections(learning_records(), last_rollouts(run, 5)) == sections


def test_figures_of_a_long_run_stay_small() -> None:
    few, many = (training_sections(learning_records(steps), []) for steps in (600, 1500))
    drawn = [sum(len(figure) for section in part[:3] for figure in section.figures) for part in (few, many)]
    assert drawn[1] < 1.2 * drawn[0] < 600_000
