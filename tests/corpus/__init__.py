"""Bad input, made by code: what every reader and every command does with it. `python -m tests.corpus` runs all of it."""
