"""What cannot be registered: one line that says why, and nothing is written."""

import json
import pickle
import sys

import pytest
import torch
from register_files import BEST, EMPTY, NAME, SUPERNET, classifier, read, replace_best, save, write

from backbones.errors import UserInputError
from backbones.integrity import log_line
from backbones.weights import sha256_file
from transfer.pipeline.register import check_name, register_search
from transfer.search.log import LOG_NAME


def refused(cards, work_dir, name=NAME, **options):
    """The line with which registering ends; nothing must have been written."""
    before = sorted(cards.iterdir()) if cards.exists() else []
    with pytest.raises(UserInputError) as caught:
        register_search(work_dir, name, **options)
    assert (sorted(cards.iterdir()) if cards.exists() else []) == before
    line = str(caught.value)
    assert "\n" not in line
    return line


# ---- names, log and weights


def test_a_name_is_given_once(finished, cards):
    register_search(finished, NAME)
    before = {path: path.read_bytes() for path in cards.iterdir()}
    assert "is registered already" in refused(cards, finished)
    assert {path: path.read_bytes() for path in cards.iterdir()} == before
    assert "is registered already" in refused(cards, finished, "resnet38_share_ean_se.standin")


@pytest.mark.parametrize(
    "name", ["resnet50_share_ean_se.x", "resnet380.x", "resnet38x.x", "best.x", "", "a/resnet38.x"]
)
def test_a_name_of_another_architecture(finished, cards, name):
    assert "the search is of resnet38" in refused(cards, finished, name)


def test_a_name_that_only_begins_like_the_architecture(work_dir, cards):
    record = read(work_dir, "search")
    write(work_dir, {**record, "arch": "resnet56"}, "search")
    assert "6 blocks" in (line := refused(cards, work_dir)) or "expected 6" in line
    with pytest.raises(UserInputError, match="the search is of resnet20,"):
        check_name("resnet20_basic_se.x", "resnet20")
    check_name("resnet20_basic_se.x", "resnet20_basic")
    check_name("resnet20.x", "resnet20")


@pytest.mark.parametrize("name", ["resnet38", "resnet38.", "resnet38_SE.x", "resnet38.a/b", "resnet38.a b"])
def test_a_name_without_a_tag_or_with_odd_signs(finished, cards, name):
    assert "expected arch.tag in lower case" in refused(cards, finished, name)


def test_an_unfinished_search(work_dir, cards):
    record = read(work_dir)
    write(work_dir, {**record, "runs": record["runs"][3:]})
    assert "no candidate has been trained to its end" in (line := refused(cards, work_dir)) and "--resume" in line
    (work_dir / "standalone.json").unlink()
    assert "standalone.json: no such file: no candidate" in refused(cards, work_dir)
    (work_dir / "search.json").unlink()
    assert "search.json: no such file: the search has not ended" in (line := refused(cards, work_dir))
    assert "--resume" in line
    assert "no such folder" in refused(cards, work_dir / "elsewhere")


def test_another_log(work_dir, cards):
    log, whole = work_dir / LOG_NAME, (work_dir / LOG_NAME).read_bytes()
    log.write_bytes(whole.replace(b'"n": ', b'"n": 1', 1))
    assert sha256_file(log) in (line := refused(cards, work_dir)) and read(work_dir, "search")["log_sha256"] in line
    log.write_bytes(whole[: whole.rindex(b"{")])
    assert "it was changed since" in refused(cards, work_dir)
    values = json.loads(whole.splitlines()[0])
    del values["crc32"]
    log.write_bytes(whole + log_line({**values, "supernet_sha256": "77" * 32}).encode())
    assert "line 9: is of another supernet" in refused(cards, work_dir)
    log.write_bytes(whole + whole.splitlines(keepends=True)[0].replace(SUPERNET.encode(), b"77" * 32))
    assert "line 9: is not what its CRC says" in refused(cards, work_dir)
    log.write_bytes(whole + log_line({"a": 1}).encode())
    assert "line 9: no logged evaluation" in refused(cards, work_dir)
    log.unlink()
    assert f"{LOG_NAME}: no such file" in refused(cards, work_dir)


