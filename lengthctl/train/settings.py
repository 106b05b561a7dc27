"""TRL's arguments from a config: what the user wrote, over our few departures from TRL's defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lengthctl.errors import ConfigError, Problem, first_line
from lengthctl.trl_fields import TRAINER_DEFAULTS

if TYPE_CHECKING:
    from trl import GRPOConfig

    from lengthctl.config import Config
    from lengthctl.rundir import RunFolder

__all__ = ["TRAINER_DEFAULTS", "build_grpo_config", "completion_limit"]


def completion_limit(config: Config) -> int:
    """`max_completion_length` in force: completion tokens, the stop token counted."""
    return int(config.trainer.get("max_completion_length", TRAINER_DEFAULTS["max_completion_length"]))


def build_grpo_config(config: Config, run: RunFolder) -> GRPOConfig:
    """TRL's config object of a run.

    Raises:
        ConfigError: TRL refuses an option.
    """
    import torch
    from trl import GRPOConfig

    on_cpu = not torch.cuda.is_available()
    values = {**TRAINER_DEFAULTS, **config.trainer}
    if "generation_batch_size" in config.trainer:  # TRL takes one of the two
        del values["steps_per_generation"]
    try:
        return GRPOConfig(
            **values,
            output_dir=str(run.checkpoints),
            run_name=run.path.name,
            seed=config.run.seed,
            use_cpu=on_cpu,
            dataloader_pin_memory=not on_cpu,
        )
    except (ValueError, TypeError, ImportError) as error:
        problem = Problem("trainer", f"TRL refuses it: {first_line(error)}")
        raise ConfigError(str(run.path), [problem], "Change the options under `trainer:`") from error
