"""The tests, a package for `python -m tests.corpus` alone."""
