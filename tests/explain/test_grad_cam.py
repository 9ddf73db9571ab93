"""Grad-CAM against numbers by hand, against CAM, and against autograd without hooks."""

import numpy as np
import pytest
import torch
from torch import nn

from backbones.errors import UserInputError
from backbones.resnet import AttentionResNet
from transfer.explain.figures import over_image
from transfer.explain.grad_cam import find_layer, grad_cam, layer_names

ARGS = {"se": {}, "sge": {"groups": 4}, "dia": {}}


def network(attention="se", scheme="10.01.11", **options):
    torch.manual_seed(3)
    options = {"num_classes": 4, "attention_args": ARGS[attention], **options}
    net = AttentionResNet("resnet20", attention=attention, scheme=scheme, **options).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2)
            module.bias.data.uniform_(-0.5, 0.5)
    return net


def test_by_hand():
    # y = 3 mean(A0)^2 - 2 mean(A1)^2 with A0 = x, A1 = -x / 2, whose means are 2 and -1. So alpha0 = 6 * 2 / 4 = 3 and
    # alpha1 = -4 * -1 / 4 = 1 (Eq. 1), and the map is relu(3 x - x / 2) (Eq. 2).
    layer = nn.Conv2d(1, 2, 1, bias=False)
    layer.weight.data = torch.tensor([1.0, -0.5]).view(2, 1, 1, 1)
    x = torch.tensor([[[[1.0, -2.0], [3.0, 6.0]]]])
    found = grad_cam(layer, lambda: (layer(x)[0].mean((1, 2)) ** 2) @ torch.tensor([3.0, -2.0]))
    np.testing.assert_allclose(found[0], [[2.5, 0], [7.5, 15]], rtol=1e-6)


@pytest.mark.parametrize("attention", ARGS)
@pytest.mark.parametrize("layer", ["layer3", "layer3.1"])
def test_before_pooling_and_a_linear_layer_it_is_cam(attention, layer):
    """Zhou et al., CVPR 2016: `sum_k w_k A^k`, here of a connected last block; Grad-CAM divides it by h * w."""
    net, x = network(attention), torch.randn(2, 3, 16, 24)
    net.num_classes = None
    features_NCHW = net(x)[-1]
    net.num_classes = 4
    most = []
    for label in range(4):
        found = grad_cam(find_layer(net, layer)[1], lambda label=label: net(x)[:, label].sum())
        cam = torch.einsum("k,nkhw->nhw", net.fc.weight[label], features_NCHW)
        torch.testing.assert_close(found, cam.relu().detach() / (4 * 6), rtol=1e-4, atol=1e-6)
        most.append(found.max())
    assert max(most) > 0


def test_it_is_cam_at_layer4_of_an_imagenet_network():
    torch.manual_seed(0)
    net = AttentionResNet("resnet50", attention="sge", scheme="000.0000.000000.001", num_classes=3).eval()
    net.fc.weight.data[1].abs_()
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        feature = net.layer4(net.layer3(net.layer2(net.layer1(net.stem(x)))), connections=net._connections(3, None))
    name, layer = find_layer(net)
    found = grad_cam(layer, lambda: net(x)[0, 1])
    cam = torch.einsum("k,khw->hw", net.fc.weight[1], feature[0]).relu() / feature[0, 0].numel()
    assert name == "layer4" and cam.max() > 0
    torch.testing.assert_close(found[0], cam.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"frozen_stages": 3}, {"with_cp": True}, {"channels_last": True}], ids=str)
@pytest.mark.parametrize("layer", ["layer1.0", "layer2", "layer3.0"])
def test_deep_layers_against_autograd(layer, options):
    net, x = network("dia", **options), torch.randn(1, 3, 16, 16)
    kept = []
    handle = net.get_submodule(layer).register_forward_hook(lambda module, inputs, out: kept.append(out))
    (gradient,) = torch.autograd.grad(net(x.requires_grad_())[0, 2], kept)
    handle.remove()
    expected = (gradient.sum((2, 3), keepdim=True) / gradient[0, 0].numel() * kept[0]).sum(1).clamp(min=0)
    found = grad_cam(net.get_submodule(layer), lambda: net(x.detach())[0, 2])
    assert expected.max() > 0
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-7)
    assert all(p.grad is None for p in net.parameters()) and not net.get_submodule(layer)._forward_hooks
    assert torch.is_grad_enabled()


def test_the_same_as_captum():
    attr = pytest.importorskip("captum.attr")
    net, x = network("se"), torch.randn(1, 3, 16, 16)
    expected = attr.LayerGradCam(net, net.layer2).attribute(x, target=1, relu_attributions=True)
    torch.testing.assert_close(grad_cam(net.layer2, lambda: net(x)[0, 1]), expected[:, 0].detach())


def test_what_no_channel_speaks_for_is_zero():
    net, x = network(), torch.randn(1, 3, 16, 16)
    found = grad_cam(net.layer3, lambda: 0 * net(x)[0, 0])
    assert found.shape == (1, 4, 4) and not found.any()


def test_a_layer_that_runs_twice_has_no_map():
    net, x = network(), torch.randn(1, 3, 16, 16)
    with pytest.raises(ValueError, match="ran 2 times"):
        grad_cam(net.layer3, lambda: net(x)[0, 0] + net(x)[0, 0])
    assert torch.is_grad_enabled() and not net.layer3._forward_hooks


def test_layers_by_name():
    net = network(num_classes=None, out_indices=(1,))
    assert find_layer(net)[0] == "layer2" and find_layer(net, "layer1.1")[1] is net.layer1[1]
    assert [name for name in layer_names(net) if "." not in name] == ["layer1", "layer2"]
    for wrong in ("layer3", "layer2.2", "layer", "layer1.0.conv1", "fc", ""):
        with pytest.raises(UserInputError, match=r"--layer .*layer1, layer2.*layer2.1") as error:
            find_layer(net, wrong)
        assert "\n" not in str(error.value)
    with pytest.raises(UserInputError, match="Did you mean 'layer1'"):
        find_layer(net, "layr1")


def test_a_map_lies_where_its_cells_are():
    """A hot cell of a padded input covers its own pixels of the image, the padding is cut off."""
    cells = torch.zeros(4, 5)
    cells[1, 3] = 1
    found = over_image(cells, (32, 40), (30, 36), (60, 72))  # the image was halved, then padded by 2 and 4
    assert found.shape == (60, 72)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert 16 <= row < 32 and 48 <= column < 64
    assert found[:4].max() == 0 and found[:, :32].max() == 0
