"""Figures: the page's colours, nothing outside, names that are text whatever they hold, the same bytes."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from synthetic_evaluation import draw_subject

from lengthctl.evaluate.cost import Mark
from lengthctl.evaluate.metrics import Metric
from lengthctl.evaluate.plots import curve_figures, deviation_figure, pareto_figure, scatter_figures
from lengthctl.length import Relation, Target
from lengthctl.scoring import Scored

HOSTILE = r'<script> $\frac{$ _a"& é'


def scored(target: Target, words: int) -> Scored:
    return Scored("p", target, words, words, False, "w " * words)


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter() if element.tag == "text"]


def test_a_panel_a_side_on_one_scale() -> None:
    panels = scatter_figures({"plain": draw_subject("plain", 3), "close": draw_subject("close", 3)})
    assert len(panels) == 2
    found = [texts(panel) for panel in panels]
    assert "plain, n = 15" in found[0]
    assert "close, n = 15" in found[1]
    assert "target (words)" in found[0]
    ticks = [[t for t in part if t.isdigit()] for part in found]
    assert ticks[0] == ticks[1]
    assert panels == scatter_figures({"plain": draw_subject("plain", 3), "close": draw_subject("close", 3)})


def test_figures_follow_the_page() -> None:
    svg = deviation_figure({HOSTILE: [0.1, -0.2, 9.0], "_hidden": [0.0]})
    assert "currentColor" in svg
    assert "var(--c0)" in svg
    assert "http" not in svg
    assert "<script" not in svg
    assert any(HOSTILE in text for text in texts(svg))
    assert any("_hidden" in text for text in texts(svg))
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    assert used == set(re.findall(r' id="([^"]+)"', svg))


def test_bands_of_every_relation_are_drawn() -> None:
    targets = [
        Target(20),
        Target(20, Relation.AT_MOST),
        Target(20, Relation.AT_LEAST),
        Target(20, Relation.RANGE, high=40),
        Target(20, Relation.ABOUT, tolerance=0.1),
        Target(200, unit="tokens"),
    ]
    rows = [scored(target, 0) for target in targets]  # empty texts stand on a log axis too
    (panel,) = scatter_figures({"a": rows})
    assert {"<=20 words", ">=20 words", "20-40 words", "~20 words", "200 tokens"} <= set(texts(panel))


def test_many_completions_are_thinned() -> None:
    rows = [scored(Target(20), 18 + i % 5) for i in range(9000)]
    (panel,) = scatter_figures({"a": rows})
    assert "a, n = 9000" in texts(panel)
    assert len(panel) < 500_000


def test_trade_off_names_every_side() -> None:
    points = [Mark(name, Metric(c, c, c, 5), Metric(v, v, v, 5)) for name, c, v in (("a", 10, 0.5), ("b", 900, 0.1))]
    found = texts(pareto_figure(points, "tokens", "deviation (%)", higher_is_better=False))
    assert {"tokens", "deviation (%)"} <= set(found)
    assert any("a (n = 5)" in text for text in found)


def test_curves_of_one_point_and_of_two_splits() -> None:
    records = [{"step": 1, "split": "train", "reward": 0.5}, {"step": 1, "split": "eval", "reward": 0.4}]
    (panel,) = curve_figures(records, {"reward": "reward"})
    assert {"step", "reward", "train", "eval"} <= set(texts(panel))
