"""The options of the installed TRL: names and types read from its source by `ast`, so that a config is checked in
milliseconds and without importing TRL, transformers or torch."""

from __future__ import annotations

import ast
import functools
import importlib.util
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lengthctl.errors import Problem
from lengthctl.registry import did_you_mean

__all__ = ["METHODS", "TrainerField", "trainer_defaults", "trainer_fields", "trainer_problems"]

METHODS: Mapping[str, str] = {"grpo": "GRPOConfig", "sft": "SFTConfig", "dpo": "DPOConfig"}
"""Ways of training (`train.method`), each with the class of TRL that holds its options."""

_COMMON: dict[str, Any] = {
    "gradient_checkpointing": False,
    "gradient_accumulation_steps": 1,
    "logging_steps": 1,
    "logging_nan_inf_filter": False,  # it would hide a loss that is not a number
    "report_to": "none",
    "save_strategy": "steps",
    "save_total_limit": 2,
    "disable_tqdm": True,
    "remove_unused_columns": False,
}
_GRPO: dict[str, Any] = {
    "loss_type": "dapo",
    # Rewards are in [0, 1]; dividing by a group's std would blow up the tiny differences of solved groups.
    "scale_rewards": "none",
    # TRL's default masks whole sequences by a product over tokens, which drops long completions more often.
    "vllm_importance_sampling_mode": "token_truncate",
    "steps_per_generation": 1,
    "num_generations_eval": 1,
    "per_device_eval_batch_size": 256,  # a small batch would drain the pool for each
    "lr_scheduler_type": "constant_with_warmup",
    "max_completion_length": 256,
    "save_steps": 10,
    "ddp_timeout": 7200,  # the other trainer processes wait while the first measures the untouched model
}
_SUPERVISED: dict[str, Any] = {
    "num_train_epochs": 2.0,
    "per_device_train_batch_size": 32,
    "learning_rate": 1.0e-4,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.05,  # below 1, TRL takes it as a share of all steps
    "max_length": 2048,
    "save_steps": 50,
}
_PREFERENCE: dict[str, Any] = {
    "num_train_epochs": 1.0,
    "per_device_train_batch_size": 16,
    "learning_rate": 5.0e-6,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.05,
    "max_length": 2048,
    "save_steps": 50,
    "precompute_ref_log_probs": True,  # the untouched model is then not held beside the trained one
}
_DEFAULTS = {
    "grpo": {**_COMMON, **_GRPO},
    "sft": {**_COMMON, **_SUPERVISED},
    "dpo": {**_COMMON, **_PREFERENCE},
}


def trainer_defaults(method: str) -> dict[str, Any]:
    """Where lengthctl departs from TRL 1.16, unless the config says otherwise."""
    return dict(_DEFAULTS[method])


_OWNED = {
    "output_dir": "set run.dir and run.name",
    "run_name": "set run.name",
    "seed": "set run.seed",
    "resume_from_checkpoint": "use `lengthctl train CONFIG --resume RUN`",
    "push_to_hub": "use `lengthctl train CONFIG --push REPO`",
    "remove_unused_columns": "the rewards need every column",
    "logging_steps": "every step is logged: warnings are told within two",
    "logging_strategy": "every step is logged: warnings are told within two",
    "reward_weights": "set the weight of each item of rewards",
    "load_best_model_at_end": "the last checkpoint counts, never the best",
    "use_cpu": "it follows from the machine",
    "dataloader_pin_memory": "it follows from the machine",
    "use_vllm": "set rollout.backend",
}
"""Options that lengthctl sets itself, each with what to do in its place."""

_MEASURED = dict.fromkeys(
    ("eval_strategy", "eval_steps", "eval_on_start", "do_eval"),
    "the model is measured before and after; see the evaluate section",
)
_OWNED_BY_METHOD: Mapping[str, dict[str, str]] = {
    "grpo": {},
    "sft": {
        "packing": "set train.batching",
        "packing_strategy": "set train.batching",
        "eval_packing": "set train.batching",
        "padding_free": "set train.batching",
        "dataset_kwargs": "rows are made by lengthctl; see the data section",
        "dataset_text_field": "see the data section",
        "completion_only_loss": "the loss is on completions; see train.mlt_weight",
        "assistant_only_loss": "the loss is on the last answer of a conversation",
        "group_by_length": "set train.batching to buckets",
        "loss_type": "the loss is the mean of the negative log probabilities; see train.loss_weighting",
        "label_smoothing_factor": "labels are not smoothed",
        "router_aux_loss_coef": "routers are not balanced here",
        **_MEASURED,
    },
    "dpo": {"padding_free": "it needs flash attention, which is not tried here", **_MEASURED},
}

_OWNED_PREFIXES = {"vllm_importance_sampling_": None, "vllm_": "see the rollout section", "hub_": _OWNED["push_to_hub"]}
"""The same by prefix, the first match counts; None lets an option through."""

