"""Curation: reasons, duplicates, quotas, judges, and the same bytes after any interruption and in any order."""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_judge import FakeJudge

from lengthctl.config import JudgeConfig
from lengthctl.data_gen.decontamination import strict_contamination
from lengthctl.data_gen.instruction_data import Instructions, read_instructions
from lengthctl.errors import DataError, FailureBudgetError, RunFolderError
from lengthctl.evaluate.judge import Judge
from lengthctl.judging import LONGBENCH_WRITE, Rubric
from lengthctl.length import Target
from lengthctl.pipelines.curation import CurationSettings, curate, curate_rows
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import OnCompletion, Request

EVERY = CurationSettings(seed=3)


def prose(words: int, seed: int) -> str:
    """Sentences of different words in paragraphs."""
    rng = random.Random(seed)
    drawn = [f"w{rng.randrange(10**6)}" for _ in range(words)]
    sentences = [" ".join(drawn[start : start + 10]).capitalize() + "." for start in range(0, words, 10)]
    return "\n\n".join(" ".join(sentences[start : start + 5]) for start in range(0, len(sentences), 5))


def request(words: int, subject: str) -> str:
    return f"Write {words} words on {subject}, with examples from at least two of the places that you know best."


def row(name: str, words: int = 100, asked: int | None = None, **more: Any) -> dict[str, Any]:
    subject = " ".join(f"{name}{i}" for i in range(30))  # no two requests are alike
    prompt = request(words if asked is None else asked, subject)
    return {"id": name, "prompt": prompt, "completion": prose(words, hash_of(name)), **more}


def hash_of(name: str) -> int:
    return int.from_bytes(name.encode(), "big") % 10**9


