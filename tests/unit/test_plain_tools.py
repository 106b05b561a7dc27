"""What leaves lengthctl works without it: data with meta length tokens in TRL, an adapter in PEFT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from byte_model import PADDED, byte_model, byte_tokenizer, save_byte_model
from datasets import load_dataset
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from lengthctl.config import Config, DataConfig, ModelConfig
from lengthctl.config.inputs import LoraSection
from lengthctl.config.sections import TrainConfig
from lengthctl.data_gen.instruction_data import read_instructions
from lengthctl.data_gen.ruler import RulerSettings, build_ruler_data
from lengthctl.mlt import RULER_TABLE
from lengthctl.pipelines.publish import export_model
from lengthctl.pipelines.supervised_trainers import prepare
from lengthctl.rundir import RunFolder
from lengthctl.train.trained_state import trained_state

TOKENS = [token.text for token in RULER_TABLE.tokens]
USED = 259 + len(TOKENS)


def make_data(folder: Path) -> Path:
    """Eight rows, four of each of two tokens."""
    texts = [" ".join(f"w{n}{i}" for i in range(10 if n % 2 else 30)) + "." for n in range(8)]
    rows = [{"prompt": f"Ask {n}.", "completion": text} for n, text in enumerate(texts)]
    source = folder / "source.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    build_ruler_data([read_instructions(source)], RULER_TABLE, RulerSettings(controls=("vanilla",)), folder / "data")
    return folder / "data"


def test_data_train_in_plain_trl(tmp_path: Path) -> None:
    folder = make_data(tmp_path)
    # from here on as a user of TRL does it, who adds the tokens and nothing else
    rows = load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == 8
    tokenizer, model = byte_tokenizer(), byte_model(tied=True)
    tokenizer.add_special_tokens({"extra_special_tokens": TOKENS}, replace_extra_special_tokens=False)
    assert len(tokenizer) == USED <= PADDED
    before = model.get_input_embeddings().weight.detach().clone()
    options = {"max_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 0.01, "max_length": None}
    args = SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to=[], save_strategy="no", **options)
    trainer = SFTTrainer(model=model, args=args, train_dataset=rows, processing_class=tokenizer)
    leads = [next(label for label in row["labels"] if label != -100) for row in trainer.train_dataset]
    assert sorted(tokenizer.convert_ids_to_tokens(leads)) == ["[MLT:10]"] * 4 + ["[MLT:30]"] * 4
    assert trainer.train().metrics["train_loss"] < 10
    moved = (model.get_input_embeddings().weight - before).abs().sum(dim=1) > 0
    assert moved[[tokenizer.convert_tokens_to_ids(text) for text in ("[MLT:10]", "[MLT:30]")]].all()


@pytest.mark.parametrize("rows", [PADDED, 259], ids=["padded", "grown"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_an_adapter_reloads_in_plain_peft(tmp_path: Path, tied: bool, rows: int) -> None:
    base = save_byte_model(tmp_path / "base", tied=tied, rows=rows)
    config = Config(  # type: ignore[call-arg]
        model=ModelConfig(name=str(base), lora=LoraSection(r=2)),  # type: ignore[call-arg]
        data=DataConfig(source=str(make_data(tmp_path) / "train.jsonl"), mlt="ruler"),  # type: ignore[call-arg]
        train=TrainConfig(method="sft", mlt_rate=3.0),  # type: ignore[call-arg]
        trainer={"max_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 0.05, "bf16": False},
    )
    run = RunFolder(tmp_path / "run", None)
    run.path.mkdir()
    prepared = prepare(config, run, print)
    trainer = prepared.build([], None)
    trainer.train()
    export_model(config, run, trainer, prepared.tokenizer, trained_state(trainer))
    ids = torch.tensor([prepared.data.rows[0]["prompt_ids"] + prepared.data.rows[0]["completion_ids"]])
    wanted = logits(trainer.model, ids)
    # from here on as a user of PEFT does it
    tokenizer = AutoTokenizer.from_pretrained(run.model_dir)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    untouched = logits(model, ids)
    found = logits(PeftModel.from_pretrained(model, run.path / "adapter"), ids)
    used = slice(0, USED)
    torch.testing.assert_close(found[..., used], wanted[..., used], rtol=1e-5, atol=1e-5)
    assert (untouched - wanted)[..., used].abs().max() > 0.01


def logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=ids).logits
    return found
