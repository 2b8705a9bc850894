"""The page: Gradio's inputs, the viewers, and what happens when something is pressed. Imported only to serve it."""

import html
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from typing import Any

import gradio as gr
from PIL import Image

from medsam_exp.cli.app.examples import examples
from medsam_exp.cli.app.images import data_address
from medsam_exp.cli.app.service import VIEWERS, Service, facts_of_two, import_networks
from medsam_exp.cli.interactive.choices import Choice, choices_of, default_of, problem_of
from medsam_exp.cli.interactive.groups import GROUPS
from medsam_exp.cli.interactive.limits import LETTERS
from medsam_exp.runtime.json_text import json_text
from medsam_exp.types import UserError

log = logging.getLogger(__name__)

MAIN, MORE = (
    ("clip", "saliency", "postprocess", "prompt", "sam"),
    ("component_filter", "fusion", "mask_filter", "veto", "text_segmenter"),
)
_NONE = "none"
"""Chosen where no rival is asked."""
_HEAD = """
<h1>Text-driven segmentation</h1>
<p>Say in words what to find in a scan. <span class="mx-warning">Research use only; not a medical device.</span>
Images stay on this machine.</p>
"""
_PRIVATE: dict[str, Any] = {"api_visibility": "private"}
"""Options of an event: it is no programming interface for others."""
_SILENT = {**_PRIVATE, "show_progress": "hidden"}
_QUEUED = {**_SILENT, "concurrency_id": "networks", "concurrency_limit": 1}
_LATEST = {**_QUEUED, "trigger_mode": "always_last"}


def text_of(name: str) -> str:
    """A file that lies beside this one."""
    return (files("medsam_exp.cli.app") / name).read_text(encoding="utf-8")


def build_page(service: Service, weights: str, title: str = "medsam_exp") -> gr.Blocks:
    """Make the page.

    Args:
        service: does the work.
        weights: folder of downloaded weights, where missing ones are looked for.
        title: of the browser's tab.
    """
    page = _Page(service, weights)
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(600, 3600)) as blocks:
        gr.HTML(_HEAD, elem_id="mx-head")
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                page.add_inputs()
            with gr.Column(scale=7, min_width=300):
                page.add_viewers()
        page.connect(blocks)
    result: gr.Blocks = blocks
    return result


