"""The report as a file: whole or not at all, the old one replaced or kept, and what is refused in one line."""

import json
import re
import shutil
from pathlib import Path

import pytest
import search_files as files
from search_files import FULL, edit, run

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.analysis import figures
from transfer.analysis.finished import SearchOutcome
from transfer.analysis.report.search import write_report
from transfer.cli import run_command
from transfer.commands import report as tool
from transfer.search.log import LOG_NAME, LoggedProblem

ROOT = Path(__file__).resolve().parents[2]


def inside(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# ---- writing


def test_a_report_replaces_the_one_before(ean):
    folder, values = ean
    first = write_report(folder)
    (first.parent / "front.png").write_bytes(b"old")
    runs = [run(f"candidate {n}", entry["scheme"], 60.0 + n) for n, entry in enumerate(values["candidates"], 1)]
    files.write_standalone(folder, runs, runs[0]["scheme"])
    write_report(folder)
    assert not (first.parent / "front.png").exists()
    assert (first.parent / "correlation.png").exists()
    assert [name for name in inside(folder) if name.startswith(".")] == []


def test_the_folder_can_be_named(ean, tmp_path_factory):
    out = tmp_path_factory.mktemp("other") / "deep/report"
    assert write_report(ean[0], out) == out / "report.md"
    assert not (ean[0] / "report").exists()


def test_a_folder_with_other_files_is_left_alone(ean):
    folder, _ = ean
    with pytest.raises(UserInputError, match="which is no part of a report"):
        write_report(folder, folder)
    with pytest.raises(UserInputError, match="is a file"):
        write_report(folder, folder / "search.json")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_report_and_nothing_else(ean, monkeypatch, error):
    folder, _ = ean
    write_report(folder)
    before = {name: (folder / name).stat().st_mtime_ns for name in inside(folder)}

    def fail(*args):
        raise error

    monkeypatch.setattr(figures, "draw_violins", fail)
    with pytest.raises(type(error)):
        write_report(folder)
    assert {name: (folder / name).stat().st_mtime_ns for name in inside(folder)} == before


def test_a_failed_swap_puts_the_old_report_back(ean, monkeypatch):
    folder, _ = ean
    write_report(folder)
    before = inside(folder)
    rename = Path.rename

    def fail(self, target):
        if self.name.endswith(".new"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(KeyboardInterrupt):
        write_report(folder)
    assert inside(folder) == before


def test_later_evaluations_may_stand_at_the_end_of_the_log(ean):
    folder, values = ean
    new = ConnectionScheme.parse("11.01.11")
    with LoggedProblem(files.Landscape(), folder) as logged:
        before = len(logged)
        logged.evaluate([new] if new not in dict(logged) else [FULL])
        added = len(logged) - before
    outcome = SearchOutcome.read(folder)
    assert len(outcome.evaluations) == len(values["order"])
    assert len(outcome.known) == before + added


# ---- refused


def no_search(folder):
    for name in (LOG_NAME, "search.json"):
        (folder / name).unlink()


def other_log(folder):
    text = (folder / LOG_NAME).read_text()
    (folder / LOG_NAME).write_text(text.replace('"n": ', '"n": 1', 1))


def other_supernet(folder):
    values = json.loads((folder / "search.json").read_text())
    edit(folder, supernet=values["supernet"] | {"sha256": "77" * 32})


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (no_search, "search.json: no such file: the search has not ended"),
        (lambda folder: (folder / "search.json").unlink(), "the search has not ended; finish the search"),
        (lambda folder: (folder / LOG_NAME).unlink(), "no such file, expected the log"),
        (lambda folder: (folder / "search.json").write_text("{"), "not valid JSON"),
        (lambda folder: (folder / "search.json").write_text("[]"), "is not a JSON object"),
        (lambda folder: edit(folder, format=2), "key 'format' is 2, expected 1"),
        (lambda folder: edit(folder, order=...), "key 'order' is missing"),
        (lambda folder: edit(folder, arch="resnet38"), "2 bits, expected 4"),
        (lambda folder: edit(folder, arch="resnet9000"), "architecture 'resnet9000' is unknown"),
        (lambda folder: edit(folder, order=["11.11.11", "00.10.11", "01.11.10", "00.11.11"] * 16), "lacks"),
        (lambda folder: edit(folder, order=[]), "lacks 0 of the 0 schemes"),
        (lambda folder: edit(folder, order=[3]), "key 'order[0]' is 3, expected text"),
        (lambda folder: edit(folder, best={"scheme": "11.11.11"}), "key 'best.accuracy' is missing"),
        (lambda folder: edit(folder, trace=[{"p_bar": 3}]), "from 0 to 1"),
        (lambda folder: edit(folder, trace=[3]), "key 'trace[0]' is 3, expected an object"),
        (other_log, "key 'log_sha256' of search.json says"),
        (other_supernet, "line 1: is of another supernet"),
        (lambda folder: files.write_standalone(folder, [{"name": "x"}], ""), "key 'runs[0].scheme' is missing"),
        (lambda folder: (folder / "standalone.json").write_text("no"), "standalone.json: not valid JSON"),
        (lambda folder: (folder / "increment.json").write_text("{}"), "key 'rows' is missing"),
    ],
)
def test_what_is_no_finished_search_is_refused_in_one_line(searched, tmp_path, capsys, spoil, match):
    shutil.copytree(searched["random"], tmp_path, dirs_exist_ok=True)
    spoil(tmp_path)
    before = inside(tmp_path)
    assert run_command(tool.main, ["search", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1 and printed.err.startswith("error: ")
    assert re.search(re.escape(match), printed.err)
    assert inside(tmp_path) == before


def test_a_missing_folder_is_refused(tmp_path, capsys):
    assert run_command(tool.main, ["search", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert inside(tmp_path) == []


@pytest.mark.parametrize("bad", [{"attention": "sse"}, {"attention_args": {"reduction": 0.5, "x": 1}}])
def test_an_unknown_network_leaves_no_report(ean, bad):
    folder, _ = ean
    edit(folder, **bad)
    before = inside(folder)
    with pytest.raises(UserInputError):
        write_report(folder)
    assert inside(folder) == before


def test_the_command_writes_and_says_where(ean, capsys):
    folder, _ = ean
    assert run_command(tool.main, ["search", str(folder), "--out", str(folder / "page")]) == 0
    assert capsys.readouterr().out == f"wrote {folder / 'page/report.md'}\n"
    assert (folder / "page/report.md").is_file()


def test_an_unknown_subcommand_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        tool.parse_args(["zebra"])
    assert stop.value.code == 2
    capsys.readouterr()
