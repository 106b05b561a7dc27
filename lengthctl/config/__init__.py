"""The config: sections, reading, text. Imports nothing heavy, so a config is checked anywhere."""

from lengthctl.config.loading import load_config
from lengthctl.config.sections import (
    Config,
    EndpointSection,
    ModelConfig,
    PromptsConfig,
    RewardSpec,
    RolloutConfig,
    is_hub_id,
)
from lengthctl.config.text import config_digest, explained_yaml, parse_yaml, to_yaml

__all__ = [
    "Config",
    "EndpointSection",
    "ModelConfig",
    "PromptsConfig",
    "RewardSpec",
    "RolloutConfig",
    "config_digest",
    "explained_yaml",
    "is_hub_id",
    "load_config",
    "parse_yaml",
    "to_yaml",
]
