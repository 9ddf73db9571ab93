"""The table of all cells: it agrees with the code and with what is published, and other files are refused."""

import csv
import gzip
import io

import pytest

from backbones.errors import UserInputError
from backbones.genotype import Genotype
from transfer.search.cells.table import DATA_SETS, FILE, CellTable, all_cells

pytestmark = pytest.mark.slow

ALL_SKIP = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
ALL_NONE = ALL_SKIP.replace("skip_connect", "none")


@pytest.fixture(scope="module")
def rows():
    """A made-up table: accuracies by a cell's place in the order of cells."""
    made = [(f"{place / 200:.4f}", "50", f"{place / 400:.4f}", str(cell)) for place, cell in enumerate(all_cells())]
    return [("CIFAR10", "CIFAR100", "ImageNet"), *made]


def written(path, rows, columns=("CIFAR10", "CIFAR100", "ImageNet")):
    head = [f"{name}TestAccuracy200Epochs" for name in columns]
    text = io.StringIO()
    csv.writer(text).writerows([(*head, "ArchitectureString"), *rows[1:]])
    path.write_bytes(gzip.compress(text.getvalue().encode(), 1))
    return path


def test_a_cell_is_looked_up(rows, tmp_path):
    table = CellTable.read(written(tmp_path / "t.csv.gz", rows))
    found = table[Genotype.parse(rows[1001][3])]
    assert found.accuracy == {"cifar10": 5, "cifar100": 50, "imagenet16": 2.5}
    assert found.better_than == {"cifar10": 6.4, "cifar100": 0, "imagenet16": 6.4}  # 1,000 of 15,625
    assert table.better_than("cifar10", 100) == 100 and table.better_than("cifar10", 0) == 0
    assert table.mean("cifar10") == pytest.approx(15_624 / 400) and str(table.best("cifar10")) == rows[-1][3]


def test_what_is_not_in_it_is_refused(rows, tmp_path):
    table = CellTable.read(written(tmp_path / "t.csv.gz", rows))
    pair = "|skip_connect~0|none~1|"
    with pytest.raises(UserInputError, match="of the space darts, expected one of nats"):
        table[Genotype.parse("+".join([pair] * 4) + "/" + "+".join([pair] * 4))]
    for ask in (table.mean, table.best, lambda name: table.better_than(name, 1)):
        with pytest.raises(UserInputError, match="'cifar' is not in the table, expected one of cifar10, "):
            ask("cifar")


def changed(rows, place, column, value):
    row = list(rows[place])
    row[column] = value
    return [*rows[:place], row, *rows[place + 1 :]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows[:-1], "15,624 cells, expected all 15,625"),
        (lambda rows: changed(rows, 5, 3, rows[4][3]), "line 6: a second row of the cell |none~0|"),
        (lambda rows: changed(rows, 5, 3, "|none~0|"), "line 6: genotype '|none~0|': the cell has 1 nodes"),
        (lambda rows: changed(rows, 5, 3, ""), "line 6: genotype"),
        (lambda rows: changed(rows, 5, 0, "nan"), "line 6: 'nan' is no accuracy in percent"),
        (lambda rows: changed(rows, 5, 1, "100.1"), "line 6: '100.1' is no accuracy"),
        (lambda rows: changed(rows, 5, 2, ""), "line 6: '' is no accuracy"),
        (lambda rows: [*rows[:5], rows[5][:2], *rows[6:]], "line 6: "),
    ],
)
def test_a_table_that_is_not_whole_is_refused_in_one_line(change, told, rows, tmp_path):
    path = written(tmp_path / "t.csv.gz", change(rows))
    with pytest.raises(UserInputError) as error:
        CellTable.read(path)
    assert str(error.value).startswith(f"{path}: ") and told in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).endswith("expected NATS-Bench's topologies as gzipped CSV (nats_bench.csv.gz)")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"CIFAR10TestAccuracy200Epochs\n", "cannot be read: Not a gzipped file"),
        (gzip.compress(b"a,b\n1,2\n"), "column 'ArchitectureString' is missing"),
        (gzip.compress(b""), "column 'ArchitectureString' is missing"),
        (gzip.compress(b"\xff\xfe\xfa" * 10), "cannot be read"),
        (gzip.compress(b"a,b\n" * 1000)[:-12], "cannot be read"),
        (gzip.compress(b"a" * 200_000), "field larger than field limit"),
        (b"", "column 'ArchitectureString' is missing"),
    ],
    ids=["text", "other columns", "no lines", "no text", "cut", "no end", "empty"],  # gzip's bytes hold the time
)
def test_other_files_are_refused_in_one_line(content, told, tmp_path):
    path = tmp_path / "other.csv.gz"
    path.write_bytes(content)
    with pytest.raises(UserInputError) as error:
        CellTable.read(path)
    assert str(error.value).startswith(f"{path}: ") and told in str(error.value) and "\n" not in str(error.value)


def test_a_folder_and_nothing_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UserInputError, match="Is a directory"):
        CellTable.read(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRANSFER_DATA", raising=False)
    with pytest.raises(UserInputError, match=f"'{FILE}' not found.*TRANSFER_DATA is not set"):
        CellTable.read()


def test_it_is_inflated_no_further_than_the_limit(tmp_path, monkeypatch):
    path = tmp_path / "big.csv.gz"
    path.write_bytes(gzip.compress(bytes(3 << 20), 1))
    monkeypatch.setenv("TRANSFER_MAX_TABLE", "2")
    with pytest.raises(UserInputError, match=r"big\.csv\.gz: unpacked: takes 3 MiB, expected 2 MiB at most"):
        CellTable.read(path)


# ---- the published table


@pytest.fixture(scope="module")
def published():
    return CellTable.read()


@pytest.mark.real_data
def test_table_and_code_have_the_same_cells(published, real_data):
    with gzip.open(real_data / FILE, "rt") as file:
        texts = [row["ArchitectureString"] for row in csv.DictReader(file)]
    assert len(texts) == 15_625 and all(str(Genotype.parse(text)) == text for text in texts)
    assert {Genotype.parse(text) for text in texts} == set(all_cells()) == set(published.accuracies)


@pytest.mark.real_data
def test_accuracies_are_the_published_ones(published):
    best = [max(values) for values in zip(*published.accuracies.values(), strict=True)]
    assert [round(value, 2) for value in best] == [94.37, 73.51, 47.31]
    for name, value in zip(DATA_SETS, best, strict=True):
        assert published[published.best(name)].accuracy[name] == value
    skips, nothing = published[Genotype.parse(ALL_SKIP)], published[Genotype.parse(ALL_NONE)]
    assert [round(skips.accuracy[name], 2) for name in ("cifar10", "cifar100")] == [54.30, 15.61]
    assert nothing.accuracy == pytest.approx({"cifar10": 10, "cifar100": 1, "imagenet16": 100 / 120}, abs=0.01)
    worst = [min(values) for values in zip(*published.accuracies.values(), strict=True)]
    assert worst == pytest.approx([10, 1, 100 / 120], abs=0.01), "chance"


@pytest.mark.real_data
def test_means_and_the_thesiss_cells_stand_where_they_do(published):
    assert round(100 - published.mean("cifar10"), 2) == 12.94
    assert round(100 - published.mean("cifar100"), 1) == 38.6
    assert round(published.better_than("cifar100", 100 - 32.37), 1) == 71.7
    assert round(100 - published.better_than("cifar10", 100 - 11.48), 1) == 71.5
