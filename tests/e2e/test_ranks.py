"""Two trainer processes learn what one learns from the same completions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_trainer import make_trainer, numbers

pytestmark = pytest.mark.e2e

SCRIPT = Path(__file__).parents[1] / "support" / "two_ranks.py"
SAME_ANYWHERE = ("adherence/", "reward", "completions/", "loss", "learning_rate", "selection/", "groups/")


def test_accelerate_launches_a_whole_run(tmp_path: Path) -> None:
    """On the real model: one run folder, one set of engines, every completion once."""
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
    ]
    options = ["trainer.num_generations=4", "trainer.per_device_train_batch_size=4", "trainer.max_completion_length=32"]
    options += ["trainer.max_steps=2", "prompts.targets=[10]", "evaluate.limit=2", "trainer.save_steps=1"]
    command = [*launch, "-m", "lengthctl", "train", "quickstart", *options, "--json"]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500)
    assert out.returncode == 0, out.stderr[-3000:]
    assert json.loads(out.stdout)["after"]["overall"]["fm"]["n"] == 2
    run = tmp_path / "runs" / "quickstart"
    rollouts = [json.loads(line) for line in (run / "samples" / "rollouts.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rollouts] == [1] * 8 + [2] * 8
    assert len({row["prompt_id"] for row in rollouts[:8]}) == 2
    assert {row["weight_version"] for row in rollouts} == {1, 2}
    assert (run / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    "options",
    [
        {"loss_type": "dapo", "budget": 120},
        {"loss_type": "grpo", "budget": None, "keep": 1},
        {"loss_type": "dapo", "budget": 60, "keep": 2},
        {"loss_type": "dr_grpo", "budget": 60, "keep": 1, "flat": True, "survivor_decay": 0.9},
        {"loss_type": "grpo", "budget": 60, "advantage": {"filter": "spread", "scale": "centred_batch_std"}},
        {"loss_type": "luspo", "budget": 60, "advantage": {"keep": 2}},
    ],
    ids=["dapo", "selected", "uneven micro-batches", "groups without spread in one process", "filtered", "GFPO"],
)
def test_two_processes_end_as_one(tmp_path: Path, options: dict[str, Any]) -> None:
    import torch

    # plain SGD: Adam would blow up the rounding of a vanishing gradient
    common = {"requests": 8, "steps": 3, "optim": "sgd", "learning_rate": 0.1, "max_grad_norm": 1.0, **options}
    alone = make_trainer(tmp_path / "one", batch=16, **common)
    alone.train()
    folder = tmp_path / "two"
    folder.mkdir()
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(SCRIPT)]
    out = subprocess.run(
        [*launch, str(folder), json.dumps({**common, "batch": 8})], capture_output=True, text=True, timeout=300
    )
    assert out.returncode == 0, out.stderr[-3000:]

    together = json.loads((folder / "numbers.json").read_text())
    assert len(together) == len(numbers(alone)) == 3
    for ours, theirs in zip(together, numbers(alone), strict=True):
        for name in (n for n in theirs if n.startswith(SAME_ANYWHERE)):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-6), name
    state = torch.load(folder / "state.pt", weights_only=True)
    for name, weights in alone.model.state_dict().items():
        torch.testing.assert_close(state[name], weights, rtol=1e-4, atol=1e-6, msg=name)
