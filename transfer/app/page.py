"""How the page looks: a tab for each task that offers one, all of the same make."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from backbones.errors import UserInputError
from transfer.app.controls import Control, Slider
from transfer.app.models import Models
from transfer.app.tab import NO_MODEL, Result, Tab, notes_box
from transfer.app.uploads import FORMATS, MOST_BYTES, MOST_IMAGES
from transfer.task import get_task, list_tasks

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif")
MONO = ("ui-monospace", "Consolas", "Menlo", "monospace")
CSS = """
.gradio-container { max-width: 1240px !important; margin: 0 auto !important; }
.gradio-container > main { width: 100%; }
.hint { font-size: 0.85rem; opacity: 0.8; }
.headline { font-size: 2rem; font-weight: 600; line-height: 1.3; }
.note { border-left: 4px solid #d55e00; padding: 0.3rem 0.7rem; margin: 0.4rem 0; background: #d55e0018; }
"""
SESSIONS = 8
"""People whose results are kept at a time."""

WAITING = 16
"""Predictions that may wait their turn."""

KEPT_SECONDS = 3600


def theme() -> gr.themes.Base:
    """Gradio's plain theme in fonts that the machine has: others would be fetched."""
    return gr.themes.Default(primary_hue="blue", font=list(FONTS), font_mono=list(MONO))


def build(models: Models, folder: Path) -> gr.Blocks:
    """The page.

    Args:
        models: what is offered.
        folder: for files to download.
    """
    with gr.Blocks(title="ean", analytics_enabled=False, delete_cache=(600, KEPT_SECONDS), fill_width=True) as page:
        gr.Markdown("# Predict images\nImages stay on the machine that this page comes from.")
        with gr.Tabs():
            for task in list_tasks("app"):
                with contextlib.suppress(_Missing):
                    tab = _tab(task, models, folder)
                    with gr.Tab(tab.part.TITLE, id=task):
                        _Layout(tab).connect(page)
    page.queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)
    return page


_PROGRESS = gr.Progress()
"""A default, because by it Gradio knows who wants a tracker; first, because the controls' values come last."""


class _Missing(Exception):
    """What a task needs is not installed."""


def _tab(task: str, models: Models, folder: Path) -> Tab:
    try:
        return Tab(task, get_task(task).part("app"), models, folder)
    except ImportError as error:
        print(f"note: no tab for {task}: {error}", file=sys.stderr)
        raise _Missing from error


