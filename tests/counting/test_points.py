import json

import h5py
import numpy as np
import pytest
import scipy.io
from counting_files import save_mat

from backbones.errors import UserInputError
from tasks.counting.points import read_points

POINTS = np.array([[0.25, 7.5], [12.0, 3.0]])


def test_mat_is_shifted_by_half_a_pixel(tmp_path):
    save_mat(tmp_path / "a.mat", POINTS)
    stored = scipy.io.loadmat(tmp_path / "a.mat")["image_info"][0, 0][0, 0][0]
    np.testing.assert_array_equal(stored, POINTS + 0.5)
    np.testing.assert_array_equal(read_points(tmp_path / "a.mat"), POINTS)


def test_ucf_mat(tmp_path):
    scipy.io.savemat(tmp_path / "1_ann.mat", {"annPoints": POINTS + 0.5})
    np.testing.assert_array_equal(read_points(tmp_path / "1_ann.mat"), POINTS)


def save_matlab_73(path, points, number=None):
    """As MATLAB's `save -v7.3` does: HDF5 behind a header of 512 bytes, arrays transposed, cells by reference."""
    with h5py.File(path, "w", userblock_size=512) as file:
        if number is None:
            file["annPoints"] = points.T
        else:
            struct = file.create_group("#refs#/b")
            struct["location"], struct["number"] = points.T, np.array([[float(number)]])
            file.create_dataset("image_info", (1, 1), dtype=h5py.ref_dtype)[0, 0] = struct.ref
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, HDF5".ljust(124) + b"\x00\x02IM")


def test_matlab_73(tmp_path):
    save_matlab_73(tmp_path / "ucf.mat", POINTS + 0.5)
    save_matlab_73(tmp_path / "shanghai.mat", POINTS + 0.5, number=2)
    for path in tmp_path.iterdir():
        with pytest.raises(NotImplementedError):
            scipy.io.loadmat(path)
        np.testing.assert_array_equal(read_points(path), POINTS)
    save_matlab_73(tmp_path / "wrong.mat", POINTS, number=3)
    with pytest.raises(UserInputError, match="says 3 points and lists 2"):
        read_points(tmp_path / "wrong.mat")
    (tmp_path / "cut.mat").write_bytes((tmp_path / "ucf.mat").read_bytes()[:700])
    with pytest.raises(UserInputError, match=r"cut\.mat: is a MATLAB 7\.3 file that cannot be read"):
        read_points(tmp_path / "cut.mat")


