"""Pre-activation ResNets (He et al., ECCV 2016) of bottleneck blocks for CIFAR, as NetSlim and RARTS prune them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backbones.arch_spec import ArchSpec, Family

if TYPE_CHECKING:
    from backbones.families._preresnet import PreResNet


def _cifar(depth: int) -> ArchSpec:
    return ArchSpec(f"preresnet{depth}", "bottleneck", ((depth - 2) // 9,) * 3, "cifar", (16, 32, 64), "preresnet")


def _network() -> type[PreResNet]:
    from backbones.families._preresnet import PreResNet

    return PreResNet


FAMILY = Family(tuple(map(_cifar, (20, 29, 38, 56, 110, 164))), _network, sams=True)
