"""Weights that lack a part of the model are found out before an engine takes them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from lengthctl.rollout.engine_actor import names_digest, shapes_digest
from lengthctl.rollout.weights import missing_names


def test_names_of_the_checkpoint_that_a_state_lacks(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1), "lm_head.weight": torch.zeros(1)}, tmp_path / "model-1.safetensors")
    save_file({"b": torch.zeros(1)}, tmp_path / "model-2.safetensors")
    assert missing_names({"a": torch.zeros(1)}, str(tmp_path)) == ["b"]
    assert missing_names({"a": torch.zeros(1), "b": torch.zeros(1), "c": torch.zeros(1)}, str(tmp_path)) == []
    assert missing_names({}, "a/hub-id") == []


def test_a_digest_tells_names_and_shapes_in_any_order() -> None:
    state = {"b": torch.zeros(2, 3), "a": torch.zeros(4)}
    assert names_digest(state) == shapes_digest([("a", [4]), ("b", (2, 3))])
    assert names_digest(state) != shapes_digest([("a", [4]), ("b", (3, 2))])
    assert names_digest(state) != shapes_digest([("a", [4])])
