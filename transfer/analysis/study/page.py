"""One page on a supernet: its tables of all schemes, its searches, and trainings from scratch beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from backbones.files import sha256_file
from transfer.analysis.page import refuse_other_files, write_sections
from transfer.analysis.study.inputs import Inputs
from transfer.analysis.study.rankings import rankings_section, tables_section
from transfer.analysis.study.ratios import ratios_section
from transfer.analysis.study.searches import exploration_section, schemes_section, time_section, top_section
from transfer.analysis.study.standalone import distribution_section, prediction_section
from transfer.measure.markdown import code, table
from transfer.pipeline.artefacts import SEARCH, STANDALONE
from transfer.search.log import LOG_NAME

PAGE = "study.md"
FIGURES = ("ranking_*.png", "prediction_*.png", "distribution.png", "exploration.png", "ratios_*.png")

Section = Callable[[Inputs, Path], list[str]]


def write_study(
    out: str | Path,
    *,
    tables: Iterable[str | Path] = (),
    searches: Iterable[str | Path] = (),
    standalone: Iterable[str | Path] = (),
) -> Path:
    """Writes the page with its figures and returns its path; what there is nothing to say of is left out.

    The folder appears whole or not at all; a study that is there already is replaced.

    Args:
        out: the folder.
        tables: of all schemes (`.json.gz`), of any number of supernets of one network.
        searches: work directories of finished searches.
        standalone: work directories of `tools/standalone.py`.

    Raises:
        UserInputError: nothing to study, something else in `out`, or inputs that are not what they should be.
    """
    target = Path(out)
    refuse_other_files(target, (PAGE, *FIGURES))
    inputs = Inputs.read(tables, searches, standalone)
    return write_sections(target, PAGE, "Supernets, searches and trainings from scratch", SECTIONS, inputs)


def _made_from(inputs: Inputs, folder: Path) -> list[str]:
    paths = [one.path for one in inputs.tables]
    paths += [outcome.work_dir / name for outcome in inputs.searches for name in (SEARCH, LOG_NAME)]
    paths += [alone.folder / STANDALONE for alone in (*inputs.alone, *inputs.others)]
    rows = [(code(f"{path.parent.name}/{path.name}"), code(sha256_file(path))) for path in dict.fromkeys(paths)]
    return [table(("file", "sha256"), rows)]


SECTIONS: Mapping[str, Section] = {
    "Tables of all schemes": tables_section,
    "Agreement of rankings": rankings_section,
    "Accuracy, parameters and time over connection ratios (LTH4SA, Fig. 2)": ratios_section,
    "Rankings against training from scratch": prediction_section,
    "Place of what was found (LTH4SA, Table I, top 5 %)": top_section,
    "Random and searched schemes from scratch (EAN, Fig. 4)": distribution_section,
    "Exploration of the controllers (LTH4SA, Fig. 5)": exploration_section,
    "Schemes over steps (LTH4SA, Table V)": schemes_section,
    "Time of the search (LTH4SA, Table VI)": time_section,
    "Made from": _made_from,
}
