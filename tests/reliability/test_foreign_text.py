"""Configs that are data run nothing, code ends no command, and nothing reaches terminals or spreadsheets to act on."""

import csv
import io
import re

import pytest
from PIL import Image

from backbones.errors import UserInputError
from backbones.escaping import csv_cell, printable
from backbones.registry import get_card
from tasks.classification.folder import read_rgb
from tasks.counting.metric import COLUMNS, as_csv
from tasks.segmentation.masks import read_mask
from transfer.cli import Terminated, run_command
from transfer.engine.config_check import load_config, read_config
from transfer.engine.console import say
from transfer.engine.images import image_shape, read_image
from transfer.pipeline.config import read_search_config

RUNS = "model: !!python/object/apply:os.system ['touch {marker}']\n"
READERS = [pytest.param(load_config, id="training"), pytest.param(read_search_config, id="search")]


@pytest.mark.parametrize("ending", [".yaml", ".yml"])
@pytest.mark.parametrize("reader", READERS)
def test_a_yaml_config_runs_nothing(tmp_path, reader, ending):
    path, marker = tmp_path / f"config{ending}", tmp_path / "ran"
    path.write_text(RUNS.format(marker=marker))
    with pytest.raises(UserInputError, match=r"cannot be read: ConstructorError"):
        reader(path)
    assert not marker.exists()


def test_a_yaml_base_of_a_config_runs_nothing(tmp_path):
    marker = tmp_path / "ran"
    (tmp_path / "base.yaml").write_text(RUNS.format(marker=marker))
    (tmp_path / "config.py").write_text("_base_ = './base.yaml'\n")
    with pytest.raises(UserInputError, match="ConstructorError"):
        load_config(tmp_path / "config.py")
    assert not marker.exists()


def test_a_plain_yaml_config_is_read(tmp_path):
    (tmp_path / "config.yaml").write_text("model: {type: TinyModel, strides: [1, 2]}\n")
    assert read_config(tmp_path / "config.yaml", "config").model.strides == [1, 2]


ENDS = {
    "exit": "raise SystemExit(0)",
    "sys": "import sys\nsys.exit()",
    "generator": "raise GeneratorExit",
    "own": "class Stop(BaseException): pass\nraise Stop('enough')",
    "error": "1 / 0",
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("how", ENDS)
def test_no_config_ends_a_command_as_if_all_were_well(tmp_path, how, reader, capsys):
    path = tmp_path / "config.py"
    path.write_text(ENDS[how] + "\n")
    assert run_command(lambda _: reader(path) and None) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "config.py: cannot be read: " in err


@pytest.mark.parametrize(("stop", "status"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_a_signal_while_a_config_is_read_is_no_wrong_config(tmp_path, monkeypatch, stop, status):
    def fromfile(*args):
        raise stop

    monkeypatch.setattr("transfer.engine.config_check.Config.fromfile", fromfile)
    assert run_command(lambda _: read_config(tmp_path / "config.py", "config")) == status


# ---- images


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("read", [read_image, image_shape, read_mask, read_rgb])
def test_a_postscript_file_is_no_image_whatever_it_is_called(tmp_path, read):
    path = tmp_path / "photo.jpg"
    path.write_bytes(EPS)
    with Image.open(path) as image:  # Pillow itself takes it, and would hand it to Ghostscript
        assert image.format == "EPS"
    with pytest.raises(UserInputError, match=r"photo\.jpg: cannot be decoded"):
        read(path)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "PPM", "JPEG", "WEBP"])
def test_the_usual_formats_are_images(tmp_path, kind):
    Image.new("RGB", (5, 4)).save(tmp_path / "image", kind)
    assert image_shape(tmp_path / "image") == (4, 5) and read_rgb(tmp_path / "image").size == (5, 4)


# ---- terminals and spreadsheets

TITLE = "\x1b]0;owned\x07\x1b[31mred\x1b[0m\u202egpj.exe"


def test_what_a_terminal_would_act_on_is_shown_instead():
    assert printable(TITLE) == r"\x1b]0;owned\x07\x1b[31mred\x1b[0m\u202egpj.exe"
    assert printable("\udce9.jpg") == r"\udce9.jpg"  # a name that is no UTF-8
    assert printable("é 人 \t\n") == "é 人 \t\n"


def test_lines_of_commands_hold_no_escapes(capsys):
    def fail(argv):
        raise UserInputError(f"{TITLE}.jpg: no such file")

    say(f"{TITLE} counted")
    assert run_command(fail) == 2
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err and r"\x1b]0;owned" in out and r"\x1b]0;owned" in err


def test_a_card_is_shown_without_escapes(tmp_path, monkeypatch, command):
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path / "cards"))
    text = get_card("resnet38.c100_6ep").to_toml().replace("resnet38.c100_6ep", "resnet38.odd")
    text = re.sub(r"(?m)^(summary|source|command|note|licence) = .*", r'\1 = "\\u001b]0;owned\\u0007[red]x"', text)
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "resnet38.odd.toml").write_text(text.replace("default = true\n", ""))
    done = command("backbones.py", "show", "resnet38.odd")
    assert done.returncode == 0 and done.stdout.count(r"\x1b]0;owned\x07[red]x") >= 2
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["=1+cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_file_name_is_a_formula(name):
    row = {key: 0 for key in COLUMNS} | {"image_id": name, "img_path": f"data/{name}", "error": -1.5}
    cells = next(csv.DictReader(io.StringIO(as_csv([row]))))
    assert cells["image_id"].startswith("'") and cells["img_path"].startswith("data/") and cells["error"] == "-1.5"
    assert csv_cell(name)[1:] == printable(name) and csv_cell("plain.jpg") == "plain.jpg" and csv_cell(-3) == -3
