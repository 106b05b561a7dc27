"""Self-Lengthen (arXiv 2410.23933): rounds in which a model extends its own texts and learns to write them at once.

A round answers instructions, extends the answers, and tunes generator and extender on what came of it; the next one
begins with those. Before each round, and at the end, the generator answers prompts that are kept out of training: a
round that does not lengthen its sound texts, or makes them worse, is the last. Every stage leaves a file in the round's
folder and is not done again; a stage that was interrupted repeats no finished call.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.data_gen.dataset_folder import DatasetAbout, Drops, refuse_other_data, write_dataset
from lengthctl.data_gen.self_lengthen import first_response
from lengthctl.data_gen.self_lengthen_data import Lengthened, final_rows
from lengthctl.data_gen.self_lengthen_seeds import SeedInstruction, split_probe
from lengthctl.data_gen.self_lengthen_settings import SelfLengthenSettings
from lengthctl.errors import DataError, RunFolderError
from lengthctl.pipelines.document_room import Document
from lengthctl.pipelines.journal import digest
from lengthctl.pipelines.room_estimate import Estimate
from lengthctl.pipelines.self_lengthen_measure import ProbeResult, reason_to_stop
from lengthctl.pipelines.self_lengthen_rounds import Roles, Round, Seeds
from lengthctl.pipelines.self_lengthen_stages import Engines, Models, call_totals
from lengthctl.rundir import write_json

if TYPE_CHECKING:
    from lengthctl.data_gen.decontamination import Contamination

__all__ = ["estimate_self_lengthen", "first_documents", "run_self_lengthen"]

_BEGUN = "self_lengthen.json"
"""What a folder was begun with."""
_TITLE = "Texts that a model lengthened itself"
_ABOUT = (
    "A row is an instruction and a text of a model, extended by the model itself in several steps without a teacher or "
    "human texts (Self-Lengthen, arXiv 2410.23933): of each instruction the longest text of all rounds that passed. "
    "`first_words` is the length of the first response that it was extended from."
)


def _silent(line: str) -> None:
    pass


@dataclass(frozen=True)
class _Outcome:
    """Where the rounds led."""

    rounds: list[dict[str, Any]]
    pairs: list[Lengthened]
    best: Roles
    stopped: str | None


def run_self_lengthen(
    settings: SelfLengthenSettings,
    out: Path,
    *,
    model: str,
    seeds: Sequence[SeedInstruction],
    models: Models,
    contamination: Contamination | None = None,
    command: str = "",
    say: Callable[[str], None] = _silent,
) -> dict[str, Any]:
    """All rounds, in a folder; goes on where an earlier start was interrupted.

    Args:
        settings: `rounds` may be raised for a folder that is finished; all else stays as it was.
        out: gets `round-N/` with the stages' files and runs, `rounds.json`, and the data of all rounds.
        model: the one that both roles begin with.
        seeds: given instructions; some are kept out of training, as `settings.probe` says.
        models: opens and trains them.
        contamination: knows the prompts of an evaluation, which no instruction may hold.
        command: for the card.
        say: told of each round's result.

    Returns:
        What `rounds.json` holds: the result of each round, the best round's models, why it ended, calls and tokens.

    Raises:
        DataError: too few instructions, or a round's texts all failed.
        RunFolderError: the folder holds other data, or was begun with other settings, model, instructions or prompts to
            keep out.
        FailureBudgetError, EngineError, EndpointError: the backend failed; what is done is kept.
    """
    refuse_other_data(out, _TITLE)  # before the first round
    clean = [seed for seed in seeds if contamination is None or not contamination.hit(seed.text)]
    trained, probe = split_probe(clean, settings.probe, seed=settings.seed)
    _begin(out, settings, model, seeds, contamination)
    engines = Engines(models)
    about = DatasetAbout(
        _TITLE, _ABOUT, seed=settings.seed, command=command, model=Path(model).name, settings=_flat(settings)
    )
    drops = Drops()
    for seed in seeds:
        if seed not in clean:
            drops.add(seed.source, "contaminated")
    try:
        given = Seeds(trained, probe, contamination)
        found = _rounds(settings, out, Roles(model, model), given, models, engines, about, drops, say)
    finally:
        engines.close()
    rows = final_rows(found.pairs, on_drop=drops.add)
    stats = write_dataset(out, rows, about, drops=drops, measured=call_totals(out))
    result = {
        "rounds": found.rounds,
        "generator": found.best.generator,
        "extender": found.best.extender,
        "stopped": found.stopped,
        "calls": call_totals(out),
        "rows": stats["used"],
    }
    write_json(out / "rounds.json", result)
    return result


def _rounds(
    settings: SelfLengthenSettings,
    out: Path,
    roles: Roles,
    seeds: Seeds,
    models: Models,
    engines: Engines,
    about: DatasetAbout,
    drops: Drops,
    say: Callable[[str], None],
) -> _Outcome:
    history: list[dict[str, Any]] = []
    pairs: list[Lengthened] = []
    best, before = roles, None
    for number in range(1, settings.rounds + 2):
        this = Round(number, out / f"round-{number}", settings, seeds, roles, engines)
        result = this.probe()
        history.append({"round": number, "generator": roles.generator, "probe": result.to_row()})
        say(_told(number, result))
        stopped = None if before is None else reason_to_stop(before, result, settings)
        if stopped is not None:
            say(f"no further round: {stopped}")
            return _Outcome(history, pairs, best, stopped)
        best, before = roles, result
        if number > settings.rounds:
            break
        made = this.pairs()
        this.count_drops(drops)
        history[-1]["texts"] = this.facts()
        if not made:
            raise DataError(
                f"round {number}: no text was extended ({history[-1]['texts']['extended']['setbacks']})",
                "Loosen the check or the growth, allow more calls, or take a larger model",
            )
        pairs += made
        roles = _tuned(this, made, about, models)
    return _Outcome(history, pairs, best, None)


def _tuned(this: Round, pairs: Sequence[Lengthened], about: DatasetAbout, models: Models) -> Roles:
    """The models of the next round."""
    title = f"{_TITLE}, round {this.number}, to train a role"
    files = this.write_data(pairs, replace(about, title=title))
    this.engines.close()
    new = {role: models.trained(getattr(this.roles, role), file, this.folder / role) for role, file in files.items()}
    return Roles(new["generator"], new.get("extender", new["generator"]))


def _begin(
    out: Path,
    settings: SelfLengthenSettings,
    model: str,
    seeds: Sequence[SeedInstruction],
    contamination: Contamination | None,
) -> None:
    """Keep what the folder is begun with.

    Raises:
        RunFolderError: it was begun with something else.
    """
    own = {
        "settings": settings.to_row(),
        "model": model,
        "instructions": digest([vars(seed) for seed in seeds]),
        "kept_out": None if contamination is None else contamination.digest,
    }
    path = out / _BEGUN
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            kept = {"kept_out": own["kept_out"], **found, "settings": {**found["settings"], "rounds": settings.rounds}}
            rounds = int(found["settings"]["rounds"])
        except (ValueError, TypeError, KeyError) as error:
            raise RunFolderError(f"{path} is damaged", "Name another folder") from error
        if kept != json.loads(json.dumps(own)) or rounds > settings.rounds:
            raise RunFolderError(
                f"{out} was begun with other settings, model, instructions or prompts to keep out",
                "Only `rounds` may be raised; or name another folder",
            )
    write_json(path, own)


def first_documents(settings: SelfLengthenSettings, seeds: Sequence[SeedInstruction]) -> Iterator[Document[str]]:
    """The first responses to given instructions, for a dry run; a model's own are not known before."""
    for seed in seeds[: settings.instructions]:
        for sample in range(settings.responses):
            yield Document(f"{seed.id}/f{sample}", partial(first_response, seed.text, settings))