TEXTS = {
    "a.csv": "x,y\n0.25,7.5\n12,3\n",
    "b.csv": "0.25;7.5\n\n12;3",
    "a.txt": "# heads\n0.25 7.5\n12\t3\n",
    "a.json": json.dumps(POINTS.tolist()),
    "b.json": json.dumps({"points": [{"x": 0.25, "y": 7.5}, {"x": 12, "y": 3}]}),
    "nwpu.json": json.dumps({"human_num": 2, "points": POINTS.tolist(), "boxes": [[0, 0, 1, 1], [1, 1, 2, 2]]}),
    "c.json": json.dumps({"shapes": [{"shape_type": "point", "points": [p]} for p in POINTS.tolist()]}),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_formats_are_read_as_they_are(tmp_path, name):
    (tmp_path / name).write_text(TEXTS[name])
    np.testing.assert_array_equal(read_points(tmp_path / name), POINTS)


def test_npy(tmp_path):
    np.save(tmp_path / "a.npy", POINTS.astype(np.float32))
    np.testing.assert_array_equal(read_points(tmp_path / "a.npy"), POINTS)


def test_no_heads_is_valid(tmp_path):
    save_mat(tmp_path / "a.mat", np.zeros((0, 2)))
    scipy.io.savemat(tmp_path / "b.mat", {"annPoints": np.zeros((0, 0))})
    np.save(tmp_path / "a.npy", np.zeros((0, 2)))
    for name, text in {"a.json": "[]", "b.json": '{"shapes": []}', "a.csv": "x,y\n", "a.txt": ""}.items():
        (tmp_path / name).write_text(text)
    for path in tmp_path.iterdir():
        assert read_points(path).shape == (0, 2), path


WRONG = {
    "nan.csv": ("1,2\n3,nan\n", "line 2 is '3.0, nan'"),
    "word.csv": ("1,2\n3,four\n", "line 2 is '3.0, four'"),
    "three.txt": ("1 2 3\n", "line 1"),
    "infinite.json": ("[[1, Infinity]]", "point 1"),
    "word.json": ('[["a", 1]]', "point 1"),
    "cut.json": ("[[1, 2], [3", "is not JSON"),
    "other.json": ('{"boxes": []}', "holds no points"),
    "number.json": ("5", "holds no points"),
    "deep.json": ("[" * 100_000, "nested too deeply"),
    "nwpu.json": ('{"img_id": "0001.jpg", "human_num": 975, "points": []}', "says 975 points (human_num) and lists 0"),
    "shapeless.json": ('{"shapes": [3]}', "is not LabelMe's JSON"),
    "label.csv": ("X,Y,label\n1,2,head\n", "`ean import-points` reads tables with other columns"),
    "cut.npy": ("\x93NUMPY", "truncated"),
    "text.mat": ("these are no heads", "truncated or no MATLAB file"),
    "empty.mat": ("", "truncated or no MATLAB file"),
    "rectangle.json": (
        '{"shapes": [{"shape_type": "point", "points": [[1, 2]]}, '
        '{"shape_type": "rectangle", "points": [[1, 2], [3, 4]]}]}',
        "shape 2 is a rectangle, expected points: `ean import-points` turns",
    ),
    "polygon.json": (
        '{"shapes": [{"label": "person", "points": [[1, 2], [3, 4], [3, 2]], "shape_type": "polygon"}]}',
        "shape 1 is 'polygon', expected a point or an upright rectangle",
    ),
    "kindless.json": ('{"shapes": [{"points": [[1, 2], [3, 4]]}]}', "shape 1 is None, expected a point"),
    "image.xml": ("<a/>", "expected a file that ends in .mat"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_are_one_line(tmp_path, name):
    text, expected = WRONG[name]
    (tmp_path / name).write_text(text, encoding="latin-1")
    with pytest.raises(UserInputError) as error:
        read_points(tmp_path / name)
    assert expected in str(error.value) and name in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("array", [np.zeros((3, 3)), np.zeros(4), np.array([["a", "b"]]), np.array([[1, np.nan]])])
def test_wrong_arrays(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UserInputError, match=r"a\.npy"):
        read_points(tmp_path / "a.npy")


def test_mat_truncated_at_any_place(tmp_path):
    save_mat(tmp_path / "a.mat", np.random.default_rng(0).random((50, 2)))
    whole = (tmp_path / "a.mat").read_bytes()
    for length in range(0, len(whole) - 1, 29):
        (tmp_path / "b.mat").write_bytes(whole[:length])
        with pytest.raises(UserInputError, match=r"b\.mat"):
            read_points(tmp_path / "b.mat")


def test_foreign_mat(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"density": np.zeros((3, 3))})
    with pytest.raises(UserInputError, match="holds density, expected image_info"):
        read_points(path)
    scipy.io.savemat(path, {"image_info": np.zeros((3, 3))})
    with pytest.raises(UserInputError, match="image_info is not ShanghaiTech's"):
        read_points(path)
    save_mat(path, POINTS, number=3)
    with pytest.raises(UserInputError, match="says 3 points and lists 2"):
        read_points(path)
    save_mat(path, np.array([[1, np.nan]]))
    with pytest.raises(UserInputError, match="point 1"):
        read_points(path)


def test_missing_file(tmp_path):
    with pytest.raises(UserInputError, match="no such file"):
        read_points(tmp_path / "a.mat")
