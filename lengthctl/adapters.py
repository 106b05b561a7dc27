"""Adapters: whether one belongs to a base, told before the weights of either are loaded, and merging it.

PEFT refuses only what has no place in a model or another shape: merged into a sister of its base, such as the
instruct form of it, an adapter gives noise without a word.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lengthctl.adapter_base import ADAPTER_BASE_FILE, AdapterBase
from lengthctl.errors import ModelError, first_line
from lengthctl.model_files import find_file

__all__ = ["check_adapter", "merge_adapter"]


def check_adapter(adapter: str, name: str, source: str, say: Callable[[str], None]) -> None:
    """Make sure that an adapter belongs to a base, without loading the weights of either.

    Args:
        adapter: a folder or hub id.
        name, source: the base as the user calls it, and where it lies.
        say: told what an adapter without `ADAPTER_BASE_FILE` leaves open.

    Raises:
        ModelError: it was trained on another base, or its weights have no place in this one.
    """
    settings = find_file(adapter, "adapter_config.json")
    if settings is None:
        raise ModelError(f"adapter {adapter} has no adapter_config.json", "Set model.adapter to a folder of PEFT's")
    file = find_file(adapter, ADAPTER_BASE_FILE)
    if file is not None:
        AdapterBase.read(file).check(adapter, name, source)
    _fits(adapter, settings, name, source, say)
    if file is None and not _is_called(settings, name, source):
        theirs = _stated_base(settings) or "no base"
        say(f"adapter {adapter} names {theirs} and not {name}, and nothing else tells: only shapes were compared")


def merge_adapter(model: Any, adapter: str) -> Any:
    """The model with an adapter merged into its weights.

    Raises:
        ModelError: it cannot be loaded, or does not fit.
    """
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, adapter).merge_and_unload()
    except (OSError, ValueError, RuntimeError, IndexError, KeyError) as error:
        raise ModelError(
            f"adapter {adapter} does not fit this model ({first_line(error)})",
            "Check model.adapter, and that model.name is the base it was trained on",
        ) from error


def _fits(adapter: str, settings: Path, name: str, source: str, say: Callable[[str], None]) -> None:
    """Every weight of the adapter has its place and shape in the base, built without memory."""
    file = find_file(adapter, "adapter_model.safetensors")
    places = None if file is None else _places(adapter, settings, name, source)
    if file is None or places is None:
        say(f"adapter {adapter} cannot be compared with {name} before it is loaded")
        return
    from safetensors import safe_open

    with safe_open(file, "pt") as stored:
        found = {key: tuple(stored.get_slice(key).get_shape()) for key in stored.keys()}  # noqa: SIM118
    told = f"adapter {adapter}, trained on {_stated_base(settings) or 'a base that it does not name'}, does not fit"
    remedy = "Set model.name to the base it was trained on"
    for key, shape in found.items():
        if key not in places:
            raise ModelError(f"{told} model.name = {name}, which has no {key}", remedy)
        if places[key] != shape:
            raise ModelError(f"{told} model.name = {name}: {key} is {shape}, and {places[key]} is needed", remedy)
    if missing := [key for key in places if key not in found and "lora_" in key]:
        say(f"adapter {adapter} has nothing for {len(missing)} places of {name}, the first {missing[0]}")


def _places(adapter: str, settings: Path, name: str, source: str) -> dict[str, tuple[int, ...]] | None:
    """Shapes of what the adapter may hold on this base, by PEFT's names; None where that can't be told beforehand."""
    import torch
    from peft import PeftConfig, get_peft_model, get_peft_model_state_dict
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source))
        whole = {f"base_model.model.{key}": tuple(value.shape) for key, value in model.state_dict().items()}
        config = PeftConfig.from_pretrained(str(settings.parent))
        config.inference_mode, config.base_model_name_or_path = True, None  # PEFT warns of another path
        if hasattr(config, "init_lora_weights"):
            config.init_lora_weights = False  # some kinds compute it from weights, which are not there
        wrapped = get_peft_model(model, config, low_cpu_mem_usage=True)
        own = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    except ValueError as error:
        raise ModelError(
            f"adapter {adapter} does not fit model.name = {name} ({first_line(error)})",
            f"Set model.name to the base it was trained on, {_stated_base(settings) or 'which it does not name'}",
        ) from error
    except (AttributeError, KeyError, NotImplementedError, OSError, RuntimeError, TypeError):
        return None  # PEFT says it, if it is a fault, when the weights are there
    return whole | {key: tuple(value.shape) for key, value in own.items()}


def _stated_base(settings: Path) -> str | None:
    try:
        stated = json.loads(settings.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (AttributeError, OSError, ValueError) as error:
        raise ModelError(f"{settings} cannot be read ({first_line(error)})", "Save the adapter again") from error
    return stated if isinstance(stated, str) and stated else None


def _is_called(settings: Path, name: str, source: str) -> bool:
    """The base that the adapter names goes by one of these names, whatever folder or account it lies in."""
    stated = _stated_base(settings)
    return stated is not None and Path(stated).name.lower() in {Path(n).name.lower() for n in (name, source)}