def estimate_self_lengthen(settings: SelfLengthenSettings, *, prompt_tokens: int = 60) -> Estimate:
    """What all rounds take at most: every text up to its limit, one try for each first response (most pass), two calls
    for each extension.

    Args:
        settings: see there.
        prompt_tokens: of an instruction, about.
    """
    first = settings.instructions * settings.responses
    extended = first * settings.extensions * settings.extension_rounds * 2
    proposed = settings.instructions * 2 if settings.self_instruct else 0
    calls, probes = settings.rounds * (first + extended + proposed), (settings.rounds + 1) * settings.probe
    drawn = calls * settings.max_tokens + probes * settings.probe_tokens
    read = (calls + probes) * prompt_tokens + settings.rounds * extended * 2 * settings.max_tokens
    return Estimate(calls + probes, read, drawn)


def _flat(settings: SelfLengthenSettings) -> dict[str, Any]:
    row = settings.to_row()
    check = row.pop("check")
    return {**row, **{f"check.{name}": value for name, value in check.items()}}


def _told(number: int, result: ProbeResult) -> str:
    words = "no sound text" if result.median_words is None else f"median {result.median_words:g} words"
    return (
        f"before round {number}: {words} of {result.sound} sound texts; {100 * result.finished:.0f} % finished, "
        f"{100 * result.fresh:.0f} % without repetition, variety {result.variety:.2f}"
    )
