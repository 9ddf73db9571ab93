"""Each guard does its work, and does no more."""

import importlib.machinery
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from backbones.errors import UserInputError
from transfer.engine import compat

pytestmark = pytest.mark.slow


def test_mmseg_models_import_with_mmcv_lite_and_the_missing_operator_says_so():
    mmcv = pytest.importorskip("mmcv")
    if importlib.machinery.PathFinder.find_spec("mmcv._ext", mmcv.__path__):
        pytest.skip("the compiled mmcv is installed: this guard is not needed")
    pytest.importorskip("mmseg")
    import mmcv.ops
    import mmseg.models  # noqa: F401

    assert "mmcv._ext" not in sys.modules
    with pytest.raises(RuntimeError, match="nms is compiled code that mmcv-lite lacks: install mmcv"):
        mmcv.ops.nms(torch.rand(3, 4), torch.rand(3), 0.5)


def test_foreign_checkpoint_is_read_without_its_histories(tmp_path):
    path = tmp_path / "openmmlab.pth"
    hub = {"log_scalars": {"loss": HistoryBuffer([1.0], [1])}, "runtime_info": {}, "resumed_keys": {}}
    meta = {"best": np.float64(2.5), "palette": np.arange(6).reshape(2, 3)}
    torch.save({"state_dict": {"w": torch.ones(2)}, "message_hub": hub, "meta": meta}, path)
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        torch.load(path, weights_only=True)
    read = compat.load_foreign_checkpoint(path)
    assert torch.equal(read["state_dict"]["w"], torch.ones(2)) and "message_hub" not in read
    assert read["meta"]["best"] == 2.5 and np.array_equal(read["meta"]["palette"], meta["palette"])
    assert set(HistoryBuffer._statistics_methods) >= {"mean", "current"}, "the file reached into mmengine's class"
    assert callable(HistoryBuffer._statistics_methods["mean"])


class _Runs:
    def __reduce__(self):
        return (print, ("this must never run",))


@pytest.mark.parametrize("content", [_Runs(), types.SimpleNamespace(x=1)])
def test_foreign_checkpoint_with_anything_else_is_refused(tmp_path, content, capsys):
    path = tmp_path / "bad.pth"
    torch.save({"state_dict": content}, path)
    with pytest.raises(UserInputError, match=r"bad\.pth.*not on the list"):
        compat.load_foreign_checkpoint(path)
    assert capsys.readouterr().out == ""


def test_no_checkpoint_at_all_is_one_line(tmp_path):
    (tmp_path / "text.pth").write_text("not a checkpoint")
    for name in ("text.pth", "absent.pth"):
        with pytest.raises(UserInputError) as error:
            compat.load_foreign_checkpoint(tmp_path / name)
        assert "\n" not in str(error.value) and name in str(error.value)


def test_pkg_resources_stands_in_where_setuptools_lacks_it(environment):
    code = """
import sys, importlib.machinery
real = importlib.machinery.PathFinder.find_spec
hidden = classmethod(lambda cls, name, *a, **k: None if name == 'pkg_resources' else real(name, *a, **k))
importlib.machinery.PathFinder.find_spec = hidden
import transfer.engine
from mmengine.utils import get_installed_path, is_installed
import mmengine, pkg_resources, os
assert pkg_resources.get_distribution.__module__ == 'transfer.engine.compat'
assert os.path.samefile(get_installed_path('mmengine'), os.path.dirname(mmengine.__file__))
print(is_installed('mmengine'), is_installed('no_such_package'))
"""
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["True", "False"], done.stderr[-800:]


# What MLflow is to mmengine's backend: only images are looked at, by the ending of their name, as MLflow does.
FAKE_MLFLOW = """
import sys, types
import PIL.Image

class Mlflow(types.ModuleType):
    logged = []

    def log_image(self, image, name):
        if "." + name.rpartition(".")[2] not in PIL.Image.registered_extensions():
            raise ValueError(f"unknown file extension: {name}")
        self.logged.append((name, image.shape))

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None

sys.modules["mlflow"] = Mlflow("mlflow")
"""


@pytest.mark.parametrize("before", ["", "import mmengine.visualization"], ids=["engine first", "mmengine first"])
def test_mlflow_gets_images_with_an_ending_and_a_step(environment, tmp_path, before):
    code = f"""{FAKE_MLFLOW}
{before}
import numpy as np
import transfer.engine
from mmengine.visualization import MLflowVisBackend
image = np.zeros((4, 6, 3), np.uint8)
backend = MLflowVisBackend({str(tmp_path)!r})
backend.add_image("val/IMG_1", image, step=50)
backend.add_image("val/IMG_1", image, step=100)
backend.add_image("level_1.5", image)
backend.add_image("given.jpg", image, step=3)
print(*[name for name, _ in Mlflow.logged], {{shape for _, shape in Mlflow.logged}})
"""
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-800:]
    assert done.stdout.split("\n")[0] == "val/IMG_1_50.png val/IMG_1_100.png level_1.5_0.png given.jpg {(4, 6, 3)}"