class _Layout:
    """The fields of a tab, in the place where it is made, and what happens when they are used."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                self.files = _images()
                choices = tab.choices()
                value = next(iter(choices), None)
                self.model = gr.Dropdown(choices, value=value, label="Model", interactive=True)
                self.button = gr.Button("Predict", variant="primary")
                self.controls = [_control(one) for one in tab.part.CONTROLS]
            with gr.Column(scale=5, min_width=420):
                self.notes = gr.HTML(notes_box([] if choices else [NO_MODEL]), visible=not choices, padding=False)
                self.picked = gr.Dropdown(label="Shown image", choices=[], visible=False, interactive=True)
                self.headline = gr.HTML(visible=False, padding=False)
                self.image = gr.Image(show_label=False, format="png", interactive=False, buttons=["fullscreen"])
                with gr.Row():
                    self.png = gr.DownloadButton("Download image (PNG)", visible=False, size="sm")
                    self.csv = gr.DownloadButton("Download table (CSV)", visible=False, size="sm")
                self.table = gr.Dataframe(visible=False, interactive=False, wrap=True, buttons=[])
                self.all = gr.Dataframe(label="All images", visible=False, interactive=False, wrap=True, buttons=[])
        self.results = gr.State([])

    @property
    def view(self) -> list[Any]:
        """What is shown of results."""
        return [self.headline, self.image, self.png, self.csv, self.table, self.all]

    def connect(self, page: gr.Blocks) -> None:
        """Says what happens when."""
        page.load(self.offer, self.model, self.model, show_progress="hidden", api_visibility="private")
        gr.on(
            [self.files.upload, self.button.click],
            self.predict,
            [self.model, self.files, *self.controls],
            [self.results, self.notes, self.picked, *self.view],
            show_progress_on=[self.image],
            concurrency_limit=1,
            concurrency_id="prediction",
            trigger_mode="once",
            api_name=self.tab.task,
        )
        changes = [one.release if isinstance(one, gr.Slider) else one.change for one in self.controls]
        gr.on(
            [self.picked.input, *changes],
            self.redraw,
            [self.results, self.picked, *self.controls],
            self.view,
            show_progress="hidden",
            concurrency_limit=1,
            concurrency_id="drawing",
            trigger_mode="always_last",
            api_visibility="private",
        )

    # ---- what happens

    def offer(self, chosen: str | None) -> Any:
        """Models as they are now."""
        choices = self.tab.choices()
        return gr.update(choices=choices, value=chosen if chosen in choices else next(iter(choices), None))

    def predict(
        self, progress: Any = _PROGRESS, model: str | None = None, files: list[str] | None = None, *values: Any
    ) -> list[Any]:
        """Results of new images, and the first of them."""
        try:
            results = self.tab.predict(model, files, lambda done, of: progress((done, of), unit="images"))
        except UserInputError as error:
            return [[], _shown(notes_box([str(error)])), _hidden(), *self.nothing()]
        notes = notes_box([one.note for one in results if one.note])
        places = [(one.name, place) for place, one in enumerate(results) if one.found is not None]
        first = places[0][1] if places else None
        picked = gr.update(choices=places, value=first, visible=len(places) > 1)
        return [results, _shown(notes), picked, *self.redraw(results, first, *values)]

    def redraw(self, results: list[Result], picked: int | None, *values: Any) -> list[Any]:
        """One of the results, with the controls as they are now."""
        if picked is None or not 0 <= picked < len(results) or results[picked].found is None:
            return self.nothing(results)
        options = self.tab.options(values)
        try:
            box, image, table = self.tab.shown(results[picked], options)
            csv = self.tab.table(results, options)
        except UserInputError as error:
            return [_shown(notes_box([str(error)])), *self.nothing(results)[1:]]
        return [
            _shown(box),
            str(image),
            gr.update(value=str(image), visible=True),
            gr.update(value=str(csv), visible=True),
            _table(table),
            self.overview(results),
        ]

    def nothing(self, results: Sequence[Result] = ()) -> list[Any]:
        """Where there is nothing to show."""
        return [_hidden(), None, _hidden(), _hidden(), _table([]), self.overview(results)]

    def overview(self, results: Sequence[Result]) -> Any:
        """A line for each of several images."""
        lines = [[one.name, "-" if one.found is None else self.tab.part.headline(one.found)] for one in results]
        return _table([["image", "found"], *lines] if len(results) > 1 else [])


def _images() -> gr.File:
    """A field for files that takes what was uploaded alone.

    Gradio's own would also fetch an address that a client sends, and, where the page is mounted into an application,
    read any file of the machine.
    """
    formats = f"{', '.join(FORMATS[:-1])}, {FORMATS[-1]}"
    field = gr.File(label="Images", file_count="multiple", height=150)
    gr.Markdown(f"Up to {MOST_IMAGES} at once, {MOST_BYTES / 1e6:.0f} MB each: {formats}.", elem_classes="hint")
    move = field.async_move_resource_to_block_cache

    async def move_uploaded(given: Any) -> Any:
        if given is not None and not Path(given).resolve().is_relative_to(Path(field.GRADIO_CACHE).resolve()):
            raise gr.Error("Send the image itself.", print_exception=False)
        return await move(given)

    # On the field itself: Gradio writes a file beside the module of a class that is derived from one of its own.
    field.async_move_resource_to_block_cache = move_uploaded
    return field


def _control(one: Control) -> Any:
    if isinstance(one, Slider):
        return gr.Slider(one.low, one.high, one.value, step=one.step, label=one.label)
    return gr.Checkbox(one.value, label=one.label)


def _shown(box: str) -> Any:
    return gr.update(value=box, visible=bool(box))


def _hidden() -> Any:
    return gr.update(value=None, visible=False)


def _table(rows: list[list[str]]) -> Any:
    """The names of the columns come first."""
    if not rows:
        return gr.update(value=None, visible=False)
    return gr.update(value={"headers": rows[0], "data": rows[1:]}, visible=True)
