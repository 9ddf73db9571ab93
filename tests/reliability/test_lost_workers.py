"""What a lost worker should have evaluated is evaluated by the others."""

from types import SimpleNamespace

import pytest

from backbones.scheme import ConnectionScheme
from transfer.pipeline.engines import LostWorker, _Spread

SCHEMES = [ConnectionScheme.from_bits([i >> 1 & 1, i & 1], (1, 1)) for i in range(4)]


class Worker:
    """Answers a scheme with itself; a broken one is lost when it is asked."""

    def __init__(self, broken):
        self.broken, self.evaluate = broken, SimpleNamespace(remote=self.answer)

    def answer(self, part):
        return None if self.broken else ([f"of {scheme}" for scheme in part], len(part), 2 * len(part))


def get(answer):
    if answer is None:
        raise LostWorker("a ray worker was lost")
    return answer


def spread(*broken):
    made = object.__new__(_Spread)
    made.__dict__.update(
        _engine=SimpleNamespace(_get=get),
        _workers=[Worker(one) for one in broken],
        _blocks=SimpleNamespace(run=0, alone=0),
    )
    return made


@pytest.mark.parametrize("broken", [(True, False), (False, True), (True, True, False), (False, False)])
def test_schemes_of_lost_workers_are_dealt_again(broken, capsys):
    problem = spread(*broken)
    assert problem.evaluate(SCHEMES) == [f"of {scheme}" for scheme in SCHEMES]
    assert (problem._blocks.run, problem._blocks.alone) == (4, 8)
    assert capsys.readouterr().err.count("dealt again") == sum(broken)


def test_without_any_worker_left_the_search_ends():
    with pytest.raises(LostWorker, match="go on with --resume"):
        spread(True, True).evaluate(SCHEMES)
