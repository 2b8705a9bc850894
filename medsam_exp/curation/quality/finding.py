"""One thing that was found, and what each kind of finding means."""

from dataclasses import dataclass
from typing import Literal

from medsam_exp.curation.quality.burnt_in import Box

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: a key of `KINDS`.
        items: names of the items that it is about; the first is the one to look at.
        message: what was found, one sentence without a full stop.
        mask: kind of mask that it is about; "" where there is one kind.
        boxes: where in the first item's image, in pixels.
    """

    kind: str
    items: tuple[str, ...]
    message: str
    mask: str = ""
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Kind:
    """What a kind of finding is.

    Attributes:
        title: of its section.
        severity: "error" makes scores wrong, "warning" may, "note" should be known.
        meaning: what it does to a paper's numbers.
        mend: what to do about it.
    """

    title: str
    severity: Severity
    meaning: str
    mend: str


_EXCLUDE = "data.exclude=exclude.csv leaves out what the list beside this page names"
_GROUPS = "split anew with groups.csv beside this page, which puts copies and patients on one side"

KINDS: dict[str, Kind] = {
    "unreadable": Kind(
        "Unreadable images",
        "error",
        "A run stops at them, or with data.on_error=skip is scored on fewer images than the paper says.",
        f"Copy or export the files again; {_EXCLUDE}.",
    ),
    "unpaired": Kind(
        "Images without a mask, masks without an image",
        "error",
        "They cannot be scored; if they were skipped silently, the number of test images would differ from others’.",
        f"Give both files the same name, or remove the one without a partner; {_EXCLUDE}.",
    ),
    "unusable_mask": Kind(
        "Masks that cannot be used",
        "error",
        "A mask of another size, of several labels or of another orientation is not the truth about its image.",
        "Save masks as PNG of the image’s size with values 0 and 255; for label masks set data.mask_values or "
        "data.classes (here: --mask-values).",
    ),
    "identical_across_splits": Kind(
        "The same image in several splits",
        "error",
        "What was trained or tuned on is scored again: test scores come out too high, and reviewers reject for it.",
        f"Leave the copies outside of the test split out: {_EXCLUDE}. Or {_GROUPS}.",
    ),
    "near_across_splits": Kind(
        "Nearly the same image in several splits",
        "error",
        "The same scan with other brightness, marks or size leaks from training into the test just as the same file.",
        f"Leave the copies outside of the test split out: {_EXCLUDE}. Or {_GROUPS}.",
    ),
    "group_across_splits": Kind(
        "Patients in several splits",
        "error",
        "Images of one patient are alike, so scores on a test split that shares patients with training are too high.",
        f"Split by patient: {_GROUPS}.",
    ),
    "identical_labels": Kind(
        "The same image with contradicting classes",
        "error",
        "One of the classes is wrong. Training sees both, and the score counts one of them as an error.",
        f"Ask the dataset’s source which is right, else leave all of them out: {_EXCLUDE}.",
    ),
    "identical_masks": Kind(
        "The same image with contradicting masks",
        "error",
        "At most one of the masks is right; even a perfect method scores low on the other.",
        f"Choose the better mask by eye, or leave all of them out: {_EXCLUDE}.",
    ),
    "near_labels": Kind(
        "Nearly the same image with contradicting classes",
        "warning",
        "The same scan was given different classes, or one patient has both. Look before you trust class-wise scores.",
        "Look at the pictures, and leave out what is wrong (data.exclude=[NAME, ...]).",
    ),
    "near_masks": Kind(
        "Nearly the same image with contradicting masks",
        "warning",
        "The same scan was outlined differently, so the difference between annotators limits the best possible score.",
        "Look at the pictures, and report it as the annotators’ disagreement or leave one out.",
    ),
    "identical": Kind(
        "The same image several times",
        "warning",
        "It counts several times in means, and confidence intervals come out too narrow.",
        f"Keep one: {_EXCLUDE}.",
    ),
    "empty_mask": Kind(
        "Empty masks",
        "warning",
        "Any predicted pixel gives a Dice of 0, and an empty prediction is undefined or 1: say how they are scored.",
        "If nothing is there, give the image a class such as normal, or leave it out; if there is, draw the mask.",
    ),
    "tiny_mask": Kind(
        "Tiny masks",
        "warning",
        "A few pixels decide between a Dice of 0 and of 1. Often they are slips of an annotation tool.",
        "Look at the pictures, and leave slips out (data.exclude=[NAME, ...]).",
    ),
    "full_mask": Kind(
        "Masks that fill the image",
        "warning",
        "Marking everything scores high on them, whatever the method does. Often the mask is a rectangle or inverted.",
        "Look at the pictures; draw or invert the mask, or leave the image out (data.exclude=[NAME, ...]).",
    ),
    "inverted_mask": Kind(
        "Masks that may be inverted",
        "warning",
        "The mask covers most of the image and all its corners, which the background usually does.",
        "If black is the object, invert the mask files.",
    ),
    "normal_with_mask": Kind(
        "Normal images with a mask",
        "warning",
        "The class says that nothing is there, the mask shows something: one of them is wrong.",
        "Look at the pictures, and correct class or mask.",
    ),
    "lossy_mask": Kind(
        "Masks in a lossy format",
        "warning",
        "JPEG blurs the values along the outline; they are cut at half of their maximum, so it moves by up to a pixel.",
        "Take the masks from the original source, or save them once as PNG with values 0 and 255.",
    ),
    "outline": Kind(
        "Outlines of the mask drawn into the image",
        "warning",
        "The image gives the answer away: a network learns to follow the line, and fails on images without it.",
        f"Take images without annotation from the source; else {_EXCLUDE}.",
    ),
    "crosses": Kind(
        "Measuring crosses on the image",
        "warning",
        "Somebody has measured the lesion: its borders are marked, and networks learn the marks. If one class or split "
        "has more of them, it can be told by them alone.",
        "Report scores with and without these images (findings.csv names them), or paint the marks over.",
    ),
    "words": Kind(
        "Words burnt into the image",
        "warning",
        "Writing gives away side, place or hospital, attracts maps and masks, and may name a patient.",
        "Check that no name is among them before you publish pictures. Report scores with and without these images, or "
        "crop them.",
    ),
    "no_contrast": Kind(
        "Images without contrast",
        "warning",
        "Hardly any structure is left: an export went wrong, or the window was.",
        f"Export them again with a window that shows tissue; else {_EXCLUDE}.",
    ),
    "clipped": Kind(
        "Images with values cut off",
        "warning",
        "Much of the image is at the highest value, as after a wrong window, or after 16 bits were cut to 8.",
        "Export them again with a window that keeps tissue between 0 and 255.",
    ),
    "aspect": Kind(
        "Very long or very high images",
        "warning",
        "Networks see them squeezed or cropped to a square, so thin structures vanish.",
        "Crop them to the scan, or leave them out (data.exclude=[NAME, ...]).",
    ),
    "coloured": Kind(
        "Coloured images among gray ones",
        "warning",
        "Doppler, overlays or photographs among gray scans: networks see another kind of image, and colour may mark "
        "the lesion.",
        "Look at the pictures; leave out what is no plain scan (data.exclude=[NAME, ...]).",
    ),
    "mixed_depth": Kind(
        "Images of different bit depth",
        "warning",
        "Deeper images are stretched to their own range and the others are not, so brightness means different things.",
        "Export all of them again with one window and one bit depth.",
    ),
    "index": Kind(
        "index.csv does not fit the files",
        "warning",
        "Images without a row have no class or patient: they are missing from class-wise scores and from the check of "
        "patients.",
        "Add or remove the rows.",
    ),
    "missing_class": Kind(
        "Classes that a split lacks",
        "warning",
        "What is not in training cannot be learnt, and what is not in the test is not measured.",
        f"Split anew by class: {_GROUPS}.",
    ),
    "near": Kind(
        "Nearly the same image within a split",
        "note",
        "Frames of one scan count several times in means, and confidence intervals come out somewhat too narrow.",
        "Keep them on one side when you split (groups.csv), and say so in the paper.",
    ),
    "deep": Kind(
        "Images of more than 8 bits",
        "note",
        "Each is stretched from its own lowest value to its own highest; brightness is not comparable between images.",
        "Fine for most methods; else convert all of them with one window before.",
    ),
    "specks": Kind(
        "Masks with stray pixels",
        "note",
        "Specks beside the object move outlines’ distances (HD95, NSD) and boxes, though hardly the Dice.",
        "Remove parts of a few pixels from the masks, and say so.",
    ),
    "imbalance": Kind(
        "Unequal classes",
        "note",
        "The mean over images is mostly that of the largest class.",
        "Report scores by class, too; the report does where classes are known.",
    ),
}
