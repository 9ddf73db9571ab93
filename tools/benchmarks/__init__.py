"""The subcommands of `tools/benchmark.py`, each a line to what it measures."""
