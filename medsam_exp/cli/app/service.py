"""What the app does for each browser tab, without knowing the page: images, answers, corrections."""

import re
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medsam_exp.cli.app.examples import examples, write_examples
from medsam_exp.data.decoding import read_image
from medsam_exp.metrics.overlap import dice
from medsam_exp.types import UserError

if TYPE_CHECKING:  # they bring all networks' libraries, and the page must not wait for those
    from medsam_exp.cli.interactive.result import Answer
    from medsam_exp.cli.interactive.session import Session

VIEWERS = ("first", "second")
_EXAMPLE_NOTE = "Draw the scan first: medsam-exp app-examples"
_OWN_NOTE = "Run it in the folder of your image."
_MEGAPIXEL = 1_000_000


@dataclass
class _Tab:
    """One browser tab: its image and that file's name for its owner, and the answers of each viewer."""

    image: Path | None = None
    name: str = ""
    note: str = ""  # what to know before pasting the command
    automatic: "dict[str, Answer]" = field(default_factory=dict)  # of the pipeline itself
    current: "dict[str, Answer]" = field(default_factory=dict)  # that are shown


class Service:
    """Serves browser tabs, each with its own image and answers, by one session.

    Args:
        folder: of uploaded files; no other path is ever read for a browser.
        settings: overrides for every question.
        megapixels: larger images are refused.
        tabs: how many tabs are remembered, the last used ones.
    """

    def __init__(
        self, folder: Path, settings: Sequence[str] = (), megapixels: float = 40, tabs: int = 32
    ) -> None:
        self._folder, self._settings, self._pixels = folder.resolve(), settings, megapixels * _MEGAPIXEL
        self._most, self._lock, self._beginning = tabs, threading.Lock(), threading.Lock()
        self._tabs: OrderedDict[str, _Tab] = OrderedDict()
        self._begun: Session | None = None
        self._examples = write_examples(self._folder / "examples")

    def begin(self) -> None:
        """Load the embedded networks and answer a question of our own, so that the first one of others is quick."""
        first = examples()[0]
        self._session.segment(self._examples[first.name], first.texts[0])

    def close(self) -> None:
        """Delete what the session keeps."""
        if self._begun is not None:
            self._begun.close()

    @property
    def _session(self) -> "Session":
        from medsam_exp.cli.interactive.session import Session

        with self._beginning:
            if self._begun is None:
                self._begun = Session(self._settings)
            return self._begun

    def upload(self, who: str, path: str, name: str) -> str:
        """Take an uploaded file; return the viewer's message.

        Args:
            who: the tab.
            path: where the file was put.
            name: as its owner calls it.

        Raises:
            UserError: it cannot be read as an image, or is too large.
        """
        uploaded = Path(path).resolve()
        if not uploaded.is_relative_to(self._folder):
            raise UserError("this file was not uploaded here; drop an image")
        own = self._folder / "tabs" / _plain(who) / (Path(name.replace("\\", "/")).name or "image")
        shutil.rmtree(own.parent, ignore_errors=True)
        own.parent.mkdir(parents=True)
        shutil.copyfile(uploaded, own)
        return self._open(who, own, own.name, _OWN_NOTE)

    def example(self, who: str, number: int) -> tuple[str, str, str]:
        """Take a drawn scan; return the viewer's message, a text, and a second one or ""."""
        chosen = examples()[number]
        path = self._examples[chosen.name]
        message = self._open(who, path, f"examples/{path.name}", _EXAMPLE_NOTE)
        return message, chosen.texts[0], chosen.texts[1] if len(chosen.texts) > 1 else ""

    def ask(self, who: str, viewer: str, text: str, choices: Mapping[str, str]) -> Iterator[str]:
        """Segment the tab's image; give the viewer's messages: that of the answer, a draft's before it if need be.

        Raises:
            UserError: there is no image or no text, or the choices cannot work.
        """
        tab = self._tab(who)
        if tab.image is None:
            raise UserError("there is no image yet: drop one, or pick an example")
        from medsam_exp.cli.app.view import draft_message
        from medsam_exp.cli.interactive.result import Draft

        try:
            for found in self._session.segment_with_draft(tab.image, text, choices):
                if isinstance(found, Draft):
                    yield draft_message(found, tab.name)
                else:
                    tab.automatic[viewer] = tab.current[viewer] = found
                    yield _message(found, tab, whole=True)
        except UserError as error:
            raise UserError(str(error).replace(str(tab.image), tab.name)) from error

    def correct(
        self, who: str, viewer: str, points: Sequence[Sequence[float]], box: Sequence[float] | None
    ) -> str:
        """Ask SAM again with what was clicked and drawn; without anything, show the pipeline's answer again.

        Raises:
            UserError: nothing was segmented yet, or the prompts cannot work.
        """
        from medsam_exp.cli.interactive.correction import Correction

        tab, automatic = self._answered(who, viewer)
        height, width = automatic.mask.shape
        last = (width - 1, height - 1, 1)
        x0, y0, x1, y1 = np.clip(box or (0, 0, 0, 0), 0, (width, height) * 2).astype(int).tolist()
        correction = Correction(
            points=tuple(
                (x, y, label)
                for x, y, label in np.clip(np.reshape(points, (-1, 3)), 0, last).astype(int).tolist()
            ),
            box=(x0, y0, x1, y1) if box else None,
        )
        answer = self._session.correct(automatic, correction) if correction else automatic
        tab.current[viewer] = answer
        return _message(answer, tab, whole=False)

    def threshold(self, who: str, viewer: str, value: float) -> str:
        """Cut the map at another value and ask SAM again; corrections are forgotten.

        Raises:
            UserError: nothing was segmented yet.
        """
        tab, automatic = self._answered(who, viewer)
        answer = self._session.threshold(automatic, min(max(float(value), 0.0), 1.0))
        tab.automatic[viewer] = tab.current[viewer] = answer
        return _message(answer, tab, whole=False)

    def current(self, who: str) -> "Mapping[str, Answer]":
        """The answers that a tab shows, by viewer."""
        return dict(self._tab(who).current)

    def forget_answer(self, who: str, viewer: str) -> None:
        """Forget what a viewer showed."""
        tab = self._tab(who)
        tab.automatic.pop(viewer, None)
        tab.current.pop(viewer, None)

    def leave(self, who: str) -> None:
        """Forget a tab that was closed, and its file."""
        with self._lock:
            self._tabs.pop(who, None)
        shutil.rmtree(self._folder / "tabs" / _plain(who), ignore_errors=True)

    def _open(self, who: str, path: Path, name: str, note: str) -> str:
        tab = self._tab(who)
        tab.image, tab.automatic, tab.current = None, {}, {}
        try:
            image = read_image(path)
        except UserError as error:
            raise UserError(str(error).replace(str(path), name)) from error
        height, width = image.shape[:2]
        if height * width > self._pixels:
            raise UserError(
                f"{name} has {width} x {height} pixels, more than the {self._pixels / _MEGAPIXEL:g} megapixels that "
                "this app takes: shrink it, or start the app with a larger --max-megapixels"
            )
        tab.image, tab.name, tab.note = path, name, note
        from medsam_exp.cli.app.view import image_message

        return image_message(image, name)

    def _tab(self, who: str) -> _Tab:
        with self._lock:
            tab = self._tabs.setdefault(who, _Tab())
            self._tabs.move_to_end(who)
            forgotten = list(self._tabs)[: -self._most]
        for name in forgotten:
            self.leave(name)
        return tab

    def _answered(self, who: str, viewer: str) -> "tuple[_Tab, Answer]":
        tab = self._tab(who)
        if viewer not in tab.automatic:
            raise UserError("nothing is segmented yet: press Segment first")
        return tab, tab.automatic[viewer]


def _message(answer: "Answer", tab: _Tab, *, whole: bool) -> str:
    from medsam_exp.cli.app.view import answer_message

    return answer_message(answer, tab.name, note=tab.note, whole=whole)


def facts_of_two(first: "Answer", second: "Answer") -> str:
    """How far the masks of two texts agree, as a sentence."""
    if not first.mask.any() and not second.mask.any():
        return "Both masks are empty."
    return f"The two masks overlap with a DSC of {dice(first.mask, second.mask):.2f}."


def _plain(who: str) -> str:
    return re.sub(r"[\W_]", "", who) or "tab"
