"""Run folders: refused when used or held, resumed under the same config only."""

from __future__ import annotations

from pathlib import Path

import pytest

from lengthctl.config import Config, load_config
from lengthctl.errors import RunFolderError
from lengthctl.rundir import RESOLVED_CONFIG, RunFolder, write_atomic, write_json

RECIPE = Path(__file__).parents[2] / "configs" / "quickstart.yaml"


def config(folder: Path, *overrides: str) -> Config:
    return load_config(RECIPE, [f"run.dir={folder}", *overrides])


def begun(folder: Path, name: str = "quick") -> RunFolder:
    """A run that got past its start."""
    run = RunFolder.create(config(folder), name)
    run.begin()
    return run


def resumed(path: Path, *overrides: str) -> None:
    """The same, on resume."""
    run = RunFolder.resume(path, config(path.parent, *overrides))
    run.begin()
    run.close()


def test_a_used_folder_is_refused_with_the_ways_out(tmp_path: Path) -> None:
    begun(tmp_path).close()
    with pytest.raises(RunFolderError, match=r"--resume .*--clean.*run\.name"):
        RunFolder.create(config(tmp_path), "quick")
    (tmp_path / "quick" / "samples").mkdir()
    (tmp_path / "quick" / "notes.txt").write_text("of the user")
    RunFolder.create(config(tmp_path), "quick", clean=True).close()
    assert not (tmp_path / "quick" / "samples").exists()
    assert (tmp_path / "quick" / "notes.txt").read_text() == "of the user"


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    for clean in (False, True):
        with pytest.raises(RunFolderError, match=r"holds files of others \(thesis\.txt\)"):
            RunFolder.create(config(tmp_path), "mine", clean=clean)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunFolderError, match="cannot be made"):
        RunFolder.create(config(tmp_path / "file"), "quick")


def test_more_steps_drop_the_results_of_fewer_once_they_begin(tmp_path: Path) -> None:
    run = begun(tmp_path)
    run.close()
    run.summary.write_text("{}")
    resumed(run.path, "run.name=quick")
    assert run.summary.exists()
    assert run.is_finished
    before = (run.path / RESOLVED_CONFIG).read_text()
    more = RunFolder.resume(run.path, config(tmp_path, "trainer.max_steps=500"))
    assert not more.is_finished
    more.close()  # refused later, by versions, prompts or Ray
    assert run.summary.exists()
    assert (run.path / RESOLVED_CONFIG).read_text() == before
    resumed(run.path, "trainer.max_steps=500")
    assert not run.summary.exists()


def test_a_start_that_failed_leaves_no_used_folder(tmp_path: Path) -> None:
    run = RunFolder.create(config(tmp_path), "quick")
    for name in ("env.json", "prompts.json", "error.txt"):
        (run.path / name).write_text("{}")
    run.close()
    with pytest.raises(RunFolderError, match="holds no run"):
        RunFolder.resume(run.path, config(tmp_path))
    again = begun(tmp_path)
    assert not (again.path / "prompts.json").exists()
    again.close()


def test_a_folder_in_use_is_named(tmp_path: Path) -> None:
    run = begun(tmp_path)
    with pytest.raises(RunFolderError, match="in use by process"):
        RunFolder.resume(run.path, config(tmp_path))
    with pytest.raises(RunFolderError, match="in use by process"):
        RunFolder.create(config(tmp_path), "quick")
    run.close()
    RunFolder.resume(run.path, config(tmp_path)).close()


def test_only_more_steps_on_resume(tmp_path: Path) -> None:
    begun(tmp_path).close()
    path = tmp_path / "quick"
    resumed(path, "trainer.max_steps=500")
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


def test_what_cannot_take_its_place_is_not_left_half_written(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomic(path, "three")
    assert [p.name for p in tmp_path.iterdir()] == ["b.txt"]


def test_a_run_is_not_resumed_under_other_versions(tmp_path: Path) -> None:
    from lengthctl.evaluate.environment import environment
    from lengthctl.pipelines.inputs import prepare_inputs

    run = RunFolder.create(config(tmp_path), "a")
    found = environment()
    write_json(run.path / "env.json", {**found, "versions": {**found["versions"], "trl": "1.2.3"}})
    with pytest.raises(RunFolderError, match=r"other versions \(trl 1\.2\.3 -> .*Install those"):
        prepare_inputs(config(tmp_path), run)
    run.close()