_CHOICES: dict[str, tuple[Any, ...]] = {
    "loss_type": ("dapo", "grpo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
    "scale_rewards": ("group", "batch", "none", True, False),
    "importance_sampling_level": ("token", "sequence"),
    "vllm_importance_sampling_mode": ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
}
"""Values of options that TRL 1.16 checks only when it uses them."""

_UNCUT = "a cut or bent distribution biases the importance ratio, so training samples from the whole one"
_FIXED: dict[str, tuple[tuple[Any, ...], str]] = {
    "top_p": ((1, 1.0), _UNCUT),
    "top_k": ((0, None), _UNCUT),
    "min_p": ((None,), _UNCUT),
    "repetition_penalty": ((1, 1.0), _UNCUT),
    "generation_kwargs": ((None,), "it does not reach the engines; see the rollout section"),
    "multi_objective_aggregation": (
        ("sum_then_normalize",),
        "the rewards reach TRL as one sum with gates, so GDPO cannot scale each by itself; set the weights of rewards",
    ),
}
"""Options that lengthctl holds where they are, and why."""

_ANCESTORS = (("transformers", "training_args.py"), ("trl", "trainer/base_config.py"))
"""Where the options that all methods share stand; a later field replaces an earlier one, the method's own come last."""

_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "dict": (dict,),
    "list": (list,),
    "None": (type(None),),
}


_LOOSER = {"scale_rewards": (bool,)}
"""Types that TRL 1.16 accepts beyond its own annotations."""


@dataclass(frozen=True)
class TrainerField:
    """One option: its annotation as written, and the types of a value; none where the annotation is not understood."""

    name: str
    annotation: str
    types: tuple[type, ...]

    def accepts(self, value: Any) -> bool:
        """The value has one of the types; a boolean is no number."""
        if not self.types:
            return True
        if isinstance(value, bool):
            return bool in self.types
        return isinstance(value, self.types)


@functools.cache
def trainer_fields(method: str) -> Mapping[str, TrainerField]:
    """TRL's options of a method in the installed versions by name; empty where TRL or transformers is not installed."""
    fields: dict[str, TrainerField] = {}
    for package, file in (*_ANCESTORS, ("trl", f"trainer/{method}_config.py")):
        spec = importlib.util.find_spec(package)  # of a top-level package: finds it without importing it
        paths = [Path(location) / file for location in (spec.submodule_search_locations or ())] if spec else []
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            return {}
        fields |= {field.name: field for field in _read_fields(path)}
    return fields


def trainer_problems(trainer: Mapping[str, Any], method: str) -> list[Problem]:
    """What is wrong with a `trainer:` section: options that do not exist, of the wrong type, or set by lengthctl."""
    known = trainer_fields(method)
    problems = []
    for key, value in trainer.items():
        where = f"trainer.{key}"
        if (remedy := _owner(str(key), method)) is not None:
            problems.append(Problem(where, f"is set by lengthctl; {remedy}"))
        elif known and key not in known:
            free = [name for name in known if _owner(name, method) is None]
            problems.append(Problem(where, f"unknown key of TRL's {METHODS[method]}{did_you_mean(str(key), free)}"))
        elif known and not known[key].accepts(value):
            kind = known[key].annotation
            problems.append(Problem(where, f"= {value!r}: TRL wants {kind}, found {type(value).__name__}"))
        elif (fault := _bad_value(str(key), value, method)) is not None:
            problems.append(Problem(where, f"= {value!r}: {fault}"))
    return problems


def _bad_value(key: str, value: Any, method: str) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number is needed"
    if method != "grpo":
        return None
    if key in _CHOICES and value not in _CHOICES[key]:
        return f"not one of {', '.join(map(str, _CHOICES[key]))}"
    if key in _FIXED and value not in _FIXED[key][0]:
        return _FIXED[key][1]
    if key == "temperature" and not 0 < value <= 2:
        return "vLLM samples above 0 and up to 2"
    if key == "num_generations" and (value or 0) < 2:
        return "at least 2: a completion is judged against others of its prompt"
    if key in ("max_completion_length", "per_device_train_batch_size") and (value or 0) < 1:
        return "at least 1"
    return None


def _owner(key: str, method: str) -> str | None:
    owned = {**_OWNED, **_OWNED_BY_METHOD[method]}
    if key in owned:
        return owned[key]
    return next((remedy for prefix, remedy in _OWNED_PREFIXES.items() if key.startswith(prefix)), None)


def _read_fields(path: Path) -> Iterator[TrainerField]:
    """Annotated fields of the dataclasses of a file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ClassDef) or not node.decorator_list:
            continue
        for item in node.body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                types = _types(item.annotation)
                if types and _default_is_none(item.value):
                    types = (*types, type(None))
                types = (*types, *_LOOSER.get(item.target.id, ())) if types else ()
                yield TrainerField(item.target.id, ast.unparse(item.annotation), types)


def _types(annotation: ast.expr) -> tuple[type, ...]:
    """Types of a union; empty as soon as one member is not understood, so that nothing valid is refused."""
    if isinstance(annotation, ast.BinOp):
        left, right = _types(annotation.left), _types(annotation.right)
        return (*left, *right) if left and right else ()
    if isinstance(annotation, ast.Subscript):
        return _types(annotation.value)
    return _TYPES.get(ast.unparse(annotation), ())


def _default_is_none(value: ast.expr | None) -> bool:
    """`= None` or `field(default=None)`: some fields are annotated without the None that they default to."""
    if isinstance(value, ast.Call):
        value = next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)
    return isinstance(value, ast.Constant) and value.value is None
