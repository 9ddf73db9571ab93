"""Guards against what the supported versions of OpenMMLab get wrong; that of torchvision is in `backbones.compat`.

Each guard names the upstream version that makes it unnecessary. `install` costs next to nothing: it puts import finders
in place, and a guard acts only when the package that needs it is imported. No guard imports mmsegmentation.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import re
import sys
import types
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from backbones.compat import guard_torchvision
from backbones.errors import RunError, UserInputError
from backbones.integrity import check_whole, hash_beside


def install() -> None:
    """Puts all guards in place; calling it again changes nothing."""
    guard_torchvision()
    if not any(isinstance(finder, _GuardFinder) for finder in sys.meta_path):
        if _BACKENDS in sys.modules:
            _name_images_for_mlflow(sys.modules[_BACKENDS])
        sys.meta_path.insert(0, _GuardFinder())
        sys.meta_path.append(_PkgResourcesFinder())
        warnings.filterwarnings("ignore", message=".*pkg_resources is deprecated.*")


_BACKENDS = "mmengine.visualization.vis_backend"


class _GuardFinder:
    """Acts at the imports of `mmcv.ops` and of mmengine's visualizer backends, and leaves every other import alone."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name == "mmcv.ops" and importlib.machinery.PathFinder.find_spec("mmcv._ext", path) is None:
            guard: type[_GuardLoader] = _OpsLoader
        elif name == _BACKENDS:
            guard = _BackendsLoader
        else:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = guard(spec.loader)
        return spec


class _GuardLoader(importlib.abc.Loader):
    """A module's own loader, with something done around it."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self._loader.create_module(spec)


# ---- guard 1: mmcv-lite. Unnecessary with a mmsegmentation after 1.2.2 that imports `mmcv.ops.point_sample` only
# where it is used (mmseg/models/decode_heads/mask2former and losses), or with the compiled mmcv.


class _OpsLoader(_GuardLoader):
    """Loads `mmcv.ops` with a stand-in for the missing `mmcv._ext`, which is gone again afterwards.

    Left in place, it would make `mmcv.utils.check_ops_exist` raise, since it has no import specification.
    """

    def exec_module(self, module: types.ModuleType) -> None:
        sys.modules["mmcv._ext"] = _MissingOps("mmcv._ext")
        try:
            self._loader.exec_module(module)
        finally:
            del sys.modules["mmcv._ext"]


class _MissingOps(types.ModuleType):
    """A module that seems to hold every compiled operator; calling one says what to install."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*args: Any, **kwargs: Any) -> Any:
            raise RunError(f"the operator {name} is compiled code that mmcv-lite lacks: install mmcv==2.1.0 instead")

        return missing


# ---- guard 2: checkpoints of OpenMMLab. Unnecessary with a mmengine after 0.10.7 that writes plain values (its
# checkpoints pickle `HistoryBuffer`, which torch >= 2.6 refuses by default).


class _ForeignHistory:
    """Takes the place of mmengine's `HistoryBuffer`: it keeps nothing and can do nothing."""

    def __setstate__(self, state: Any) -> None:
        return None


def _no_attribute(*args: Any) -> None:
    """Takes the place of `getattr`, with which `HistoryBuffer` pickles its methods: it looks nothing up."""
    return None


