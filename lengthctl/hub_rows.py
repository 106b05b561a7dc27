"""Datasets as `datasets.load_dataset` knows them: the hub's, and folders laid out as those."""

from __future__ import annotations

from typing import Any

from lengthctl.errors import DataError, first_line

__all__ = ["load_split"]


def load_split(source: str, subset: str | None, split: str, *, streaming: bool = False) -> Any:
    """One split of a hub dataset or of a folder, as `datasets` gives it.

    Args:
        source: hub id or folder.
        subset: its config name; None: the only one, or the default.
        split: of that subset.
        streaming: rows come one by one, and none is kept on disk.

    Raises:
        DataError: it cannot be loaded; where it is the subset or the split that is not there, those that are.
    """
    import datasets

    try:
        return datasets.load_dataset(source, subset, split=split, streaming=streaming)
    except Exception as error:  # of the hub, the network, fsspec, pyarrow: they share no type
        raise _wrong_part(source, subset, split) or DataError(
            f"{source} cannot be read ({first_line(error)})", "Check the path, or the hub id and your connection"
        ) from error


def _wrong_part(source: str, subset: str | None, split: str) -> DataError | None:
    """What the dataset has in place of what was asked; None where that is not to be learned, or all of it is there."""
    import datasets

    try:
        subsets = datasets.get_dataset_config_names(source)
        if subset is not None and subset not in subsets:
            return DataError(f"{source} has no subset {subset!r}", f"Name one that it has: {', '.join(subsets)}")
        if subset is None and len(subsets) > 1 and datasets.get_dataset_default_config_name(source) is None:
            return DataError(f"{source} has several subsets", f"Name one of them: {', '.join(subsets)}")
        splits = datasets.get_dataset_split_names(source, subset)
    except Exception:
        return None
    name = split.partition("[")[0]  # datasets take slices, e.g. train[:100]
    if any(part.partition("[")[0] not in splits for part in split.split("+")):
        where = source if subset is None else f"{source} ({subset})"
        return DataError(f"{where} has no split {name!r}", f"Name one that it has: {', '.join(splits)}")
    return None
