"""Configs: every shipped recipe loads; problems come all at once, with lines and the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from lengthctl.config import config_digest, explained_yaml, load_config
from lengthctl.errors import ConfigError

RECIPES = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
QUICKSTART = next(path for path in RECIPES if path.stem == "quickstart")


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_loads(path: Path) -> None:
    config = load_config(path)
    assert bool(config.rewards) == (config.train.method == "grpo")
    assert (config.data is None) == (config.train.method == "grpo")


def test_overrides_reach_sections_and_named_rewards() -> None:
    config = load_config(QUICKSTART, ["trainer.learning_rate=2e-6", "rewards.repetition.weight=0.5"])
    assert config.trainer["learning_rate"] == 2e-6
    assert {r.name: r.weight for r in config.rewards}["repetition"] == 0.5


def test_all_problems_at_once_with_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("rollout:\n  engnes: 2\nrewards:\n  - name: bnad\nevaluate:\n  samples: many\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, ["nonsense"])
    text = str(caught.value)
    assert "4 problems" in text
    assert "line 2  rollout.engnes  unknown key; did you mean engines?" in text
    assert "did you mean band?" in text
    assert "line 6  evaluate.samples" in text
    assert "key=value" in text


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("rewards: [{name: band}]\nrewards: []\n", "duplicate"),
        ("rewards: [{name: band}, {name: band}]\n", "two rewards are called"),
        ("rewards: [{name: band}]\nrollout: {backend: endpoint}\n", "rollout.endpoint is needed"),
        ("rewards: [{name: band}]\nprompts: {targets: [0]}\n", "at least 1"),
        ("rewards: [{name: band}]\ntrain: {keep_best: 9}\n", "num_generations = 8"),
    ],
)
def test_refusals(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=match):
        load_config(path)


@pytest.mark.parametrize(
    ("override", "match"),
    [
        ("trainer.learnig_rate=1", "did you mean learning_rate"),
        ("trainer.learning_rate=fast", "TRL wants float, found str"),
        ("trainer.seed=1", "set run.seed"),
        ("trainer.vllm_mode=server", "see the rollout section"),
        ("trainer.logging_steps=10", "every step is logged"),
        ("trainer.num_generations=7", "7 does not divide the generation batch 128"),
        ("trainer.steps_per_generation=2", "train.keep_best  needs trainer.steps_per_generation = 1"),
        ("trainer.scale_rewards=group", "= group has no effect with train.survivor_decay"),
        ("rollout.weight_transfer=nccl", "goes from the trainer's GPU to another, and rollout.gpus = 0"),
        ("rollout.gpus=0.0001", "= 0.0001: an engine takes a share of one GPU, 0.01 at least"),
        ("trainer.multi_objective_aggregation=normalize_then_sum", "has no effect with train.survivor_decay"),
        ("rollout.gpus=1.5", "= 1.5: an engine takes a share of one GPU, 0.01 at least, or whole ones"),
        ("rollout.gpus=2", "= 2 spreads an engine over processes, which need rollout.weight_transfer = nccl"),
        ("trainer.epsilon=null", "= None: TRL wants float, found NoneType"),
        ("trainer.learning_rate=.nan", "a finite number is needed"),
        ("trainer.temperature=2.5", "up to 2"),
        ("trainer.top_p=0.9", "biases the importance ratio"),
        ("trainer.loss_type=gropo", "not one of dapo, grpo"),
        ("trainer.generation_kwargs={min_p: 0.1}", "does not reach the engines"),
        ("train.keep_worst=20", "= 22, and trainer.num_generations = 16: keep 1 to 16"),
        ("prompts.wordings=[hello]", "a wording holds"),
        ("prompts.targets=[10, 10]", "two targets are called '10'"),
        ("prompts.targets=[{value: 10.5}]", "whole length of at least 1, found 10.5"),
        ("prompts.targets=[true]", "prompts"),
        ("prompts.eval_split=test", "eval_split has no effect: builtin"),
        ("evaluate.max_tokens=10", "0.9 x evaluate.max_tokens = 9"),
        ("rewards.log_ratio.weight=.inf", "rewards.log_ratio.weight"),
        ("rewards.log_ratio.role=gate", "there are only gates"),
        (
            "rewards.log_ratio.args={factr: 2}",
            "rewards.log_ratio  log_ratio has no argument 'factr'; did you mean factor",
        ),
        ("run.name=../elsewhere", "one folder name"),
        ("run.seed=-1", "run.seed"),
        ("prompts.targets=[5000]", "5000 x 1.4 = 7000 tokens, but 0.9 x trainer.max_completion_length = 144"),
    ],
)
def test_trainer_and_cross_section_refusals(override: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        load_config(QUICKSTART, [override])


def test_problems_of_several_kinds_are_told_together() -> None:
    overrides = ["prompts.targets=[100000]", "train.keep_best=20", "model.nme=1", "trainer.foo=1", "run.seed=a: b: c"]
    with pytest.raises(ConfigError) as caught:
        load_config(QUICKSTART, [*overrides, "rollout.backend=endpoint"])
    told = {problem.where for problem in caught.value.problems}
    expected = {"prompts.targets", "train.keep_best", "model.nme", "trainer.foo", "run.seed", "rollout"}
    assert expected <= told


def test_keys_of_engines_have_no_effect_without_engines() -> None:
    endpoint = ["rollout.reward_stop=off", "rollout.backend=endpoint"]
    endpoint += ["rollout.endpoint={base_url: 'http://127.0.0.1:1/v1', model: m}"]
    load_config(QUICKSTART, endpoint)
    with pytest.raises(ConfigError, match=r"rollout\.engines  has no effect with rollout\.backend = endpoint"):
        load_config(QUICKSTART, [*endpoint, "rollout.engines=2"])


def test_a_config_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("run: {name: caf\xe9}\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load_config(path)


def test_the_explained_text_is_the_config(tmp_path: Path) -> None:
    config = load_config(QUICKSTART, ["prompts.wordings=['{request}\u2028{length}\x85']"])
    path = tmp_path / "again.yaml"
    path.write_text(explained_yaml(config), encoding="utf-8")
    assert "# Tokens of one forward" in path.read_text(encoding="utf-8")
    assert load_config(path) == config


def test_only_max_steps_may_change() -> None:
    base = load_config(QUICKSTART)
    assert config_digest(base) == config_digest(load_config(QUICKSTART, ["trainer.max_steps=99"]))
    assert config_digest(base) != config_digest(load_config(QUICKSTART, ["run.seed=1"]))


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["train.keep_best=1"], "train.keep_best  has no effect with train.method = sft"),
        (["rewards=[{name: log_ratio}]"], "rewards  have no effect"),
        (["trainer.packing=true"], "set train.batching"),
        (["trainer.lerning_rate=1"], "unknown key of TRL's SFTConfig; did you mean learning_rate?"),
        (["data.mlt=rule"], "no table 'rule'; did you mean ruler?"),
        (["data.mlt={tokens: [10, 10]}"], "targets rise, and 10 stands twice: remove one"),
        (["data.mlt={tokens: [30, 10]}"], "found 30 before 10: list them from short to long"),
        (["data.source=null"], "data.source"),
        (["trainer.gradient_accumulation_steps=2"], "needs to be 1"),
        (["data.mlt=null", "train.mlt_weight=2"], "train.mlt_weight  has no effect without data.mlt"),
        (["train.average_last=3"], "needs trainer.max_steps"),
        (["data.mlt={tokens: [10, 30]}"], "prompts.targets  80 words: no meta length token"),
        (["trainer.eval_strategy=steps"], "the model is measured before and after"),
        (["trainer.loss_type=dft"], "see train.loss_weighting"),
        (["train.hyperfit={every: 0}"], "train.hyperfit.every"),
        (
            ["data.form=text", "data.mlt=null", "data.pieces=true"],
            "needs data.form = text and train.batching = buckets",
        ),
        (
            [
                *("data.form=text", "data.mlt=null", "data.pieces=true", "train.batching=buckets"),
                *("train.batch_tokens=5000", "trainer={max_length: 1025}"),
            ],
            "= 5000 is no multiple of the longest piece, 1024",
        ),
        (["train.method=dpo"], "data.mlt  adds tokens by train.method = sft alone"),
    ],
)
def test_faults_of_a_supervised_recipe(overrides: list[str], told: str) -> None:
    ruler = next(path for path in RECIPES if path.stem == "ruler")
    with pytest.raises(ConfigError) as caught:
        load_config(ruler, overrides)
    assert told in str(caught.value)
    assert "GRPOConfig" not in str(caught.value)


TABLE_FILES = {
    "list.json": "[10, 30]",
    "torn.json": '{"tokens": [10',
    "deep.json": "[" * 100_000,
    "unit.json": '{"tokens": [10], "unit": "wods"}',
    "null.json": "null",
    "more.json": '{"tokens": [10], "bands": []}',
}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("none.json", "the table none.json cannot be read (No such file or directory): check the path"),
        ("t.yaml", "known: fm, paper, ruler (a table of your own is a .json file with `unit` and `tokens`)"),
        ("list.json", "mapping of unit and tokens, found [10, 30]: put the list under `tokens`"),
        ("torn.json", "the table torn.json is no JSON in UTF-8 (Expecting"),
        ("deep.json", "the table deep.json is no JSON in UTF-8"),
        ("unit.json", "the table unit.json: no unit 'wods'; did you mean words?"),
        ("null.json", "the table null.json: a table of meta length tokens is a mapping of unit and tokens, found None"),
        ("more.json", "mapping of unit and tokens, found tokens, bands"),
        ("3", "mapping of unit and tokens, found 3"),
        ("[10, 30]", "mapping of unit and tokens, found [10, 30]: put the list under `tokens`"),
        ("{tokens: [{}]}", "a token has a target, and may have name, data, pm, fm; found nothing"),
        ("{tokens: [{target: {value: 10, relation: foo}}]}", "no relation 'foo'; known: about"),
        ("{tokens: [10], unit: wods}", "no unit 'wods'; did you mean words?"),
        (
            "{tokens: [{target: 10, fm: [5, 25]}, {target: 30, fm: [20, 40]}]}",
            "overlap: [5, 25] and [20, 40]; let each",
        ),
        ("{tokens: [{target: 10, name: a}, {target: 30, name: a}]}", "are named a: give each a name of its own"),
    ],
)
def test_a_faulty_table_is_the_only_problem_told(
    table: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where settings of training (`ruler` has `train.mlt_rate`) would have no effect without it."""
    monkeypatch.chdir(tmp_path)
    for name, text in TABLE_FILES.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(RECIPES[0].with_name("ruler.yaml"), [f"data.mlt={table}"])
    (problem,) = caught.value.problems
    assert problem.where == "data.mlt"
    assert told in problem.message
    assert "\n" not in problem.message
