"""`--deploy` of tools/test.py: the deployed classifier does the work, and says the same; a supernet is refused."""

import json
import pickle
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import save_checkpoint
from mmengine.registry import MODELS

from tasks.classification import TopKMetric
from transfer.cli import run_command
from transfer.deploy._fused import FusedConv
from transfer.engine.config_check import load_config
from transfer.measure.networks import settle

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
_base_ = "{base}"
test_dataloader = dict(batch_size=20, dataset=dict(data_root="{root}", images=40))
"""


def write_config(name, base):
    """A config of CIFAR-100's test on 40 images, and the checkpoint of a fresh network."""
    Path(f"{name}.py").write_text(CONFIG.format(base=ROOT / "configs" / base, root=Path("cifar-100-python").resolve()))
    torch.manual_seed(0)
    model = settle(MODELS.build(load_config(f"{name}.py").model), torch.randn(8, 3, 32, 32))
    save_checkpoint({"state_dict": model.state_dict(), "meta": {}}, f"{name}.pth")


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """Noise in CIFAR-100's format in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mmengine.device.utils.DEVICE", "cpu")
    folder = Path("cifar-100-python")
    folder.mkdir()
    generator = np.random.default_rng(0)
    for part, count in (("train", 200), ("test", 100)):
        data = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
        (folder / part).write_bytes(pickle.dumps({"data": data, "fine_labels": [i % 100 for i in range(count)]}))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [str(i) for i in range(100)]}))


def run(monkeypatch, *args):
    monkeypatch.setattr("sys.argv", ["tools/test.py"])
    main = runpy.run_path(str(ROOT / "tools" / "test.py"), run_name="tool")["main"]
    return run_command(main, list(map(str, args)))


def test_scores_and_metrics_are_those_of_the_model_itself(cifar, monkeypatch):
    write_config("tiny", "c100_resnet38_ean_se.py")
    fused, scores, forward = [], {"eager": [], "deployed": []}, FusedConv.forward
    monkeypatch.setattr(FusedConv, "forward", lambda self, *args: fused.append(1) or forward(self, *args))
    for name, options in (("eager", ()), ("deployed", ("--deploy",))):
        with monkeypatch.context() as patch:
            patch.setattr(TopKMetric, "process", remembering(scores[name]))
            assert run(monkeypatch, "tiny.py", "tiny.pth", "--out", f"{name}.json", *options) == 0
        assert bool(fused) == (name == "deployed")
    eager, deployed = (json.loads(Path(f"{name}.json").read_text()) for name in scores)
    assert (eager["deployed"], deployed["deployed"]) == (False, True)
    assert deployed["metrics"] == eager["metrics"] and set(eager["metrics"]) == {"top1", "top5"}
    expected, given = (torch.stack(scores[name]) for name in scores)
    assert expected.shape == (40, 100) and expected.std() > 0.1
    torch.testing.assert_close(given, expected, atol=1e-4, rtol=1e-4)


def remembering(scores):
    """`TopKMetric.process` that also keeps every image's scores."""
    process = TopKMetric.process

    def kept(self, data_batch, data_samples):
        scores.extend(sample["scores"].clone() for sample in data_samples)
        return process(self, data_batch, data_samples)

    return kept


def test_a_supernet_is_refused_in_one_line(cifar, monkeypatch, capsys):
    write_config("super", "supernet/c100_resnet38_full_share_se.py")
    status = run(monkeypatch, "super.py", "super.pth", "--deploy", "--out", "super.json")
    error = capsys.readouterr().err
    assert status == 2 and "supernet" in error and error.count("\n") == 1 and not Path("super.json").exists()
