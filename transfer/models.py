"""Trained task models by name: their cards, from a checkpoint to a card, and prediction from Python. torch when needed.

import transfer

model = transfer.load_model("shha_r38_ean_se")
model.predict("street.jpg").count
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbones import schema
from backbones.card_store import CardStore
from backbones.errors import UserInputError
from backbones.files import atomic_path, sha256_file
from backbones.hub import read_folder
from backbones.model_card import Measured, ModelCard, StoredConfig, TrainingData, UsedBackbone
from backbones.registry import get_card, shipped_folder, user_folder
from backbones.weights_file import Weights
from transfer.task import get_task

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import Tensor, nn

CHECKPOINTS = (".pth", ".pt", ".safetensors", ".onnx", ".pt2")
"""How names of files end that hold a model, by which they are told from a model's name; the last two are exported."""

_KEPT = ("backbone", "scheme", "init", "seed", "iter", "dataset_meta", "domain")
"""What the weights file of a card says of the checkpoint that it was made from, of the checkpoint's `meta`."""


def user_models() -> Path:
    """The user's own models, beside the user's own backbones."""
    return user_folder() / "models"


def _task(card: ModelCard) -> str:
    return card.task


STORE = CardStore("model", ModelCard.read, _task, shipped_folder().with_name("models"), user_models)
"""All registered models; at most one of each task is the default."""


def list_models(pattern: str = "*", task: str | None = None) -> list[str]:
    """Returns the names that fit `pattern` (`*`, `?`, `[...]`), sorted; with `task`, of that task's models."""
    names = STORE.names(pattern)
    return names if task is None else [name for name in names if get_model_card(name).task == task]


def get_model_card(name: str | None = None, task: str | None = None) -> ModelCard:
    """Returns the card of the model called `name`, or in a hub's folder; without a name, of the default model.

    Raises:
        UserInputError: a folder that holds no model, unknown name (with close matches), a broken card, a model of
            another task than `task`; without a name: no default, or defaults of several tasks.
    """
    if task is not None:
        get_task(task, where="models")
    if name is None:
        return _default(task)
    is_folder = name not in STORE.files() and Path(name).is_dir()
    card = read_folder(name, ModelCard) if is_folder else STORE.get(name)
    if task is not None and card.task != task:
        others = ", ".join(list_models(task=task)) or "none yet"
        raise UserInputError(f"model {name!r} is of task {card.task!r}, not of {task!r}, whose models are: {others}")
    return card


def _default(task: str | None) -> ModelCard:
    cards, broken = STORE.readable()
    found = STORE.first_defaults(card for card in cards if task in (None, card.task))
    if len(found) == 1:
        return found[0]
    for line in (*broken, *STORE.clashes(found)):
        raise UserInputError(line)
    if found:
        given = ", ".join(f"{card.name} ({card.task})" for card in found)
        raise UserInputError(f"there is a default model for each of several tasks: {given}; name a task or a model")
    known = ", ".join(card.name for card in cards if task in (None, card.task)) or "none yet"
    raise UserInputError(
        f"there is no default model{f' for task {task!r}' if task else ''}; name one of those registered ({known}), or "
        "a checkpoint"
    )


# ---- loading


@dataclass(frozen=True)
class Source:
    """What a model is built from.

    Attributes:
        config: of the model; no user's code is run for it unless it comes from a config file.
        checkpoint: `.pth`, `.safetensors` or `.onnx`.
        card: None where it is no registered model.
    """

    config: Config
    checkpoint: Path
    card: ModelCard | None = None


def source_of_card(card: ModelCard) -> Source:
    """Config and weights of a registered model.

    Raises:
        UserInputError: weights that are missing or damaged, a config that would run something or asks for classes
            that are not there.
    """
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.engine.saved_config import config_from_text

    config = config_from_text(card.config.text, card.path or f"card of {card.name!r}")
    return Source(_known(config), card.weights_path(), card)


def source_of_checkpoint(checkpoint: str | Path) -> Source:
    """Config and weights of a checkpoint that a training wrote, or of an exported model, from the file alone.

    Raises:
        UserInputError: as `source_of_card`; a checkpoint without a config, or a `.pt2`, which is never opened.
    """
    if Path(checkpoint).suffix == ".pt2":
        raise UserInputError(
            f"{checkpoint}: torch.export.load unpickles what it finds, which can run code, so it is not opened; export "
            "the model as .onnx, or load a file that you trust yourself (docs/export.md)"
        )
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.engine.inference import checkpoint_meta
    from transfer.engine.saved_config import config_of_checkpoint

    config = config_of_checkpoint(checkpoint_meta(checkpoint), checkpoint)
    return Source(_known(config), Path(checkpoint))


