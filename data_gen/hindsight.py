"""A model's own texts as instruction data: each is labelled with the length that it has, so no teacher is needed.

Ours, after hindsight relabelling in reinforcement learning (arXiv 1707.01495). Reads what `lengthctl sample`, `eval`
and `gen` write. Of use is only what the model ended itself, or a control on a whole sentence: the length of a text that
a limit ended is not the model's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import Instruction, Instructions
from lengthctl.data_gen.row_shapes import parse_row
from lengthctl.errors import DataError
from lengthctl.length import Target
from lengthctl.prompts import WORDINGS, unword_length
from lengthctl.records import FinishReason, read_records

__all__ = ["read_samples"]


def read_samples(
    path: str | Path, *, wordings: Sequence[str] = WORDINGS, name: str | None = None, licence: str | None = None
) -> Instructions:
    """Rows `messages` (or `prompt`), `text`, `finish`, and `target` where the prompt asked for one.

    The sentence that asked for the target is taken out of the prompt, if it has one of the `wordings`.

    Args:
        path: records in JSON Lines.
        wordings: forms of the demand, as in `prompts.build_length_prompts`.
        name: what the rows give as their source; the path when None.
        licence: of the model's texts.
    """
    return Instructions(name or str(path), _Samples(Path(path), tuple(wordings), name or str(path), licence))


@dataclass(frozen=True)
class _Samples:
    path: Path
    wordings: tuple[str, ...]
    name: str
    licence: str | None

    def read(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        return ((f"{self.path}:{number}", row) for number, row in read_records(self.path))

    def parse(self, row: Mapping[str, Any], where: str) -> Instruction | DropReason:
        prompt = row.get("messages", row.get("prompt"))
        if prompt is None or "text" not in row or "finish" not in row:
            raise DataError(f"{where}: a sample has messages or prompt, text, and finish")
        try:
            finish = FinishReason(row["finish"])
            target = None if row.get("target") is None else Target.parse(row["target"])
        except (TypeError, ValueError) as error:
            raise DataError(f"{where}: {error}") from error
        if finish is FinishReason.ERROR:
            return DropReason.NO_COMPLETION
        parsed = parse_row({"prompt": prompt, "completion": row["text"], "id": row.get("id")}, None, where)
        if isinstance(parsed, DropReason):
            return parsed
        found = None if target is None else unword_length(parsed.messages, target, self.wordings)
        messages = parsed.messages if found is None else found
        made = Instruction(parsed.id or "", messages, parsed.completion, self.name, self.licence, finish=finish)
        return made.with_id()
