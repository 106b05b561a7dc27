"""Imports point one way, files stay small, and what is built can be imported."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIERS = [
    {"length", "errors", "registry", "records"},
    {
        *("degeneration", "sentences", "token_rates", "hacking", "judged_text", "levels", "math_tokens"),
        *("chinese_numbers", "conditions", "writing_system", "normal_text", "plans"),
        *("hub_rows", "row_columns"),
    },
    {
        *("scoring", "reasoning", "plain_answers", "checking", "checking_worker", "judging", "judging_pairs"),
        *("valid_math", "plan_grammar"),
    },
    {"rewards"},
    {
        *("prompts", "prompt_sources", "problem_sources", "models", "config", "trl_fields", "rundir", "progress"),
        *("memory", "mlt", "mlt_table", "mlt_template", "mlt_install", "adapters", "adapter_base", "model_files"),
    },
    {"rollout", "decode"},
    {"data_gen", "train", "evaluate"},
    {"pipelines"},
    {"cli", "exits", "__main__"},
]
ALLOWED = {("train", "evaluate.metrics"), ("pipelines", "train.settings")}
FILES = [p for d in ("lengthctl", "rewards", "data_gen") for p in sorted((ROOT / d).rglob("*.py"))]
PURE = {"torch", "trl", "vllm", "ray", "transformers", "datasets", "matplotlib"}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def tier(name: str) -> int:
    return next(i for i, names in enumerate(TIERS) if name in names)


def imports(path: Path) -> list[str]:
    """Modules imported at any depth, but for those under TYPE_CHECKING."""
    tree = ast.parse(path.read_text())
    guarded = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
        elif isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
    return found


def own_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts if parts[0] == "lengthctl" else ("lengthctl", *parts))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    here = room(own_name(path))
    if here in ("", "__init__"):
        return
    for module in imports(path):
        there = room(module) if module.startswith("lengthctl.") else ""
        if not there or there == here or tier(there) < tier(here):
            continue
        same_tier = tier(there) == tier(here) and there not in ("train", "evaluate", "data_gen")
        allowed = (here, module.removeprefix("lengthctl.")) in ALLOWED
        assert same_tier or allowed, f"{own_name(path)} imports {module}"


@pytest.mark.parametrize("path", sorted((ROOT / "rewards").glob("*.py")), ids=lambda p: p.stem)
def test_rewards_are_pure_and_small(path: Path) -> None:
    assert not {m.split(".")[0] for m in imports(path)} & PURE
    limit = 200 if path.stem == "combine" else 100  # the combination is no reward but what puts them together
    assert len(path.read_text().splitlines()) <= limit


def test_files_stay_readable() -> None:
    long = {str(p.relative_to(ROOT)): n for p in FILES if (n := len(p.read_text().splitlines())) > 400}
    assert not long


def test_sdist_and_wheel_hold_the_linked_packages(tmp_path: Path) -> None:
    pytest.importorskip("build", reason="the build front end comes with requirements/dev.txt")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert out.returncode == 0, out.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "import lengthctl, lengthctl.data_gen\n"
        "from lengthctl.rewards import load_rewards\n"
        "assert 'site' in lengthctl.__file__, lengthctl.__file__\n"
        "print(len(load_rewards()))"
    )
    out = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60)
    assert int(out.stdout) >= 10, out.stderr
    assert (tmp_path / "site" / "lengthctl" / "configs" / "quickstart.yaml").is_file()
    assert (tmp_path / "site" / "lengthctl" / "assets" / "prompts.jsonl").is_file()