def _known(config: Config) -> Config:
    from transfer.engine.saved_config import check_known

    get_task(config, where=str(config.filename)).load()
    check_known(config)
    return config


class TaskModel:
    """A trained model that predicts images.

    Args:
        source: what it is built from.
        deploy: use the fused copy for inference, see `transfer.deploy.deploy`.

    Attributes:
        card: None where it was loaded from a checkpoint.
        config: of the model.
    """

    def __init__(self, source: Source, *, deploy: bool = False) -> None:
        self.card, self.config = source.card, source.config
        self._part = get_task(source.config).part("predictor")
        self._predictor = self._part.load(source.config, source.checkpoint, deploy=deploy)

    @property
    def network(self) -> nn.Module:
        """The model itself, for evaluation, on its device."""
        network: nn.Module = self._predictor.network
        return network

    def predict(self, image: Any) -> Any:
        """Predicts one image.

        Args:
            image: a file's path, an image of PIL, or an array (H, W, 3) or (H, W), uint8, RGB or grey.

        Returns:
            What the task's `predict_image` gives: `tasks.counting.predictor.Counted`,
            `tasks.segmentation.predictor.Segmented`.

        Raises:
            UserInputError: a file that is missing or no image, or an array of another kind.
        """
        from transfer.engine.images import as_image

        return self._part.predict_image(self._predictor, as_image(image))


def load_model(
    name: str | Path | None = None, *, task: str | None = None, deploy: bool = False, device: str | None = None
) -> TaskModel:
    """Loads a trained model, on the best device there is.

    Args:
        name: a name of `list_models`, or the path of a checkpoint that a training wrote, of an exported model (`.onnx`,
            which runs on the CPU whatever the device), or of a folder that `ean models pack --layout hub` wrote; None:
            the default model.
        task: refuse a model of another task; without a name, whose default.
        deploy: use the fused copy for inference: the same outputs, in less time.
        device: `cpu`, `cuda`, `cuda:1` or `mps`.

    Raises:
        UserInputError: unknown model (with close matches), no default, a model of another task, weights that are
            missing, damaged or do not fit.
    """
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.engine.runner_setup import choose_device

    choose_device(device)
    if name is not None and str(name).endswith(CHECKPOINTS):
        source = source_of_checkpoint(name)
    else:
        source = source_of_card(get_model_card(None if name is None else str(name), task))
    found = str(source.config.task)
    if task not in (None, found):
        raise UserInputError(f"{name}: is a model of task {found!r}, not of {task!r}")
    return TaskModel(source, deploy=deploy)


def verify_model(card: ModelCard) -> None:
    """Hashes the weights, builds the model and loads them into it.

    Raises:
        UserInputError: what the card says does not hold.
    """
    source = source_of_card(card)
    size, task = source.checkpoint.stat().st_size, source.config.task
    if card.weights.bytes not in (None, size):
        raise UserInputError(f"{source.checkpoint}: {size} bytes, but the card says {card.weights.bytes}")
    if card.task != task:
        raise UserInputError(f"{card.path}: key 'task' is {card.task!r}, but its config is of {task!r}")
    used = _used(TaskModel(source).network)
    if used != card.backbone:
        raise UserInputError(f"{card.path}: section 'backbone' is {card.backbone}, but its config builds {used}")


def _used(network: nn.Module) -> UsedBackbone | None:
    from transfer.engine.checkpoint import backbone_meta

    meta = backbone_meta(network)
    return UsedBackbone(meta["backbone"], meta["scheme"]) if meta else None


# ---- registering


def register_model(
    checkpoint: str | Path,
    config: str | Path | None = None,
    *,
    name: str,
    summary: str = "",
    default: bool = False,
    data: TrainingData | None = None,
    metrics: Iterable[str | Path] = (),
    half: bool = False,
    licence: str = "unstated",
    directory: str | Path | None = None,
) -> ModelCard:
    """Makes a card of a checkpoint, its weights beside it, so that `name` works everywhere; all of it or nothing.

    The model is built from what the card will hold, and the weights are loaded into it, before anything is written.

    Args:
        checkpoint: that a training wrote.
        config: of the training, a file or the name of one of ours; default the one in the checkpoint.
        name: of the model.
        summary: one line.
        default: take it where no model is named.
        data: what it was trained on, in words.
        metrics: files that `tools/test.py --out` wrote for this very checkpoint.
        half: store the weights of layers as float16, which halves the file; biases and statistics stay float32.
        licence: of the weights.
        directory: default the user's own models.

    Raises:
        UserInputError: the name is taken, no config, a config that cannot be stored, weights or metrics of another
            model.
    """
    source = _storable(checkpoint, config)
    card = ModelCard(
        name=name,
        task=str(source.config.task),
        summary=summary,
        default=default,
        data=data or TrainingData(),
        measured=tuple(_measured(path, checkpoint, half) for path in metrics),
        weights=Weights("0" * 64, file=f"{name}.safetensors"),  # until they are written
        config=StoredConfig(source.config.text, Path(source.config.filename).name),
    )
    STORE.place(card, directory)
    network = TaskModel(source).network
    card = replace(card, backbone=_used(network), noun=getattr(network, "noun", card.noun))
    return STORE.write(card, directory, partial(_store, network, Path(checkpoint), half, licence))


