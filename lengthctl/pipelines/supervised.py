"""One supervised run: measure the untouched model, learn from texts or pairs, measure again, compare, export."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lengthctl.evaluate.environment import measure_bf16_gflops
from lengthctl.memory import MemoryMonitor, release_gpu_memory
from lengthctl.models import LoadedTokenizer, load_tokenizer
from lengthctl.pipelines.before import Before, evaluate_before, is_measured
from lengthctl.pipelines.evaluation import send_adapter, untouched
from lengthctl.pipelines.held_out import HeldOut, Measured, held_out_tasks, load_held_out, measure_after
from lengthctl.pipelines.inputs import context_tokens
from lengthctl.pipelines.job import run_job
from lengthctl.pipelines.publish import export_model
from lengthctl.pipelines.run_summary import minutes, run_summary
from lengthctl.pipelines.sampling import asking_control
from lengthctl.pipelines.supervised_trainers import Prepared, check_data, prepare
from lengthctl.pipelines.train_loop import train_resumably
from lengthctl.train.ranks import from_main
from lengthctl.train.trained_state import trained_state

if TYPE_CHECKING:
    from pathlib import Path

    from lengthctl.config import Config
    from lengthctl.pipelines.supervised_inputs import TrainData
    from lengthctl.progress import Narrator
    from lengthctl.rollout.pool import RolloutPool
    from lengthctl.rundir import RunFolder

__all__ = ["run_supervised"]


def run_supervised(
    config: Config, run: RunFolder, narrator: Narrator, *, push: str | None = None
) -> dict[str, Any] | None:
    """The whole run in its folder; goes on from the last checkpoint and finished evaluation found there.

    Args:
        config: a checked config with `train.method` sft or dpo.
        run: an open run folder.
        narrator: where progress goes.
        push: hub repository to upload `model/` to, with the user's own login.

    Returns:
        What `summary.json` holds; None in trainer processes other than the first, which only train.
    """

    def follow() -> None:
        from_main(lambda: None)  # the data are checked, and their digest kept, by the first
        trained_state(_train(config, run, narrator)[0])

    return run_job(run, narrator, lead=lambda: _lead(config, run, narrator), follow=follow, push=push)


def _lead(config: Config, run: RunFolder, narrator: Narrator) -> dict[str, Any]:
    """The first trainer process's part: everything but the last files."""
    monitor = MemoryMonitor()
    monitor.start()
    try:
        with narrator.stage("prepare"):
            gflops = measure_bf16_gflops()
            held_out = load_held_out(config)
            data = check_data(config, run)
            counts = data.counts
            narrator.say("data: " + ", ".join(f"{name} {number}" for name, number in counts.items()))
            from_main(lambda: None)
        before = _before(config, run, held_out, narrator)
        with narrator.stage("train"):
            trainer, prepared = _train(config, run, narrator, data)
        with narrator.stage("export"):
            state = trained_state(trainer)
            assert state is not None
            export_model(config, run, trainer, prepared.tokenizer, state)
            step = int(trainer.state.global_step)
            del trainer, state, prepared, data
            release_gpu_memory()
        after = _after(config, run, held_out, narrator, step)
    finally:
        peak = monitor.stop()
    facts = {
        "before_variants": before.variants,
        "data": counts,
        "control": _control(config),
        "minutes": minutes(narrator.stages),
        "peak_memory_gib": round(peak, 2),
        "gflops_bf16": round(gflops, 1),
    }
    return run_summary(config, before.best, after, facts)


def _before(config: Config, run: RunFolder, held_out: HeldOut, narrator: Narrator) -> Before:
    if is_measured(run, held_out):
        run.begin()
        return evaluate_before(config, run, None, held_out, narrator)
    plain = untouched(config)
    kinds = [config] if plain.model == config.model else [config, plain]
    room = max(
        context_tokens(kind, load_tokenizer(kind.model), held_out_tasks(kind, held_out), asking_control(kind))
        for kind in kinds
    )
    with _opened(config, load_tokenizer(config.model), room, narrator) as pool:
        if config.model.adapter is not None:
            send_adapter(config, pool)
        run.begin()
        with narrator.stage("before"):
            return evaluate_before(config, run, pool, held_out, narrator)


@contextmanager
def _opened(
    config: Config, tokenizer: LoadedTokenizer, context_tokens: int, narrator: Narrator
) -> Iterator[RolloutPool]:
    """Engines for as long as they are needed: training has the machine to itself."""
    from lengthctl.rollout.cluster import disconnect
    from lengthctl.rollout.open import open_pool

    try:
        with narrator.stage("engine"):
            pool = open_pool(config, tokenizer, context_tokens=context_tokens, say=narrator.say)
        try:
            yield pool
        finally:
            pool.close()
    finally:
        disconnect()


def _control(config: Config) -> str:
    """Under which the trained model is measured."""
    return "mlt" if config.data is not None and config.data.mlt is not None else asking_control(config)


def _train(config: Config, run: RunFolder, narrator: Narrator, data: TrainData | None = None) -> tuple[Any, Prepared]:
    """Train from the last checkpoint, or from the start; on the data given, else on those that the config names."""
    from transformers import PrinterCallback, set_seed

    set_seed(config.run.seed)  # a new adapter's weights are drawn
    prepared = prepare(config, run, narrator.say, data)

    def build(callbacks: list[Any], checkpoint: Path | None) -> Any:
        trainer = prepared.build(callbacks, checkpoint)
        trainer.remove_callback(PrinterCallback)  # it prints each log on stdout; the live view shows them
        return trainer

    average = config.train.average_last
    trainer = train_resumably(
        run,
        narrator,
        max_steps=prepared.max_steps,
        average_last=average,
        build=build,
        companions=prepared.companions,
    )
    return trainer, prepared


def _after(config: Config, run: RunFolder, held_out: HeldOut, narrator: Narrator, step: int) -> Measured:
    """The exported model, in an engine of its own: its vocabulary may be larger than the untouched one's."""
    changes = {"name": str(run.model_dir), "adapter": None, "lora": None, "chat_template": None}
    trained = config.model_copy(update={"model": config.model.model_copy(update=changes)})
    tokenizer, spec = load_tokenizer(trained.model), _control(config)
    room = context_tokens(trained, tokenizer, held_out_tasks(trained, held_out), spec)
    with _opened(trained, tokenizer, room, narrator) as pool, narrator.stage("after"):
        return measure_after(trained, run, pool, tokenizer, held_out, narrator, spec=spec, step=step)
