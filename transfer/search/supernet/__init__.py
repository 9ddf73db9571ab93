"""The supernet: its training, and the evaluation of its schemes. Importing it registers `SupernetHook`."""

from transfer.search.supernet.evaluator import TrieEvaluator
from transfer.search.supernet.problem import Batches, SupernetProblem
from transfer.search.supernet.training import SupernetHook, beta_of, check_beta, schemes_at, supernet_of

__all__ = [
    "Batches",
    "SupernetHook",
    "SupernetProblem",
    "TrieEvaluator",
    "beta_of",
    "check_beta",
    "schemes_at",
    "supernet_of",
]
