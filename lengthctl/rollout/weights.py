"""Weights on their way from the trainer to the engines: names as in the Hugging Face checkpoint, one version each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["ChangeMeter", "WeightSnapshot", "checkpoint_state", "missing_names"]


@dataclass(frozen=True)
class WeightSnapshot:
    """One version of the weights, kept so that a restarted engine can be armed again."""

    state: Any
    """A reference into the object store, or the tensors where they lie, for NCCL."""
    version: int
    digest: str


def missing_names(state: Mapping[str, torch.Tensor], model: str) -> list[str]:
    """Names in a checkpoint folder's safetensors that the state lacks; none where the model is no such folder. A head
    that is a tied copy may be left out."""
    from safetensors import safe_open

    names: set[str] = set()
    for file in Path(model).glob("*.safetensors") if Path(model).is_dir() else ():
        with safe_open(file, "pt") as stored:
            names.update(stored.keys())
    return sorted(names - set(state) - {"lm_head.weight"})


class ChangeMeter:
    """Share of weights that differ from those of the last call, in the precision they are sent in; on a sample of each
    tensor, so that no second copy is kept."""

    def __init__(self) -> None:
        self._last: dict[str, torch.Tensor] = {}

    def measure(self, state: Mapping[str, torch.Tensor]) -> float | None:
        """0 to 1; None at the first call."""
        samples = {name: _sample(tensor) for name, tensor in state.items()}
        last, self._last = self._last, samples
        if not last:
            return None
        changed = sum(int((samples[name] != last[name]).sum()) for name in samples)
        return float(changed / sum(sample.numel() for sample in samples.values()))


_SAMPLED = 1024
"""Values of each tensor that are compared."""


def _sample(tensor: torch.Tensor) -> torch.Tensor:
    flat = tensor.flatten()
    return flat[:: max(1, flat.numel() // _SAMPLED)][:_SAMPLED].clone()


def checkpoint_state(
    model: Any,
    dtype: torch.dtype,
    gathered: Mapping[str, torch.Tensor] | None = None,
    device: str | None = "cpu",
) -> dict[str, torch.Tensor]:
    """Tensors of a model under their checkpoint names, LoRA merged in, tied copies left out, cast to `dtype`.

    The model itself is not changed; `gathered` stands in for its own state where that is sharded. Cast before sending:
    bf16 halves the transfer, and the engine would cast anyway. `device` None leaves them where they are.
    """
    import torch

    deltas = _lora_deltas(model)
    tied = set(getattr(model, "_tied_weights_keys", None) or ())
    ties_embeddings = bool(getattr(model.config, "tie_word_embeddings", False))
    state: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for name, tensor in (model.state_dict() if gathered is None else gathered).items():
            clean = _checkpoint_name(name)
            if clean is None or (ties_embeddings and clean in {"lm_head.weight", *tied}):
                continue
            delta = deltas.get(clean)
            value = tensor if delta is None else tensor + delta
            state[clean] = value.detach().to(device=device or value.device, dtype=dtype).clone().contiguous()
        for name, value in _token_rows(model).items():
            if not (ties_embeddings and name in {"lm_head.weight", *tied}):
                state[name] = value.detach().to(device=device or value.device, dtype=dtype).clone().contiguous()
    return state


def _checkpoint_name(name: str) -> str | None:
    if any(part in name for part in ("lora_", "modules_to_save", "rotary_emb.", "token_adapter.")):
        return None
    return name.removeprefix("base_model.model.").replace(".base_layer.", ".")


def _token_rows(model: Any) -> dict[str, torch.Tensor]:
    """Embeddings and heads of which an adapter trains some rows, those rows in place, by checkpoint name."""
    if not hasattr(model, "peft_config"):
        return {}
    from peft.tuners.trainable_tokens import TrainableTokensLayer

    found: dict[str, torch.Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, TrainableTokensLayer):
            key = f"{name.removeprefix('base_model.model.').removesuffix('.token_adapter')}.weight"
            found[key] = module.get_merged_weights(module.active_adapters)
    return found


def _lora_deltas(model: Any) -> dict[str, torch.Tensor]:
    """Weight changes of the active adapter by checkpoint name; empty for a model without LoRA."""
    if not hasattr(model, "peft_config"):
        return {}
    from peft.tuners.lora import LoraLayer

    deltas: dict[str, torch.Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            for adapter in module.active_adapters:
                if adapter in module.lora_A or adapter in module.lora_embedding_A:
                    key = _checkpoint_name(f"{name}.weight")
                    assert key is not None
                    delta = module.get_delta_weight(adapter)
                    deltas[key] = deltas[key] + delta if key in deltas else delta
    return deltas
