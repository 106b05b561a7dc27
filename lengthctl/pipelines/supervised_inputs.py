"""What a supervised run works on, checked before anything expensive starts: tokens, rows, held-out prompts."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from lengthctl.config.supervised_checks import longest_piece
from lengthctl.data_gen.instruction_data import Instruction, Reading, read_instructions, read_rows
from lengthctl.data_gen.training_rows import read_pairs, read_texts
from lengthctl.errors import DataError
from lengthctl.length import count_length
from lengthctl.mlt import MltTable, split_text
from lengthctl.models import LoadedTokenizer
from lengthctl.pipelines.inputs import same_inputs, same_versions
from lengthctl.pipelines.sampling import with_system_prompt
from lengthctl.train.decomposition import count_dropped, decompose
from lengthctl.train.end_places import find_end_places
from lengthctl.train.ranks import is_main
from lengthctl.train.supervised_rows import TrainRow, build_row

if TYPE_CHECKING:
    from datasets import Dataset

    from lengthctl.config import Config, DataConfig
    from lengthctl.rundir import RunFolder

__all__ = ["TrainData", "load_pairs", "load_train_data"]


_LEAD = re.compile(r"\s*(\[MLT:[^\]\s]{1,20}\])")


@dataclass(frozen=True)
class TrainData:
    """Rows to learn from, and what became of the source's."""

    rows: Dataset
    """Columns `prompt_ids` and `completion_ids`, or `prompt`, `chosen` and `rejected`."""
    counts: dict[str, int]
    """Rows kept, rows dropped by reason, tokens, and rows by meta length token."""


def load_train_data(
    config: Config,
    run: RunFolder,
    tokenizer: LoadedTokenizer,
    lead_ids: dict[str, int],
    max_length: int | None,
) -> TrainData:
    """Rows of `config.data`, each with its meta length token where `lead_ids` (id by name) has some. A resumed run must
    find the same rows.

    Raises:
        DataError: the source cannot be read, or no row is left.
        ModelError: the chat template cannot be trained with.
        RunFolderError: a resumed run began with other data or versions.
    """
    assert config.data is not None
    same_versions(run)
    counts = Counter[str]()
    if config.data.form == "text":
        rows = _text_rows(config.data, tokenizer, max_length, counts)
    else:
        rows = _completion_rows(config, tokenizer, lead_ids, max_length, counts)
    counts["rows"], counts["tokens"] = len(rows), sum(map(len, rows))
    if not rows:
        told = ", ".join(f"{reason} {n}" for reason, n in counts.items()) or "the source is empty"
        raise DataError(f"{config.data.source}: no row is left to learn from ({told})", "Check data.mlt and max_length")
    if is_main():
        same_inputs(run, {"data": _digest(rows)})
    if config.train.end_weight != 1:
        rows = [replace(row, end_places=find_end_places(tokenizer, row.completion_ids)) for row in rows]
    table_rows = [{name: list(value) for name, value in vars(row).items()} for row in rows]
    return TrainData(_table_of(table_rows), dict(counts))


def _completion_rows(
    config: Config,
    tokenizer: LoadedTokenizer,
    lead_ids: dict[str, int],
    max_length: int | None,
    counts: Counter[str],
) -> list[TrainRow]:
    assert config.data is not None
    table, rows = config.data.mlt_table, []
    known = table if table is not None or tokenizer.mlt is None else tokenizer.mlt.table
    for example in _examples(config.data):
        if known is not None and any(token.text in m["content"] for m in example.messages for token in known.tokens):
            counts["dropped: the prompt holds a meta length token"] += 1
            continue
        name, text = _lead(example.completion, table, tokenizer, counts)
        if name == "":
            continue
        _refuse_unknown_token(text if name is None else "", known, f"{config.data.source}, row {example.id}")
        messages = with_system_prompt(example.messages, config.model.system_prompt)
        row = build_row(tokenizer, messages, text, lead_ids[name] if name is not None else None)
        if max_length is not None and len(row) > max_length:
            counts[f"dropped: more than {max_length} tokens"] += 1
            continue
        if name is not None:
            counts[f"mlt {name}"] += 1
        rows.append(row)
    return rows


