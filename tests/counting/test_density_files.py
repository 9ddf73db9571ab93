import numpy as np
import pytest
from PIL import Image

from tasks.counting.density_files import write_density


@pytest.mark.parametrize("kind", ["crowd", "thin", "negative", "zero", "one cell"])
def test_arrays_are_exact_and_images_keep_the_sum(tmp_path, kind):
    rng = np.random.default_rng(0)
    density = {
        "crowd": rng.gamma(0.5, 1.0, (96, 128)),
        "thin": np.where(rng.random((96, 128)) < 0.001, 2.0, 1e-5),  # almost all of it below a level's half
        "negative": rng.normal(0.01, 0.1, (96, 128)),
        "zero": np.zeros((3, 5)),
        "one cell": np.full((1, 1), 0.3),
    }[kind].astype(np.float32)
    said = write_density(tmp_path, "a", density)
    exact = np.load(tmp_path / said["density"])
    assert exact.dtype == np.float32 and (exact == density).all()
    with Image.open(tmp_path / said["density_png"]["file"]) as image:
        assert image.mode.startswith("I;16")
        values = np.array(image).astype(np.float64)
    scale, offset = said["density_png"]["scale"], said["density_png"]["offset"]
    found = offset + scale * values
    assert np.abs(found - density).max() <= scale * 1.001
    assert found.sum() == pytest.approx(density.sum(dtype=np.float64), abs=1e-3)
