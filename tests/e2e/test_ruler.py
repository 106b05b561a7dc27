"""Meta length tokens on the real small model: tuned, killed and gone on with, served by vLLM with and without us."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from vllm_server import vllm_server

pytestmark = pytest.mark.e2e

CLI = [sys.executable, "-c", "from lengthctl.cli import main; main()"]
TOPICS = ("rain", "bread", "trains", "owls", "glass", "paint", "salt", "wool", "rivers", "clocks", "moss", "kites")
PARTS = (
    "Many people like {} a great deal.",
    "Others think {} can be rather dull.",
    "Nobody has ever made {} quite alone.",
)
OPTIONS = (
    "trainer.max_steps=8",
    "trainer.save_steps=2",
    "trainer.learning_rate=3.0e-4",
    "trainer.per_device_train_batch_size=12",
    "evaluate.limit=4",
    "evaluate.max_tokens=96",
    "prompts.targets=[10, 30]",
    "run.name=mlt",
)


def lengthctl(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLI, *args], cwd=cwd, capture_output=True, text=True, timeout=900)


def write_data(path: Path) -> None:
    """Texts of 7, 28 and 42 words; no token is for the last."""
    rows = []
    for topic, count in itertools.product(TOPICS, (1, 4, 6)):
        text = " ".join(PARTS[i % len(PARTS)].format(topic) for i in range(count))
        prompt = [{"role": "user", "content": f"Tell me about {topic}."}]
        rows.append({"prompt": prompt, "completion": [{"role": "assistant", "content": text}]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tuned in eight steps, killed with -9 after the third or so."""
    cwd = tmp_path_factory.mktemp("ruler")
    write_data(cwd / "data.jsonl")
    command = ["train", "ruler", "data.source=data.jsonl", *OPTIONS]
    first = subprocess.Popen([*CLI, *command], cwd=cwd, stderr=(cwd / "log").open("w"), stdout=subprocess.DEVNULL)
    metrics, deadline = cwd / "runs" / "mlt" / "metrics.jsonl", time.monotonic() + 400
    while not metrics.is_file() or len(metrics.read_text().splitlines()) < 3:
        assert first.poll() is None, (cwd / "log").read_text()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    family = psutil.Process(first.pid).children(recursive=True)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    psutil.wait_procs(family, timeout=15)
    out = lengthctl("train", "--resume", "runs/mlt", "--json", cwd=cwd)
    assert out.returncode == 0, out.stderr[-3000:]
    (cwd / "printed.json").write_text(out.stdout)
    return cwd