def register_card(card: ModelCard, directory: str | Path | None = None) -> ModelCard:
    """As `register_model`, from a card that lies elsewhere, such as in an unpacked pack; its weights are copied."""
    STORE.place(card, directory)
    verify_model(card)
    return STORE.write(card, directory, partial(_copied, card))


def _storable(checkpoint: str | Path, config: str | Path | None) -> Source:
    """The config as a card will hold it, so that what is registered is what will be loaded."""
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.engine.config_check import load_config
    from transfer.engine.saved_config import config_from_text, config_text

    if Path(checkpoint).suffix == ".onnx":
        raise UserInputError(f"{checkpoint}: is an exported model, expected the checkpoint that it was made from")
    given = source_of_checkpoint(checkpoint).config if config is None else load_config(config)
    _tag_backbones(given._cfg_dict)
    return Source(_known(config_from_text(config_text(given), given.filename)), Path(checkpoint))


def _tag_backbones(node: Any) -> None:
    """Writes names without a tag out: which card is the default may change, a trained model's may not."""
    if isinstance(node, dict):
        if node.get("type") == "RegisteredBackbone" and "name" in node:
            node["name"] = get_card(node["name"]).name
        node = list(node.values())
    for part in node if isinstance(node, (list, tuple)) else ():
        _tag_backbones(part)


def _store(network: nn.Module, checkpoint: Path, half: bool, licence: str, path: Path) -> Weights:
    from backbones.weights import save_safetensors
    from transfer.engine.compat import load_foreign_checkpoint

    meta = load_foreign_checkpoint(checkpoint).get("meta") or {}
    header = schema.as_json({key: meta[key] for key in _KEPT if meta.get(key) is not None})
    state = {key: _halved(tensor) if half else tensor for key, tensor in network.state_dict().items()}
    save_safetensors(state, path, header)
    said = [f"{key} {meta[key]}" for key in ("seed", "iter") if meta.get(key) is not None]
    origin = ", ".join([f"checkpoint sha256 {sha256_file(checkpoint)}", *said])
    return Weights(sha256_file(path), file=path.name, bytes=path.stat().st_size, licence=licence, source=origin)


def _halved(tensor: Tensor) -> Tensor:
    """As float16, if these are weights of a layer and none of them overflows."""
    if not tensor.is_floating_point() or tensor.dim() < 2:
        return tensor
    half = tensor.half()
    return half if bool(half.isfinite().all()) else tensor


def _copied(card: ModelCard, path: Path) -> Weights:
    with atomic_path(path) as temporary:
        shutil.copyfile(card.weights_path(), temporary)
    return replace(card.weights, file=path.name, url=None, bytes=path.stat().st_size)


def _measured(path: str | Path, checkpoint: str | Path, half: bool) -> Measured:
    """What a test of the checkpoint wrote, as a card has it."""
    mend = "expected what `tools/test.py --out` writes"
    record = schema.load_json(Path(path), missing="no metrics", mend=mend)
    of, mine = record.get("checkpoint_sha256"), sha256_file(checkpoint)
    if of != mine:
        raise UserInputError(f"{path}: measured on the checkpoint with sha256 {of}, but {checkpoint} has {mine}")
    written = {
        "command": record.get("command"),
        "data": _data_text(record.get("data")),
        "metrics": {key: value for key, value in (record.get("metrics") or {}).items() if schema.is_number(value)},
        "intervals": record.get("intervals") or {},
        "note": "measured before the weights were rounded to float16" if half else "",
    }
    return schema.read(Measured, written, path, mend=mend)


def _data_text(data: Any) -> str:
    """A data set's `metainfo` in words: its name, its split or list, how many images."""
    said = data if isinstance(data, Mapping) else {}
    words = [str(said[key]) for key in ("name", "split", "list") if said.get(key)]
    return " ".join(words) + (f", {said['images']} images" if said.get("images") else "")