def rows(n: int) -> list[dict[str, Any]]:
    """Many lengths; every fourth has a fault."""
    made = []
    for i in range(n):
        words = (100, 300, 700, 2500)[i % 4 if i % 8 else 0]
        fault = ({"completion": prose(words, i)[:-3] + ", and"}, {"prompt": "Write."}, {"completion": prose(20, i)})
        made.append(row(f"r{i}", words, **(fault[i // 4 % 3] if i % 4 == 1 else {})))
    return made


def source(path: Path, content: list[dict[str, Any]], name: str = "a") -> Instructions:
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return read_instructions(path, name=name, licence="mit")


def made(folder: Path, content: list[dict[str, Any]], chosen: CurationSettings = EVERY, **more: Any) -> dict[str, Any]:
    return curate_rows([source(folder / "a.jsonl", content)], chosen, folder / "out", **more)


def read(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out" / "train.jsonl").read_text(encoding="utf-8").splitlines()]


def dropped(stats: dict[str, Any]) -> dict[str, int]:
    return dict(stats["sources"][0]["dropped"])


def test_rows_that_pass(tmp_path: Path) -> None:
    stats = made(tmp_path, [row("x", 100), row("y", 300)], command="lengthctl data curate a")
    found = {row["id"]: row for row in read(tmp_path)}
    assert set(found) == {"x", "y"}
    for name, words in (("x", 100), ("y", 300)):
        assert found[name]["prompt"][-1]["role"] == "user"
        assert Target.parse(found[name]["target"]).value == words
        assert (found[name]["length"], found[name]["words"]) == (words, words)
        assert (found[name]["language"], found[name]["licence"], found[name]["s_l"]) == (None, "mit", 1.0)
        assert 0.9 < found[name]["quality"] <= 1.0
    assert stats["measured"]["classes"] == {"other, 0-499 words": {"distinct": 2, "used": 2}}
    assert "lengthctl data curate a" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


FAULTS: dict[str, dict[str, Any]] = {
    "length_missed": row("a", 100, 500),
    "length_unstated": row("b", prompt="Write about Rome"),
    "unfinished": row("c", completion=prose(100, 1)[:-1] + ", and then the"),
    "refused": row("d", completion="I'm sorry, I can't write that."),
    "other_language": row("e", completion="罗马是一座古老的城市。" * 10),
    "leftovers": row("f", completion="<|im_start|>" + prose(100, 2)),
    "repetitive": row("g", completion="No no no no no. " * 20),
    "contaminated": row("h", prompt="Write 100 words: the one subject that all of the evaluation is about"),
    "no_completion": row("i", completion=""),
    "empty": row("j", completion="..."),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_each_fault_has_its_reason(tmp_path: Path, reason: str) -> None:
    held_out = strict_contamination(["In 900 words, the one subject that all of the evaluation is about"])
    stats = made(tmp_path, [row("good"), FAULTS[reason]], contamination=held_out)
    assert dropped(stats) == {reason: 1}
    assert [row["id"] for row in read(tmp_path)] == ["good"]


def test_lengths_outside_the_bounds(tmp_path: Path) -> None:
    chosen = replace(EVERY, min_words=200, max_words=400)
    assert dropped(made(tmp_path, [row("x", 100), row("y", 300), row("z", 700)], chosen)) == {"outside_bands": 2}


def test_rows_without_a_length_where_any_may_come(tmp_path: Path) -> None:
    content = [row("x"), row("y", prompt="Write about Rome"), row("z", 100, 500)]
    stats = made(tmp_path, content, replace(EVERY, lengths="any"))
    assert dropped(stats) == {"length_missed": 1}
    assert [row["target"] is None for row in sorted(read(tmp_path), key=lambda row: row["id"])] == [False, True]


def test_a_column_with_the_target_counts_more_than_the_request(tmp_path: Path) -> None:
    stats = made(tmp_path, [row("x"), row("y", 100, 500, target=Target(100).to_row())])
    assert dropped(stats) == {}


def test_of_several_texts_for_a_request_the_longest_is_kept(tmp_path: Path) -> None:
    short, long, other = row("x", 100), row("y", 120), row("z", 100)
    long["prompt"] = short["prompt"]
    near = {**row("n", 90), "prompt": short["prompt"].replace("best", "well")}
    stats = made(tmp_path, [short, long, other, near])
    assert {row["id"] for row in read(tmp_path)} == {"y", "z"}
    assert dropped(stats) == {"same_request": 2}


def test_copies_of_a_text_under_other_requests(tmp_path: Path) -> None:
    first = row("x", 200)
    near = {**row("y", 200), "completion": f"Well now.\n\n{first['completion']}"}
    assert dropped(made(tmp_path, [first, near])) == {"near_duplicate": 1}
    assert [row["id"] for row in read(tmp_path)] == ["y"]
    assert dropped(made(tmp_path, [first, near], replace(EVERY, near_texts=None))) == {}


def test_a_row_that_stands_there_twice(tmp_path: Path) -> None:
    first = row("x", 200)
    stats = made(tmp_path, [first, {**first, "id": "same"}], replace(EVERY, near_texts=None, near_requests=None))
    assert dropped(stats) == {"exact_duplicate": 1}


def test_a_text_that_is_left_out_does_not_take_its_request_along(tmp_path: Path) -> None:
    first = row("x", 200)
    copy = {**row("y", 200), "completion": f"{first['completion']}\n\nThe end of it."}  # the longest: it is kept
    again = {**row("z", 150), "prompt": first["prompt"].replace("200", "150")}
    stats = made(tmp_path, [first, copy, again])
    assert {row["id"] for row in read(tmp_path)} == {"y", "z"}
    assert dropped(stats) == {"near_duplicate": 1}


def test_classes_are_of_languages_too(tmp_path: Path) -> None:
    rng = random.Random(5)
    text = "".join(chr(0x4E00 + rng.randrange(2500)) for _ in range(300)) + "。"
    chinese = row("zh", prompt="写一篇三百字的文章，介绍你的家乡", completion=text)
    english = row("en", completion=" ".join(f"the w{i} of" for i in range(33)).capitalize() + " it.")
    stats = made(tmp_path, [chinese, english])
    assert set(stats["measured"]["classes"]) == {"en, 0-499 words", "zh, 0-499 words"}
    assert list(stats["languages"]) == ["en", "zh"]


def test_a_small_set_is_even_over_lengths_and_takes_the_best(tmp_path: Path) -> None:
    content = [row(f"s{i}", 100) for i in range(6)] + [row(f"l{i}", 700) for i in range(3)]
    content[0]["completion"] = prose(125, 77)  # off by a quarter: the worst of its class
    stats = made(tmp_path, content, replace(EVERY, size=6))
    names = [row["id"] for row in read(tmp_path)]
    assert (sum(name[0] == "s" for name in names), sum(name[0] == "l" for name in names)) == (3, 3)
    assert "s0" not in names
    assert dropped(stats) == {"over_quota": 3}
    classes = stats["measured"]["classes"]
    assert classes["other, 500-1999 words"] == {"distinct": 3, "used": 3}


def test_the_least_quality(tmp_path: Path) -> None:
    poor = row("x", completion=prose(100, 1).replace("\n\n", " ") + " " + "And so it went on. " * 3)
    stats = made(tmp_path, [row("y"), poor], replace(EVERY, min_quality=0.97))
    assert dropped(stats) == {"low_quality": 1}


def judge(folder: Path) -> tuple[Judge[Any], FakeJudge]:
    backend = FakeJudge()
    config = JudgeConfig(backend="scripted", script="s.jsonl", cache=str(folder / "verdicts.jsonl"))  # type: ignore[call-arg]
    return Judge(config, backend, LONGBENCH_WRITE), backend


def test_a_judge_grades_what_passed_and_is_not_asked_twice(tmp_path: Path) -> None:
    content = [row(f"r{i}") for i in range(8)] + [FAULTS["unfinished"]]
    grader, backend = judge(tmp_path)
    stats = made(tmp_path, content, replace(EVERY, size=4), judge=grader)
    assert len(backend.asked) == 8
    assert stats["measured"]["verdicts"] == {"ok": 8}
    found = read(tmp_path)
    assert all(row["quality"] == pytest.approx((1 + row["s_q"]) / 2, abs=1e-3) for row in found)
    grader, backend = judge(tmp_path)
    again = made(tmp_path, content, judge=grader)
    assert backend.asked == []
    s_q = sorted((row["s_q"] for row in read(tmp_path)), reverse=True)
    assert sorted((row["s_q"] for row in found), reverse=True) == s_q[:4]
    assert again["used"] == 8


def test_a_judge_that_is_away_is_no_reason_to_leave_rows_out(tmp_path: Path) -> None:
    content = [row(f"r{i}") for i in range(8)]

    def answering(answered: int) -> Judge[Rubric]:
        grader, backend = judge(tmp_path)
        graded = backend.generate

        def generate(requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
            done = graded(requests[:answered], on_completion)
            lost = [Completion(r.id, "", (), (), FinishReason.ERROR, error="gone") for r in requests[answered:]]
            if on_completion is not None:
                for completion in lost:
                    on_completion(completion)
            return [*done, *lost]

        backend.generate = generate  # type: ignore[method-assign]
        return grader

    with pytest.raises(FailureBudgetError, match="did not answer for 6 of 8 texts, the last: gone"):
        made(tmp_path, content, judge=answering(2))
    assert made(tmp_path, content, judge=answering(5))["used"] == 7  # two verdicts were kept, and one may be missing
    grader, backend = judge(tmp_path / "nonsense")
    backend._verdict = lambda message: "I like it."  # type: ignore[method-assign]
    with pytest.raises(DataError, match=r"unjudged 8.*See the judge"):
        made(tmp_path, content, judge=grader)


def test_any_order_gives_the_same_data(tmp_path: Path) -> None:
    content = rows(40)
    made(tmp_path, content, replace(EVERY, size=12))
    other = tmp_path / "other"
    other.mkdir()
    made(other, random.Random(0).sample(content, len(content)), replace(EVERY, size=12))
    one, two = (folder / "out" / "train.jsonl" for folder in (tmp_path, other))
    assert one.read_bytes() == two.read_bytes()
    assert len(read(tmp_path)) == 12


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    made(folder, rows(16))
    return folder


@pytest.mark.parametrize("cut", [0.0, 0.01, 0.03, 0.35, 0.72, 0.999, 1.0])
def test_a_killed_command_goes_on(tmp_path: Path, undisturbed: Path, cut: float) -> None:
    files = ("train.jsonl", "train.parquet", "decisions.jsonl")
    whole = {name: (undisturbed / "out" / name).read_bytes() for name in files}
    (tmp_path / "out").mkdir()
    begun = whole["decisions.jsonl"][: int(cut * len(whole["decisions.jsonl"]))]
    (tmp_path / "out" / "decisions.jsonl").write_bytes(begun)
    made(tmp_path, rows(16))
    assert {name: (tmp_path / "out" / name).read_bytes() for name in files} == whole
    assert not list((tmp_path / "out").glob(".*"))


def test_decisions_of_other_settings_are_refused_and_those_of_the_choice_are_not(tmp_path: Path) -> None:
    content = rows(12)
    made(tmp_path, content)
    assert made(tmp_path, content, replace(EVERY, size=2))["used"] == 2
    with pytest.raises(RunFolderError, match="other settings"):
        made(tmp_path, content, replace(EVERY, min_s_l=0.5))
    with pytest.raises(RunFolderError, match="not what it was"):
        made(tmp_path, content[::-1])


def test_a_folder_of_other_data_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    stats = tmp_path / "out" / "stats.json"
    stats.write_text('{"title": "Something else"}')
    with pytest.raises(RunFolderError, match="another kind"):
        made(tmp_path, rows(4))
    assert [*(tmp_path / "out").iterdir()] == [stats]


def test_no_row_is_left(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unfinished 1"):
        made(tmp_path, [FAULTS["unfinished"]])


def test_rows_of_one_name_and_columns_that_stay(tmp_path: Path) -> None:
    one, two = row("x", parts=["a", "b"], colour="red"), {**row("y"), "id": "x"}
    made(tmp_path, [one, two])
    found = read(tmp_path)
    assert len({row["id"] for row in found}) == 2
    assert sum(row["id"] == "x" for row in found) == 1
    assert [row.get("parts") for row in found if row["prompt"][0]["content"] == one["prompt"]] == [["a", "b"]]
    assert not any("colour" in row for row in found)


def test_files_by_name_and_a_limit(tmp_path: Path) -> None:
    source(tmp_path / "a.jsonl", rows(12))
    stats = curate([str(tmp_path / "a.jsonl")], EVERY, tmp_path / "out", limit=4)
    assert stats["sources"][0]["rows"] == 4
    with pytest.raises(ValueError, match="same name"):
        curate([str(tmp_path / "a.jsonl")] * 2, EVERY, tmp_path / "out")


@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": -1},
        {"size": 0},
        {"buckets": (5, 5)},
        {"buckets": (0, 5)},
        {"lengths": "some"},
        {"min_s_l": 1.1},
        {"near_texts": 0},
        {"min_words": 5, "max_words": 4},
    ],
)
def test_settings_out_of_range(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="found"):
        CurationSettings(**arguments)


def test_classes_of_lengths() -> None:
    assert [EVERY.bucket(n) for n in (0, 499, 500, 1999, 2000, 7999, 8000, 10**6)] == [
        *("0-499", "0-499", "500-1999", "500-1999", "2000-3999", "4000-7999", "8000+", "8000+")
    ]
    assert replace(EVERY, buckets=()).bucket(7) == "0+"


def test_the_benchmark_measures_each_tenth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "scripts" / "bench"))
    bench = importlib.import_module("curate")
    bench.make_rows(tmp_path / "rows.jsonl", 40)
    told = bench.measure(tmp_path / "rows.jsonl", tmp_path / "out", 40)
    assert len(told["ms_a_row_in_tenths"]) == 10
    assert told["rows"] == told["used"] + sum(told["dropped"].values())
    assert told["dropped"]["near_duplicate"] == 4
    assert 0 < told["peak_gib"] < 4
