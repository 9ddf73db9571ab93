"""Faults: real small runs are killed, starved and damaged, resumed, and compared with runs that nothing happened to.

    python -m tests.faults --kills 20 --times 3

`runs` says what is run, `kills` and `others` what happens to it, `compare` what has to be equal afterwards.
"""
