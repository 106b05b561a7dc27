"""Files of a model or an adapter by name, in a folder or in a repository of the hub."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["find_file", "weight_files"]

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"


def find_file(source: str, name: str) -> Path | None:
    """A file of a folder or a hub repository, fetched where the cache lacks it; None where there is none, or no way
    to the hub."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    from transformers.utils import cached_file

    try:
        found = cached_file(
            source, name, _raise_exceptions_for_missing_entries=False, _raise_exceptions_for_connection_errors=False
        )
    except OSError:  # no such repository: whoever loads the model says so
        return None
    return None if found is None else Path(found)


def weight_files(source: str) -> list[Path]:
    """The safetensors files of a checkpoint, in the order of their names; none where it has another format, or where
    one cannot be had."""
    index = find_file(source, _INDEX)
    names = {_WEIGHTS}
    if index is not None:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    found = [find_file(source, name) for name in sorted(names)]
    return [] if None in found else [file for file in found if file is not None]
