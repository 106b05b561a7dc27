"""Which base an adapter was trained on: the file beside it that says so. Ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lengthctl.errors import ModelError, first_line
from lengthctl.model_files import weight_files

__all__ = ["ADAPTER_BASE_FILE", "AdapterBase"]

ADAPTER_BASE_FILE = "adapter_base.json"
"""The file beside an adapter that identifies its base."""

_SCHEMA = 1
_SAMPLED_TENSORS = 1024


@dataclass(frozen=True)
class AdapterBase:
    """What tells a base from others, wherever it lies."""

    name: str
    """As the user called it; for messages."""
    tokens: int
    """Of its tokenizer. Rows and tokens beyond are not compared: a base that got more of them is the same base."""
    vocabulary: str
    """SHA-256 of those tokens with their ids."""
    weights: str | None
    """SHA-256 of the names and shapes of its tensors and of some rows of each, in bf16, so that a copy in another
    width is the same base; None where it has no safetensors."""
    added: Mapping[str, int] = field(default_factory=dict)
    """Tokens that training added, with their ids."""
    merged: str | None = None
    """An adapter that was merged into it before training: then no checkpoint is the base."""

    @classmethod
    def of(cls, name: str, source: str, trained: Any, merged: str | None = None) -> AdapterBase:
        """Of a base by its name and its folder or hub id; `trained` is the tokenizer after training."""
        known = _vocabulary(source)
        added = {
            token: int(i)
            for i, token in sorted((i, token) for token, i in trained.get_vocab().items() if token not in known)
        }
        return cls(name, len(known), _digest(known, len(known)), _digest_weights(source, len(known)), added, merged)

    def write(self, folder: Path) -> None:
        """Write the file into an adapter's folder, whole or not at all."""
        from lengthctl.rundir import write_json  # it imports the config, which imports what models need

        write_json(folder / ADAPTER_BASE_FILE, {"schema": _SCHEMA, **asdict(self)})

    @classmethod
    def read(cls, file: Path) -> AdapterBase:
        """What the file of an adapter says.

        Raises:
            ModelError: the file is torn, or of another schema.
        """
        remedy = "Copy it again from where the adapter was trained"
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{file} cannot be read ({first_line(error)})", remedy) from error
        schema = document.pop("schema", None) if isinstance(document, dict) else None
        if schema != _SCHEMA:
            raise ModelError(f"{file} has schema {schema!r}, and {_SCHEMA} is needed", "Use the version that wrote it")
        try:
            return cls(**{**document, "added": {str(k): int(v) for k, v in document["added"].items()}})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{file} describes no base ({first_line(error)})", remedy) from error

    def check(self, adapter: str, name: str, source: str) -> None:
        """Make sure that this is the base `name`, which lies in `source`, or one that has more tokens.

        Raises:
            ModelError: it is another; both are named, and `adapter`.
        """
        trained, asked = f"adapter {adapter} was trained on {self.name}", f"model.name = {name}"
        whole = "Take the model folder of its run as model.name, without model.adapter: all is merged there"
        if self.merged is not None:
            raise ModelError(f"{trained} with {self.merged} merged in, and {asked} is without it", whole)
        known, other = _vocabulary(source), None
        if _digest(known, self.tokens) != self.vocabulary:
            other = "another vocabulary"
        elif self.weights is not None and _digest_weights(source, self.tokens) not in (None, self.weights):
            other = "other weights"
        if other is not None:
            quantised = f"where {name} is a quantised copy of it, delete the adapter's {ADAPTER_BASE_FILE}"
            raise ModelError(f"{trained}, and {asked} has {other}", f"Set model.name to {self.name}; {quantised}")
        if missing := [token for token, i in self.added.items() if known.get(token) != i]:
            raise ModelError(
                f"{trained} with {len(self.added)} tokens added, and {asked} does not know {missing[0]}", whole
            )


def _digest_weights(source: str, tokens: int) -> str | None:
    """SHA-256 over the names and shapes of a checkpoint's tensors and over two rows of each, in bf16; None without
    safetensors. Of what has a row a token, the first `tokens` rows only; a head tied to the embedding is left out, as
    some writers do. Reads a few MiB of an 8B model."""
    import torch
    from safetensors import safe_open
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source).get_text_config()
    left_out = {"lm_head.weight"} if config.tie_word_embeddings else set()
    places: dict[str, Path] = {}
    for file in weight_files(source):
        with safe_open(file, "pt") as stored:
            places.update({name: file for name in stored.keys() if name not in left_out})  # noqa: SIM118
    if not places:
        return None
    names = sorted(places)[:: -(-len(places) // _SAMPLED_TENSORS)]
    parts: dict[str, bytes] = {}
    for file in sorted(set(places.values())):
        with safe_open(file, "pt") as stored:
            for name in (name for name in names if places[name] == file):
                shape = list(stored.get_slice(name).get_shape())
                if shape and shape[0] == config.vocab_size:
                    shape[0] = min(tokens, shape[0])
                parts[name] = repr((name, shape)).encode()
                for rows in _sampled(shape):
                    values = stored.get_slice(name)[rows].flatten()
                    exact = values.to(torch.bfloat16) if values.is_floating_point() else values
                    parts[name] += exact.contiguous().view(torch.uint8).numpy().tobytes()
    return hashlib.sha256(b"".join(parts[name] for name in names)).hexdigest()


def _sampled(shape: list[int]) -> list[tuple[slice, ...]]:
    """A vector whole; else the first and the middle row, along the last axis."""
    if len(shape) < 2:
        return [(slice(0, n),) for n in shape]
    inner = (slice(0, 1),) * (len(shape) - 2)
    return [(slice(i, i + 1), *inner) for i in sorted({0, shape[0] // 2})]


def _vocabulary(source: str) -> dict[str, int]:
    from transformers import AutoTokenizer

    return {str(token): int(i) for token, i in AutoTokenizer.from_pretrained(source).get_vocab().items()}


def _digest(vocabulary: Mapping[str, int], tokens: int) -> str:
    """Of the `tokens` entries with the lowest ids."""
    entries = sorted((i, token) for token, i in vocabulary.items())[:tokens]
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()
