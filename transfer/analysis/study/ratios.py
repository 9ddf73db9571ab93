"""How far schemes of one connection ratio differ in accuracy, parameters and time (LTH4SA, Fig. 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from backbones.scheme import ConnectionScheme
from transfer.analysis.finished import SearchOutcome
from transfer.analysis.report.standalone import count_parameters
from transfer.analysis.study.figures import draw_ratios
from transfer.analysis.study.inputs import Inputs
from transfer.analysis.tickets import RatioGroup, by_connection_ratio
from transfer.measure.markdown import table


def ratios_section(inputs: Inputs, folder: Path) -> list[str]:
    """A table and a figure for each search whose blocks were timed."""
    said = []
    for number, outcome in enumerate((one for one in inputs.searches if one.latency is not None), 1):
        groups = quantities(outcome)
        name = f"ratios_{number}.png"
        draw_ratios(folder / name, groups)
        said += [f"### `{outcome.work_dir.name}`", table(*_table(groups)), f"![Over ratios]({name})"]
    if said:
        said.insert(
            0,
            "Least, mean and greatest of the schemes in the log, by connection ratio. Accuracies are the supernet's "
            "(the paper's networks are trained from scratch), times are sums of the blocks' measured increments.",
        )
    return said


def quantities(outcome: SearchOutcome) -> dict[str, tuple[RatioGroup, ...]]:
    """Values of the log's schemes by ratio, of each quantity by its name."""
    known, latency = outcome.known, outcome.latency
    parameters = parameters_of(outcome, known)
    found = {
        "accuracy by the supernet (%)": by_connection_ratio([(s, one.accuracy) for s, one in known.items()]),
        "parameters (M)": by_connection_ratio([(s, parameters[s] / 1e6) for s in known]),
    }
    if latency is not None:
        found["time increment (%)"] = by_connection_ratio([(s, latency.expected(s)) for s in known])
    return found


def parameters_of(outcome: SearchOutcome, schemes: Iterable[ConnectionScheme]) -> dict[ConnectionScheme, int]:
    """Parameters of each scheme's network: the plain one's, and those of the modules that the scheme reaches.

    So only a few networks are built, one with a single module for each of these.
    """
    search, depths = outcome.search, outcome.depths

    def count(scheme: ConnectionScheme) -> int:
        return count_parameters(outcome, scheme, search.attention, search.sharing)

    stage_of = [stage for stage, depth in enumerate(depths) for _ in range(depth)]
    module_of = stage_of if search.sharing == "stage" else range(sum(depths))
    plain, extra = count(ConnectionScheme.empty(depths)), {}
    for block, module in enumerate(module_of):
        if module not in extra:
            bits = [int(place == block) for place in range(sum(depths))]
            extra[module] = count(ConnectionScheme.from_bits(bits, depths)) - plain
    reached = {scheme: {m for m, bit in zip(module_of, scheme.bits, strict=True) if bit} for scheme in schemes}
    return {scheme: plain + sum(extra[module] for module in modules) for scheme, modules in reached.items()}


def _table(groups: Mapping[str, tuple[RatioGroup, ...]]) -> tuple[list[str], list[list[str]]]:
    first = next(iter(groups.values()))
    head = ["connected" if all(group.label.isdigit() for group in first) else "ratio", "schemes"]
    rows = [[group.label, str(len(group.accuracies))] for group in first]
    for quantity, found in groups.items():
        head += [f"{quantity}, {which}" for which in ("least", "mean", "greatest")]
        digits = 3 if quantity.startswith("parameters") else 2
        for row, group in zip(rows, found, strict=True):
            values = (group.accuracies.min(), group.accuracies.mean(), group.accuracies.max())
            row += [f"{value:.{digits}f}" for value in values]
    return head, rows