def test_a_log_that_was_added_to_is_still_the_search_s(work_dir, cards):
    log = work_dir / LOG_NAME
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines, lines[0]]))
    assert read(work_dir, "search")["log_sha256"] in register_search(work_dir, NAME).provenance.note


def test_another_checkpoint(work_dir, cards):
    path = work_dir / read(work_dir)["runs"][BEST]["checkpoint"]
    save(classifier(read(work_dir)["best"], seed=99), path)
    assert f"sha256 is {sha256_file(path)}" in refused(cards, work_dir)
    path.unlink()
    assert "iter_6250.pth: no such file" in refused(cards, work_dir)


def test_weights_of_another_scheme_with_the_same_tensors(work_dir, cards):
    best, other = (read(work_dir)["runs"][i]["scheme"] for i in (BEST, 0))
    assert classifier(best).state_dict().keys() == classifier(other).state_dict().keys()
    replace_best(work_dir, classifier(other))
    assert f"weights of scheme {other}, expected {best}" in refused(cards, work_dir)


@pytest.mark.parametrize(
    ("options", "changes", "told"),
    [
        ({"sharing": "block"}, {}, "'attention.layer1.fc1.weight' is missing"),
        ({"num_classes": 10}, {}, "fc.weight (10, 256) instead of (100, 256)"),
        ({}, {"backbone.fc.bias": None}, "fc.bias is missing"),
        ({}, {"backbone.bn1.num_batches_tracked": None}, "bn1.num_batches_tracked is missing"),
        ({}, {"backbone.layer1.0.conv1.weight": torch.zeros(3)}, "has shape (3,)"),
        ({}, {"backbone.attention.layer1.spare": torch.zeros(3)}, "spare' has no place"),
        ({}, {"head.weight": torch.zeros(3)}, "head.weight has no place"),
        ({"attention": "sge", "attention_args": {"groups": 4}}, {}, "is missing"),
        ({"scheme": EMPTY, "attention": None}, {}, f"weights of scheme {EMPTY}"),
    ],
)
def test_weights_that_do_not_fit(work_dir, cards, options, changes, told):
    replace_best(work_dir, classifier(**{"scheme": read(work_dir)["best"], **options}), **changes)
    line = refused(cards, work_dir)
    assert told in line and "iter_6250.pth: " in line and "train it again" in line


