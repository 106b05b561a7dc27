"""TRL's arguments from a config: what the user wrote, over our few departures from TRL's defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trl import GRPOConfig

    from lengthctl.config import Config
    from lengthctl.rundir import RunFolder

__all__ = ["TRAINER_DEFAULTS", "build_grpo_config", "completion_limit"]

TRAINER_DEFAULTS: dict[str, Any] = {
    "loss_type": "dapo",
    # Rewards are in [0, 1]; dividing by a group's std would blow up the tiny differences of solved groups.
    "scale_rewards": "none",
    # TRL's default masks whole sequences by a product over tokens, which drops long completions more often.
    "vllm_importance_sampling_mode": "token_truncate",
    "gradient_checkpointing": False,
    "gradient_accumulation_steps": 1,
    "steps_per_generation": 1,
    "lr_scheduler_type": "constant_with_warmup",
    "logging_steps": 1,
    "max_completion_length": 256,
    "report_to": "none",
    "save_strategy": "steps",
    "save_steps": 10,
    "save_total_limit": 2,
    "disable_tqdm": True,
    "remove_unused_columns": False,
}
"""Where lengthctl departs from TRL 1.16, unless the config says otherwise."""


def completion_limit(config: Config) -> int:
    """`max_completion_length` in force: completion tokens, the stop token counted."""
    return int(config.trainer.get("max_completion_length", TRAINER_DEFAULTS["max_completion_length"]))


def build_grpo_config(config: Config, run: RunFolder) -> GRPOConfig:
    """TRL's config object of a run."""
    import torch
    from trl import GRPOConfig

    on_cpu = not torch.cuda.is_available()
    values = {**TRAINER_DEFAULTS, **config.trainer}
    return GRPOConfig(
        **values,
        output_dir=str(run.checkpoints),
        run_name=run.path.name,
        seed=config.run.seed,
        use_cpu=on_cpu,
        dataloader_pin_memory=not on_cpu,
    )