def _text_rows(
    data: DataConfig, tokenizer: LoadedTokenizer, max_length: int | None, counts: Counter[str]
) -> list[TrainRow]:
    """Texts with their end, cut; the first token of a row only leads to the others."""
    rows = []
    for _, text in read_texts(islice(read_rows(data.source, Reading.of(data)), data.limit)):
        ids = (*tokenizer.encode(text), int(tokenizer.tokenizer.eos_token_id))
        if data.pieces:
            longest = max(longest_piece(max_length or len(ids)), data.shortest_piece)
            cuts = decompose(len(ids), min_log2=data.shortest_piece, max_log2=longest)
            parts = [ids[piece.start : piece.start + piece.tokens] for piece in cuts]
            counts["dropped tokens: no piece holds them"] += count_dropped(len(ids), cuts)
        else:
            step = max_length or len(ids)
            parts = [ids[start : start + step] for start in range(0, len(ids), step)]
        rows += [TrainRow(part[:1], part[1:]) for part in parts if len(part) > 1]
    return rows


def load_pairs(config: Config, run: RunFolder, tokenizer: LoadedTokenizer) -> TrainData:
    """Rows of `config.data` in TRL's preference form: `prompt`, `chosen`, `rejected`, the system prompt in front.

    Raises:
        DataError: the source cannot be read, or is of another form.
        RunFolderError: a resumed run began with other data or versions.
    """
    assert config.data is not None
    same_versions(run)
    rows = []
    data = config.data
    for where, row in read_pairs(islice(read_rows(data.source, Reading.of(data)), data.limit)):
        for text in (message["content"] for side in ("chosen", "rejected") for message in row[side]):
            _refuse_unknown_token(text, None if tokenizer.mlt is None else tokenizer.mlt.table, where)
        prompt = with_system_prompt(row["prompt"], config.model.system_prompt)
        rows.append({"prompt": prompt, "chosen": row["chosen"], "rejected": row["rejected"]})
    if not rows:
        raise DataError(f"{config.data.source} holds no pairs", "Check data.source and data.split")
    if is_main():
        text = json.dumps([rows, tokenizer.tokenizer.chat_template], ensure_ascii=False, sort_keys=True)
        same_inputs(run, {"data": {"rows": len(rows), "sha256": hashlib.sha256(text.encode()).hexdigest()}})
    return TrainData(_table_of(rows), {"pairs": len(rows)})


def _examples(data: DataConfig) -> Iterable[Instruction]:
    found = read_instructions(data.source, Reading.of(data))
    return found if data.limit is None else islice(found, data.limit)


def _refuse_unknown_token(text: str, known: MltTable | None, where: str) -> None:
    """Such a token would be trained as the plain words that it is spelled with."""
    match = _LEAD.match(text)
    if match is not None and (known is None or all(token.text != match[1] for token in known.tokens)):
        remedy = "Set data.mlt to its table, start from a model that has it, or use rows without (vanilla.jsonl)"
        raise DataError(f"{where}: {match[1]} is no token of this model", remedy)


def _lead(
    completion: str, table: MltTable | None, tokenizer: LoadedTokenizer, counts: Counter[str]
) -> tuple[str | None, str]:
    """Name of the token in front (None: there are none; "": the row is dropped), and the text behind it."""
    if table is None:
        return None, completion
    found = split_text(completion, table)
    if found.token is not None:
        return found.token.name, found.text
    if _LEAD.match(completion):
        return None, completion
    token = table.token_for_text(count_length(completion, table.unit, tokenizer.tokenizer))
    if token is None:
        counts["dropped: no token holds its length"] += 1
        return "", completion
    return token.name, completion


def _digest(rows: Iterable[TrainRow]) -> dict[str, Any]:
    digest, number = hashlib.sha256(), 0
    for row in rows:
        digest.update(repr((row.prompt_ids, row.completion_ids)).encode())
        number += 1
    return {"rows": number, "sha256": digest.hexdigest()}


def _table_of(rows: list[dict[str, Any]]) -> Dataset:
    from datasets import Dataset

    return Dataset.from_list(rows)
