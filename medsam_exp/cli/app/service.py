"""What the app does for each browser tab, without knowing the page: images, answers, corrections."""

import base64
import importlib
import io
import re
import shutil
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from medsam_exp.cli.app.examples import examples, write_examples
from medsam_exp.cli.app.images import data_address
from medsam_exp.cli.interactive.limits import MEGAPIXELS, refuse_large, refuse_long
from medsam_exp.data.decoding import DICOM_SUFFIX, read_image
from medsam_exp.metrics.overlap import dice
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.png_bytes import png_bytes
from medsam_exp.types import RGBImage, UserError

if TYPE_CHECKING:  # they bring all networks' libraries, and the page must not wait for those
    from medsam_exp.cli.interactive.result import Answer
    from medsam_exp.cli.interactive.session import Session
    from medsam_exp.data.volumes.windowing import Window

VIEWERS = ("first", "second")
_EXAMPLE_NOTE = "Draw the scan first: medsam-exp app-examples"
_OWN_NOTE = "Run it in the folder of your image."
_MOST_IMAGES = 200
_THUMBNAIL = 96
_NAME_BYTES = 120
"""Of a file's name on disk; most systems take 255."""
_IMPORTING = threading.Lock()


def import_networks() -> None:
    """Import the networks' libraries, one thread at a time, as a half-imported one fails in another thread."""
    with _IMPORTING:
        importlib.import_module("medsam_exp.cli.interactive.session")
        importlib.import_module("medsam_exp.clip.source")


@dataclass
class _Item:
    """One image of a tab: its file, the file's name for its owner, and what a batch found in it."""

    path: Path
    name: str
    note: str  # what to know before pasting the command
    thumbnail: str
    range: "tuple[float, float] | None" = None  # of a DICOM image's values
    window: tuple[float, float] | None = None  # center and width that it is shown by
    chosen: bool = False  # whether the user chose the window
    mask: bytes | None = None  # PNG
    found: str = ""  # in words

    def settings(self) -> tuple[str, ...]:
        """Overrides that this image needs."""
        if not self.chosen or self.window is None:
            return ()
        return (f"data.window=[{self.window[0]:g},{self.window[1]:g}]",)


@dataclass
class _Tab:
    """One browser tab: its images, the one that is shown, and the answers of each viewer about that one."""

    items: list[_Item] = field(default_factory=list)
    place: int = 0
    automatic: "dict[str, Answer]" = field(default_factory=dict)  # of the pipeline itself
    current: "dict[str, Answer]" = field(default_factory=dict)  # that are shown
    running: bool = False  # whether a batch segments its images
    stopping: bool = False  # whether that is to end with the image at hand

    @property
    def item(self) -> _Item | None:
        """The image that is shown."""
        return self.items[self.place] if self.items else None

    @property
    def image(self) -> Path | None:
        """Its file."""
        return self.item.path if self.item else None

    @property
    def name(self) -> str:
        """What its owner calls it."""
        return self.item.name if self.item else ""


