"""One round of Self-Lengthen (arXiv 2410.23933): instructions, first responses, extensions, data, and two trainings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from lengthctl.data_gen.dataset_folder import DatasetAbout, Drops, write_dataset
from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.self_instruct import InstructionPool, draw_examples, propose_instruction
from lengthctl.data_gen.self_lengthen import Extension, extension, first_response, words_of
from lengthctl.data_gen.self_lengthen_data import Lengthened, drop_short, extender_row, generator_row
from lengthctl.data_gen.self_lengthen_seeds import SeedInstruction
from lengthctl.data_gen.self_lengthen_settings import SelfLengthenSettings
from lengthctl.errors import DataError
from lengthctl.pipelines.document_room import Document
from lengthctl.pipelines.self_lengthen_measure import ProbeResult, measure_probe, probe_flow, probe_row
from lengthctl.pipelines.self_lengthen_stages import Engines, Stage, kept_rows
from lengthctl.records import read_records

__all__ = ["Roles", "Round", "Seeds"]

_WAVE = 500
"""Instructions that are proposed from the same pool of examples, as in the released code."""
_WAVES_WITHOUT_ANY = 3


@dataclass(frozen=True)
class Roles:
    """Who writes, and who extends: names or folders of models."""

    generator: str
    extender: str


@dataclass(frozen=True)
class Seeds:
    """Given instructions, of which some are kept out of training."""

    trained: Sequence[SeedInstruction]
    probe: Sequence[SeedInstruction]
    contamination: Contamination | None = None
    """Knows what must not be proposed."""


@dataclass(frozen=True)
class Round:
    """A round, in a folder of its own. Each of its stages is done once."""

    number: int
    """From 1."""
    folder: Path
    settings: SelfLengthenSettings
    seeds: Seeds
    roles: Roles
    engines: Engines

    def probe(self) -> ProbeResult:
        """Answers of this round's generator to the prompts that are kept out."""

        def documents() -> Iterator[Document[Any]]:
            for seed in self.seeds.probe:
                yield Document(f"probe/{seed.id}", probe_flow(seed.text, self.settings.probe_tokens))

        return measure_probe(self._generator.made("probe", documents, probe_row))

    def pairs(self) -> list[Lengthened]:
        """First responses with their extensions, short ones left out; as `pairs.jsonl` keeps them."""
        path = self.folder / "pairs.jsonl"
        if path.is_file():
            return [Lengthened(**row) for _, row in read_records(path)]
        instructions = self._instructions()
        made = self._extended(instructions, self._first(instructions))
        kept_rows(path, (vars(pair) for pair in made))
        return made

    def facts(self) -> dict[str, Any]:
        """What came of the texts; after `pairs`."""
        first, extended = (_read(self.folder / f"{name}.jsonl") for name in ("first", "extended"))
        pairs = self.pairs()
        return {
            "instructions": len(_read(self.folder / "instructions.jsonl")),
            "first_responses": _counts(first, lambda row: words_of(row["text"])),
            "extended": _counts(extended, lambda row: words_of(row["text"])),
            "growth": _median(row["words"][-1] / max(1, row["words"][0]) for row in extended if "words" in row),
            "pairs": len(pairs),
            "pair_words": _median(words_of(pair.text) for pair in pairs),
        }

    def write_data(self, pairs: Sequence[Lengthened], about: DatasetAbout) -> dict[str, Path]:
        """The rows that each role learns from, by role; one file where one model has both."""
        settings = self.settings
        written = [generator_row(pair) for pair in pairs]
        extended = [extender_row(pair, keep=settings.thin_keep, seed=settings.seed) for pair in pairs]
        if settings.roles == "two":
            parts = {"generator": written, "extender": extended}
        else:
            both = [*written, *({**row, "id": f"{row['id']}/extender"} for row in extended)]
            parts = {"generator": both}
        found = {}
        for role, rows in parts.items():
            folder = self.folder / f"{role}-data"
            write_dataset(folder, rows, about)
            found[role] = folder / "train.jsonl"
        return found

    @property
    def _generator(self) -> Stage:
        return Stage(self.engines, self.roles.generator, self.folder)

    def _instructions(self) -> list[dict[str, Any]]:
        path = self.folder / "instructions.jsonl"
        if path.is_file():
            return _read(path)
        rows = self._proposed() if self.settings.self_instruct else self._given()
        if not rows:
            raise DataError(
                f"round {self.number}: no instruction was proposed that calls for a long text",
                "Give other examples, allow more proposals, lower long_words, or set self_instruct to false",
            )
        kept_rows(path, rows)
        return rows

    def _given(self) -> list[dict[str, Any]]:
        """The given ones, each round going on where the one before ended."""
        trained, count = self.seeds.trained, self.settings.instructions
        start = (self.number - 1) * count
        chosen = [trained[(start + place) % len(trained)] for place in range(min(count, len(trained)))]
        return [
            {"id": f"{self.number}-{place}", "text": seed.text, "source": seed.source, "licence": seed.licence}
            for place, seed in enumerate(chosen)
        ]

    def _proposed(self) -> list[dict[str, Any]]:
        """New ones, in waves: those of a wave see the same examples, whatever order they come in."""
        known = [seed.text for seed in self.seeds.trained]
        hidden = [seed.text for seed in self.seeds.probe]
        pool = InstructionPool([*known, *hidden], contamination=self.seeds.contamination)
        found: list[str] = []
        wave, empty = 0, 0
        while len(found) < self.settings.instructions and empty < _WAVES_WITHOUT_ANY:
            size = min(_WAVE, self.settings.instructions - len(found))
            documents = self._proposals([*known, *found[-_WAVE:]], wave, size)
            rows = self._generator.asked(documents, lambda text: {"text": text}, f"propose-{wave}")
            new = [row["text"] for row in rows if "text" in row and pool.add(row["text"]) is None]
            found += new
            empty = 0 if new else empty + 1
            wave += 1
        return [
            {"id": f"{self.number}-{place}", "text": text, "source": "self-instruct", "licence": None}
            for place, text in enumerate(found)
        ]

    def _proposals(self, texts: Sequence[str], wave: int, size: int) -> Iterator[Document[str]]:
        seed = self.settings.seed
        for place in range(size):
            name = f"propose/{wave}/{place}"

            def examples(attempt: int, name: str = name) -> Sequence[str]:
                return draw_examples(texts, seed=seed, name=f"{self.number}/{name}/{attempt}")

            yield Document(name, partial(propose_instruction, examples, self.settings))

    def _first(self, instructions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """First responses that passed, short ones left out."""

        def documents() -> Iterator[Document[str]]:
            for row in instructions:
                for sample in range(self.settings.responses):
                    yield Document(f"{row['id']}/f{sample}", partial(first_response, row["text"], self.settings))

        return self._thinned(self._generator.made("first", documents, lambda text: {"text": text}))

    def _extended(
        self, instructions: Sequence[Mapping[str, Any]], first: Sequence[Mapping[str, Any]]
    ) -> list[Lengthened]:
        asked = {row["id"]: row for row in instructions}
        responses = {row["id"]: row for row in first}

        def documents() -> Iterator[Document[Extension]]:
            for name, row in responses.items():
                instruction = asked[_parent(name)]["text"]
                for task in range(self.settings.extensions):
                    yield Document(f"{name}/e{task}", partial(extension, instruction, row["text"], self.settings))

        def kept(result: Extension) -> dict[str, Any]:
            return {"text": result.text, "words": list(result.words), "calls": result.calls}

        stage = Stage(self.engines, self.roles.extender, self.folder)
        rows = self._thinned(stage.made("extended", documents, kept))
        pairs = []
        for row in rows:
            response = responses[_parent(row["id"])]
            origin = asked[_parent(response["id"])]
            texts = (row["id"], origin["text"], response["text"], row["text"])
            pairs.append(Lengthened(*texts, self.number, origin["source"], origin["licence"]))
        return pairs

    def _thinned(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows with a text, without the short ones that are drawn."""
        passed = [row for row in rows if "text" in row]
        if not self.settings.drop_short:
            return passed
        least, seed = self.settings.drop_short_least, self.settings.seed
        return drop_short(passed, lambda row: str(row["text"]), lambda row: str(row["id"]), seed=seed, least=least)

    def count_drops(self, drops: Drops) -> None:
        """Documents of this round that came to nothing or were left out as short, for the card."""
        sources = {row["id"]: row["source"] for row in _read(self.folder / "instructions.jsonl")}
        for name in ("first", "extended"):
            rows = _read(self.folder / f"{name}.jsonl")
            kept = {row["id"] for row in self._thinned(rows)}
            for row in rows:
                if row["id"] not in kept:
                    drops.add(sources[row["id"].split("/")[0]], row.get("setback", DropReason.LEFT_OUT_SHORT))


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


def _read(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_records(path)]


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return float(median(found)) if found else None


def _counts(rows: Sequence[Mapping[str, Any]], words: Callable[[Mapping[str, Any]], int]) -> dict[str, Any]:
    passed = [row for row in rows if "text" in row]
    setbacks = Counter(row["setback"] for row in rows if "setback" in row)
    return {
        "asked": len(rows),
        "accepted": len(passed) / len(rows) if rows else None,
        "median_words": _median(map(words, passed)),
        "setbacks": dict(sorted(setbacks.items())),
    }
