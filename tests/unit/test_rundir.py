"""Run folders: refused when used or held, resumed under the same config only."""

from __future__ import annotations

from pathlib import Path

import pytest

from lengthctl.config import Config, load_config
from lengthctl.errors import RunFolderError
from lengthctl.rundir import RunFolder, write_atomic

RECIPE = Path(__file__).parents[2] / "configs" / "quickstart.yaml"


def config(folder: Path, *overrides: str) -> Config:
    return load_config(RECIPE, [f"run.dir={folder}", *overrides])


def test_a_used_folder_is_refused_with_the_ways_out(tmp_path: Path) -> None:
    RunFolder.create(config(tmp_path), "quick").close()
    with pytest.raises(RunFolderError, match=r"--resume .*--clean.*run\.name"):
        RunFolder.create(config(tmp_path), "quick")
    (tmp_path / "quick" / "old").mkdir()
    RunFolder.create(config(tmp_path), "quick", clean=True).close()
    assert not (tmp_path / "quick" / "old").exists()


def test_a_folder_in_use_is_named(tmp_path: Path) -> None:
    run = RunFolder.create(config(tmp_path), "quick")
    with pytest.raises(RunFolderError, match="in use by process"):
        RunFolder.resume(run.path, config(tmp_path))
    run.close()
    RunFolder.resume(run.path, config(tmp_path)).close()


def test_only_more_steps_on_resume(tmp_path: Path) -> None:
    RunFolder.create(config(tmp_path), "quick").close()
    path = tmp_path / "quick"
    RunFolder.resume(path, config(tmp_path, "trainer.max_steps=500")).close()
    with pytest.raises(RunFolderError, match=r"max_steps: 500 -> 3"):
        RunFolder.resume(path, config(tmp_path, "trainer.max_steps=3"))
    with pytest.raises(RunFolderError, match=r"run\.seed: 42 -> 1"):
        RunFolder.resume(path, config(tmp_path, "trainer.max_steps=500", "run.seed=1"))


def test_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_atomic(path, "one")
    write_atomic(path, "two")
    assert path.read_text() == "two"
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]