class Service:
    """Serves browser tabs, each with its own image and answers, by one session.

    Args:
        folder: of uploaded files; no other path is ever read for a browser.
        settings: overrides for every question.
        megapixels: larger images are refused.
        tabs: how many tabs are remembered, the last used ones.
    """

    def __init__(
        self, folder: Path, settings: Sequence[str] = (), megapixels: float = MEGAPIXELS, tabs: int = 32
    ) -> None:
        self._folder, self._settings, self._megapixels = folder.resolve(), settings, megapixels
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
        import_networks()
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
        message, _ = self.upload_all(who, [(path, name)])
        return message

    def upload_all(self, who: str, files: Sequence[tuple[str, str]]) -> tuple[str, str]:
        """Take uploaded files, in the order of their names, in place of those before; show the first.

        Args:
            who: the tab.
            files: where each was put, and its name.

        Returns:
            The viewer's message, and which files were left out and why, "" for none.

        Raises:
            UserError: none can be read as an image.
        """
        self._forget(who)
        folder, items, faults = self._folder / "tabs" / _plain(who), [], []
        for number, (path, name) in enumerate(sorted(files, key=lambda file: file[1])[:_MOST_IMAGES]):
            uploaded = Path(path).resolve()
            if not uploaded.is_relative_to(self._folder):
                raise UserError("this file was not uploaded here; drop an image")
            own = folder / str(number) / _file_name(name)
            own.parent.mkdir(parents=True)
            shutil.copyfile(uploaded, own)
            try:
                items.append(self._item(own, own.name, _OWN_NOTE))
            except UserError as error:
                own.unlink()
                faults.append(str(error))
        if not items:
            several = f"none of {len(faults)} files is an image: " if len(faults) > 1 else ""
            raise UserError(several + faults[0])
        if len(files) > _MOST_IMAGES:
            faults.append(
                f"only the first {_MOST_IMAGES} of {len(files)} images are taken; `segment` takes all"
            )
        self._tab(who).items = items
        return self.show(who, 0), "; ".join(faults)

    def show(self, who: str, place: int) -> str:
        """Show another image of a tab; return the viewer's message."""
        import_networks()
        from medsam_exp.cli.app.view import image_message

        tab = self._tab(who)
        if not tab.items:
            raise UserError("there is no image yet: drop one, or pick an example")
        tab.place, tab.automatic, tab.current = place % len(tab.items), {}, {}
        item = tab.items[tab.place]
        return image_message(self._read(item), item.name, _window_message(item))

    def window(self, who: str, center: float, width: float) -> str:
        """Show a DICOM image by another window; return the viewer's message.

        Raises:
            UserError: the image has no window.
        """
        item = self._tab(who).item
        if item is None or item.range is None:
            raise UserError("only gray DICOM images have a window")
        item.window, item.chosen, item.mask, item.found = (
            (float(center), max(float(width), 1.0)),
            True,
            None,
            "",
        )
        return self.show(who, self._tab(who).place)

    def gallery(self, who: str) -> str:
        """The message of the strip of images; "" where there is at most one."""
        tab = self._tab(who)
        if len(tab.items) < 2:
            return ""
        shown = [{"name": item.name, "image": item.thumbnail, "found": item.found} for item in tab.items]
        has_masks = any(item.mask for item in tab.items)
        return json_text({"items": shown, "place": tab.place, "masks": has_masks, "running": tab.running})

    def batch(self, who: str, text: str, choices: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Segment all images of a tab with one text, or those up to the one at which `stop` is called.

        Masks of earlier questions are forgotten, so that those of two texts never stand side by side.

        Yields:
            How far it is, in words, and the message of the image that was segmented last.

        Raises:
            UserError: as `ask`.
        """
        tab = self._tab(who)
        tab.running, tab.stopping = True, False
        for item in tab.items:
            item.mask, item.found = None, ""
        try:
            for place, item in enumerate(tab.items):
                said = f"Image {place + 1} of {len(tab.items)}: {item.name}"
                yield said, self.show(who, place)
                for message in self.ask(who, VIEWERS[0], text, choices):
                    last = message
                tab.running = not tab.stopping and place + 1 < len(tab.items)
                yield said, last
                if not tab.running:
                    return
        finally:
            tab.running = False

    def stop(self, who: str) -> bool:
        """End a tab's batch after the image at hand; masks that were made stay. False where none runs."""
        tab = self._tab(who)
        tab.stopping = tab.running
        return tab.running

    def segmented(self, who: str) -> tuple[int, int]:
        """How many images of a tab have a mask, and how many it has."""
        items = self._tab(who).items
        return sum(item.mask is not None for item in items), len(items)

    def masks(self, who: str) -> str:
        """The masks of all images that were segmented, as the data address of a ZIP file."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name, mask in _named_masks(self._tab(who).items).items():
                archive.writestr(name, mask)
        return f"data:application/zip;base64,{base64.b64encode(buffer.getvalue()).decode()}"

    def example(self, who: str, number: int) -> tuple[str, str, str]:
        """Take a drawn scan; return the viewer's message, a text, and a second one or ""."""
        chosen = examples()[number]
        path = self._examples[chosen.name]
        self._forget(who)
        self._tab(who).items = [self._item(path, f"examples/{path.name}", _EXAMPLE_NOTE)]
        message = self.show(who, 0)
        return message, chosen.texts[0], chosen.texts[1] if len(chosen.texts) > 1 else ""

    def ask(self, who: str, viewer: str, text: str, choices: Mapping[str, str]) -> Iterator[str]:
        """Segment the tab's image; give the viewer's messages: that of the answer, a draft's before it if need be.

        Raises:
            UserError: there is no image or no text, or the choices cannot work.
        """
        tab = self._tab(who)
        item = tab.item
        if item is None:
            raise UserError("there is no image yet: drop one, or pick an example")
        refuse_long(text)
        text = " ".join(text.splitlines())
        from medsam_exp.cli.app.view import draft_message
        from medsam_exp.cli.interactive.result import Draft

        try:
            for found in self._session.segment_with_draft(item.path, text, choices, item.settings()):
                if isinstance(found, Draft):
                    yield draft_message(found, item.name)
                else:
                    tab.automatic[viewer] = tab.current[viewer] = found
                    if viewer == VIEWERS[0]:
                        item.mask, item.found = png_bytes(found.mask), f"{int(found.mask.sum()):,} px"
                    yield _message(found, item, whole=True)
        except UserError as error:
            raise UserError(str(error).replace(str(item.path), item.name)) from error

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
        ignored = bool(correction) and np.array_equal(answer.mask, tab.current[viewer].mask)
        tab.current[viewer] = answer
        return _message(answer, _shown(tab), whole=False, remark=_IGNORED if ignored else "")

    def threshold(self, who: str, viewer: str, value: float) -> str:
        """Cut the map at another value and ask SAM again; corrections are forgotten.

        Raises:
            UserError: nothing was segmented yet.
        """
        tab, automatic = self._answered(who, viewer)
        answer = self._session.threshold(automatic, min(max(float(value), 0.0), 1.0))
        tab.automatic[viewer] = tab.current[viewer] = answer
        return _message(answer, _shown(tab), whole=False)

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

    def _forget(self, who: str) -> None:
        """Forget the images of a tab, and their files."""
        tab = self._tab(who)
        tab.items, tab.place, tab.automatic, tab.current = [], 0, {}, {}
        shutil.rmtree(self._folder / "tabs" / _plain(who), ignore_errors=True)

    def _read(self, item: _Item) -> RGBImage:
        """The image as it is shown, by the window that was chosen."""
        if not item.chosen or item.window is None:
            return read_image(item.path)
        from medsam_exp.data.image import ImageDataset

        found = ImageDataset(str(item.path), window=item.window)
        return found.read_image(found.samples[0].id)

    def _item(self, path: Path, name: str, note: str) -> _Item:
        try:
            refuse_large(path, name, self._megapixels, "app")
            image = read_image(path)
            values = _values_range(path)
        except UserError as error:
            raise UserError(str(error).replace(str(path), name)) from error
        item = _Item(path, name, note, data_address(Image.fromarray(image), "webp", _THUMBNAIL))
        if values is not None:
            low, high, window = values
            item.range, item.window = (low, high), (window.center, window.width)
        return item

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


_IGNORED = "The mask did not change: this SAM ignored that. Draw a box, or choose another SAM; small ones often do so."


def _message(answer: "Answer", item: _Item, *, whole: bool, remark: str = "") -> str:
    from medsam_exp.cli.app.view import answer_message

    return answer_message(answer, item.name, note=item.note, whole=whole, remark=remark)


def _shown(tab: _Tab) -> _Item:
    assert tab.item is not None  # something was answered about it
    return tab.item


def _values_range(path: Path) -> "tuple[float, float, Window] | None":
    """Of a gray DICOM image; None for others."""
    if path.suffix.lower() != DICOM_SUFFIX:
        return None
    from medsam_exp.data.volumes.dicom_pixels import values_range  # pydicom is hardly ever needed

    return values_range(path)


def _window_message(item: _Item) -> dict[str, float] | None:
    if item.range is None or item.window is None:
        return None
    center, width = item.window
    return {"low": item.range[0], "high": item.range[1], "center": center, "width": width}


def _named_masks(items: Sequence[_Item]) -> dict[str, bytes]:
    """Masks by the names of their files; equal stems get a number."""
    found: dict[str, bytes] = {}
    for item in items:
        if item.mask is not None:
            stem = Path(item.name).stem
            same = sum(name == f"{stem}_mask.png" or name.startswith(f"{stem}_mask_") for name in found)
            found[f"{stem}_mask_{same}.png" if same else f"{stem}_mask.png"] = item.mask
    return found


def facts_of_two(first: "Answer", second: "Answer") -> str:
    """How far the masks of two texts agree, as a sentence."""
    if not first.mask.any() and not second.mask.any():
        return "Both masks are empty."
    return f"The two masks overlap with a DSC of {dice(first.mask, second.mask):.2f}."


def _file_name(name: str) -> str:
    """The last part of a name that a browser sent, such that any file system takes it."""
    last = "".join(letter for letter in re.split(r"[/\\]", name)[-1] if letter.isprintable())
    stem, suffix = Path(last).stem, Path(last).suffix
    short = stem.encode()[: _NAME_BYTES - len(suffix.encode())].decode(errors="ignore") + suffix
    return "image" if last in ("", ".", "..") or len(suffix.encode()) >= _NAME_BYTES else short


def _plain(who: str) -> str:
    return re.sub(r"[\W_]", "", who) or "tab"
