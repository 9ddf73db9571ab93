"""ResNets (He et al., CVPR 2016) for ImageNet and CIFAR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backbones.arch_spec import ArchSpec, Family

if TYPE_CHECKING:
    from backbones.resnet import AttentionResNet


def _imagenet(depth: int, block: str, depths: tuple[int, ...]) -> ArchSpec:
    return ArchSpec(f"resnet{depth}", block, depths, "imagenet", (64, 128, 256, 512))


def _cifar(depth: int, block: str = "bottleneck") -> ArchSpec:
    blocks, rest = divmod(depth - 2, 9 if block == "bottleneck" else 6)
    assert rest == 0
    name = f"resnet{depth}" if block == "bottleneck" else f"resnet{depth}_basic"
    return ArchSpec(name, block, (blocks,) * 3, "cifar", (16, 32, 64))


def _network() -> type[AttentionResNet]:
    from backbones.resnet import AttentionResNet

    return AttentionResNet


FAMILY = Family(
    architectures=(
        _imagenet(18, "basic", (2, 2, 2, 2)),
        _imagenet(34, "basic", (3, 4, 6, 3)),
        _imagenet(50, "bottleneck", (3, 4, 6, 3)),
        _imagenet(101, "bottleneck", (3, 4, 23, 3)),
        _imagenet(152, "bottleneck", (3, 8, 36, 3)),
        *(_cifar(depth) for depth in (20, 29, 38, 56, 110, 164)),
        *(_cifar(depth, "basic") for depth in (20, 32, 44, 56, 110)),
    ),
    network=_network,
    sams=True,
)
