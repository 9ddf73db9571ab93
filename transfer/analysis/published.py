"""Figures that the papers printed on searching, to stand beside measured ones, never in a column with them.

EAN: Huang et al., "Efficient Attention Network" (arXiv:2011.14058). LTH4SA: Huang et al., "The Lottery Ticket
Hypothesis for Self-attention in Convolutional Neural Network" (arXiv:2207.07858).
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A network of LTH4SA's Table I or II, with SE on CIFAR-100.

    Attributes:
        arch: of the backbone.
        network: method of the search, or `Original`, `Full-SA`, `Full-Share`.
        sharing: `"block"` in Table I, `"stage"` in Table II.
        beta: of the supernet; None for a network that was not searched.
        accuracy: of the test images, percent.
        parameters: millions.
        increment: of the inference time (Eq. 7), percent.
        top5: Table I's column `Top5%?`; None where it has none.
        ticket: whether the paper calls it a ticket; None where it does not say.
        source: where it is printed.
    """

    arch: str
    network: str
    sharing: str
    beta: float | None
    accuracy: float
    parameters: float
    increment: float
    top5: bool | None
    ticket: bool | None
    source: str


METHODS = {"ean": "EAN", "enas": "ENAS", "darts": "DARTS", "ga": "GA", "l1": "l1", "gm": "GM"}
"""Our names of the methods that have rows in Table I, and the paper's."""

_NETWORKS = ("ENAS", "DARTS", "GA", "l1", "GM", "EAN")
_TICKETS = {("resnet38", "EAN"): (0.2, 0.5, 0.8), ("resnet164", "EAN"): (0.2, 0.5, 0.8), ("resnet164", "GA"): (0.2,),
            ("resnet164", "l1"): (0.8,)}  # fmt: skip
_TOP5 = {"EAN": (0.5, 0.8)}

# Accuracy, parameters, increment in the order of `_NETWORKS`.
_TABLE1 = {
    ("resnet38", 0.2): "64.94 0.43 0.00  66.07 0.44 13.04  65.25 0.47 32.88  66.06 0.45 6.37  66.39 0.45 6.45  "
    "66.78 0.45 23.21",
    ("resnet38", 0.5): "65.09 0.45 26.55  66.06 0.44 20.02  65.57 0.44 19.82  65.86 0.47 20.00  66.27 0.46 19.50  "
    "66.90 0.45 26.52",
    ("resnet38", 0.8): "66.77 0.47 38.98  66.67 0.46 29.55  66.21 0.46 33.61  66.32 0.47 29.60  66.61 0.47 29.60  "
    "67.06 0.46 19.98",
    ("resnet164", 0.2): "74.29 1.73 0.00  74.42 1.74 8.43  76.07 1.80 15.64  74.50 1.81 8.92  75.09 1.81 8.24  "
    "76.53 1.85 25.84",
    ("resnet164", 0.5): "75.33 1.81 18.13  73.44 1.85 21.97  75.75 1.76 15.21  73.79 1.90 23.23  75.37 1.90 22.04  "
    "76.21 1.82 22.41",
    ("resnet164", 0.8): "75.80 1.93 43.56  75.42 1.90 34.42  75.10 1.78 13.91  76.27 1.92 34.66  75.55 1.92 34.29  "
    "75.80 1.82 20.64",
}


def _table1() -> tuple[Row, ...]:
    rows = []
    for (arch, beta), text in _TABLE1.items():
        figures = [float(number) for number in text.split()]
        for place, network in enumerate(_NETWORKS):
            top5 = beta in _TOP5.get(network, ()) if arch == "resnet38" else None
            ticket = beta in _TICKETS.get((arch, network), ())
            accuracy, parameters, increment = figures[3 * place : 3 * place + 3]
            rows.append(
                Row(arch, network, "block", beta, accuracy, parameters, increment, top5, ticket, "LTH4SA, Table I")
            )
    return tuple(rows)


TABLE1 = _table1()

_INFERRED = "LTH4SA, Table I, ENAS of beta 0.8, all connected by its figures (our inference)"
NETWORKS = (
    Row("resnet38", "Original", "stage", None, 64.94, 0.43, 0.0, None, None, "LTH4SA, Table I"),
    Row("resnet38", "Full-SA", "block", None, 66.77, 0.47, 38.98, None, None, _INFERRED),
    Row("resnet164", "Original", "stage", None, 74.29, 1.727, 0.0, None, None, "LTH4SA, Table II"),
    Row("resnet164", "Full-SA", "block", None, 75.80, 1.929, 43.56, None, None, "LTH4SA, Table II"),
    Row("resnet164", "Full-Share", "stage", None, 76.09, 1.739, 41.66, None, None, "LTH4SA, Table II"),
    Row("resnet164", "EAN", "stage", 0.5, 76.93, 1.739, 18.81, None, None, "LTH4SA, Table II"),
)
"""Networks beside the methods of Table I, and Share-EAN."""

SCHEDULES = {
    "resnet38": "100 epochs, the rate along a cosine, flips",
    "resnet164": "164 epochs, the rate divided by ten after 81 and 122, flips and crops",
}
"""Of the papers' trainings on CIFAR-100."""

RESNET38_ITERATIONS = 31_250
"""100 epochs of D_train's 40,000 images in batches of 128."""


class Distribution(NamedTuple):
    """Accuracies of several schemes that were trained from scratch."""

    name: str
    count: int
    mean: float
    sd: float


FIG4 = (Distribution("random", 180, 74.29, 0.81), Distribution("EAN", 40, 75.10, 0.45))
FIG4_P = 4e-7
"""EAN, Fig. 4: CIFAR-100, ResNet-164, SE; of D_val. P of Student's t-test."""

TABLE5 = (
    (0, 0.52, 0.50), (5, 0.44, 0.51), (10, 0.44, 0.50), (15, 0.37, 0.57), (20, 0.26, 0.67), (25, 0.26, 0.64),
    (30, 0.17, 0.85), (35, 0.07, 0.91), (40, 0.02, 0.96), (45, 0.02, 0.98), (50, 0.07, 0.98), (55, 0.04, 0.98),
)  # fmt: skip
"""LTH4SA, Table V, ENAS on CIFAR-100, ResNet-164, SE: iteration, sparsity, p-bar. (Its schemes are not legible.)"""

TABLE6 = {"resnet38": (1.61, 0.41, 25.4), "resnet164": (4.46, 0.94, 21.3)}
"""LTH4SA, Table VI, on a GTX 1080 Ti: hours of a training and of the search, and their ratio in percent."""
