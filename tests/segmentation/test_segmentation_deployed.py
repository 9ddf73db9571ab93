"""`--deploy` of tools/test.py and tools/predict.py: the deployed segmentor does the work, and says the same."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from checkpoint_files import save_checkpoint
from mmengine.registry import MODELS
from PIL import Image
from segmentation_files import CONFIGS, write_config

from transfer.deploy import deploy
from transfer.deploy._fused import FusedConv
from transfer.engine.config_check import load_config
from transfer.measure.networks import settle

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("mmseg_scope"),
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning"),
]


@pytest.fixture
def checkpoint(tmp_path, voc, command):
    """A config and a checkpoint in the current folder."""
    torch.manual_seed(0)
    model = MODELS.build(load_config(write_config(tmp_path, voc)).model)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    save_checkpoint({"state_dict": settle(model, torch.randn(4, 3, 40, 56)).state_dict(), "meta": {}}, "tiny.pth")
    return "tiny.pth"


@pytest.fixture
def fused(monkeypatch):
    """Counts how often a fused convolution runs."""
    calls, forward = [], FusedConv.forward
    monkeypatch.setattr(FusedConv, "forward", lambda self, *args: calls.append(1) or forward(self, *args))
    return calls


@pytest.mark.parametrize("tta", [(), ("--tta",)], ids=["plain", "tta"])
def test_metrics_are_those_of_the_model_itself(checkpoint, command, fused, tta):
    records = {}
    for name, options in (("eager", ()), ("deployed", ("--deploy",))):
        done = command("test.py", "tiny.py", checkpoint, "--out", f"{name}.json", *tta, *options)
        assert done.returncode == 0, done.stderr[-2000:]
        assert bool(fused) == (name == "deployed")
        records[name] = json.loads(Path(f"{name}.json").read_text())
    eager, deployed = records["eager"], records["deployed"]
    assert (eager["deployed"], deployed["deployed"]) == (False, True) and eager["scheme"] == deployed["scheme"]
    for key in ("miou", "macc", "aacc"):  # a pixel on the border of two classes may go to either
        assert deployed["metrics"][key] == pytest.approx(eager["metrics"][key], abs=0.1)


def test_masks_are_those_of_the_model_itself(checkpoint, command, fused, voc):
    masks = {}
    for name, options in (("eager", ()), ("deployed", ("--deploy",))):
        assert command("predict.py", "tiny.py", checkpoint, voc / "JPEGImages", "--out", name, *options).returncode == 0
        assert bool(fused) == (name == "deployed")
        assert json.loads(Path(name, "predictions.json").read_text())["deployed"] is (name == "deployed")
        masks[name] = np.stack([np.asarray(Image.open(path)) for path in sorted(Path(name).glob("*_mask.png"))])
    assert len(np.unique(masks["eager"])) > 1 and np.mean(masks["eager"] != masks["deployed"]) < 1e-3


@pytest.mark.real_data
def test_maps_of_real_images_agree(real_data):
    torch.manual_seed(0)
    files = sorted((real_data / "VOC_small/VOC2012/JPEGImages").glob("*.jpg"))[:2]
    images = [torch.from_numpy(cv2.imread(str(file))[:96, :96].transpose(2, 0, 1).copy()) for file in files]
    model = MODELS.build(load_config(CONFIGS / "voc_small_ean_se.py").model)
    inputs = model.data_preprocessor({"inputs": images})["inputs"]
    settle(model, inputs)
    with torch.no_grad():
        expected, given = model(inputs), deploy(model)(inputs)
    assert expected.std() > 1e-3
    torch.testing.assert_close(given, expected, atol=1e-4, rtol=0)
