import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from transfer.measure.machine import describe_machine, summary
from transfer.measure.memory import malloc_in_use, peak_memory
from transfer.measure.timing import CLOCKS, Ratio, interleaved, paired_ratio

pytestmark = pytest.mark.slow


def test_steps_run_in_turn_and_the_first_one_changes():
    order = []
    times = interleaved([lambda: order.append("a"), lambda: order.append("b")], 3, warm_up=1)
    assert "".join(order) == "abbaabba" and times.shape == (3, 2) and (times > 0).all()


def test_the_device_is_waited_for_before_each_reading_of_the_clock():
    events = []

    def clock():
        events.append("clock")
        return float(len(events))

    interleaved([lambda: events.append("work")], 1, synchronise=lambda: events.append("wait"), clock=clock)
    assert events == ["wait", "clock", "work", "wait", "clock"]


def test_the_clock_of_computing_does_not_count_sleep():
    import time

    times = interleaved([lambda: time.sleep(0.05)], 1, clock=CLOCKS["cpu"])
    assert times[0, 0] < 0.04


def test_ratios_are_paired_round_by_round():
    against = np.array([1.0, 10.0, 100.0])  # a machine that becomes slower does not change what is compared
    ratio = paired_ratio(1.2 * against, against)
    assert ratio == pytest.approx((1.2, 1.2, 1.2))
    assert Ratio(1.2, 1.1, 1.3).percent == pytest.approx((20, 10, 30))


def test_peak_memory_is_that_of_the_tensors_alive_at_a_time():
    def work():
        first = torch.ones(1_000_000)
        second = first + 1
        del first
        third = second * 2
        del second
        return third

    assert peak_memory(work) == pytest.approx(8_000_000, rel=1e-3)
    assert peak_memory(lambda: torch.ones(1_000_000).sum().item()) == pytest.approx(4_000_000, rel=1e-3)


@pytest.mark.skipif(malloc_in_use() == "unknown", reason="needs glibc 2.33")
def test_malloc_is_recognised_by_what_it_does():
    code = """
from transfer.engine.allocator import keep_freed_memory
from transfer.measure.memory import malloc_in_use
print(malloc_in_use(), malloc_in_use())
keep_freed_memory()
print(malloc_in_use())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["default", "default", "kept"], done.stderr


def test_the_machine_is_described_in_plain_values():
    machine = describe_machine()
    assert json.loads(json.dumps(machine)) == machine
    assert machine["versions"]["torch"] == torch.__version__ and machine["threads"] >= 1
    assert machine["cpu"] in summary(machine)
    assert "load" not in summary({**machine, "load_average": None})
