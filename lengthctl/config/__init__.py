"""The config: sections, reading, text. Imports nothing heavy, so a config is checked anywhere."""

from lengthctl.config.data import DataConfig, read_table
from lengthctl.config.inputs import ModelConfig, PromptsConfig, is_hub_id
from lengthctl.config.loading import load_config
from lengthctl.config.sections import Config, RewardSpec
from lengthctl.config.sources import EndpointSection, JudgeConfig, RolloutConfig
from lengthctl.config.text import config_digest, explained_yaml, parse_yaml, to_yaml

__all__ = [
    "Config",
    "DataConfig",
    "EndpointSection",
    "JudgeConfig",
    "ModelConfig",
    "PromptsConfig",
    "RewardSpec",
    "RolloutConfig",
    "config_digest",
    "explained_yaml",
    "is_hub_id",
    "load_config",
    "parse_yaml",
    "read_table",
    "to_yaml",
]
