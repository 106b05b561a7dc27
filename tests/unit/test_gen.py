"""`gen` and `eval` without a model: inputs, rows, resume, errors, exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from command_line import lengthctl
from hypothesis import given, settings
from hypothesis import strategies as st

from lengthctl.errors import DataError, LengthctlError, RunFolderError
from lengthctl.length import Relation, Target, Unit
from lengthctl.pipelines.gen_input import items_from_file, items_from_lines
from lengthctl.pipelines.journal import Journal

TEXT = "One two three four five six seven eight nine ten."


def script(tmp_path: Path, texts: dict[str, list[str]]) -> list[str]:
    path = tmp_path / "script.jsonl"
    path.write_text("".join(json.dumps({"id": key, "texts": value}) + "\n" for key, value in texts.items()))
    return ["rollout.backend=scripted", f"rollout.script={path}"]


def test_a_prompt_gives_its_text_and_says_whether_it_hit(tmp_path: Path) -> None:
    out = lengthctl("gen", "Describe rain.", "--words", "10", *script(tmp_path, {"*": [TEXT]}))
    assert out.exit_code == 0, out.exception
    assert out.stdout == TEXT + "\n"
    assert "[10 words, asked 10: hit; retry]" in out.stderr


def test_json_is_one_object(tmp_path: Path) -> None:
    out = lengthctl("gen", "Describe rain.", "--range", "2-5", "--n", "2", "--json", *script(tmp_path, {"*": [TEXT]}))
    found = json.loads(out.stdout)
    assert found["totals"] == {"texts": 2, "failed": 0, "with_target": 2, "hits": 0, "drawn_tokens": 0}
    assert [row["length"] for row in found["texts"]] == [10, 10]
    assert found["texts"][0]["messages"][-1]["content"] == "Describe rain. Answer in 2 to 5 words."
    assert found["texts"][0]["is_hit"] is False
    assert found["texts"][0]["relative_deviation"] == 1.0


def test_a_file_is_written_once_and_gone_on_with(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(
        '{"id": "a", "prompt": "Describe rain.", "target": 10}\n'
        '{"id": "b", "prompt": "Describe snow.", "target": "8-12"}\n'
        '{"id": "c", "prompt": "Describe hail."}\n'
    )
    out = tmp_path / "texts.jsonl"
    command = ["gen", "--in", str(prompts), "--out", str(out), "--control", "plain"]
    first = lengthctl(*command, *script(tmp_path, {"*": [TEXT]}))
    assert first.exit_code == 0, first.exception
    assert first.stdout == f"{out}: 3 texts, 2 of 2 hit, 0 tokens drawn\n"
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in (len(lines[0]), len(lines[0]) + 30, len(lines[0] + lines[1]) + 5):
        out.write_bytes(whole[:cut])
        assert lengthctl(*command, *script(tmp_path, {"*": [TEXT]})).exit_code == 0
        assert out.read_bytes() == whole
    # nothing is owed: no backend is opened
    assert lengthctl(*command, "rollout.backend=scripted", "rollout.script=gone.jsonl").exit_code == 0
    other = lengthctl(*command, "--temperature", "0.1", *script(tmp_path, {"*": [TEXT]}))
    assert isinstance(other.exception, RunFolderError)
    assert "of other settings" in str(other.exception)
    assert out.read_bytes() == whole


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    out = tmp_path / "texts.jsonl"
    command = ["gen", "--in", "-", "--out", str(out), "--control", "plain", "--json"]
    half = lengthctl(*command, *script(tmp_path, {"zz": [TEXT]}), stdin="Describe rain.\n")
    assert isinstance(half.exception, LengthctlError)
    assert "could not be written" in str(half.exception)
    assert out.read_text() == ""
    again = lengthctl(*command, *script(tmp_path, {"*": [TEXT]}), stdin="Describe rain.\n")
    assert json.loads(again.stdout)["totals"]["failed"] == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["gen"], "give one prompt"),
        (["gen", "x", "--in", "y"], "give one prompt"),
        (["gen", "x", "--words", "0"], "at least 1"),
        (["gen", "x", "--words", "-3"], "at least 1"),
        (["gen", "x", "--words", "5", "--tokens", "5"], "name one length"),
        (["gen", "x", "--words", "5", "--key-env", "KEY"], "no effect without --endpoint"),
        (["gen", "x", "--wording", "{request}"], "{length}"),
        (["gen", "", "--words", "5"], "the prompt is empty"),
        (["gen", "--in", "gone.jsonl", "--words", "5"], "there is no such file"),
        (["gen", "x", "--words", "5", "--control", "closer"], "did you mean close"),
        (["eval", "a", "--control", "closer"], "did you mean close"),
        (["eval", "evaluate.limit=2"], "MODEL  is missing"),
        (["eval", "m", "--fail-under", "finishd=0.5"], "did you mean finished"),
        (["eval", "a", "a"], "named twice"),
    ],
)
def test_bad_input_is_told_in_a_line(args: list[str], message: str) -> None:
    out = lengthctl(*args)
    assert isinstance(out.exception, LengthctlError), out.exception
    assert out.exception.exit_code == 2
    assert message in str(out.exception)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"promt": "x"}', "did you mean promt"),
        ('{"prompt": 3}', "a prompt is text or a list"),
        ('{"prompt": "x", "target": 0}', "at least 1"),
        ('{"prompt": "x", "target": "many"}', "a target is"),
        ('{"prompt": "a\\u0000b"}', "NUL"),
        ('{"prompt": "x"', "not valid JSON"),
        ('{"id": 1, "prompt": "x"}\n{"id": 1, "prompt": "y"}', "stands twice"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match="standard input:") as caught:
        items_from_lines(io.StringIO(line + "\n"), "prompt", None)
    assert message in str(caught.value)
    file = tmp_path / "rows.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(DataError):
        items_from_file(file, "prompt", None)


def test_lines_are_prompts_or_rows() -> None:
    lines = 'Describe rain.\n\n{"prompt": [{"role": "user", "content": "Snow?"}], "target": "<=20"}\nDescribe rain.\n'
    first, second, again = items_from_lines(io.StringIO(lines), "prompt", None, Unit.CHARACTERS)
    assert (again.id, again.messages) == (f"{first.id}-2", first.messages)
    assert (first.target, first.messages[0]["content"]) == (None, "Describe rain.")
    assert second.target == Target(20, Relation.AT_MOST, Unit.CHARACTERS)


def evaluate(tmp_path: Path, out: Path, *more: str) -> Any:
    texts = {"*": [TEXT], "describe_rain": [TEXT]}
    settings = ["prompts.targets=[10, 30]", "evaluate.limit=3", "evaluate.samples=2"]
    return lengthctl("eval", "m", *settings, *script(tmp_path, texts), "--out", str(out), *more)


def test_eval_compares_controls_in_pairs_and_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "e"
    controls = ["--control", "plain", "--control", "retry:budget=2,batch=1"]
    first = evaluate(tmp_path, out, *controls, "--json")
    assert first.exit_code == 0, first.exception
    summary = json.loads(first.stdout)
    assert list(summary["subjects"]) == ["plain", "retry:budget=2,batch=1"]
    plain = summary["subjects"]["plain"]
    assert plain["by_target"]["10"]["pm"]["value"] == 1
    assert plain["by_target"]["30"]["pm"]["value"] == 0
    assert summary["differences"]["retry:budget=2,batch=1"]["fm"]["value"] == 0
    assert (out / "report.html").is_file()
    samples = out / plain["samples"]
    whole = samples.read_bytes()
    assert len(whole.splitlines()) == 12
    samples.write_bytes(whole[: len(whole) // 2])
    second = evaluate(tmp_path, out, *controls, "--json")
    assert samples.read_bytes() == whole
    again = json.loads(second.stdout)
    timing = {"seconds"}
    assert {k: v for k, v in again["subjects"]["plain"].items() if k not in timing} == {
        k: v for k, v in plain.items() if k not in timing
    }


def test_eval_exits_3_on_the_wrong_side_of_a_bound(tmp_path: Path) -> None:
    out = evaluate(tmp_path, tmp_path / "e", "--fail-under", "pm=0.6")
    assert out.exit_code == 3
    assert "pm is 0.5, under the bound of 0.6" in out.stderr
    assert evaluate(tmp_path, tmp_path / "e", "--fail-over", "abs_relative_deviation=0.5").exit_code == 0


@settings(max_examples=30)
@given(st.lists(st.sampled_from("abcdef"), unique=True), st.data())
def test_a_journal_cut_anywhere_is_completed_to_the_same_bytes(ids: list[str], data: st.DataObject) -> None:
    import tempfile

    keys = dict.fromkeys(ids, "k")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j.jsonl"

        def fill() -> bytes:
            journal = Journal(path, keys)
            for row_id in ids:
                if row_id not in journal:
                    journal.add({"id": row_id, "key": "k", "text": row_id * 3})
            journal.finish(ids)
            return path.read_bytes()

        whole = fill()
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
        assert fill() == whole


def test_problems_are_answered_beside_the_prompts(tmp_path: Path) -> None:
    from lengthctl.data_gen.checkable import make_tasks

    tasks = make_tasks(4, 20_260_101, split="test")
    texts = {task.id: [f"So it is.\n#### {task.answer if i % 2 else 'none'}"] for i, task in enumerate(tasks)}
    settings = ["evaluate.problems=builtin", "evaluate.problem_limit=4", "evaluate.limit=1", "evaluate.samples=1"]
    out = tmp_path / "e"
    command = ["eval", "m", *settings, *script(tmp_path, {**texts, "*": [TEXT]}), "--out", str(out), "--json"]
    controls = ["--control", "plain", "--control", "retry"]
    found = lengthctl(*command, *controls)
    assert found.exit_code == 0, found.exception
    summary = json.loads(found.stdout)
    assert list(summary["reasoning"]) == ["plain"]  # retry needs a length, problems have none
    assert summary["reasoning"]["plain"]["accuracy"]["value"] == 0.5
    rows = [json.loads(line) for line in (out / "problems" / "plain.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["wrong", "correct", "wrong", "correct"]
    page = (out / "report.html").read_text()
    assert "Problems by side" in page
    assert "Problems by difficulty" in page


@pytest.mark.parametrize("suite", ["tlg", "tlg_open", "longbench_write"])
def test_suites_bring_their_prompts_and_their_facts(tmp_path: Path, suite: str) -> None:
    data = tmp_path / "long.jsonl"
    data.write_text('{"prompt": "Write about rain, 10 words.", "type": "Functional", "length": 10}\n')
    settings = [f"evaluate.suite={suite}", "evaluate.limit=1", "evaluate.samples=1"]
    if suite == "longbench_write":
        settings.append(f"evaluate.data={data}")
    both = ["--control", "plain", "--control", "retry", "--out", str(tmp_path / "e")]
    out = lengthctl("eval", "m", *settings, *script(tmp_path, {"*": [TEXT]}), *both, "--json")
    assert out.exit_code == 0, out.exception
    side = json.loads(out.stdout)["subjects"]["plain"]
    page = (tmp_path / "e" / "report.html").read_text()
    assert ("Long writing" if suite == "longbench_write" else "TLG by target and level") in page
    if suite == "tlg_open":
        assert side["overall"]["pm"]["n"] == 9
        ends = {"pm_interval": [1.0, 1.0], "fm_interval": [1.0, 1.0]}
        assert side["tlg"]["as_ruler"]["10"] == {"n": 1, "pm": 1.0, "fm": 1.0, **ends}
    elif suite == "tlg":
        assert side["overall"]["pm"]["n"] == 1
        assert side["tlg"]["as_ruler"]["All Level"]["n"] == 1
    else:
        assert side["writing"]["overall"]["s_l"]["value"] == 1.0
        assert json.loads(out.stdout)["differences"]["retry"]["writing"]["s_l"]["value"] == 0.0


def test_a_scripted_judge_grades_every_side(tmp_path: Path) -> None:
    verdict = dict.fromkeys(("Relevance", "Accuracy", "Coherence", "Clarity"), 4)
    verdict |= {"Breadth and Depth": 4, "Reading Experience": 4}
    verdicts = tmp_path / "verdicts.jsonl"
    verdicts.write_text(json.dumps({"id": "*", "texts": [json.dumps(verdict)]}) + "\n")
    judge = json.dumps({"backend": "scripted", "script": str(verdicts), "cache": str(tmp_path / "cache.jsonl")})
    settings = [f"judge={judge}", "evaluate.limit=2", "evaluate.samples=1", "prompts.targets=[10]"]
    out = lengthctl("eval", "m", *settings, *script(tmp_path, {"*": [TEXT]}), "--json")
    assert out.exit_code == 0, out.exception
    side = json.loads(out.stdout)["subjects"]["m"]
    assert side["judge"]["s_q"]["value"] == 0.75
    assert side["judge"]["ok"] == 2


def test_sample_shows_sides_beside_each_other(tmp_path: Path) -> None:
    settings = [*script(tmp_path, {"*": [TEXT]}), "prompts.targets=[10]", "--prompts", "1"]
    out = lengthctl("sample", "m", *settings, "--control", "plain", "--control", "retry")
    assert out.exit_code == 0, out.exception
    assert "10 words, asked 10" in out.stdout
    assert out.stdout.count("One two three") == 2
    found = lengthctl("sample", "m", *settings, "--json")
    assert json.loads(found.stdout)["texts"]["m"][0]["text"] == TEXT


def test_a_file_with_and_without_lengths_is_written_whole(tmp_path: Path) -> None:
    rows = '{"prompt": "Describe rain.", "target": 10}\n{"prompt": "Describe snow."}\n'
    out = lengthctl("gen", "--in", "-", "--json", *script(tmp_path, {"*": [TEXT]}), stdin=rows)
    assert out.exit_code == 0, out.exception
    assert [row["is_hit"] for row in json.loads(out.stdout)["texts"]] == [True, None]
    chosen = lengthctl("gen", "--in", "-", "--control", "retry", *script(tmp_path, {"*": [TEXT]}), stdin=rows)
    assert "retry  needs a length, and a prompt names no length" in str(chosen.exception)


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    prompts = tmp_path / "p.jsonl"
    prompts.write_text('{"prompt": "Describe rain."}')
    same = lengthctl("gen", "--in", str(prompts), "--out", str(prompts), *script(tmp_path, {"*": [TEXT]}))
    assert "is the file that is read" in str(same.exception)
    notes = tmp_path / "notes.json"
    notes.write_text('{"mine": 1}')
    other = lengthctl("gen", "Describe rain.", "--out", str(notes), *script(tmp_path, {"*": [TEXT]}))
    assert isinstance(other.exception, RunFolderError)
    assert notes.read_text() == '{"mine": 1}'


def test_tokens_are_refused_where_nobody_can_count_them(tmp_path: Path) -> None:
    out = lengthctl("gen", "Describe rain.", "--tokens", "10", *script(tmp_path, {"*": [TEXT]}))
    assert "cannot be counted without the model's tokenizer" in str(out.exception)


def test_eval_goes_on_under_more_measures_but_not_with_another_source(tmp_path: Path) -> None:
    out = tmp_path / "e"
    assert evaluate(tmp_path, out).exit_code == 0
    more = evaluate(tmp_path, out, "evaluate.problems=builtin", "evaluate.problem_limit=2")
    assert more.exit_code == 0, more.exception
    other = evaluate(tmp_path, out, "prompts.unit=words_unicode")
    assert isinstance(other.exception, RunFolderError)


def test_a_model_can_bring_its_own_control(tmp_path: Path) -> None:
    words = ["m@plain", "m@retry:budget=2,batch=2", "n@home"]
    settings = ["evaluate.limit=1", "evaluate.samples=1", "prompts.targets=[10]"]
    out = lengthctl("eval", *words, *settings, *script(tmp_path, {"*": [TEXT]}), "--json")
    assert out.exit_code == 0, out.exception
    sides = json.loads(out.stdout)["subjects"]
    assert {name: (side["model"], side["control"]) for name, side in sides.items()} == {
        "m@plain": ("m", "plain"),
        "m@retry:budget=2,batch=2": ("m", "retry:budget=2,batch=2"),
        "n@home": ("n@home", "plain"),
    }
