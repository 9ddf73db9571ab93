"""Two processes that register one name at once: one wins, and the other is told."""

import multiprocessing
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from backbones.files import sha256_file
from backbones.model_card import ModelCard, StoredConfig, TrainingData
from backbones.registry import STORE, build, count_parameters, get_card, register_backbone
from backbones.weights import save_safetensors
from backbones.weights_file import Weights
from transfer import models
from transfer.cli import run_command

fork = multiprocessing.get_context("fork")


def both(make):
    """Runs `make(0)` and `make(1)` in two processes that start as one; returns their statuses and standard errors."""
    start, said = fork.Barrier(2), fork.Queue()

    def child(number, folder):
        with open(folder / f"{number}.err", "w") as sys.stderr:
            start.wait(30)
            status = run_command(lambda _: make(number) and None)
        said.put((number, status))

    with tempfile.TemporaryDirectory() as name:
        processes = [fork.Process(target=child, args=(number, Path(name))) for number in (0, 1)]
        for process in processes:
            process.start()
        found = dict(said.get(timeout=60) for _ in processes)
        for process in processes:
            process.join(30)
        return found, {number: (Path(name) / f"{number}.err").read_text() for number in found}


def one_was_told(found, errors, kind, name):
    assert sorted(found.values()) == [0, 2], errors
    loser = next(number for number, status in found.items() if status)
    assert errors[loser].count("\n") == 1 and f"{kind} '{name}' is registered already" in errors[loser]
    return 1 - loser


def test_backbones(tmp_path):
    card = replace(get_card("resnet38_share_ean_se.standin"), name="resnet38.twice", default=False)
    count_parameters(card)  # imports what each of the processes would import
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        states.append(build(card, num_classes=3).state_dict())
    for number in range(2):
        folder = tmp_path / str(number)
        found, errors = both(lambda i, to=folder: register_backbone(card, weights=states[i], directory=to))
        winner = one_was_told(found, errors, "backbone", card.name)
        assert {path.name for path in folder.iterdir()} == {f"{card.name}.toml", f"{card.name}.safetensors"}
        written = STORE.read(folder / f"{card.name}.toml")
        assert sha256_file(written.weights_path()) == written.weights.sha256
        save_safetensors(states[winner], tmp_path / "expected.safetensors")
        assert sha256_file(tmp_path / "expected.safetensors") == written.weights.sha256


def test_models(tmp_path):
    card = ModelCard(
        name="twice",
        task="counting",
        data=TrainingData(),
        weights=Weights("0" * 64, file="twice.safetensors"),
        config=StoredConfig("model = dict(type='CrowdCounter')\n", "twice.py"),
    )

    def make(number):
        def weights(path):
            time.sleep(0.3)
            save_safetensors({"a": torch.tensor([float(number)])}, path)
            return Weights(sha256_file(path), file=path.name, bytes=path.stat().st_size)

        return models.STORE.write(card, tmp_path / "cards", weights)

    winner = one_was_told(*both(make), "model", "twice")
    written = ModelCard.read(tmp_path / "cards" / "twice.toml")
    save_safetensors({"a": torch.tensor([float(winner)])}, tmp_path / "expected.safetensors")
    assert (
        sha256_file(tmp_path / "expected.safetensors") == written.weights.sha256 == sha256_file(written.weights_path())
    )


@pytest.mark.parametrize("interrupted", [True, False])
def test_whoever_fails_leaves_the_name_to_the_other(tmp_path, interrupted):
    card = replace(get_card("resnet38.cifar100"), name="resnet38.twice", default=False)

    def fail(path):
        raise KeyboardInterrupt if interrupted else OSError("disk")

    with pytest.raises((KeyboardInterrupt, OSError)):
        STORE.write(card, tmp_path, fail)
    assert not list(tmp_path.iterdir())
    assert STORE.write(card, tmp_path, None).path == tmp_path / "resnet38.twice.toml"
