"""The residual networks that can be registered, by name: sizes only, no torch."""

from __future__ import annotations

from dataclasses import dataclass

from backbones.errors import UserInputError, did_you_mean


@dataclass(frozen=True)
class ArchSpec:
    """What tells one ResNet from another.

    `stem` is `imagenet` (7x7 convolution of stride 2, 3x3 max pooling of stride 2) or `cifar` (3x3 convolution of
    stride 1). `widths` are the channels inside the blocks, one a stage; a block puts out `expansion` times as many.
    """

    name: str
    block: str
    depths: tuple[int, ...]
    stem: str
    widths: tuple[int, ...]

    @property
    def expansion(self) -> int:
        """4 for bottleneck blocks, 1 for basic ones."""
        return 4 if self.block == "bottleneck" else 1

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels at the end of each stage: what attention sees."""
        return tuple(width * self.expansion for width in self.widths)

    @property
    def stem_channels(self) -> int:
        """Channels after the stem."""
        return self.widths[0]

    @property
    def stem_stride(self) -> int:
        """The stem's own stride: 4 (ImageNet) or 1 (CIFAR)."""
        return 4 if self.stem == "imagenet" else 1


def _imagenet(depth: int, block: str, depths: tuple[int, ...]) -> ArchSpec:
    return ArchSpec(f"resnet{depth}", block, depths, "imagenet", (64, 128, 256, 512))


def _cifar(depth: int, block: str = "bottleneck") -> ArchSpec:
    blocks, rest = divmod(depth - 2, 9 if block == "bottleneck" else 6)
    assert rest == 0
    name = f"resnet{depth}" if block == "bottleneck" else f"resnet{depth}_basic"
    return ArchSpec(name, block, (blocks,) * 3, "cifar", (16, 32, 64))


ARCHITECTURES: dict[str, ArchSpec] = {
    spec.name: spec
    for spec in (
        _imagenet(18, "basic", (2, 2, 2, 2)),
        _imagenet(34, "basic", (3, 4, 6, 3)),
        _imagenet(50, "bottleneck", (3, 4, 6, 3)),
        _imagenet(101, "bottleneck", (3, 4, 23, 3)),
        _imagenet(152, "bottleneck", (3, 8, 36, 3)),
        *(_cifar(depth) for depth in (20, 29, 38, 56, 110, 164)),
        *(_cifar(depth, "basic") for depth in (20, 32, 44, 56, 110)),
    )
}


def get_arch(name: str) -> ArchSpec:
    """Returns the architecture called `name`; raises `UserInputError` with the close matches."""
    if name not in ARCHITECTURES:
        raise UserInputError(
            f"architecture {name!r} is unknown, expected one of {', '.join(ARCHITECTURES)}."
            f"{did_you_mean(name, ARCHITECTURES)}"
        )
    return ARCHITECTURES[name]