def harmless_globals() -> list[Any]:
    """What an OpenMMLab checkpoint may name beside tensors: inert stand-ins, and numpy's array and scalar makers."""
    import numpy as np

    core = "numpy.core" if np.lib.NumpyVersion(np.__version__) < "2.0.0" else "numpy._core"
    multiarray = importlib.import_module(f"{core}.multiarray")
    dtypes = {type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?")}
    named = [
        (_ForeignHistory, "mmengine.logging.history_buffer.HistoryBuffer"),
        (_no_attribute, "builtins.getattr"),
        (_no_attribute, "__builtin__.getattr"),
    ]
    for package in ("numpy.core.multiarray", "numpy._core.multiarray"):
        named.append((multiarray.scalar, f"{package}.scalar"))
        named.append((multiarray._reconstruct, f"{package}._reconstruct"))
    return [*named, np.ndarray, np.dtype, *dtypes]


def load_foreign_checkpoint(path: str | Path, map_location: Any = "cpu", *, mmap: bool = False) -> dict[str, Any]:
    """Reads a checkpoint that mmengine or another OpenMMLab project wrote, without running anything in it.

    The `.safetensors` of a model's card is read likewise; what else it says stands in its header. With `mmap`, tensors
    stay in the file until they are used.

    Returns:
        The checkpoint without its message hub, which holds log histories only.

    Raises:
        UserInputError: the file is no checkpoint, damaged, or names a class beside those of `harmless_globals`.
    """
    if Path(path).suffix == ".safetensors":
        from backbones.weights import read_checkpoint, read_header

        return {"state_dict": read_checkpoint(path), "meta": read_header(path)}
    if Path(path).is_dir():
        raise UserInputError(f"{path}: is a folder, expected a checkpoint (.pth); name a file in it")
    try:
        check_whole(path)
        with torch.serialization.safe_globals(harmless_globals()):
            checkpoint = torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such checkpoint, expected a .pth file") from None
    except (OSError, UserInputError):
        raise
    except Exception as error:
        reason = "not a file of torch.save"
        if "nsupported" in str(error) and (name := re.search(r"GLOBAL (\S+)", str(error))):
            reason = f"it names {name[1]}, which is not on the list of harmless classes"
        raise UserInputError(
            f"{path}: not a checkpoint that can be read safely ({reason}); expected tensors and plain values, copy it "
            "again or save its state dict alone"
        ) from error
    _check_parts(checkpoint, path)
    if any(isinstance(v, _ForeignHistory) for v in checkpoint.get("message_hub", {}).get("log_scalars", {}).values()):
        del checkpoint["message_hub"]
    return checkpoint


_PARTS = ("meta", "state_dict", "ema_state_dict", "message_hub", "optimizer")


def _check_parts(checkpoint: Any, path: str | Path) -> None:
    """Refuses a file whose parts have other types than mmengine gives them."""
    if not isinstance(checkpoint, dict):
        raise UserInputError(
            f"{path}: holds a {type(checkpoint).__name__}, expected a checkpoint's dictionary; take another file"
        )
    parts = [(key, checkpoint.get(key, {})) for key in _PARTS]
    if isinstance(hub := checkpoint.get("message_hub"), dict):
        parts += [(f"message_hub.{key}", hub.get(key, {})) for key in ("log_scalars", "runtime_info", "resumed_keys")]
    for key, part in parts:
        if not isinstance(part, dict):
            raise UserInputError(
                f"{path}: its {key!r} is a {type(part).__name__}, expected a dictionary as in a checkpoint of "
                "mmengine; take another one"
            )
    for key in ("state_dict", "ema_state_dict"):
        odd = [name for name in checkpoint.get(key, {}) if not isinstance(name, str)]
        if odd:
            raise UserInputError(
                f"{path}: its {key!r} has the key {odd[0]!r}, expected names of tensors; take another one"
            )


def say_unhashed(path: str | Path) -> None:
    """Says once of a checkpoint that is used that no SHA-256 lies beside it, as our own trainings write it."""
    path = Path(path)
    if path.suffix != ".safetensors" and path.is_file() and not hash_beside(path).is_file():
        _say_unhashed(str(path.absolute()))


@functools.cache
def _say_unhashed(path: str) -> None:
    from transfer.engine.console import say

    say(f"{path}: no sha256 beside it, so only the archive's own checksums were checked", sys.stderr)


# ---- guard 3: setuptools from 81 on ships no pkg_resources, which mmengine 0.10.7 imports to find the package of
# `_base_ = "mmseg::..."`. Unnecessary with a mmengine that asks importlib.metadata.


class _PkgResourcesFinder:
    """Stands last in line: it is asked for pkg_resources only where no installed package has it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, _PkgResourcesLoader()) if name == "pkg_resources" else None


class _PkgResourcesLoader(importlib.abc.Loader):
    """Fills the stand-in with the two names that mmengine uses."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        names = {"DistributionNotFound": importlib.metadata.PackageNotFoundError, "get_distribution": _Distribution}
        vars(module).update(names)


class _Distribution:
    """An installed package as pkg_resources describes it: `location` and its metadata files."""

    def __init__(self, name: str) -> None:
        self._distribution = importlib.metadata.distribution(name)
        self.location = str(self._distribution.locate_file(""))
        self.version = self._distribution.version

    def has_metadata(self, name: str) -> bool:
        return self._distribution.read_text(name) is not None

    def get_metadata(self, name: str) -> str:
        return self._distribution.read_text(name) or ""


# ---- guard 4: mmengine's MLflow backend hands MLflow images whose names have no ending, which MLflow refuses at the
# first one ("unknown file extension"). Unnecessary with a mmengine after 0.10.7 that gives them one.


class _BackendsLoader(_GuardLoader):
    """Loads mmengine's visualizer backends and mends MLflow's; MLflow itself is not imported."""

    def exec_module(self, module: types.ModuleType) -> None:
        self._loader.exec_module(module)
        _name_images_for_mlflow(module)


def _name_images_for_mlflow(module: Any) -> None:
    """Images get the names that mmengine's `LocalVisBackend` gives them, so that no step replaces another's."""
    plain = module.MLflowVisBackend.add_image

    @functools.wraps(plain)
    def add_image(self: Any, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        known = Path(name).suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp", ".webp")
        plain(self, name if known else f"{name}_{step}.png", image, step, **kwargs)

    module.MLflowVisBackend.add_image = add_image
