"""Samples of schemes: how they are picked, and that nothing is trained twice."""

import json
import math
import sys

import pytest
import torch
from search_configs import ROOT

import transfer.engine  # noqa: F401
from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.pipeline import sample
from transfer.pipeline.config import read_search_config
from transfer.pipeline.stages import standalone
from transfer.search.known_problems import TableProblem, all_schemes
from transfer.search.problem import Evaluation

pytestmark = pytest.mark.slow

DEPTHS = (2, 2, 2)


@pytest.fixture
def table(tmp_path):
    """64 schemes whose accuracy is their number, read as a binary one, halved: ties, which the loss decides."""
    rows = {s: Evaluation(float(i // 2), 9.0 - i, 10) for i, s in enumerate(all_schemes(DEPTHS))}
    path = tmp_path / "table.json.gz"
    TableProblem(rows).save(path)
    return path


def test_the_middle_of_each_part_of_the_ranking_is_taken_the_ends_late(table):
    picked = [int("".join(map(str, scheme.bits)), 2) for scheme in sample.spread(table, 4, DEPTHS)]
    assert sorted(picked) == [8, 24, 40, 56]
    assert abs(picked[0] - picked[1]) == 32, "the first two are far from each other"
    assert len(sample.spread(table, 64, DEPTHS)) == 64
    with pytest.raises(UserInputError, match="expected 1 to 64"):
        sample.spread(table, 65, DEPTHS)
    with pytest.raises(UserInputError, match=r"of \(2, 2, 2\) blocks, expected \(4, 4, 4\)"):
        sample.spread(table, 4, (4, 4, 4))


def test_schemes_by_name_by_file_and_by_chance(tmp_path):
    (tmp_path / "list.txt").write_text("# mine\n10.11.00  62.5\n\n111111\n")
    named = sample.given(["000000", str(tmp_path / "list.txt")], DEPTHS)
    assert list(map(str, named)) == ["00.00.00", "10.11.00", "11.11.11"]
    (tmp_path / "list.txt").write_text("10.11.00\n10.1\n")
    with pytest.raises(UserInputError, match=r"list\.txt, line 2: "):
        sample.given([str(tmp_path / "list.txt")], DEPTHS)
    assert len(sample.drawn(64, 0, DEPTHS)) == 64
    assert list(sample.drawn(5, 0, DEPTHS)) == list(sample.drawn(5, 0, DEPTHS)) != list(sample.drawn(5, 1, DEPTHS))


@pytest.mark.parametrize(("ratio", "connected"), [(0.0, 0), (0.5, 3), (0.3, 2), (1.0, 6)])
def test_schemes_at_a_ratio_have_it_and_any_may_come(ratio, connected):
    most = math.comb(6, connected)
    assert len(sample.drawn_at(most, 0, ratio, (2, 2, 2))) == most
    picked = sample.drawn_at(1, 3, ratio, (2, 2, 2))
    assert all(scheme.connected == connected for scheme in picked)
    assert picked == sample.drawn_at(1, 3, ratio, (2, 2, 2))
    with pytest.raises(UserInputError, match=f"expected 1 to {most} schemes"):
        sample.drawn_at(most + 1, 0, ratio, (2, 2, 2))


def test_blocks_are_connected_equally_often_at_a_ratio():
    schemes = [next(iter(sample.drawn_at(1, seed, 1 / 3, (2, 2, 2)))) for seed in range(600)]
    shares = [sum(scheme.bits[block] for scheme in schemes) / 600 for block in range(6)]
    assert shares == pytest.approx([1 / 3] * 6, abs=4 * (2 / 9 / 600) ** 0.5)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_a_ratio_that_is_none_is_refused(ratio):
    with pytest.raises(UserInputError, match="expected a ratio from 0 to 1 last"):
        sample.drawn_at(1, 0, ratio, (2, 2, 2))


def test_a_sample_that_was_stopped_goes_on(written, tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    plan, folder = read_search_config(written()), tmp_path / "sample"
    picked = sample.given(["100000000000", "000000000011"], (4, 4, 4))
    trained, train = [], standalone.train

    def stopped(config, **kwargs):
        if trained:
            return 130
        trained.append(config.model.backbone.scheme)
        return train(config, **kwargs)

    monkeypatch.setattr(standalone, "train", stopped)
    assert sample.train_sample(plan, picked, folder) == 130
    assert trained == ["1000.0000.0000"]
    assert [row["name"] for row in json.loads((folder / "standalone.json").read_text())["runs"]] == ["sample 1"]

    with pytest.raises(UserInputError, match="--amp is False there and True now"):
        sample.train_sample(plan, picked, folder, amp=True)
    monkeypatch.setattr(standalone, "train", lambda config, **k: trained.append(config) or train(config, **k))
    assert sample.train_sample(plan, {**picked, **sample.given(["0" * 12], (4, 4, 4))}, folder) == 0
    assert len(trained) == 3, "the first was not trained again"
    runs = json.loads((folder / "standalone.json").read_text())["runs"]
    assert [(run["name"], run["attention"]) for run in runs] == [
        ("sample 1", "se"),
        ("sample 2", "se"),
        ("sample 3", None),
    ]
    for run in runs:
        weights = torch.load(folder / run["checkpoint"])["state_dict"]
        assert any("attention.layer" in key for key in weights) == (ConnectionScheme.parse(run["scheme"]).connected > 0)


def test_a_search_s_folder_and_a_config_without_trainings_are_refused(written, tmp_path):
    picked = sample.given(["0" * 12], (4, 4, 4))
    with pytest.raises(UserInputError, match="no section 'standalone'"):
        sample.train_sample(read_search_config(written(standalone=None)), picked, tmp_path / "work")
    (tmp_path / "search.json").write_text("{}")
    with pytest.raises(UserInputError, match=r"holds a search.*another --work-dir"):
        sample.train_sample(read_search_config(written()), picked, tmp_path)


def test_the_command_takes_schemes_from_everywhere(written, tmp_path, monkeypatch):
    sys.path.insert(0, str(ROOT))
    from transfer.commands import standalone as tool

    asked = {}
    monkeypatch.setattr(sample, "train_sample", lambda config, picked, folder, **how: asked.update(locals()) or 0)
    rows = {s: Evaluation(50.0, 1.0 + i, 10) for i, s in enumerate(all_schemes((4, 4, 4)))}
    TableProblem(rows).save(tmp_path / "table.json.gz")
    args = [str(written()), "--work-dir", str(tmp_path / "w"), "--seed", "5", "--amp", "--schemes", "100000000000"]
    assert tool.main([*args, "--spread", str(tmp_path / "table.json.gz"), "2", "--random", "3", "1"]) == 0
    how = ["given", *["spread over table.json.gz"] * 2, *["random, seed 1"] * 3]
    assert list(asked["picked"].values()) == how
    assert asked["config"].standalone.seed == 5 and asked["how"]["amp"] is True
    with pytest.raises(UserInputError, match="expected a number of schemes last"):
        tool.main([*args, "--spread", "2", str(tmp_path / "table.json.gz")])
    with pytest.raises(UserInputError, match="no scheme to train"):
        tool.main(args[:3])
