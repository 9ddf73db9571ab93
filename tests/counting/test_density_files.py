import h5py
import numpy as np
import pytest

from backbones.errors import UserInputError
from tasks.counting.density_files import read_density, write_density
from tasks.counting.targets import density_map


def test_what_is_written_is_read(tmp_path):
    density = density_map(np.random.default_rng(0).random((9, 2)) * 30, (30, 40), 1, 3.0)
    write_density(tmp_path / "maps" / "IMG_1.h5", density)
    np.testing.assert_array_equal(read_density(tmp_path / "maps" / "IMG_1.h5"), density)
    with h5py.File(tmp_path / "maps" / "IMG_1.h5") as file:
        assert list(file) == ["density"] and file["density"].shape == (30, 40)
    assert [p.name for p in (tmp_path / "maps").iterdir()] == ["IMG_1.h5"]


def test_csrnets_own_files(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["density"] = np.full((4, 5), 0.25)  # float64, as scipy leaves it
    density = read_density(tmp_path / "a.h5")
    assert density.dtype == np.float32 and density.sum() == 5


def test_wrong_files(tmp_path):
    with pytest.raises(UserInputError, match="no such file"):
        read_density(tmp_path / "a.h5")
    (tmp_path / "b.h5").write_bytes(b"no map")
    with pytest.raises(UserInputError, match="truncated or no HDF5"):
        read_density(tmp_path / "b.h5")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["map"] = np.ones((2, 2))
    with pytest.raises(UserInputError, match="holds map, expected the dataset 'density'"):
        read_density(tmp_path / "c.h5")
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["density"] = np.array([[1, np.nan]])
    with pytest.raises(UserInputError, match="expected finite numbers"):
        read_density(tmp_path / "d.h5")
    with pytest.raises(ValueError, match="expected \\(height, width\\)"):
        write_density(tmp_path / "e.h5", np.ones(3))
    assert not (tmp_path / "e.h5").exists()
