import numpy as np
import pytest
import torch
import torch.nn.functional as F

from backbones.errors import UserInputError
from tasks.counting.heads import C3Head, DilatedHead
from tasks.counting.losses import CountingTarget, DensityMSELoss

HEADS = {"c3": lambda c, **k: C3Head(c, **k), "dilated": lambda c, **k: DilatedHead(c, channels=(8, 4), **k)}


@pytest.mark.parametrize("build", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize(("channels", "size"), [(6, (5, 7)), (16, (1, 1))])
def test_a_head_keeps_the_grid_and_gives_one_channel(build, channels, size):
    head = build(channels)
    assert head([torch.randn(2, channels, *size)]).shape == (2, 1, *size)


@pytest.mark.parametrize("build", HEADS.values(), ids=HEADS)
def test_a_head_reads_the_selected_feature_map_only(build):
    torch.manual_seed(0)
    head = build(6, in_index=1)
    features = [torch.randn(1, 3, 8, 8), torch.randn(1, 6, 4, 4), torch.randn(1, 9, 2, 2)]
    before = head(features)
    assert torch.equal(before, head([features[0] + 1, features[1], features[2] * 2]))
    assert not torch.equal(before, head([features[0], features[1] + 1, features[2]]))


def test_c3_head_equals_its_description_in_numpy():
    torch.manual_seed(0)
    head, x = C3Head(5, channels=3), torch.randn(2, 5, 4, 6)
    first, _, last, _ = head.layers
    w1, w2 = (layer.weight.detach().numpy()[:, :, 0, 0] for layer in (first, last))
    hidden = np.maximum(np.einsum("oc,nchw->nohw", w1, x.numpy()), 0)
    expected = np.maximum(np.einsum("oc,nchw->nohw", w2, hidden), 0)
    np.testing.assert_allclose(head([x]).detach().numpy(), expected, atol=1e-7)


def test_c3_head_starts_from_small_weights_and_zero_biases():
    torch.manual_seed(0)
    head = C3Head(1024)
    assert head.layers[0].weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert head.layers[2].weight.std().item() == pytest.approx(0.01, rel=0.3)
    assert not head.layers[0].bias.any() and not head.layers[2].bias.any()
    assert sum(p.numel() for p in head.parameters()) == 1024 * 128 + 128 + 128 + 1


def test_dilated_head_has_csrnets_layers_and_a_linear_output():
    head = DilatedHead(512)
    convs = [layer for layer in head.layers if isinstance(layer, torch.nn.Conv2d)]
    assert [c.out_channels for c in convs] == [512, 512, 512, 256, 128, 64, 1]
    assert [c.dilation[0] for c in convs] == [2] * 6 + [1]
    assert [c.kernel_size[0] for c in convs] == [3] * 6 + [1]
    small = DilatedHead(4, channels=(4,))
    torch.nn.init.constant_(small.layers[-1].bias, -5.0)
    assert (small([torch.randn(1, 4, 3, 3)]) < 0).any()


def test_dilated_head_refuses_no_layers():
    with pytest.raises(UserInputError, match="channels"):
        DilatedHead(4, channels=())


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_c3s_full_resolution_loss_has_the_gradient_of_ours_on_the_heads_grid(stride):
    """Nearest enlargement and a pixelwise MSE on 100 times the density: C-3's loss is ours plus a constant."""
    torch.manual_seed(0)
    pixels = torch.rand(2, 1, 3 * stride, 4 * stride, dtype=torch.float64) * 0.02
    raw = torch.rand(2, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    c3 = F.mse_loss(F.interpolate(raw, scale_factor=stride, mode="nearest"), 100 * pixels)
    (c3_gradient,) = torch.autograd.grad(c3, raw)

    people = F.avg_pool2d(pixels, stride, divisor_override=1)
    target = CountingTarget(people, torch.ones_like(people), [], stride, label_scale=100.0)
    ours = DensityMSELoss()(raw * stride**2 / 100, target)
    (gradient,) = torch.autograd.grad(ours, raw)

    torch.testing.assert_close(gradient, c3_gradient, rtol=1e-9, atol=1e-15)
    enlarged = F.interpolate(people / stride**2, scale_factor=stride, mode="nearest")
    inside_cells = (100 * (pixels - enlarged)).square().mean()
    torch.testing.assert_close(c3, ours + inside_cells, rtol=1e-9, atol=0)
    if stride == 8:
        squared = (1.5625 * (raw * stride**2 / 100 - people)).square().mean()
        torch.testing.assert_close(ours, squared, rtol=1e-9, atol=0)
