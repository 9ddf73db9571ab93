"""SE, SGE and DIA against plain numpy; the merge protocol; timm's layers as SAMs."""

import numpy as np
import pytest
import torch

from backbones.attention import create_attention, list_attentions
from backbones.attention.base import global_mean
from backbones.errors import UserInputError

ARGS = {"se": {"reduction": 4}, "sge": {"groups": 4}, "dia": {"reduction": 3}}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def linear(module, x):
    return x @ module.weight.detach().numpy().T + module.bias.detach().numpy()


def numpy_se(sam, x):
    return sigmoid(linear(sam.fc2, np.maximum(linear(sam.fc1, x.mean((2, 3))), 0)))[:, :, None, None] * np.ones_like(x)


def numpy_sge(sam, x):
    n, c, _, _ = x.shape
    groups, out = sam.groups, np.empty_like(x)
    for image in range(n):
        for group in range(groups):
            part = slice(group * c // groups, (group + 1) * c // groups)
            features = x[image, part]
            t = np.einsum("chw,c->hw", features, features.mean((1, 2)))
            t = (t - t.mean()) / (t.std(ddof=1) + 1e-5)
            out[image, part] = sigmoid(t * sam.weight[group].item() + sam.bias[group].item())
    return out


def numpy_dia_step(sam, x, h, c):
    def gates(net, v):
        return linear(net[2], np.maximum(linear(net[0], v), 0))

    i, f, g, o = np.split(gates(sam.input_gates, x.mean((2, 3))) + gates(sam.hidden_gates, h), 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * sigmoid(c), c


def random_sam(name, channels=12):
    torch.manual_seed(0)
    sam = create_attention(name, channels, **ARGS[name]).double()
    for parameter in sam.parameters():
        torch.nn.init.normal_(parameter)
    return sam


def maps(channels_last, channels=12, batch=3):
    x = torch.randn(batch, channels, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return x.contiguous(memory_format=torch.channels_last) if channels_last else x


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("name", "reference"), [("se", numpy_se), ("sge", numpy_sge)])
def test_stateless_gates_equal_numpy(name, reference, channels_last):
    sam, x = random_sam(name), maps(channels_last)
    gate, state = sam.gate(x, None)
    assert state is None
    np.testing.assert_allclose((gate * torch.ones_like(x)).detach().numpy(), reference(sam, x.numpy()), atol=1e-12)


def test_dia_carries_its_state_as_numpy_does():
    sam = random_sam("dia")
    h = c = np.zeros((3, 12))
    state = None
    for step in range(3):
        x = maps(False) * (step + 1)
        gate, state = sam.gate(x, state)
        h, c = numpy_dia_step(sam, x.numpy(), h, c)
        np.testing.assert_allclose(gate[:, :, 0, 0].detach().numpy(), h, atol=1e-12)
        np.testing.assert_allclose(state[1].detach().numpy(), c, atol=1e-12)


@pytest.mark.parametrize("name", sorted(ARGS))
@pytest.mark.parametrize("weight", [None, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("channels_last", [False, True])
def test_merge_is_gate_add_relu(name, weight, channels_last):
    sam, x = random_sam(name), maps(channels_last)
    shortcut = torch.randn_like(x)
    gate, _ = sam.gate(x, None)
    w = 1.0 if weight is None else weight
    expected = (shortcut + (w * gate + 1 - w) * x).clamp(min=0)
    kept = x.clone(), shortcut.clone()
    merged, _ = sam.merge(x, shortcut, None, None if weight is None else torch.tensor(weight, dtype=x.dtype))
    torch.testing.assert_close(merged, expected, rtol=0, atol=1e-12)
    assert torch.equal(x, kept[0])
    assert torch.equal(shortcut, kept[1])


@pytest.mark.parametrize("name", sorted(ARGS))
@pytest.mark.parametrize("channels_last", [False, True])
def test_gradients_of_merge(name, channels_last):
    sam = random_sam(name, channels=12)
    x = maps(channels_last, batch=2)[:, :, :3, :2].clone().requires_grad_()
    shortcut = torch.randn(2, 12, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    shortcut = (shortcut + 4).requires_grad_()  # away from ReLU's kink
    weight = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *a: sam.merge(a[0], a[1], None, a[2])[0], (x, shortcut, weight))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_global_mean_is_numpys_and_does_not_overflow(dtype):
    x = (torch.rand(2, 3, 64, 48) * 60).to(dtype)  # the sum of a map, 90,000, is beyond float16
    expected = x.double().numpy().mean((2, 3))
    np.testing.assert_allclose(global_mean(x).double().numpy(), expected, rtol=4 * torch.finfo(dtype).eps)


def test_sge_on_a_single_position_is_defined():
    sam = random_sam("sge")
    gate, _ = sam.gate(torch.randn(2, 12, 1, 1, dtype=torch.float64))
    expected = sam.bias.sigmoid().repeat_interleave(3).expand(2, -1)
    torch.testing.assert_close(gate[:, :, 0, 0], expected)
    sam.merge(torch.randn(2, 12, 1, 1).double(), torch.ones(2, 12, 1, 1).double())[0].sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in sam.parameters())


def test_initial_masks_are_the_papers():
    x = torch.randn(8, 256, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    assert create_attention("sge", 256).gate(x)[0].mean().item() == pytest.approx(0.731, abs=1e-3)
    assert create_attention("se", 256).gate(x)[0].mean().item() == pytest.approx(0.5, abs=0.05)
    assert create_attention("dia", 256).gate(x)[0].mean().item() == pytest.approx(0.253, abs=0.01)


@pytest.mark.parametrize(
    ("name", "args", "channels", "parameters"),
    [
        ("se", {}, 64, 580),
        ("se", {}, 2048, 526_464),
        ("sge", {"groups": 4}, 64, 8),
        ("dia", {"reduction": 4}, 64, 10_784),
        ("dia", {"reduction": 4}, 256, 166_016),
        ("dia", {"reduction": 20}, 256, 32_792),
        ("dia", {"reduction": 20}, 2048, 2_105_548),
    ],
)
def test_parameters_an_instance(name, args, channels, parameters):
    assert sum(p.numel() for p in create_attention(name, channels, **args).parameters()) == parameters


@pytest.mark.parametrize("layer", ["eca", "cbam", "se", "gc"])
def test_timm_layers_equal_timm(layer):
    get_attn = pytest.importorskip("timm.layers").get_attn
    torch.manual_seed(0)
    ours = create_attention(f"timm:{layer}", 32).eval()
    theirs = get_attn(layer)(32).eval()
    theirs.load_state_dict(ours.layer.state_dict())
    x, shortcut = torch.randn(2, 32, 6, 6), torch.randn(2, 32, 6, 6)
    torch.testing.assert_close(ours.merge(x, shortcut)[0], (shortcut + theirs(x)).relu())
    half = ours.merge(x, shortcut, None, torch.tensor(0.5))[0]
    torch.testing.assert_close(half, (shortcut + 0.5 * theirs(x) + 0.5 * x).relu())


@pytest.mark.parametrize(
    ("name", "args", "told"),
    [
        ("sse", {}, "Did you mean 'se'"),
        ("se", {"reducton": 4}, "Did you mean 'reduction'"),
        ("se", {"reduction": 0}, "reduction=0"),
        ("dia", {"reduction": 64}, "reduction=64"),
        ("sge", {"groups": 5}, "groups=5 does not divide"),
        ("timm:nothing", {}, "timm cannot build it"),
    ],
)
def test_wrong_attention_is_refused(name, args, told):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    with pytest.raises(UserInputError, match=told):
        create_attention(name, 32, **args)


@pytest.fixture(params=list_attentions())
def listed(request):
    """Each SAM of the package by its defaults, its parameters no longer at their initial values."""
    torch.manual_seed(0)
    sam = create_attention(request.param, 64).double()
    for parameter in sam.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return sam


def stage_of_gates(gate, x):
    """Masks of three blocks of a stage, and the last state."""
    masks, state = [], None
    for step in range(3):
        mask, state = gate(x * (step + 1), state)
        masks.append(mask)
    return masks, state


def test_a_sam_has_a_mask_for_any_map_and_defaults_for_all_but_the_channels(listed):
    x = maps(False, channels=64)
    masks, _ = stage_of_gates(listed.gate, x)
    assert listed.channels == 64
    assert all(torch.broadcast_shapes(mask.shape, x.shape) == x.shape and mask.isfinite().all() for mask in masks)


def test_what_a_sam_says_of_itself_is_so(listed):
    x = maps(False, channels=64)
    mask, state = listed.gate(x)
    assert (state is not None) == type(listed).recurrent == (not torch.equal(mask, listed.gate(x, state)[0]))
    if type(listed).reads_mean_only:
        torch.testing.assert_close(listed.gate(x.mean((2, 3), keepdim=True))[0], mask)
    else:
        shuffled = x.flatten(2)[:, :, torch.randperm(35, generator=torch.Generator().manual_seed(0))].view_as(x)
        other = listed.gate(torch.cat((x[:, :, :2], shuffled[:, :, 2:] + x[:, :, 2:]), 2))[0]
        assert not torch.allclose(other, mask)


@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
def test_the_narrow_gate_is_the_gate_of_the_convolution(listed, bias):
    conv, y = torch.nn.Conv2d(16, 64, 1, bias=bias).double(), maps(False, channels=16)
    narrow = listed.narrow(conv)
    if narrow is None:
        pytest.skip("it says that there is none")
    with torch.no_grad():
        expected, given = stage_of_gates(lambda v, s: listed.gate(conv(v), s), y), stage_of_gates(narrow, y)
        for ours, theirs in zip(given[0], expected[0], strict=True):
            if ours.dim() == 5:  # by group of channels
                ours = ours.expand(-1, -1, 64 // ours.shape[1], -1, -1).flatten(1, 2)
            torch.testing.assert_close(ours.expand(3, 64, 5, 7), theirs.expand(3, 64, 5, 7))
    torch.testing.assert_close(given[1], expected[1])
    kept = dict(listed.named_parameters())
    assert {id(p) for p in narrow.parameters()} & {id(p) for p in kept.values()}, "parameters are shared, not copied"
