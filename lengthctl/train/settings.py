"""TRL's arguments from a config: what the user wrote, over our few departures from TRL's defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lengthctl.errors import ConfigError, Problem, first_line
from lengthctl.token_rates import ample_limit
from lengthctl.trl_fields import trainer_defaults

if TYPE_CHECKING:
    from trl import DPOConfig, GRPOConfig, SFTConfig

    from lengthctl.config import Config
    from lengthctl.rundir import RunFolder

__all__ = ["build_dpo_config", "build_grpo_config", "build_sft_config", "completion_limit"]


def completion_limit(config: Config) -> int:
    """Completion tokens, the stop token counted: `max_completion_length` in force, or where training samples nothing,
    what the longest target needs."""
    if config.train.method != "grpo":
        return max(ample_limit(target) for target in config.prompts.resolved_targets)
    return int({**trainer_defaults("grpo"), **config.trainer}["max_completion_length"])


def build_grpo_config(config: Config, run: RunFolder) -> GRPOConfig:
    """TRL's config object of a run that reinforces.

    Raises:
        ConfigError: TRL refuses an option.
    """
    from trl import GRPOConfig

    values = {**trainer_defaults("grpo"), **config.trainer}
    if "generation_batch_size" in config.trainer:  # TRL takes one of the two
        del values["steps_per_generation"]
    return _build(GRPOConfig, values, config, run)


def build_sft_config(config: Config, run: RunFolder) -> SFTConfig:
    """TRL's config object of a run that learns from texts.

    Raises:
        ConfigError: TRL refuses an option.
    """
    from trl import SFTConfig

    values = {**trainer_defaults("sft"), **config.trainer, "dataset_kwargs": {"skip_prepare_dataset": True}}
    return _build(SFTConfig, values, config, run)


def build_dpo_config(config: Config, run: RunFolder) -> DPOConfig:
    """TRL's config object of a run that learns from pairs.

    Raises:
        ConfigError: TRL refuses an option.
    """
    from trl import DPOConfig

    return _build(DPOConfig, {**trainer_defaults("dpo"), **config.trainer}, config, run)


def _build(kind: Any, values: dict[str, Any], config: Config, run: RunFolder) -> Any:
    import torch

    on_cpu = not torch.cuda.is_available()
    try:
        return kind(
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
