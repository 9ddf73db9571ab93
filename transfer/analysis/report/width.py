"""One page on a finished width search: what each method left of the network, at what cost, how good."""

from __future__ import annotations

from pathlib import Path

from transfer.analysis.page import refuse_other_files, write_sections
from transfer.measure.markdown import code, number, one_line, table, with_args
from transfer.pipeline.width.artefacts import (
    FINETUNED,
    Finetuned,
    Finetunes,
    Found,
    WidthSearch,
    read_finetunes,
    read_widths,
)

PAGE = "report.md"
_HEAD = ("search", "method", "keep", "rank", "channels", "MACs", "parameters", "images seen", "moved")
_ACCURACIES = ("search", "as cut", "recalibrated", "fine-tuned, val", "fine-tuned, test")


def write_width_report(work_dir: str | Path, out: str | Path | None = None) -> Path:
    """Writes the report of the width search in `work_dir` and returns the path of its page.

    Args:
        work_dir: of a width search, its searches ended; fine-tunings as far as there are any.
        out: the report's folder; default `work_dir/report`.

    Raises:
        UserInputError: `work_dir` holds no finished width search, or `out` something else than a report.
    """
    work_dir = Path(work_dir)
    target = Path(out) if out is not None else work_dir / "report"
    refuse_other_files(target, (PAGE,))
    found = read_widths(work_dir)
    tuned = read_finetunes(work_dir) if (work_dir / FINETUNED).is_file() else Finetunes(training={})
    sections = {
        "What was searched": lambda subject, folder: [_searched(*subject)],
        "What was left": lambda subject, folder: [_left(subject[0])],
        "Top-1 accuracy, percent": lambda subject, folder: [_accuracies(*subject)],
        "Width plans": lambda subject, folder: [table(("search", "widths"), _plans(subject[0]))],
    }
    return write_sections(target, PAGE, f"Width search in `{work_dir.resolve().name}`", sections, (found, tuned))


def _searched(found: WidthSearch, tuned: Finetunes) -> str:
    dense = found.dense
    rows = {
        "network": found.backbone,
        "scheme": found.scheme,
        "data": found.data,
        "at full width": f"{dense.macs:,} MACs at {found.size} px, {dense.parameters:,} parameters",
        "top-1 at full width, D_val": number(dense.top1),
        "trained with": with_args(dense.config, dense.options),
        "its sha256": code(dense.sha256),
        "fine-tuning": one_line(tuned.training),
    }
    return table(("", ""), [(name, value) for name, value in rows.items() if value not in (None, "", "-")])


def _left(found: WidthSearch) -> str:
    return table(_HEAD, [_costs(row, found) for row in found.rows])


def _costs(row: Found, found: WidthSearch) -> tuple[str, ...]:
    keep = {key: value for key, value in row.asked["keep"].items() if value is not None}
    dense = found.dense
    return (
        row.name,
        with_args(row.asked["method"], row.asked["args"]),
        one_line(keep),
        row.asked["rank"],
        f"{row.channels:.3f}",
        f"{row.macs:,} ({row.macs / dense.macs:.3f})",
        f"{row.parameters:,} ({row.parameters / dense.parameters:.3f})",
        f"{row.images:,}",
        number(row.moved),
    )


def _accuracies(found: WidthSearch, tuned: Finetunes) -> str:
    ended = {row.name: row for row in tuned.rows}
    rows = []
    for row in found.rows:
        after: Finetuned | None = ended.get(row.name)
        figures = ("-", "-") if after is None else (number(after.val["top1"]), number(after.test["top1"]))
        rows.append((row.name, number(row.top1_pruned), number(row.top1_recalibrated), *figures))
    return table(_ACCURACIES, rows, rule="--:")


def _plans(found: WidthSearch) -> list[tuple[str, str]]:
    return [(row.name, f"`{row.widths}`") for row in found.rows]
