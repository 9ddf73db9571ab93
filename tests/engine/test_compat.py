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
