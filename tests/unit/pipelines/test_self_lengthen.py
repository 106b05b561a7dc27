"""The rounds of Self-Lengthen over a scripted extender: they grow, they stop, and a killed one goes on unharmed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_extender import ScriptedModels

from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.self_lengthen_seeds import SeedInstruction
from lengthctl.data_gen.self_lengthen_settings import SMALL, SelfLengthenSettings
from lengthctl.data_gen.written_checks import WrittenRules
from lengthctl.errors import DataError, FailureBudgetError, RunFolderError
from lengthctl.pipelines.document_room import Room
from lengthctl.pipelines.self_lengthen import estimate_self_lengthen, first_documents, run_self_lengthen
from lengthctl.pipelines.self_lengthen_measure import ProbeResult, measure_probe, reason_to_stop
from lengthctl.records import read_records
from lengthctl.rollout.scripted import ScriptedBackend

SEEDS = [SeedInstruction(f"s{i}", f"Tell of number {i}.", "own", "mit") for i in range(9)]
SETTINGS = replace(
    SMALL, rounds=3, instructions=4, responses=2, extension_calls=12, probe=3, roles="two", check=WrittenRules()
)


class Learned(ScriptedModels):
    """Training also teaches to answer prompts that were not learned: as long as the longest text, in other words."""

    def trained(self, model: str, data: Path, folder: Path) -> str:
        made = super().trained(model, data, folder)
        file = Path(made) / "memory.json"
        memory: dict[str, str] = json.loads(file.read_text())
        longest = max(memory.values(), key=len)
        file.write_text(json.dumps({**{seed.text: longest.replace("w", f"{seed.id}w") for seed in SEEDS}, **memory}))
        return made


def lengthen(
    out: Path, models: ScriptedModels, settings: SelfLengthenSettings = SETTINGS, **more: Any
) -> dict[str, Any]:
    return run_self_lengthen(settings, out, model="base", seeds=SEEDS, models=models, **more)


def rows_of(path: Path) -> list[Mapping[str, Any]]:
    return [row for _, row in read_records(path)]


def digests(out: Path) -> dict[str, str]:
    """Of all files that hold data."""
    names = sorted(p.relative_to(out) for p in out.rglob("*") if p.suffix in (".jsonl", ".parquet"))
    kept = [name for name in names if name.name != "steps.jsonl"]
    return {str(name): hashlib.sha256((out / name).read_bytes()).hexdigest() for name in kept}


def test_three_rounds_at_least_double_the_length(tmp_path: Path) -> None:
    models = Learned()
    told: list[str] = []
    result = lengthen(tmp_path, models, say=told.append)
    medians = [found["probe"]["median_words"] for found in result["rounds"]]
    assert len(medians) == 4
    assert medians[-1] >= 2 * medians[0]
    assert medians == sorted(medians)
    assert result["stopped"] is None
    assert all(found["texts"]["growth"] > 1.1 for found in result["rounds"][:3])
    rows = rows_of(tmp_path / "train.jsonl")
    assert result["rows"] == len(rows) == len({row["prompt"][0]["content"] for row in rows})
    hidden = {row["id"].removeprefix("probe/") for row in rows_of(tmp_path / "round-1" / "probe.jsonl")}
    learned = {row["prompt"][0]["content"] for row in rows}
    assert len(hidden) == 3
    assert learned == {seed.text for seed in SEEDS if seed.id not in hidden}, "the probe is in no data"
    assert all(row["words"] >= 2 * row["first_words"] for row in rows)
    assert any("before round 4: median" in line for line in told)
    assert json.loads((tmp_path / "rounds.json").read_text()) == result
    assert result["calls"]["calls"] == models.calls


def test_texts_that_are_left_out_as_short_stand_on_the_card(tmp_path: Path) -> None:
    lengthen(tmp_path, Learned(), replace(SETTINGS, rounds=1, drop_short_least=0))
    (source,) = json.loads((tmp_path / "stats.json").read_text())["sources"]
    made = [row for name in ("first", "extended") for row in rows_of(tmp_path / "round-1" / f"{name}.jsonl")]
    pairs = rows_of(tmp_path / "round-1" / "pairs.jsonl")
    assert 0 < source["dropped"]["left_out_short"] < len(made) - len(pairs)


def test_two_roles_learn_from_data_of_their_own(tmp_path: Path) -> None:
    models = Learned()
    result = lengthen(tmp_path, models, replace(SETTINGS, rounds=2))
    first = str(tmp_path / "round-1")
    assert models.trainings == [
        ("base", "generator"),
        ("base", "extender"),
        (f"{first}/generator/model", "generator"),
        (f"{first}/extender/model", "extender"),
    ]
    assert models.opened_models == [
        "base",  # in the first round one model does all
        f"{first}/generator/model",
        f"{first}/extender/model",
        f"{tmp_path}/round-2/generator/model",
    ]
    assert result["extender"] == f"{tmp_path}/round-2/extender/model"
    written = rows_of(tmp_path / "round-1" / "generator-data" / "train.jsonl")
    extended = rows_of(tmp_path / "round-1" / "extender-data" / "train.jsonl")
    assert [row["completion"] for row in written] == [row["completion"] for row in extended]
    assert all("Brief draft" in row["prompt"][0]["content"] for row in extended)


def test_one_model_in_both_roles_learns_from_both(tmp_path: Path) -> None:
    models = Learned()
    result = lengthen(tmp_path, models, replace(SETTINGS, rounds=1, roles="one"))
    assert models.trainings == [("base", "generator")]
    assert result["generator"] == result["extender"] == f"{tmp_path}/round-1/generator/model"
    rows = rows_of(tmp_path / "round-1" / "generator-data" / "train.jsonl")
    asked = ["Brief draft" in row["prompt"][0]["content"] for row in rows]
    assert sum(asked) * 2 == len(asked) > 0


@pytest.mark.parametrize("calls", [0, 1, 2, 7, 13, 20, 34, 51, 60, 75])
def test_a_killed_command_goes_on_and_leaves_the_same_bytes(tmp_path: Path, calls: int) -> None:
    settings = replace(SETTINGS, rounds=2)
    whole = Learned()
    lengthen(tmp_path / "whole", whole, settings)
    models = Learned()
    models.fail_after = calls
    with pytest.raises(KeyboardInterrupt):
        lengthen(tmp_path / "killed", models, settings)
    assert models.calls == calls
    models.fail_after = None
    result = lengthen(tmp_path / "killed", models, settings)
    assert models.calls == whole.calls, "no call is made twice"
    assert len(models.trainings) == 4, "no training either"
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")
    assert result["calls"] == json.loads((tmp_path / "whole" / "rounds.json").read_text())["calls"]


def test_a_finished_folder_is_read_and_more_rounds_may_follow(tmp_path: Path) -> None:
    models = Learned()
    first = lengthen(tmp_path, models, replace(SETTINGS, rounds=1))
    calls = models.calls
    assert lengthen(tmp_path, models, replace(SETTINGS, rounds=1)) == first
    assert models.calls == calls
    more = lengthen(tmp_path, models, replace(SETTINGS, rounds=2))
    assert len(more["rounds"]) == 3
    assert more["rounds"][0] == first["rounds"][0]
    for changed in (replace(SETTINGS, rounds=1), replace(SETTINGS, rounds=2, growth=1.5)):
        with pytest.raises(RunFolderError, match="other settings"):
            lengthen(tmp_path, models, changed)
    with pytest.raises(RunFolderError, match="prompts to keep out"):
        lengthen(tmp_path, models, replace(SETTINGS, rounds=2), contamination=Contamination(["Tell me of owls."]))
    (tmp_path / "self_lengthen.json").write_text("{")
    with pytest.raises(RunFolderError, match="damaged"):
        lengthen(tmp_path, models, replace(SETTINGS, rounds=2))


def test_a_folder_of_other_data_is_left_as_it_is(tmp_path: Path) -> None:
    stats, models = tmp_path / "stats.json", ScriptedModels()
    stats.write_text('{"title": "Something else"}')
    with pytest.raises(RunFolderError, match="another kind"):
        lengthen(tmp_path, models)
    assert ([*tmp_path.iterdir()], models.opened_models) == ([stats], [])


def test_a_round_without_growth_is_the_last(tmp_path: Path) -> None:
    models = ScriptedModels()  # learns nothing about the prompts that are kept out
    result = lengthen(tmp_path, models)
    assert result["stopped"].startswith("no growth")
    assert len(result["rounds"]) == 2
    assert result["generator"] == "base", "the last model that a round was worth"
    assert not (tmp_path / "round-2" / "first.jsonl").exists()


def test_no_text_that_grows_is_told_with_the_causes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no_growth"):
        lengthen(tmp_path, Learned(), replace(SETTINGS, growth=50.0))


def test_instructions_of_an_evaluation_are_left_out(tmp_path: Path) -> None:
    result = lengthen(tmp_path, Learned(), replace(SETTINGS, rounds=1), contamination=Contamination([SEEDS[4].text]))
    asked = [row["text"] for row in rows_of(tmp_path / "round-1" / "instructions.jsonl")]
    assert result["rounds"]
    assert SEEDS[4].text not in asked
    card = (tmp_path / "README.md").read_text()
    assert "contaminated" in card or "holds one of the evaluation" in card


def test_a_model_proposes_its_own_instructions(tmp_path: Path) -> None:
    settings = replace(SETTINGS, rounds=1, self_instruct=True, instructions=7, proposals=1)
    for folder, seed in (("one", 0), ("again", 0), ("other", 1)):
        lengthen(tmp_path / folder, Learned(), replace(settings, seed=seed))
    one, again, other = (rows_of(tmp_path / f / "round-1" / "instructions.jsonl") for f in ("one", "again", "other"))
    assert one == again
    texts = {row["text"] for row in one}
    assert len(texts) == len(one) == 7
    assert not texts & {seed.text for seed in SEEDS}
    assert {row["source"] for row in one} == {"self-instruct"}
    assert texts != {row["text"] for row in other}


def test_proposals_that_never_pass_end_with_a_cause(tmp_path: Path) -> None:
    class Silent(Learned):
        """Every answer is empty."""

        @contextmanager
        def opened(self, model: str, folder: Path) -> Iterator[Room]:
            with super().opened(model, folder) as room:
                yield replace(room, backend=ScriptedBackend({"*": [""]}))

    settings = replace(SETTINGS, self_instruct=True, proposals=1)
    with pytest.raises(DataError, match=r"round 1: no instruction"):
        lengthen(tmp_path, Silent(), settings)


def test_a_backend_that_fails_ends_the_stage_and_leaves_it_to_be_done(tmp_path: Path) -> None:
    class Failing(Learned):
        """No answer at all."""

        @contextmanager
        def opened(self, model: str, folder: Path) -> Iterator[Room]:
            with super().opened(model, folder) as room:
                yield replace(room, backend=ScriptedBackend({}))

    with pytest.raises(FailureBudgetError, match="backend"):
        lengthen(tmp_path, Failing(), replace(SETTINGS, rounds=1))
    assert not (tmp_path / "round-1" / "probe.jsonl").exists()
    assert lengthen(tmp_path, Learned(), replace(SETTINGS, rounds=1))["rows"]


def probe(finished: float = 1.0, fresh: float = 1.0, variety: float = 0.9, words: float | None = 100.0) -> ProbeResult:
    return ProbeResult(10, finished, fresh, variety, words, 0 if words is None else 10, words or 0.0)


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (probe(words=110), None),
        (probe(words=102), None),
        (probe(words=101), "no growth: median of sound texts 100 to 101"),
        (probe(words=None), "no text is finished"),
        (probe(words=300, finished=0.65), "quality: finished"),
        (probe(words=300, finished=0.75), None),
        (probe(words=300, fresh=0.5), "quality: fresh"),
        (probe(words=300, variety=0.5), "quality: variety"),
    ],
)
def test_when_to_stop(after: ProbeResult, told: str | None) -> None:
    reason = reason_to_stop(probe(), after, SETTINGS)
    assert (reason is None) if told is None else (reason is not None and told in reason)


def test_a_base_without_a_sound_text_may_only_get_better() -> None:
    assert reason_to_stop(probe(words=None, finished=0.0), probe(words=5), SETTINGS) is None


def test_what_the_probe_measures() -> None:
    rows = [
        {"text": "Bees fly far. They come home.", "finish": "eos"},
        {"text": "Bees fly far and", "finish": "limit"},
        {"text": "go on and on. " * 30, "finish": "eos"},
        {"setback": "backend"},
    ]
    found = measure_probe(rows)
    assert (found.texts, found.finished, found.fresh, found.sound) == (4, 0.5, 0.5, 1)
    assert found.median_words == 6
    assert 0 < found.variety < 1
    with pytest.raises(ValueError, match="nothing"):
        measure_probe([])


def test_what_a_dry_run_shows() -> None:
    documents = list(first_documents(SETTINGS, SEEDS))
    assert len(documents) == 8
    (call,) = next(documents[0].flow())
    assert call.messages[0]["content"] == SEEDS[0].text
    small, large = estimate_self_lengthen(SETTINGS), estimate_self_lengthen(SelfLengthenSettings())
    # a round: 4 x 2 first responses, 8 x 2 rounds x 2 calls of extensions; and 4 times 3 answers of the probe
    assert small.calls == 3 * (8 + 32) + 12
    assert small.completion_tokens == 3 * 40 * SETTINGS.max_tokens + 12 * SETTINGS.probe_tokens
    assert large.calls > 100_000
