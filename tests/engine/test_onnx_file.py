"""Exported models from elsewhere: every doubtful file is refused in one line, before anything of it runs."""

import json

import numpy as np
import pytest
import torch

import transfer
from backbones.errors import UserInputError
from transfer.engine.onnx_file import FORM, KEY, OnnxModel, read_meta

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra onnx)")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (extra onnx)")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

CONFIG = "task = 'counting'\nmodel = dict(type='CrowdCounter')\n"
RECORD = {"form": FORM, "task": "counting", "cfg": CONFIG, "stride": 8, "noun": "people", "min_size": 4}


def write(path, nodes=None, record=RECORD, initializers=(), image=TensorProto.UINT8):
    """A graph that takes images and gives the mean of each as its only density cell."""
    nodes = nodes or [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x", "axes"], ["density"], keepdims=0),
        helper.make_node("Identity", ["density"], ["count"]),
    ]
    axes = numpy_helper.from_array(np.array([3]), "axes")
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", image, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("density", "count")],
        [axes, *initializers],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if record is not None:
        helper.set_model_props(model, {KEY: record if isinstance(record, str) else json.dumps(record)})
    path.write_bytes(model.SerializeToString())
    return path


def external(name="weights", location="../secret"):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def test_a_sound_file_is_run(tmp_path):
    model = OnnxModel(write(tmp_path / "a.onnx"))
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    (density,) = model.run(images, "density")
    np.testing.assert_allclose(density, images.mean(3), rtol=1e-5)
    with pytest.raises(UserInputError, match="no output 'logits', only density, count"):
        model.run(images, "logits")
    with pytest.raises(UserInputError, match="takes images from 4x4 on, found 3x7"):
        model.run(images[:, :3], "density")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(record=None), "another program wrote it"),
        (dict(record="{"), "is not valid JSON"),
        (dict(record="[]"), "expected an object"),
        (dict(record={**RECORD, "form": 2}), "another version wrote it"),
        (dict(record={**RECORD, "stride": 0}), "key 'stride' is 0"),
        (dict(record={**RECORD, "size": [3]}), "expected height and width"),
        (dict(initializers=[external()]), "keeps 'weights' in another file"),
        (dict(initializers=[external(location="/etc/passwd")]), "keeps 'weights' in another file"),
        (dict(image=TensorProto.FLOAT), r"expected 'image', uint8"),
        (dict(nodes=[helper.make_node("Nonsense", ["image"], ["density"])]), "ONNX Runtime cannot open it"),
    ],
)
def test_doubtful_files_are_refused(tmp_path, changes, told):
    with pytest.raises(UserInputError, match=told) as error:
        OnnxModel(write(tmp_path / "a.onnx", **changes))
    assert "a.onnx" in str(error.value) and "\n" not in str(error.value)


def test_weights_elsewhere_are_found_wherever_they_are_named(tmp_path):
    constant = helper.make_node("Constant", [], ["c"], value=external())
    branch = helper.make_graph([constant], "b", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])])
    choice = helper.make_node("If", ["yes"], ["density"], then_branch=branch, else_branch=branch)
    with pytest.raises(UserInputError, match="keeps 'weights' in another file"):
        read_meta(write(tmp_path / "a.onnx", nodes=[choice]))


def test_what_is_no_onnx(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"not a model at all")
    torch.save({}, tmp_path / "b.onnx")
    for name, told in (("a", "is no ONNX file"), ("b", "is no ONNX file"), ("c", "no such file")):
        with pytest.raises(UserInputError, match=told):
            read_meta(tmp_path / f"{name}.onnx")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, package):
    path = write(tmp_path / "a.onnx")
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(UserInputError, match=rf"need {package}, .*pip install 'ean-transfer\[onnx\]'"):
        OnnxModel(path)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({**RECORD, "cfg": "task = 'evil'\nmodel = dict(type='x')\n"}, "task='evil'"),
        ({**RECORD, "cfg": "import os\n"}, "a.onnx"),
        ({**RECORD, "cfg": CONFIG.replace("CrowdCounter", "evil.Thing")}, "expected a registered name"),
        ({key: value for key, value in RECORD.items() if key != "cfg"}, "holds no config"),
    ],
)
def test_its_config_runs_nothing(tmp_path, record, told):
    with pytest.raises(UserInputError, match=told) as error:
        transfer.load_model(write(tmp_path / "a.onnx", record=record))
    assert "\n" not in str(error.value)


def test_a_density_of_another_size_than_the_record_says_is_no_count(tmp_path):
    config = CONFIG.replace("'CrowdCounter'", "'CrowdCounter', backbone=dict(), head=dict(), loss=dict()")
    model = transfer.load_model(write(tmp_path / "a.onnx", record={**RECORD, "cfg": config}))
    with pytest.raises(UserInputError, match=r"output 'density' has shape \(1, 24, 16\), expected \(1, 3, 2\)"):
        model.predict(np.zeros((24, 16, 3), np.uint8))