def test_a_killed_tuning_goes_on_with_its_steps(run: Path) -> None:
    rows = [json.loads(line) for line in (run / "runs" / "mlt" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert rows[-1]["nats/lead"] < rows[0]["nats/lead"]
    assert rows[-1]["nats/text"] < rows[0]["nats/text"]
    summary = json.loads((run / "printed.json").read_text())
    assert summary["data"]["rows"] == 24
    assert summary["control"] == "mlt"
    assert "data" in json.loads((run / "runs" / "mlt" / "prompts.json").read_text())


def test_old_embeddings_are_there_and_tokens_are_read_whole(run: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = run / "runs" / "mlt" / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    record = json.loads((folder / "mlt.json").read_text())
    for token in record["tokens"]:
        assert tokenizer.encode(token["text"], add_special_tokens=False) == [token["id"]]
        assert tokenizer.decode([token["id"], *tokenizer.encode("Yes.")], skip_special_tokens=True) == "Yes."
    assert model.get_input_embeddings().weight.data_ptr() == model.get_output_embeddings().weight.data_ptr()


def test_lengths_are_asked_by_token_and_leave_no_trace(run: Path) -> None:
    after = [json.loads(line) for line in (run / "runs" / "mlt" / "samples" / "after.jsonl").read_text().splitlines()]
    assert {row["mlt"] for row in after} == {"10", "30"}
    assert all("[MLT" not in row["text"] for row in after)
    command = ["gen", "Tell me about ink.", "--model", "runs/mlt", "--control", "mlt", "--json"]
    found = json.loads(lengthctl(*command, "--words", "10", cwd=run).stdout)["texts"][0]
    assert found["mlt"] == "10"
    free = json.loads(lengthctl(*command, cwd=run).stdout)["texts"][0]
    assert free["mlt"] in {"10", "30", "50", "80", "150", "300", "500", "700", ">800"}
    assert "[MLT" not in free["text"]


def test_any_vllm_server_takes_the_length_by_its_template(run: Path, tmp_path: Path) -> None:
    def ask(url: str, **more: Any) -> dict[str, Any]:
        body = {"model": "m", "messages": [{"role": "user", "content": "Tell me about ink."}], "temperature": 0}
        body |= {"max_tokens": 48, "return_token_ids": True, **more}
        request = urllib.request.Request(
            f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    with vllm_server(str(run / "runs" / "mlt" / "model"), tmp_path, max_model_len=512) as url:
        asked = ask(url, chat_template_kwargs={"target_words": 12})
        plain = ask(url)
        command = ["gen", "Tell me about ink.", "--model", "m", "--endpoint", url, "--words", "12"]
        command += ["--control", "mlt:mode=served", "--temperature", "0", "--max-tokens", "48", "--json"]
        ours = json.loads(lengthctl(*command, cwd=run).stdout)["texts"][0]
    assert ours["text"] == asked["choices"][0]["message"]["content"]
    ids = {token["text"]: token["id"] for token in json.loads((run / "runs/mlt/model/mlt.json").read_text())["tokens"]}
    assert asked["prompt_token_ids"][-1] == ids["[MLT:10]"]
    assert plain["prompt_token_ids"] == asked["prompt_token_ids"][:-1]
    assert "[MLT" not in asked["choices"][0]["message"]["content"]


def test_a_model_without_tokens_says_so(tmp_path: Path) -> None:
    out = lengthctl("gen", "Hello.", "--words", "10", "--control", "mlt", cwd=tmp_path)
    assert out.returncode == 2
    assert "the model has no meta length tokens" in out.stderr


@pytest.mark.recipes
def test_pairs_teach_a_tuned_model(run: Path) -> None:
    rows = []
    for topic in TOPICS[:8]:
        short, long = (" ".join(PARTS[i % 3].format(topic) for i in range(n)) for n in (1, 4))
        for lead, chosen, rejected in (("[MLT:10]", short, long), ("[MLT:30]", long, short)):
            prompt = [{"role": "user", "content": f"Tell me about {topic}."}]
            sides = {
                name: [{"role": "assistant", "content": lead + text}]
                for name, text in (("chosen", chosen), ("rejected", rejected))
            }
            rows.append({"prompt": prompt, **sides})
    (run / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["trainer.max_steps=6", "trainer.per_device_train_batch_size=8", "trainer.save_steps=3"]
    options += ["evaluate.limit=2", "prompts.targets=[10, 30]", "run.name=dpo", "trainer.learning_rate=1.0e-4"]
    out = lengthctl(
        "train", "ruler_dpo", "model.name=runs/mlt/model", "data.source=pairs.jsonl", *options, "--json", cwd=run
    )
    assert out.returncode == 0, out.stderr[-3000:]
    assert json.loads(out.stdout)["data"] == {"pairs": 16}
    logs = [json.loads(line) for line in (run / "runs" / "dpo" / "metrics.jsonl").read_text().splitlines()]
    assert sum(row["rewards/margins"] for row in logs[-2:]) > 0
    after = [json.loads(line) for line in (run / "runs" / "dpo" / "samples" / "after.jsonl").read_text().splitlines()]
    assert {row["mlt"] for row in after} == {"10", "30"}


@pytest.mark.recipes
def test_grpo_goes_on_from_a_tuned_model_and_asks_by_token(run: Path) -> None:
    options = ["trainer.max_steps=2", "trainer.num_generations=4", "trainer.per_device_train_batch_size=8"]
    options += ["trainer.max_completion_length=64", "trainer.lr_scheduler_kwargs={num_decay_steps: 1}"]
    options += ["evaluate.limit=2", "prompts.targets=[10, 30]", "run.name=rl", "evaluate.max_tokens=96"]
    out = lengthctl("train", "ruler_rl", "model.name=runs/mlt/model", *options, "--json", cwd=run)
    assert out.returncode == 0, out.stderr[-3000:]
    folder = run / "runs" / "rl"
    rollouts = [json.loads(line) for line in (folder / "samples" / "rollouts.jsonl").read_text().splitlines()]
    assert len(rollouts) == 16
    assert all("words" not in json.dumps(row.get("prompt", "")) for row in rollouts)
    assert (folder / "model" / "mlt.json").is_file()
    before, after = (
        [json.loads(line) for line in (folder / "samples" / f"{side}.jsonl").read_text().splitlines()]
        for side in ("before", "after")
    )
    assert {row["mlt"] for row in [*before, *after]} == {"10", "30"}