def test_a_checkpoint_that_would_run_something(work_dir, cards, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    record = read(work_dir)
    path = work_dir / record["runs"][BEST]["checkpoint"]
    path.write_bytes(pickle.dumps({"state_dict": Evil()}, protocol=2))
    record["runs"][BEST]["sha256"] = sha256_file(path)
    write(work_dir, record)
    assert "read safely" in refused(cards, work_dir)
    assert not (tmp_path / "pwned").exists()


def test_what_was_not_trained(finished, cards):
    assert f"holds no candidate of it, expected one of {read(finished)['runs'][0]['scheme']}" in refused(
        cards, finished, scheme=str(EMPTY)
    )
    assert "--scheme: connection scheme" in refused(cards, finished, scheme="101")
    assert "Did you mean 'full_share'" in refused(cards, finished, run="full_shared")
    assert "exclude each other" in refused(cards, finished, run="plain", scheme=str(EMPTY))


# ---- records that are not in order


def paths(record, prefix=()):
    """Every key of a record, the first entry of each list."""
    for key, value in record.items():
        yield (*prefix, key)
        inner = value[0] if isinstance(value, list) else value
        if isinstance(inner, dict):
            yield from paths(inner, (*prefix, key, 0) if isinstance(value, list) else (*prefix, key))


FREE = {"seconds", "options", "amp", "batch", "type", "lambda1", "reduction", "val_dataloader.dataset.images"}
FREE |= {"optim_wrapper.optimizer.lr"}


@pytest.mark.parametrize("name", ["search", "standalone"])
def test_every_key_is_needed_and_named(work_dir, cards, name):
    whole = read(work_dir, name)
    needed = [p for p in paths(whole) if p[-1] not in FREE]
    assert len(needed) > 15
    for path in needed:
        record = json.loads(json.dumps(whole))
        holder = record
        for key in path[:-1]:
            holder = holder[key]
        del holder[path[-1]]
        write(work_dir, record, name)
        line = refused(cards, work_dir)
        assert f"{name}.json: key '" in line and path[-1] in line, line
        holder[path[-1]] = [["odd"]]
        write(work_dir, record, name)
        line = refused(cards, work_dir)
        assert f"{name}.json: key '" in line and "odd" in line, line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not valid JSON"),
        ("\xff", "not valid JSON"),
        ("[1]", "is not a JSON object"),
        ('{"format": 2}', "is 2, exp"),
    ],
)
@pytest.mark.parametrize("name", ["search", "standalone"])
def test_a_file_of_another_format(work_dir, cards, name, text, told):
    (work_dir / f"{name}.json").write_bytes(text.encode("latin-1"))
    assert told in (line := refused(cards, work_dir)) and f"{name}.json: " in line


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("search", {"in_channels": 1}, "key 'in_channels' is 1, expected 3"),
        ("search", {"arch": "resnet37"}, "Did you mean 'resnet38'"),
        ("search", {"attention_args": {"reduction": [16]}}, "network.attention_args.reduction"),
        ("search", {"candidates": []}, "the files are of different searches"),
        ("search", {"sharing": "block"}, "the files are of different searches"),
        ("standalone", {"best": str(EMPTY)}, f"key 'best' is {EMPTY}, expected one of"),
        ("standalone", {"best": None}, "key 'best' is None, expected one of"),
    ],
)
def test_values_that_cannot_be(work_dir, cards, name, changes, told):
    write(work_dir, {**read(work_dir, name), **changes}, name)
    assert told in refused(cards, work_dir)


@pytest.mark.parametrize("top1", [-1, 101, float("nan"), True, "61.5"])
def test_percentages_are_percentages(work_dir, cards, top1):
    record = read(work_dir)
    record["runs"][BEST]["test"]["top1"] = top1
    write(work_dir, record)
    assert "key 'runs[1].test.top1' is" in refused(cards, work_dir)


def test_the_best_must_be_the_best(work_dir, cards):
    record = read(work_dir)
    record["best"] = record["runs"][0]["scheme"]
    write(work_dir, record)
    assert "validation top-1 60.25, but" in refused(cards, work_dir)


# ---- the command


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["WORK"], "expected --name arch.tag beside it"),
        (["WORK", "--name", "resnet38.x", "--attention", "se", "--weights", "x"], "--attention, --weights cannot be"),
        (["WORK", "--name", "resnet38.x", "--scheme", "0000.0000.0000"], "holds no candidate"),
        (["WORK", "--name", "resnet38.x", "--run", "fullsa"], "Did you mean 'full_sa'"),
        (["WORK/standalone", "--name", "resnet38.x"], "search.json: no such file: the search has not ended"),
        (["nowhere", "--name", "resnet38.x"], "or the folder of a search"),
        (["--name", "resnet38.x", "--arch", "resnet38", "--run", "plain"], "expected its work directory"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(command, finished, cards, argv, told):
    status, out, err = command("register", *(arg.replace("WORK", str(finished)) for arg in argv))
    assert (status, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1 and told in err
    assert not cards.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits")
def test_a_full_disk_leaves_nothing(command, finished, cards):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # no file may be larger
    try:
        status, out, err = command("register", finished, "--name", NAME)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (status, out) == (1, "") and err.count("\n") == 1 and "nothing was registered" in err
    assert list(cards.iterdir()) == []
    assert command("register", finished, "--name", NAME)[0] == 0