class _Page:
    """The page's parts by name, and what they do."""

    def __init__(self, service: Service, weights: str) -> None:
        self._service, self._weights = service, weights
        self._choices = {
            group: {choice.name: choice for choice in choices_of(group)} for group in (*MAIN, *MORE)
        }
        none = Choice("text_segmenter", _NONE, "No other network is asked.")
        self._choices["text_segmenter"] = {_NONE: none, **self._choices["text_segmenter"]}
        self._wants: dict[str, bool] = {}  # tabs that go on to an image whose neighbour was asked about
        self._dropdowns: dict[str, gr.Dropdown] = {}
        self._viewers: dict[str, gr.HTML] = {}

    def add_inputs(self) -> None:
        """Left column."""
        self._file = gr.File(
            label="Images (PNG, JPEG, DICOM, ...)",
            file_count="multiple",
            height=150,
            elem_id="mx-file",
        )
        self._examples = gr.HTML(
            html_template=_example_buttons(), js_on_load=text_of("examples.js"), apply_default_css=False
        )
        self._text = gr.Textbox(
            label="What to find",
            placeholder="a dark irregular mass in the upper left",
            lines=1,
            max_lines=4,
            max_length=LETTERS,
            elem_id="mx-text",
            submit_btn=False,
        )
        with gr.Accordion("Compare with a second text", open=False) as self._compare:
            self._second = gr.Textbox(
                label="Second text",
                placeholder="leave empty to compare nothing",
                lines=1,
                max_lines=4,
                max_length=LETTERS,
                elem_id="mx-second",
            )
        self._segment = gr.Button("Segment", variant="primary", elem_id="mx-segment")
        with gr.Accordion("Method", open=False, elem_id="mx-method"):
            for group in MAIN:
                self._add_dropdown(group)
            with gr.Accordion("More", open=False):
                for group in MORE:
                    self._add_dropdown(group)

    def _add_dropdown(self, group: str) -> None:
        choices = self._choices[group]
        default = _NONE if group == "text_segmenter" else default_of(group)
        self._dropdowns[group] = gr.Dropdown(
            list(choices),
            value=default,
            label=GROUPS[group],
            info=choices[default].comment,
            filterable=False,
            elem_id=f"mx-{group}",
        )

    def add_viewers(self) -> None:
        """Right column."""
        self._said = gr.HTML("", elem_id="mx-said")
        self._gallery = gr.HTML(
            "",
            html_template=text_of("gallery.html"),
            js_on_load=text_of("gallery.js"),
            apply_default_css=False,
            elem_id="mx-gallery",
        )
        with gr.Row(equal_height=False):
            for name in VIEWERS:
                with gr.Column(min_width=300, visible=name == VIEWERS[0]) as column:
                    self._viewers[name] = gr.HTML(
                        "",
                        html_template=text_of("viewer.html"),
                        js_on_load=text_of("viewer.js"),
                        apply_default_css=False,
                        elem_id=f"mx-{name}",
                    )
                if name == VIEWERS[1]:
                    self._second_column = column

    def connect(self, blocks: gr.Blocks) -> None:
        """Say what happens when."""
        first, second = self._viewers.values()
        shown = [self._said, first, second, self._second_column, self._gallery]
        asked = [self._text, self._second, *self._dropdowns.values()]
        texts = [self._text, self._second, self._compare]
        self._file.upload(self._upload, self._file, [*shown, self._file], preprocess=False, **_QUEUED)
        self._file.clear(self._nothing, None, shown, **_PRIVATE)
        self._examples.select(self._example, None, [*shown, *texts], **_QUEUED).then(
            self._ask, asked, shown, **_QUEUED
        )
        for press in (self._segment.click, self._text.submit, self._second.submit):
            press(_busy, None, self._said, **_SILENT, queue=False).then(self._ask, asked, shown, **_QUEUED)
        self._gallery.select(self._move, None, shown, **_QUEUED).then(self._ask_anew, asked, shown, **_QUEUED)
        self._gallery.submit(self._batch, asked, shown, **_QUEUED)
        self._gallery.stop(self._stop, None, self._said, **_SILENT, queue=False)
        self._gallery.release(self._masks, None, self._gallery, **_SILENT)
        for group, dropdown in self._dropdowns.items():
            dropdown.input(self._explain(group), dropdown, dropdown, **_SILENT).then(
                self._ask_again, asked, shown, **_QUEUED
            )
        for name, viewer in self._viewers.items():
            viewer.select(self._correct(name), None, [viewer, self._said], **_LATEST)
            viewer.release(self._threshold(name), None, [viewer, self._said], **_LATEST)
        blocks.load(self._mark_missing, None, list(self._dropdowns.values()), **_SILENT)
        blocks.unload(self._leave)

    def _upload(self, files: Any, request: gr.Request) -> list[Any]:
        given = [_path_and_name(file) for file in getattr(files, "root", files) or ()]
        who = _who(request)

        def work() -> list[Any]:
            message, left_out = self._service.upload_all(who, given)
            said = _error(left_out) if left_out else ""
            return [said, *self._only(message)[1:-1], self._service.gallery(who), gr.skip()]

        # A file that cannot be read does not stay in the list, as if it could be segmented.
        return [*self._answer(work), None][:6] if given else [*self._only(""), gr.skip()]

    def _example(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        message, text, second = self._service.example(
            _who(request), int(event._data["number"]) % len(examples())
        )
        return [*self._only(message)[:-1], "", text, second, gr.update(open=bool(second))]

    def _move(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        who = _who(request)
        asked = bool(self._service.current(who))
        self._wants[who] = asked

        def work() -> list[Any]:
            return [
                *self._only(self._service.show(who, int(event._data["place"])))[:-1],
                self._service.gallery(who),
            ]

        return self._answer(work)

    def _batch(self, request: gr.Request, text: str, second: str, *values: str) -> Iterator[list[Any]]:
        """All images of the gallery with the first text."""
        del second
        who, choices = _who(request), dict(zip(self._dropdowns, values, strict=True))

        def work() -> Iterator[list[Any]]:
            self._refuse_missing(choices)
            for said, message in self._service.batch(who, text or "", choices):
                yield [_status(said), message, "", gr.update(visible=False), self._service.gallery(who)]
            done, count = self._service.segmented(who)
            said = (
                "All images are segmented."
                if done == count
                else f"Stopped: {done} of {count} images have a mask."
            )
            yield [said, *[gr.skip()] * 4]

        yield from self._answers(work())
        yield [*[gr.skip()] * 4, self._service.gallery(who)]

    def _stop(self, request: gr.Request) -> Any:
        return _status("Stopping after this image") if self._service.stop(_who(request)) else gr.skip()

    def _masks(self, request: gr.Request) -> str:
        """The gallery's message with all masks in it, which it saves."""
        who = _who(request)
        return json_text(json.loads(self._service.gallery(who)) | {"zip": self._service.masks(who)})

    def _nothing(self, request: gr.Request) -> list[Any]:
        self._service.leave(_who(request))
        return self._only("")

    def _ask(self, request: gr.Request, text: str, second: str, *values: str) -> Iterator[list[Any]]:
        who, choices = _who(request), dict(zip(self._dropdowns, values, strict=True))

        def work() -> Iterator[list[Any]]:
            self._refuse_missing(choices)
            first = self._service.ask(who, VIEWERS[0], text or "", choices)
            if not (second or "").strip():
                self._service.forget_answer(who, VIEWERS[1])
                for message in first:
                    yield [self._progress(who), *self._only(message)[1:-1], self._service.gallery(who)]
                return
            for message in first:
                yield [_status("Second text"), message, *[gr.skip()] * 3]
            for message in self._service.ask(who, VIEWERS[1], second, choices):
                yield ["", gr.skip(), message, gr.update(visible=True), gr.skip()]
            yield [facts_of_two(*self._service.current(who).values()), *[gr.skip()] * 4]

        yield from self._answers(work())

    def _ask_again(self, request: gr.Request, text: str, second: str, *values: str) -> Iterator[list[Any]]:
        """After another choice: at once where there is something to ask."""
        if self._service.current(_who(request)):
            yield from self._ask(request, text, second, *values)
        else:
            yield [gr.skip()] * 5

    def _ask_anew(self, request: gr.Request, text: str, second: str, *values: str) -> Iterator[list[Any]]:
        """After another image of the gallery: at once where the one before was asked about."""
        if self._wants.pop(_who(request), False):
            yield from self._ask(request, text, second, *values)
        else:
            yield [gr.skip()] * 5

    def _refuse_missing(self, choices: dict[str, str]) -> None:
        """Before anything is downloaded or computed; a rival that is not asked is taken out."""
        for group, name in choices.items():
            if problem := self._problem(group, name):
                raise UserError(f"{group}={name} cannot be used yet: {problem}")
        if choices["text_segmenter"] == _NONE:
            del choices["text_segmenter"]

    def _progress(self, who: str) -> str:
        """What to say while an answer is on its way; "" when it has come."""
        return "" if VIEWERS[0] in self._service.current(who) else _BUSY

    def _correct(self, viewer: str) -> Callable[..., list[Any]]:
        def correct(event: gr.EventData, request: gr.Request) -> list[Any]:
            points, box = event._data["points"], event._data["box"]
            return self._change(lambda: self._service.correct(_who(request), viewer, points, box))

        return correct

    def _threshold(self, viewer: str) -> Callable[..., list[Any]]:
        def threshold(event: gr.EventData, request: gr.Request) -> list[Any]:
            if (window := event._data.get("window")) is not None:
                return self._change(lambda: self._service.window(_who(request), *window))
            value = event._data["threshold"]
            return self._change(lambda: self._service.threshold(_who(request), viewer, value))

        return threshold

    def _explain(self, group: str) -> Callable[[str], Any]:
        def explain(name: str) -> Any:
            choice = self._choices[group][name]
            problem = self._problem(group, name)
            return gr.update(
                info=f"{choice.comment} Not on this machine: {problem}" if problem else choice.comment
            )

        return explain

    def _mark_missing(self) -> list[Any]:
        """Say in the lists which choices cannot be used on this machine yet."""
        import_networks()
        return [
            gr.update(
                choices=[
                    (f"{name} (not here)" if self._problem(group, name) else name, name)
                    for name in self._choices[group]
                ]
            )
            for group in self._dropdowns
        ]

    def _problem(self, group: str, name: str) -> str | None:
        return (
            None
            if name == _NONE and group == "text_segmenter"
            else problem_of(self._choices[group][name], self._weights)
        )

    def _only(self, message: str) -> list[Any]:
        """Show one viewer, and nothing in the other."""
        return ["", message, "", gr.update(visible=False), ""]

    def _answer(self, work: Callable[[], list[Any]]) -> list[Any]:
        """What work gives, or what went wrong in the place of the status."""
        try:
            return work()
        except Exception as error:  # a page must not go silent
            return _failure(error)

    def _answers(self, work: Iterator[list[Any]]) -> Iterator[list[Any]]:
        """The same of work in steps."""
        try:
            yield from work
        except Exception as error:
            yield _failure(error)

    def _change(self, work: Callable[[], str]) -> list[Any]:
        """The same for one viewer, which stands before the status."""
        said, viewer, *_ = self._answer(lambda: ["", work()])
        return [viewer, said]

    def _leave(self, request: gr.Request) -> None:
        self._service.leave(_who(request))


def _failure(error: Exception) -> list[Any]:
    if isinstance(error, UserError):
        said = str(error)
    else:
        log.error("a question failed", exc_info=error)
        said = f"{type(error).__name__}: the question could not be answered; the console of the app says more"
    return [_error(said), *[gr.skip()] * 4]


def _error(said: str) -> str:
    return f'<span class="mx-error" role="alert">{html.escape(said)}</span>'


def _status(said: str) -> str:
    return f'<span class="mx-busy" role="status">{html.escape(said)} …</span>'


_BUSY = _status("Segmenting")


def _busy() -> str:
    return _BUSY


def _path_and_name(file: Any) -> tuple[str, str]:
    content = file if isinstance(file, Mapping) else getattr(file, "__dict__", {})
    return str(content.get("path", "")), str(content.get("orig_name") or "image")


def _who(request: gr.Request) -> str:
    return str(request.session_hash)


def _example_buttons() -> str:
    buttons = []
    for number, example in enumerate(examples()):
        label = html.escape(example.label).replace("-", "&#8209;")  # X-ray stays on one line
        address = data_address(Image.fromarray(example.image), "webp", 160)
        buttons.append(
            f'<button type="button" data-number="{number}" title="{html.escape(" | ".join(example.texts))}">'
            f'<img alt="" src="{address}">{label}</button>'
        )
    return f'<div class="mx-examples" role="group" aria-label="Drawn scans to try">{"".join(buttons)}</div>'
