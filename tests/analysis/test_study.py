"""The page on supernets: rankings, trainings from scratch beside them, several searches in one picture."""

import json
import re

import numpy as np
import pytest
import search_files as files
from PIL import Image
from scipy import stats
from search_files import EMPTY, FULL, SUPERNET, run

from backbones.errors import UserInputError
from transfer.analysis.study.inputs import Inputs
from transfer.analysis.study.page import write_study
from transfer.cli import run_command
from transfer.search.known_problems import TableProblem, all_schemes
from transfer.search.problem import Evaluation

pytestmark = pytest.mark.slow

SCHEMES = list(all_schemes(files.DEPTHS))


def settings(bn="running", split="val", supernet=SUPERNET, sharing="stage"):
    return {"supernet_sha256": supernet, "bn": bn, "data": {"split": split}, "sharing": sharing}


@pytest.fixture
def tables(tmp_path):
    """Four tables of one supernet, and what they hold: accuracy and loss (64,) by mode and images."""
    generator, values, paths = np.random.default_rng(0), {}, []
    worth = np.array([scheme.connected + 0.1 * scheme.bits[0] for scheme in SCHEMES])
    for bn, sign in (("running", 1), ("recalibrated", -1)):
        for split in ("val", "test"):
            accuracy = np.round(60 + sign * worth + 0.5 * generator.normal(size=64), 1)
            values[bn, split] = accuracy, 2 - accuracy / 50 + 0.01 * generator.normal(size=64)
            rows = {s: Evaluation(*pair, 2000) for s, *pair in zip(SCHEMES, *values[bn, split], strict=True)}
            paths.append(tmp_path / f"{bn}_{split}.json.gz")
            TableProblem(rows, settings(bn, split)).save(paths[-1])
    return paths, values


def write_sample(folder, schemes, accuracies, **more):
    folder.mkdir(parents=True, exist_ok=True)
    runs = [
        {**run(f"sample {i}", s, float(a)), "picked": "random, seed 0", **more}
        for i, (s, a) in enumerate(zip(schemes, accuracies, strict=True), 1)
    ]
    (folder / "standalone.json").write_text(json.dumps({"format": 1, "runs": runs, "best": None}))
    return folder


@pytest.fixture
def sample(tmp_path):
    """Twelve trainings that go with the number of connected blocks, as the running table does."""
    schemes = SCHEMES[4::5]
    return write_sample(tmp_path / "sample", schemes, [50 + 2 * s.connected + 0.1 * i for i, s in enumerate(schemes)])


