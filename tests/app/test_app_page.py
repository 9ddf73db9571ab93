"""The page as it is served, in a process of its own: over HTTP, by Gradio's client, and in a browser."""

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from app_files import META, SEGMENTOR, no_images, noise, odd_but_images, save_model
from PIL import Image

import transfer

pytest.importorskip("gradio", reason="gradio is not installed (extra app)")

pytestmark = pytest.mark.app

ROOT = Path(__file__).resolve().parents[2]
WITHIN = 60_000  # milliseconds


def start(folder, *options):
    """`ean app` in `folder`, which is its home and its current folder too; (process, address)."""
    ours = {name: str(folder / name) for name in ("home", "tmp", "cwd", "cards")}
    for path in ours.values():
        os.makedirs(path, exist_ok=True)
    environment = {
        **os.environ,
        **{"HOME": ours["home"], "TMPDIR": ours["tmp"], "TRANSFER_CARDS": ours["cards"]},
        **{"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    }
    line = [sys.executable, "-m", "transfer", "app", "--port", "0", "--device", "cpu", *map(str, options)]
    where = {"cwd": ours["cwd"], "env": environment}
    with open(folder / "stderr", "w") as errors:
        process = subprocess.Popen(line, **where, stdout=subprocess.PIPE, stderr=errors, text=True)
    said = process.stdout.readline()
    found = re.match(r"http://\S+", said)
    assert found, (folder / "stderr").read_text()
    return process, found[0]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A page with a counter, shown before the one that is shipped, and a segmentor."""
    folder = tmp_path_factory.mktemp("page")
    counter = save_model(folder / "work_dirs/a/best_mae_iter_2.pth")
    segmentor = save_model(folder / "work_dirs/b/best_mIoU_iter_2.pth", SEGMENTOR, **META)
    process, url = start(folder, "--model", counter, "--work-dirs", folder / "work_dirs")
    yield SimpleNamespace(folder=folder, url=url, counter=str(counter), segmentor=str(segmentor))
    process.send_signal(signal.SIGTERM)
    process.wait(30)


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        return answer.read().decode(), answer.headers


# ---- over HTTP


def test_nothing_is_asked_of_another_address(served):
    text, headers = get(served.url)
    loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=[\"']?([^\"'\s>]+)", text)
    assert loaded and not [address for address in loaded if re.match(r"(https?:)?//", address)]
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'self' ") and not re.search(r"https?:|\*", policy)


def test_a_foreign_name_for_this_machine_is_not_answered(served):
    with pytest.raises(urllib.error.HTTPError) as error:
        get(served.url, Host="example.org")
    assert error.value.code == 400


def test_files_of_the_machine_are_not_served(served):
    for path in (served.counter, str(ROOT / "pyproject.toml"), "/etc/passwd"):
        with pytest.raises(urllib.error.HTTPError) as error:
            get(f"{served.url}/gradio_api/file={path}")
        assert error.value.code in (403, 404)


def test_it_leaves_nothing_when_it_is_stopped(tmp_path):
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 0)):
        process, url = start(tmp_path)
        get(url)
        assert len(list((tmp_path / "tmp").glob("ean-app-*"))) == 1
        process.send_signal(number)
        assert process.wait(30) == status
        assert "Traceback" not in (tmp_path / "stderr").read_text()
        for name in ("tmp", "cwd", "home", "cards"):
            left = [path for path in (tmp_path / name).rglob("*") if path.is_file()]
            assert not [path for path in left if "YAPF" not in path.parts], name  # mmengine's, of every command
    assert not list((ROOT / "transfer").rglob("*.pyi"))


def test_others_are_let_in_only_when_asked_and_with_a_warning(tmp_path):
    process, url = start(tmp_path, "--host", "0.0.0.0")
    try:
        assert url.startswith("http://0.0.0.0:")
        (line,) = [line for line in (tmp_path / "stderr").read_text().splitlines() if "0.0.0.0" in line]
        assert line.startswith("warning: ") and "password" in line
    finally:
        process.terminate()
        process.wait(30)


# ---- by Gradio's client


@pytest.fixture(scope="module")
def client(served):
    from gradio_client import Client

    return Client(served.url, verbose=False, download_files=False)


def counted(client, served, files):
    """What the page answers, as one text."""
    from gradio_client import handle_file

    files = [handle_file(str(path)) for path in files]
    return str(client.predict(served.counter, files, 0.85, False, 1, 2, api_name="/counting"))


def test_odd_images_are_counted_and_what_is_none_is_named(client, served, tmp_path):
    wrong = no_images(tmp_path)
    (tmp_path / "good").mkdir()
    good = odd_but_images(tmp_path / "good")
    said = counted(client, served, [*wrong, *good])
    for path, word in wrong.items():
        assert path.name in said and word in said
    for path in good:
        assert f"{transfer.load_model(served.counter).predict(path).count:,.1f} people" in said
    assert str(tmp_path) not in said and "Traceback" not in (served.folder / "stderr").read_text()


def test_a_file_that_is_too_large_is_refused(client, served, tmp_path):
    large = tmp_path / "large.png"
    with open(large, "wb") as file:
        file.truncate(65_000_000)
    with pytest.raises(Exception, match=r"[Ss]ize"):
        counted(client, served, [large])
    assert not [path for path in (served.folder / "tmp").rglob("*") if path.is_file() and path.stat().st_size > 64e6]


def test_only_files_that_were_sent_are_read(client, served, tmp_path):
    """Neither an image of the machine, by its path, nor one of another, by its address."""
    import httpx

    known = tmp_path / "own.png"
    Image.fromarray(noise()).save(known)
    for path in (
        str(known),
        f"{served.folder}/tmp/../../../{known}",
        "https://example.org/a.png",
        "file:///etc/passwd",
    ):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        data = {"data": [served.counter, [file], 0.85, False, 1, 1]}
        event = httpx.post(f"{served.url}/gradio_api/call/counting", json=data).json()["event_id"]
        answer = httpx.get(f"{served.url}/gradio_api/call/counting/{event}", timeout=60).text
        assert "event: error" in answer and "people" not in answer
    assert "example.org" not in (served.folder / "stderr").read_text()


def test_a_model_that_is_not_offered_is_not_loaded(client, served, tmp_path):
    from gradio_client import handle_file

    Image.fromarray(noise()).save(tmp_path / "a.png")
    elsewhere = save_model(tmp_path / "best_elsewhere.pth")
    with pytest.raises(Exception, match="elsewhere"):
        client.predict(str(elsewhere), [handle_file(str(tmp_path / "a.png"))], 0.85, False, 1, 1, api_name="/counting")


# ---- in a browser


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with api.sync_playwright() as playwright:
        try:
            found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        except api.Error:
            pytest.skip("there is no Chromium")
        yield found
        found.close()


@pytest.fixture
def page(browser, served):
    """The page, opened; at the end, nothing was asked of another address."""
    page, asked = browser.new_page(viewport={"width": 1280, "height": 900}), []
    page.set_default_timeout(WITHIN)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(served.url)
    yield page
    page.close()
    assert asked and not [url for url in asked if not url.startswith((f"{served.url}/", "data:", "blob:"))]


def send(page, *paths):
    page.locator("input[type=file]:visible, input[type=file]").first.set_input_files(list(map(str, paths)))


def test_the_count_on_the_page_is_that_of_predict(page, served, tmp_path):
    Image.fromarray(noise(120, 160)).save(tmp_path / "street.png")
    send(page, tmp_path / "street.png")
    found = page.locator(".headline:visible").inner_text()
    line = [sys.executable, "-m", "transfer", "predict", served.counter, "street.png", "--out", "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == f"street.png: {found.replace(',', '')}"


def test_controls_redraw_and_downloads_hold_it(page, tmp_path):
    Image.fromarray(noise(120, 160)).save(tmp_path / "street.png")
    send(page, tmp_path / "street.png")
    page.locator(".headline:visible").wait_for()

    def image():
        with page.expect_download() as download:
            page.get_by_role("button", name="Download image (PNG)").first.click()
        assert download.value.suggested_filename == "street_counting.png"
        return np.asarray(Image.open(download.value.path()))

    before = image()
    page.get_by_label("Mark each head (experimental)").check()
    page.locator(".note", has_text="experimental").wait_for()
    assert (image() != before).any()
    columns = page.get_by_role("spinbutton", name=re.compile("Columns of the grid"))
    columns.fill("3")
    columns.press("Enter")
    columns.blur()
    page.get_by_text("column 3").first.wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download table (CSV)").first.click()
    names, values = Path(download.value.path()).read_text().splitlines()
    line = dict(zip(names.split(","), values.split(","), strict=True))
    cells = sum(float(line[f"cell_1_{column}"]) for column in (1, 2, 3))
    assert line["image"] == "street.png" and cells == pytest.approx(float(line["count"]), abs=1e-4)


def test_what_cannot_be_read_is_said_beside_what_can(page, served, tmp_path):
    Image.fromarray(noise()).save(tmp_path / "a.png")
    Image.fromarray(noise(seed=1)).save(tmp_path / "b.png")
    (tmp_path / "notes.txt").write_text("no image")
    send(page, tmp_path / "a.png", tmp_path / "notes.txt", tmp_path / "b.png")
    page.locator(".note", has_text="notes.txt: is no image").wait_for()
    page.get_by_label("Shown image").first.click()
    page.get_by_role("option", name="b.png").click()
    counts = [transfer.load_model(served.counter).predict(tmp_path / name).count for name in ("a.png", "b.png")]
    texts = [f"{count:,.1f} people" for count in counts]
    assert texts[0] != texts[1]
    page.locator(".headline:visible", has_text=texts[1]).wait_for()
    for text in texts:
        page.get_by_text(text, exact=True).locator("visible=true").first.wait_for()


def test_segmentation_shows_shares(page, served, tmp_path):
    Image.fromarray(noise()).save(tmp_path / "a.png")
    page.get_by_role("tab", name="Segmentation").click()
    page.locator("input[type=file]").last.set_input_files(str(tmp_path / "a.png"))
    page.locator(".headline:visible", has_text="%").wait_for()
    shares = transfer.load_model(served.segmentor).predict(tmp_path / "a.png").shares
    said = page.locator(".headline:visible").inner_text()
    assert said == ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
