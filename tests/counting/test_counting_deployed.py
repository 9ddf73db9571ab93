"""`--deploy` of tools/test.py and tools/predict.py: the deployed counter does the work, and says the same."""

import json
import runpy
from pathlib import Path

import pytest
import torch
from checkpoint_files import save_checkpoint
from mmengine.registry import MODELS

from tasks.counting.predict import predict_array
from transfer.cli import run_command
from transfer.deploy import deploy
from transfer.deploy._fused import FusedConv
from transfer.engine.config_check import load_config
from transfer.engine.images import read_image
from transfer.engine.inference import load_model
from transfer.measure.networks import settle

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
task = "counting"
custom_imports = dict(imports=["tasks.counting"])
model = dict(
    type="CrowdCounter",
    backbone=dict(type="RegisteredBackbone", name="resnet38_share_ean_se.standin", stem_stride=2),
    head=dict(type="DilatedHead", channels=(8, 8)), loss=dict(type="DensityMSELoss"))
test_dataloader = dict(batch_size=1, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=False), dataset=dict(
    type="CrowdDataset", data_root="{root}", split="test", pipeline=[dict(type="PackCrowd")], test_mode=True))
test_evaluator = dict(type="CrowdMetric")
test_cfg = dict()
custom_hooks = [dict(type="EMAHook", momentum=0.2)]
visualizer = dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend")])
"""


@pytest.fixture
def images(part_a, tmp_path, monkeypatch):
    """A config and a checkpoint in the current folder; gives the folder of the test images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mmengine.device.utils.DEVICE", "cpu")
    Path("tiny.py").write_text(CONFIG.format(root=part_a))
    torch.manual_seed(0)
    model = settle(MODELS.build(load_config("tiny.py").model), torch.randn(2, 3, 48, 64))
    save_checkpoint({"state_dict": model.state_dict(), "meta": {}}, "tiny.pth")
    return part_a / "test_data" / "images"


@pytest.fixture
def fused(monkeypatch):
    """Counts how often a fused convolution runs."""
    calls, forward = [], FusedConv.forward
    monkeypatch.setattr(FusedConv, "forward", lambda self, *args: calls.append(1) or forward(self, *args))
    return calls


def run(tool, *args):
    main = runpy.run_path(str(ROOT / "tools" / tool), run_name="tool")["main"]
    return run_command(main, list(map(str, args)))


def test_metrics_are_those_of_the_model_itself(images, fused, monkeypatch):
    monkeypatch.setattr("sys.argv", ["tools/test.py"])
    records = {}
    for name, options in (("eager", ()), ("deployed", ("--deploy",))):
        assert run("test.py", "tiny.py", "tiny.pth", "--out", f"{name}.json", *options) == 0
        assert bool(fused) == (name == "deployed")
        records[name] = json.loads(Path(f"{name}.json").read_text())
    eager, deployed = records["eager"], records["deployed"]
    assert eager["deployed"] is False and deployed["deployed"] is True
    assert eager["metrics"].keys() == deployed["metrics"].keys() and eager["metrics"]["mae"] > 0
    assert deployed["metrics"]["mae"] == pytest.approx(eager["metrics"]["mae"], abs=1e-3)
    for key in ("backbone", "scheme", "init", "data", "checkpoint_sha256"):
        assert deployed[key] == eager[key] and deployed[key] is not None


def test_counts_of_images_are_those_of_the_model_itself(images, fused):
    rows = {}
    for name, options in (("eager", ()), ("deployed", ("--deploy",))):
        assert run("predict.py", "tiny.py", "tiny.pth", images, "--out", name, *options) == 0
        assert bool(fused) == (name == "deployed")
        record = json.loads(Path(name, "predictions.json").read_text())
        assert record["deployed"] is (name == "deployed")
        rows[name] = record["predictions"]
    counts = [[row["count"] for row in rows[name]] for name in ("eager", "deployed")]
    assert len(counts[0]) == 4 and counts[1] == pytest.approx(counts[0], abs=2e-3)


def test_maps_agree(images):
    model = load_model(load_config("tiny.py"), "tiny.pth")
    deployed = deploy(model)
    for path in sorted(images.glob("*.jpg")):
        expected, given = (predict_array(one, read_image(path)).pred_density for one in (model, deployed))
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(given, expected, atol=1e-4, rtol=0)


@pytest.mark.real_data
def test_maps_of_whole_real_images_agree(real_data):
    torch.manual_seed(0)
    files = sorted((real_data / "ShanghaiTech/part_A/test_data/images").glob("*.jpg"))[:2]
    images = [read_image(path) for path in files]
    model = MODELS.build(load_config(ROOT / "configs" / "shha_small_ean_se.py").model)
    crops = [torch.from_numpy(image[:256, :256].transpose(2, 0, 1).copy()) for image in images]
    settle(model, model.data_preprocessor({"inputs": crops, "data_samples": None})["inputs"])
    deployed = deploy(model)
    for image in images:
        expected, given = (predict_array(one, image).pred_density for one in (model, deployed))
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(given, expected, atol=1e-4, rtol=0)
