"""What leaves a run: the model as a plain Hugging Face folder, its card, and the way to the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.adapter_base import AdapterBase
from lengthctl.errors import EndpointError, first_line
from lengthctl.evaluate.card import model_card
from lengthctl.models import LoadedTokenizer, resolve_model
from lengthctl.rundir import write_atomic

if TYPE_CHECKING:
    import torch

    from lengthctl.config import Config
    from lengthctl.rundir import RunFolder

__all__ = ["export_model", "push_dataset", "push_model", "write_card"]

_DATASET_FILES = ["README.md", "stats.json", "train.jsonl", "train.parquet"]


def export_model(
    config: Config, run: RunFolder, trainer: Any, tokenizer: LoadedTokenizer, state: dict[str, torch.Tensor]
) -> None:
    """`model/`: a plain checkpoint of `state` (`trained_state`: bf16, LoRA merged; the adapter beside it), with its
    tokenizer and template."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if config.model.lora is not None:
        model.save_pretrained(run.path / "adapter")
        name, source = config.model.name, resolve_model(config.model.name)
        called = str(Path(name).expanduser().resolve()) if Path(name).expanduser().is_dir() else name
        AdapterBase.of(called, source, tokenizer.tokenizer, config.model.adapter).write(run.path / "adapter")
        model = model.get_base_model()
    _save_checkpoint(model, state, run.model_dir, resolve_model(config.model.name))
    tokenizer.tokenizer.save_pretrained(run.model_dir)
    if tokenizer.mlt is not None:
        tokenizer.mlt.write(run.model_dir)


def _save_checkpoint(model: Any, state: dict[str, Any], folder: Path, source: str) -> None:
    """Weights and configs in Hugging Face layout."""
    from safetensors.torch import save_file
    from transformers import GenerationConfig

    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = model.config.to_dict() | {"dtype": "bfloat16", "use_cache": True}
    config.pop("_name_or_path", None)
    type(model.config).from_dict(config).save_pretrained(folder)
    try:
        GenerationConfig.from_pretrained(source).save_pretrained(folder)
    except OSError:
        model.generation_config.save_pretrained(folder)


def write_card(run: RunFolder, summary: dict[str, Any]) -> None:
    """The model card of `model/`: what it is, how it was made, what it does, what got worse."""
    write_atomic(run.model_dir / "README.md", model_card(summary))
    write_atomic(run.model_dir / "lengthctl.json", json.dumps({"schema": 1, "seed": summary["seed"]}, indent=2))


def push_model(folder: Path, repository: str) -> None:
    """Upload `model/` to the hub under the user's own login.

    Raises:
        EndpointError: the hub cannot be reached, or refuses.
    """
    _push(folder, repository, "model", "the trained model is kept in the run folder", None)


def push_dataset(folder: Path, repository: str) -> None:
    """Upload a folder that `lengthctl data` made: its rows, counts and card, and nothing else that lies there.

    Raises:
        EndpointError: the hub cannot be reached, or refuses.
    """
    _push(folder, repository, "dataset", f"the data are kept in {folder}", _DATASET_FILES)


def _push(folder: Path, repository: str, kind: str, kept: str, files: list[str] | None) -> None:
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        api.create_repo(repository, repo_type=kind, exist_ok=True)
        api.upload_folder(repo_id=repository, repo_type=kind, folder_path=folder, allow_patterns=files)
    except Exception as error:
        raise EndpointError(
            f"{repository} could not be pushed ({first_line(error)})", f"Log in with `hf auth login`; {kept}"
        ) from error
