"""Training data for a judge: pairs of known truth in balance, verdicts that are right, shapes of preference rows."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from command_line import lengthctl

from lengthctl.data_gen.composed_critiques import compose_verdict
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import Instruction
from lengthctl.data_gen.judge_pairs import Preference, is_right, parse_preference
from lengthctl.data_gen.known_truth import KnownPair, PairMaker, Truth, make_pair
from lengthctl.errors import ConfigError, DataError
from lengthctl.judging_pairs import parse_pair_verdict
from lengthctl.length import count_length

WORDS = ["river", "stone", "light", "silver", "garden", "window", "copper", "lantern", "meadow", "harbour", "winter"]


def text(n: int) -> str:
    rng = Random(n)
    return " ".join(f"The {' '.join(rng.sample(WORDS, rng.randint(3, 7)))} number{n} x{i}." for i in range(8))


def rows(count: int) -> list[Instruction]:
    return [
        Instruction(f"i{n}", ({"role": "user", "content": f"Tell of thing {n}."},), text(n), "s") for n in range(count)
    ]


@pytest.mark.parametrize("truth", Truth)
@pytest.mark.parametrize("longer", [True, False])
def test_the_better_text_is_better_by_the_count(truth: Truth, longer: bool) -> None:
    made = [make_pair(truth, row, longer_is_better=longer, max_words=60, rng=Random(1)) for row in rows(30)]
    pairs = [pair for pair in made if pair is not None]
    assert len(pairs) >= 10
    for pair in pairs:
        better, worse = pair.measure(pair.better), pair.measure(pair.worse)
        match truth:
            case Truth.LENGTH:
                assert 2 * abs(better - int(pair.wanted)) + 3 <= abs(worse - int(pair.wanted))
                assert pair.wanted in pair.request
            case Truth.REPETITION:
                assert better == 1 < worse
            case Truth.KEYWORD:
                assert better >= 1 > worse
                assert pair.wanted in pair.request
        assert pair.longer_is_better == longer
        assert max(count_length(pair.better), count_length(pair.worse)) <= 60


def test_length_is_no_shortcut() -> None:
    maker = PairMaker(list(Truth))
    pairs = [pair for row in rows(60) for pair in maker.add(row) or ()]
    assert len(pairs) >= 30
    assert len(pairs) % maker.round_size == 0
    counts = Counter((pair.truth, pair.longer_is_better) for pair in pairs)
    assert len(counts) == 6
    assert len(set(counts.values())) == 1
    assert len({pair.id for pair in pairs}) == len(pairs)


def test_texts_without_a_pair_are_told() -> None:
    maker = PairMaker([Truth.LENGTH])
    asks = ({"role": "user", "content": "Tell of it in 30 words."},)
    assert maker.add(Instruction("i", asks, text(1), "s")) is None
    assert maker.add(Instruction("i", ({"role": "user", "content": "Go."},), "One sentence.", "s")) is None


def preference(pair: Any) -> Preference:
    return Preference(pair.id, pair.request, pair.better, pair.worse)


@pytest.mark.parametrize("truth", Truth)
def test_composed_verdicts_are_right_and_say_what_was_counted(truth: Truth) -> None:
    maker = PairMaker([truth])
    pairs = [pair for row in rows(40) for pair in maker.add(row) or ()]
    texts = set()
    for pair in pairs:
        for better in ("a", "b"):
            verdict = compose_verdict(pair, better_first=better == "a", rng=Random(f"{pair.id}{better}"))
            assert is_right(verdict, preference(pair), better)
            assert not is_right(verdict, preference(pair), "b" if better == "a" else "a")
            assert parse_pair_verdict(verdict, min_critique_words=10).better == better
            texts.add(verdict.split("Critique")[0].replace(pair.wanted or "?", "N"))
    assert len(texts) == 3


def test_a_critique_counts_aloud() -> None:
    def said(truth: Truth, better: str, worse: str, wanted: str = "") -> str:
        pair = KnownPair("p", truth, "Why?", better, worse, wanted)
        verdict = compose_verdict(pair, better_first=True, rng=Random(1))
        return verdict.splitlines()[1].removeprefix("Critique: ")

    seven, two = "It is because of the\nbad weather.", "Who knows?"
    length = said(Truth.LENGTH, seven, two, "8")
    assert length == (
        "A: It is because of the (5) bad (6) weather. (7) = 7 of 8, 1 too few. B: Who (1) knows? (2) = 2 of 8, "
        "6 too few. A is 1 off, B is 6 off: A is closer."
    )
    repeated = said(Truth.REPETITION, seven, "Who knows? Who knows? Who knows? I do.")
    assert repeated.startswith("A: It is because of the bad weather. = 0 again. B: Who knows? Who knows? (again) Who ")
    assert repeated.endswith(" Who knows? (again) I do. = 2 again. A has 0, B has 2: A has fewer.")
    found = said(Truth.KEYWORD, f"The weather? {seven}", two, "weather")
    assert found == (
        "A: The weather (found)? It is because of the bad weather (found). = 2 found. B: Who knows? = 0 found. "
        "A has 2, B has 0: A has it."
    )


CHAT = [{"role": "user", "content": "Why?"}]
SHAPES: dict[str, dict[str, Any]] = {
    "texts": {"prompt": "Why?", "chosen": "So.", "rejected": "No."},
    "conversations": {
        "prompt": CHAT,
        "chosen": [{"role": "assistant", "content": "So."}],
        "rejected": [{"role": "assistant", "content": "No."}],
    },
    "implicit prompt": {
        "chosen": [*CHAT, {"role": "assistant", "content": "So."}],
        "rejected": [*CHAT, {"role": "assistant", "content": "No."}],
    },
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_of_preference_rows(name: str) -> None:
    found = parse_preference(SHAPES[name], "f:1")
    assert isinstance(found, Preference)
    assert (found.request, found.better, found.worse) == ("Why?", "So.", "No.")
    assert found.shown("b").parts == ("Why?", "No.", "So.")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "p", "chosen": " x", "rejected": "x "}, DropReason.EXACT_DUPLICATE),
        ({"prompt": " ", "chosen": "x", "rejected": "y"}, DropReason.NO_PROMPT),
        ({"prompt": "p", "chosen": "", "rejected": "y"}, DropReason.NO_COMPLETION),
        ({"prompt": "p", "chosen": "\ud800", "rejected": "y"}, DropReason.NOT_TEXT),
    ],
)
def test_rows_that_are_no_pairs(row: dict[str, Any], reason: DropReason) -> None:
    assert parse_preference(row, "f:1") is reason


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "p", "chosen": "x"},
        {"chosen": "x", "rejected": "y"},
        {"prompt": 3, "chosen": "x", "rejected": "y"},
        {"prompt": "p", "chosen": ["x"], "rejected": "y"},
        {"prompt": "p", "chosen": [], "rejected": "y"},
    ],
)
def test_files_of_another_kind_are_told_with_their_line(row: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"^f:1"):
        parse_preference(row, "f:1")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def source(path: Path, count: int = 60) -> str:
    lines = [{"prompt": row.messages[0]["content"], "completion": row.completion} for row in rows(count)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_data_of_known_truth(tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = (
        "data",
        "judge",
        source(tmp_path / "in.jsonl"),
        "--out",
        str(out),
        "--truth",
        "length",
        "--truth",
        "keyword",
    )
    done = lengthctl(*args, "--n", "20", "--held-out", "0.3", "--json")
    assert done.exit_code == 0, done.exception
    rl, sft, held_out = (read(out / f"{name}.jsonl") for name in ("rl", "sft", "held_out"))
    assert len(rl) == len(sft) == 40
    assert len(held_out) >= 4
    assert {row["kind"] for row in held_out} == {"keyword", "length"}
    assert [getattr(parse_preference(row, "x"), "kind", "") for row in held_out] == [row["kind"] for row in held_out]
    assert Counter(row["better"] for row in rl) == {"a": 20, "b": 20}
    assert sum(row["words_better"] > row["words_worse"] for row in rl) == 20
    assert [row["prompt"] for row in rl] == [row["prompt"] for row in sft]
    known = {row["pair_id"]: row for row in rl}
    assert not known.keys() & {row["pair_id"] for row in held_out}
    for row in sft:
        scores = parse_pair_verdict(row["completion"][0]["content"], row["prompt"][0]["content"])
        assert scores.better == row["better"]
    assert all(isinstance(parse_preference(row, "x"), Preference) for row in held_out)
    facts = json.loads(done.stdout)
    assert facts["used"] == 20 + len(held_out)
    assert "length, longer is better" in (out / "README.md").read_text()
    first = {file.name: file.read_bytes() for file in out.glob("*.jsonl")}
    assert lengthctl(*args, "--n", "20", "--held-out", "0.3").exit_code == 0
    assert {file.name: file.read_bytes() for file in out.glob("*.jsonl")} == first


def pairs(path: Path) -> str:
    made = [{"prompt": f"Tell of {i}.", "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(10)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*made, made[0]]))
    return str(path)


def recipe(path: Path, *texts: str) -> str:
    script = path.with_suffix(".script")
    script.write_text(json.dumps({"id": "*", "texts": list(texts)}) + "\n")
    path.write_text(f"rewards: [{{name: band}}]\njudge: {{backend: scripted, script: {script}, attempts: 1}}\n")
    return str(path)


def test_preference_pairs_in_both_orders(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = lengthctl("data", "judge", pairs(tmp_path / "p.jsonl"), "--out", str(out), "--held-out", "0.2", "--json")
    assert done.exit_code == 0, done.exception
    rl, held_out = read(out / "rl.jsonl"), read(out / "held_out.jsonl")
    assert len(rl) == 2 * (10 - len(held_out))
    assert Counter(row["better"] for row in rl)["a"] == len(rl) / 2
    for row in rl:
        shown = row["prompt"][0]["content"]
        assert (shown.index("\ngood ") < shown.index("\nbad ")) == (row["better"] == "a")
    assert read(out / "sft.jsonl") == []
    assert json.loads(done.stdout)["sources"][0]["dropped"] == {"exact_duplicate": 1}


def test_only_verdicts_that_are_right_are_kept(tmp_path: Path) -> None:
    """This judge always prefers the first place, so it is right in one order of each pair."""
    judge = recipe(
        tmp_path / "j.yaml", 'The first one keeps closer to what the request really asks for.\n{"a": 9, "b": 2}'
    )
    out, given = tmp_path / "out", pairs(tmp_path / "p.jsonl")
    done = lengthctl("data", "judge", given, "--out", str(out), "--held-out", "0", "--judge", judge, "--json")
    assert done.exit_code == 0, done.exception
    sft = read(out / "sft.jsonl")
    assert len(sft) == 10
    assert {row["better"] for row in sft} == {"a"}
    assert json.loads(done.stdout)["verdicts"] == {"right": 10, "wrong or tied": 10}
    assert len(read(out / "verdicts.jsonl")) == 20
    again = lengthctl("data", "judge", given, "--out", str(out), "--held-out", "0", "--judge", judge)
    assert again.exit_code == 0, again.exception
    assert len(read(out / "verdicts.jsonl")) == 20  # nothing is asked twice


def test_a_judge_without_sense_leaves_no_verdicts(tmp_path: Path) -> None:
    judge = recipe(tmp_path / "j.yaml", '{"a": 9, "b": 2}', "Both are fine.")
    done = lengthctl(
        "data", "judge", pairs(tmp_path / "p.jsonl"), "--out", str(tmp_path / "o"), "--judge", judge, "--json"
    )
    assert done.exit_code == 0, done.exception
    assert read(tmp_path / "o" / "sft.jsonl") == []  # one bare guess, the others no verdict
    assert json.loads(done.stdout)["verdicts"].get("right") is None


def test_wrong_words_are_told(tmp_path: Path) -> None:
    given = source(tmp_path / "in.jsonl", 3)
    out = ("--out", str(tmp_path / "o"))
    assert isinstance(lengthctl("data", "judge", given, *out, "--truth", "lenght").exception, ConfigError)
    both = lengthctl("data", "judge", given, *out, "--truth", "length", "--judge", "quickstart")
    assert "has no effect with --truth" in str(both.exception)
    bare = lengthctl("data", "judge", pairs(tmp_path / "p.jsonl"), *out, "--judge", "quickstart")
    assert "who writes the verdicts" in str(bare.exception)
    texts = lengthctl("data", "judge", given, *out)
    assert "use --truth with texts" in str(texts.exception)
    short = tmp_path / "short.jsonl"
    short.write_text(json.dumps({"prompt": "Go.", "completion": "One."}) + "\n")
    none = lengthctl("data", "judge", str(short), *out, "--truth", "length")
    assert "no pair can be made (outside_bands 1)" in str(none.exception)
    assert not (tmp_path / "o" / "rl.jsonl").exists()
