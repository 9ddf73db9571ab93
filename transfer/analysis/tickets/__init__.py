"""What the lottery ticket hypothesis for self-attention (LTH4SA) says of schemes, and what it says of a search.

Imports no torch.
"""

from transfer.analysis.tickets.certificate import Certificate, Condition, TimeRatio, certify
from transfer.analysis.tickets.convergence import CONVERGED, Convergence, Snapshot, read_trace
from transfer.analysis.tickets.correlation import (
    LEAST_PAIRS,
    PUBLISHED_PEARSON,
    PUBLISHED_SAMPLES,
    Coefficient,
    Correlation,
    correlate,
)
from transfer.analysis.tickets.scores import (
    Found,
    RatioGroup,
    ScoreSet,
    Trend,
    by_connection_ratio,
    connection_scores,
    extreme_sets,
    fit_trend,
    ticket_and_bad_sets,
)

__all__ = [
    "CONVERGED",
    "LEAST_PAIRS",
    "PUBLISHED_PEARSON",
    "PUBLISHED_SAMPLES",
    "Certificate",
    "Coefficient",
    "Condition",
    "Convergence",
    "Correlation",
    "Found",
    "RatioGroup",
    "ScoreSet",
    "Snapshot",
    "TimeRatio",
    "Trend",
    "by_connection_ratio",
    "certify",
    "connection_scores",
    "correlate",
    "extreme_sets",
    "fit_trend",
    "read_trace",
    "ticket_and_bad_sets",
]
