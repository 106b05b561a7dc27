"""A config as text: YAML in and out, each key with its meaning, and the digest of what a resume must not change."""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Iterator
from io import StringIO
from typing import Any

from lengthctl.config.preset_filling import preset_notes
from lengthctl.config.section import Section
from lengthctl.config.sections import Config
from lengthctl.errors import ConfigError, Problem

__all__ = ["config_digest", "explained_yaml", "parse_yaml", "to_yaml"]


def parse_yaml(text: str, where: str) -> Any:
    """YAML 1.2, duplicate keys refused.

    Raises:
        ConfigError: not YAML; `where` names the source.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ConfigError(where, [Problem("yaml", " ".join(str(error).split())[:200])]) from error


def to_yaml(data: Any) -> str:
    """Block style, keys in their order."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    out = StringIO()
    yaml.dump(data, out)
    return out.getvalue()


def explained_yaml(config: Config) -> str:
    """A whole config with the meaning of each section and key as comments, and what its presets stand for: valid YAML,
    to read or to edit."""
    data = config.model_dump(mode="json", by_alias=True)
    notes = [f"# {line}" for note in preset_notes(data) for line in textwrap.wrap(note, 116)]
    sections = [line for name in Config.model_fields for line in (*_explained(name, getattr(config, name), data), "")]
    return "\n".join([*notes, *([""] if notes else []), *sections])


def _explained(name: str, section: Any, data: dict[str, Any]) -> Iterator[str]:
    if not isinstance(section, Section):
        yield from to_yaml({name: data[name]}).split("\n")
        return
    meaning, *_ = (type(section).__doc__ or "").splitlines()
    yield f"{name}: # {meaning}"
    yield from (f"  {line}" for line in _keys(section, data[name]))


def _keys(section: Section, data: dict[str, Any]) -> Iterator[str]:
    for key, field in type(section).model_fields.items():
        yield from (f"# {line}" for line in (field.description or "").splitlines())
        inner = getattr(section, key)
        if isinstance(inner, Section):
            yield f"{key}:"
            yield from (f"  {line}" for line in _keys(inner, data[key]))
        else:
            yield from to_yaml({key: data[key]}).split("\n")


def config_digest(config: Config) -> str:
    """Digest of everything that a resumed run must not change: all but `trainer.max_steps`."""
    data = config.model_dump(mode="json")
    data["trainer"] = {k: v for k, v in data["trainer"].items() if k != "max_steps"}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
