import itertools
import pickle

import pytest
from torch.utils.data import DataLoader

from backbones.errors import UserInputError
from transfer.engine.data import find_data
from transfer.engine.sampling import EpochIndex, ResumableSampler


def take(sampler, n):
    return [(int(i), i.epoch) for i in itertools.islice(sampler, n)]


def test_every_epoch_is_a_permutation_of_its_own():
    stream = take(ResumableSampler(range(7), seed=5), 21)
    epochs = [[i for i, epoch in stream if epoch == e] for e in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert take(ResumableSampler(range(7), seed=6), 7) != stream[:7]


@pytest.mark.parametrize("position", [0, 3, 7, 17])
def test_position_continues_the_stream(position):
    whole = take(ResumableSampler(range(7), seed=1), 40)
    late = ResumableSampler(range(7), seed=1)
    late.position = position
    assert take(late, 20) == whole[position : position + 20]


def test_ranks_share_one_stream():
    whole = take(ResumableSampler(range(7), seed=1), 30)
    shares = []
    for rank in range(3):
        sampler = ResumableSampler(range(7), seed=1)
        sampler.rank, sampler.world_size = rank, 3
        shares.append(take(sampler, 10))
    assert [x for group in zip(*shares, strict=True) for x in group] == whole


def test_index_is_an_int_that_survives_pickling():
    index = pickle.loads(pickle.dumps(EpochIndex(4, 9)))
    assert index == 4 and index.epoch == 9 and [10, 11, 12, 13, 14][index] == 14


class Epochs:
    def __len__(self):
        return 5

    def __getitem__(self, index):
        return int(index), index.epoch


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_see_the_same_epochs(workers):
    loader = DataLoader(Epochs(), sampler=ResumableSampler(range(5), seed=2), batch_size=2, num_workers=workers)
    batches = list(itertools.islice(loader, 4))
    got = [(int(i), int(e)) for indices, epochs in batches for i, e in zip(indices, epochs, strict=True)]
    assert got == take(ResumableSampler(range(5), seed=2), 8)


def test_unshuffled_and_empty():
    assert [i for i, _ in take(ResumableSampler(range(3), shuffle=False), 6)] == [0, 1, 2] * 2
    with pytest.raises(UserInputError, match="empty"):
        ResumableSampler([])


def test_data_are_found_in_three_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRANSFER_DATA", raising=False)
    with pytest.raises(UserInputError, match="TRANSFER_DATA is not set"):
        find_data("shha")
    (tmp_path / "elsewhere" / "shha").mkdir(parents=True)
    monkeypatch.setenv("TRANSFER_DATA", str(tmp_path / "elsewhere"))
    assert find_data("shha") == tmp_path / "elsewhere" / "shha"
    (tmp_path / "data" / "shha").mkdir(parents=True)
    assert find_data("shha").resolve() == tmp_path / "data" / "shha"
    assert find_data(tmp_path / "data") == tmp_path / "data"
    with pytest.raises(UserInputError, match=r"shhb.*looked for .*data/shhb"):
        find_data("shhb")
