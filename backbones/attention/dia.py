"""Dense-and-Implicit Attention (Huang et al., AAAI 2020): one recurrent cell shared by a stage."""

from __future__ import annotations

from torch import Tensor, nn

from backbones.attention.base import Attention, Pointwise, State, composed, global_mean, reading_narrow_mean
from backbones.errors import UserInputError


class DIA(Attention):
    """A light LSTM cell over the connected blocks of a stage; its hidden state is the mask.

    `i, f, g, o = A(GAP(x)) + B(h)`; `c' = sigmoid(f) c + sigmoid(i) tanh(g)`; `h' = sigmoid(o) sigmoid(c')`.
    A and B are Linear - ReLU - Linear with biases. The last sigmoid (not tanh) makes `h'` a mask; no other follows.

    Args:
        channels: channels C of the map, and of the hidden state.
        reduction: C // reduction channels in between; 4 on CIFAR, 20 on ImageNet.
    """

    recurrent = True
    reads_mean_only = True

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__(channels)
        if not 1 <= reduction <= channels:
            raise UserInputError(f"dia: reduction={reduction} for {channels} channels, expected 1 to {channels}")
        self.input_gates = _bottleneck(channels, channels // reduction)
        self.hidden_gates = _bottleneck(channels, channels // reduction)

    def gate(self, x_NCHW: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Mask (N, C, 1, 1) and the advanced state; `state=None` stands for zeros."""
        squeezed_NC = global_mean(x_NCHW)
        # `shape[0]`: `len` is a constant to torch.export, and the batch with it.
        h_NC, c_NC = state or (squeezed_NC.new_zeros(squeezed_NC.shape[0], self.channels),) * 2
        i, f, g, o = (self.input_gates(squeezed_NC) + self.hidden_gates(h_NC)).chunk(4, dim=1)
        c_NC = f.sigmoid() * c_NC + i.sigmoid() * g.tanh()
        h_NC = o.sigmoid() * c_NC.sigmoid()
        return h_NC[:, :, None, None], (h_NC, c_NC)

    def narrow(self, conv: Pointwise) -> nn.Module:
        """See `Attention.narrow`; the convolution goes into the input's first layer."""
        first, *rest = self.input_gates
        return reading_narrow_mean(self, input_gates=nn.Sequential(composed(first, conv), *rest))


def _bottleneck(channels: int, between: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, between), nn.ReLU(inplace=True), nn.Linear(between, 4 * channels))
