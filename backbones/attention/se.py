"""Squeeze-and-Excitation (Hu et al., CVPR 2018)."""

from __future__ import annotations

from torch import Tensor, nn

from backbones.attention.base import Attention, Pointwise, State, composed, global_mean, he_init_, reading_narrow_mean
from backbones.errors import UserInputError


class SE(Attention):
    """`sigmoid(fc2(relu(fc1(GAP(x)))))`, both layers with bias.

    Args:
        channels: channels C of the map.
        reduction: C / reduction channels in between; 16 in the papers, everywhere.
    """

    reads_mean_only = True

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__(channels)
        if not 1 <= reduction <= channels:
            raise UserInputError(f"se: reduction={reduction} for {channels} channels, expected 1 to {channels}")
        self.fc1 = nn.Linear(channels, channels // reduction)
        self.fc2 = nn.Linear(channels // reduction, channels)
        he_init_(self.fc1)
        he_init_(self.fc2)

    def gate(self, x_NCHW: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Mask (N, C, 1, 1); the state is handed through."""
        squeezed_NC = global_mean(x_NCHW)
        mask_NC = self.fc2(self.fc1(squeezed_NC).relu_()).sigmoid()
        return mask_NC[:, :, None, None], state

    def narrow(self, conv: Pointwise) -> nn.Module:
        """See `Attention.narrow`; the convolution goes into the first layer."""
        return reading_narrow_mean(self, fc1=composed(self.fc1, conv))