def sections(path):
    parts = re.split(r"^## (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title.split(" (")[0]: text for title, text in zip(parts[1::2], parts[2::2], strict=True)}


def rows(section, number=0):
    """The cells of one of a section's tables, without its head."""
    found = [part.strip().splitlines() for part in section.split("\n\n") if part.lstrip("\n").startswith("|")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in found[number][2:]]


# ---- tables


def test_pairs_of_tables_and_their_agreement(tables, tmp_path, pictures):
    paths, values = tables
    page = write_study(tmp_path / "study", tables=reversed(paths))
    said = sections(page)
    assert list(said) == ["Tables of all schemes", "Agreement of rankings", "Made from"]
    shown = {(row[1], row[2]): row[3:] for row in rows(said["Agreement of rankings"])}
    names = {
        "val against test, running": [("running", "val"), ("running", "test")],
        "val against test, recalibrated": [("recalibrated", "val"), ("recalibrated", "test")],
        "running against recalibrated, val": [("running", "val"), ("recalibrated", "val")],
        "running against recalibrated, test": [("running", "test"), ("recalibrated", "test")],
    }
    assert {name for name, _ in shown} == set(names)
    for name, keys in names.items():
        for place, quantity in enumerate(("accuracy", "loss")):
            a, b = (values[key][place] for key in keys)
            expected = [stats.spearmanr(a, b), stats.kendalltau(a, b), stats.pearsonr(a, b)]
            assert [float(cell) for cell in shown[name, quantity][:3]] == pytest.approx(
                [test.statistic for test in expected], abs=0.006
            )
    assert float(shown["running against recalibrated, val", "accuracy"][0]) < -0.5
    assert shown["running against recalibrated, val", "accuracy"][4] == "0 %"
    facts = rows(said["Tables of all schemes"])
    assert [row[1] for row in facts] == ["running, val", "running, test", "recalibrated, val", "recalibrated, test"]
    accuracy = values["running", "val"][0]
    expected = [accuracy.min(), np.median(accuracy), accuracy.max(), accuracy.std(), accuracy[0], accuracy[-1]]
    assert [float(cell) for cell in facts[0][4:10]] == pytest.approx(expected, abs=0.006)
    check_pictures(page, [f"ranking_{n}.png" for n in range(1, 5)])


def check_pictures(page, names):
    linked = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text())
    assert linked == names
    assert sorted(path.name for path in page.parent.iterdir()) == sorted([*linked, "study.md"])
    for name in linked:
        with Image.open(page.parent / name) as image:
            assert image.width >= 500 and np.asarray(image.convert("L")).std() > 5


# ---- from scratch


def test_the_mode_that_predicts_better_is_named(tables, sample, tmp_path):
    paths, values = tables
    said = sections(write_study(tmp_path / "study", tables=paths, standalone=[sample]))[
        "Rankings against training from scratch"
    ]
    schemes = SCHEMES[4::5]
    alone = [50 + 2 * s.connected + 0.1 * i for i, s in enumerate(schemes)]
    shown = {(row[0], row[1]): row for row in rows(said)}
    assert len(shown) == 8
    for (bn, split), (accuracy, loss) in values.items():
        if split == "val":
            for kind, of_all in (("accuracy", accuracy), ("loss", -loss)):
                some = of_all[4::5]
                row = shown[f"{kind}, {bn}", "the test images"]
                assert float(row[3]) == pytest.approx(stats.pearsonr(some, alone).statistic, abs=0.006)
                assert float(row[5]) == pytest.approx(stats.spearmanr(some, alone).statistic, abs=0.006)
    assert "Which mode's accuracy predicts the accuracy on the test images better: **running**: its interval" in said
    assert "100 iterations of `x.py`" in said and "12 random, seed 0" in said


def test_a_small_sample_decides_nothing(tables, tmp_path):
    few = write_sample(tmp_path / "few", SCHEMES[1:6], [50, 52, 51, 54, 53])
    said = write_study(tmp_path / "study", tables=tables[0], standalone=[few]).read_text()
    assert said.count("**undecided**: 5 schemes are too few") == 4
    two = write_sample(tmp_path / "two", SCHEMES[1:3], [50, 52])
    said = write_study(tmp_path / "study", tables=tables[0], standalone=[two]).read_text()
    assert "2 schemes of a sample are trained, a correlation needs 3." in said


def test_what_a_search_found_is_shown_but_not_counted(tables, sample, ean, tmp_path, pictures):
    folder, values = ean
    found = [entry["scheme"] for entry in values["candidates"]]
    own = [run(f"candidate {n}", scheme, 62.0 + n) for n, scheme in enumerate(found, 1)]
    own += [run("plain", EMPTY, 50.0, attention=None), run("full_sa", FULL, 59.0, sharing="block")]
    files.write_standalone(folder, own, found[0])
    page = write_study(tmp_path / "study", tables=tables[0], searches=[folder], standalone=[sample, folder])
    said = sections(page)
    sampled = {str(scheme) for scheme in SCHEMES[4::5]}
    counted = int(rows(said["Rankings against training from scratch"])[0][2])
    assert counted == len(sampled | {str(EMPTY)}), "Full-SA is no part of this supernet, candidates were looked for"
    groups = {row[0]: row for row in rows(said["Random and searched schemes from scratch"])}
    assert int(groups["sample, Full-Share"][1]) == 12 and int(groups["ean, Full-Share"][1]) == 3
    assert float(groups["ean, Full-Share"][2]) == pytest.approx(64.0)
    test = stats.ttest_ind(
        [63, 64, 65], [50 + 2 * s.connected + 0.1 * i for i, s in enumerate(SCHEMES[4::5])], equal_var=False
    )
    low, high = test.confidence_interval()
    assert f"({low:+.2f} to {high:+.2f}" not in said  # the interval has its own words
    assert f"Welch's 95 % interval {low:+.2f} to {high:+.2f}" in said["Random and searched schemes from scratch"]
    assert [row[2] for row in rows(said["Random and searched schemes from scratch"], 1)] == ["74.29", "75.10"]
    check_pictures(page, ["ranking_1.png", "ranking_2.png", "ranking_3.png", "ranking_4.png", "prediction_1.png",
                          "distribution.png", "exploration.png"])  # fmt: skip


def test_other_schedules_are_left_out(tables, sample, tmp_path):
    other = write_sample(tmp_path / "other", SCHEMES[:5], range(40, 45), max_iters=7)
    inputs = Inputs.read(tables[0], [], [sample, other])
    assert len(inputs.alone) == 12 and len(inputs.others) == 5
    said = write_study(tmp_path / "study", tables=tables[0], standalone=[sample, other]).read_text()
    assert "5 trainings with another schedule are left out" in said


def test_seeds_of_a_scheme_are_one_point(tables, sample, tmp_path):
    again = write_sample(tmp_path / "again", SCHEMES[4::5], range(40, 52), seed=1)
    said = sections(write_study(tmp_path / "study", tables=tables[0], standalone=[sample, again]))
    assert rows(said["Rankings against training from scratch"])[0][2] == "12"
    assert "seeds 0, 1" in said["Rankings against training from scratch"]


# ---- searches


@pytest.fixture
def two_searches(ean, tmp_path_factory):
    """EAN and ENAS on the same landscape."""
    folder = tmp_path_factory.mktemp("enas")
    values = files.write_search(folder, "enas", budget=30)
    return {"ean": ean, "enas": (folder, values)}


def test_two_controllers_beside_each_other(two_searches, tmp_path, pictures):
    folders = [folder for folder, _ in two_searches.values()]
    page = write_study(tmp_path / "study", searches=folders)
    said = sections(page)
    for row, (name, (_, values)) in zip(
        rows(said["Exploration of the controllers"]), two_searches.items(), strict=True
    ):
        drawn = [scheme for entry in values["trace"] for scheme in entry.get("schemes") or [entry["scheme"]]]
        early = [scheme for entry in values["trace"][:20] for scheme in entry.get("schemes") or [entry["scheme"]]]
        assert row[0] == name
        assert [int(cell) for cell in row[3:7]] == [len(values["trace"]), len(drawn), len(set(drawn)), len(set(early))]
    by_step = {entry["step"]: entry for entry in two_searches["enas"][1]["trace"]}
    shown = rows(said["Schemes over steps"], 1)
    assert {int(row[0]) for row in shown} == {step for step in by_step if step in range(0, 60, 5)} | {max(by_step)}
    for step, scheme, sparsity, p_bar in shown:
        assert scheme.replace(".", "") == by_step[int(step)]["schemes"][0].replace(".", "")
        assert float(sparsity) == pytest.approx(scheme.count("0") / 6, abs=0.006)
        assert float(p_bar) == pytest.approx(by_step[int(step)]["p_bar"], abs=0.006)
    assert rows(said["Schemes over steps"], 2)[-1] == ["55", "0.04", "0.98"]
    check_pictures(page, ["exploration.png"])


def test_searches_of_one_method_are_told_apart(ean, tmp_path):
    folders = [ean[0]]
    for name, args in (("paper", {"variant": "paper"}), ("a", {"variant": "authors"}), ("b", {"variant": "authors"})):
        (tmp_path / name).mkdir()
        files.write_search(tmp_path / name, "ean", budget=12)
        files.edit(tmp_path / name, method_args=args)
        folders.append(tmp_path / name)
    said = sections(write_study(tmp_path / "study", searches=folders))["Exploration of the controllers"]
    names = [row[0] for row in rows(said)]
    assert names == ["ean", "ean (variant paper)", "ean (variant authors) [a]", "ean (variant authors) [b]"]


def test_the_share_of_better_schemes(tables, ean, tmp_path):
    folder, values = ean
    said = sections(write_study(tmp_path / "study", tables=tables[0], searches=[folder]))["Place of what was found"]
    place = [str(scheme) for scheme in SCHEMES].index(values["best"]["scheme"])
    for row, key in zip(rows(said), [("running", "val"), ("running", "test")], strict=False):
        accuracy = tables[1][key][0]
        share = (accuracy > accuracy[place]).mean()
        assert row[3] == ", ".join(key)
        assert float(row[5].rstrip("% ")) == pytest.approx(100 * share, abs=0.006)
        assert row[6] == ("yes" if share <= 0.05 else "no")
    assert ["EAN", "0.5", "yes"] in rows(said, 1) and ["EAN", "0.2", "no"] in rows(said, 1)


def test_search_time_is_a_share_of_a_training(ean, tmp_path):
    folder, values = ean
    scheme = values["best"]["scheme"]
    files.write_standalone(
        folder, [run("candidate 1", scheme, 60.0) | {"seconds": 40.0}, run("plain", EMPTY, 58.0)], scheme
    )
    files.edit(folder, fresh=3)
    said = sections(write_study(tmp_path / "study", searches=[folder]))["Time of the search"]
    (row,) = rows(said)
    assert row[3:6] == ["12", "45", f"{100 * 12.5 / 45:.1f} %"]  # 12.5 s of 40 and 50
    assert row[6:8] == ["-", "-"], "the papers' length is that of ResNet-38"
    assert "ean: went on from a log" in said
    assert rows(said, 1)[0] == ["resnet38", "1.61", "0.41", "25.4 %"]


# ---- refused


def no_whole_table(folder, paths):
    problem = TableProblem.load(paths[0])
    del problem.table[FULL]
    problem.save(paths[0])


def no_settings(folder, paths):
    TableProblem(TableProblem.load(paths[0]).table, {"bn": "running"}).save(paths[0])


def other_network(folder, paths):
    rows = {scheme: Evaluation(50.0, 1.0, 10) for scheme in all_schemes((2, 2))}
    TableProblem(rows, settings(supernet="1" * 64)).save(paths[0])


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (no_whole_table, "running_val.json.gz: holds 63 of 64 schemes, expected all"),
        (no_settings, "running_val.json.gz: its settings lack 'supernet_sha256'"),
        (other_network, "is of a network of"),
        (lambda folder, paths: paths[0].write_text("x"), "no table of schemes"),
        (lambda folder, paths: paths[1].write_bytes(paths[0].read_bytes()), "is of the same supernet, mode and images"),
        (lambda folder, paths: (folder / "standalone.json").unlink(), "nothing has been trained there"),
        (lambda folder, paths: (folder / "standalone.json").write_text('{"format": 1, "runs": [{}]}'), "no scheme"),
        (lambda folder, paths: (paths[0].parent / "study").touch(), "is a file"),
    ],
)
def test_what_cannot_be_studied_is_refused_in_one_line(tables, sample, tmp_path, capsys, spoil, match):
    from transfer.commands import report as tool

    paths, _ = tables
    spoil(sample, paths)
    args = ["study", "--out", str(tmp_path / "study"), "--tables", *map(str, paths), "--standalone", str(sample)]
    assert run_command(tool.main, args) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1 and match in printed.err
    assert not (tmp_path / "study").is_dir()


def test_nothing_to_study(tmp_path):
    with pytest.raises(UserInputError, match="nothing to study: name --tables, --searches or --standalone"):
        write_study(tmp_path / "study")


def test_the_command(tables, sample, tmp_path, capsys):
    from transfer.commands import report as tool

    args = [
        "study",
        "--out",
        str(tmp_path / "study"),
        "--tables",
        *map(str, tables[0][:2]),
        "--tables",
        str(tables[0][2]),
    ]
    for _ in range(2):  # the second takes the first one's place
        assert run_command(tool.main, [*args, "--standalone", str(sample)]) == 0
        assert capsys.readouterr().out == f"wrote {tmp_path / 'study/study.md'}\n"
