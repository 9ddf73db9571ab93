"""What a measurement was taken on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "numpy", "mmengine", "mmsegmentation", "timm", "torchvision")


def describe_machine(device: str | torch.device = "cpu") -> dict[str, Any]:
    """Plain values for a benchmark's JSON: processor, threads, system, versions, and how busy the machine is."""
    device = torch.device(device)
    described = {
        "device": str(device),
        "cpu": _cpu_name(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": _load(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onednn": torch.backends.mkldnn.is_available(),
        "versions": _versions(),
    }
    if device.type == "cuda":
        described["gpu"] = torch.cuda.get_device_name(device)
        described["cuda"] = torch.version.cuda
    return described


def summary(machine: dict[str, Any]) -> str:
    """One line for the terminal."""
    busy = machine["load_average"]
    return (
        f"{machine.get('gpu', machine['cpu'])}, {machine['threads']} of {machine['cores']} threads, "
        f"{machine['cpu_capability']}, torch {machine['versions']['torch']}"
        + (f", load {busy:.1f}" if busy is not None else "")
    )


def _cpu_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _load() -> float | None:
    """Processes that wanted a core in the last minute, on average; None where the system does not say."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return None


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
