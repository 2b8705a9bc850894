"""Which files are masks, whose they are, and what their values mean."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image
from scipy.ndimage import uniform_filter

from medsam_exp.data.folder import FolderDataset
from medsam_exp.data.masks import read_mask
from medsam_exp.data.volumes.find import find_scans, is_mask_name
from medsam_exp.types import UserError
from tests.command import command

main = command("prepare")

SHAPE = (12, 10, 6)


def own(source: Path, out: Path, *options: str) -> int:
    return main(["own", str(source), str(out), *options])


def volume(path: Path, values: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    filled = np.random.default_rng(0).integers(0, 900, SHAPE) if values is None else values
    nibabel.save(nibabel.Nifti1Image(filled.astype(np.int16), np.eye(4)), path)


def box() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[3:8, 2:5, 2:5] = True
    return mask


@pytest.mark.parametrize(
    ("name", "is_mask"),
    [
        *(
            (f"{name}.nii.gz", True)
            for name in ("a_mask", "seg", "a-seg2", "a.seg", "aSeg", "p1Mask", "p1mask", "gt")
        ),
        *(
            (f"{name}.nii.gz", False)
            for name in ("hgt01", "weight", "prosegment", "smask", "unlabel", "p1", "height")
        ),
        *((f"{name}/p1.nii.gz", True) for name in ("masks", "labelsTr", "test_masks", "lung_seg", "x/gt")),
        *(
            (f"{name}/p1.nii.gz", False)
            for name in ("to_label", "scans_to_label", "no_mask", "images", "weight")
        ),
    ],
)
def test_names_of_masks(tmp_path, name, is_mask) -> None:
    assert is_mask_name(tmp_path / name, tmp_path) == is_mask


def test_a_folder_in_which_all_were_taken_for_masks_says_so(tmp_path) -> None:
    for number in (1, 2):
        volume(tmp_path / "src" / "labels" / f"p{number}.nii.gz")
    with pytest.raises(
        UserError, match=r"all 2 images were taken for masks .*first: labels/p1.nii.gz.*--masks"
    ):
        find_scans(tmp_path / "src")
    volume(tmp_path / "masks" / "p1.nii.gz", box())  # the remedy that it names
    volume(tmp_path / "masks" / "p2.nii.gz", box())
    assert own(tmp_path / "src", tmp_path / "out", "--masks", str(tmp_path / "masks")) == 0
    assert len(list((tmp_path / "out" / "test_masks").iterdir())) == 12


def test_all_channels_of_a_case_have_its_mask_and_stay_together(tmp_path) -> None:
    for case in range(4):
        for channel in range(2):
            volume(tmp_path / "src" / "imagesTr" / f"BRATS_{case:03d}_{channel:04d}.nii.gz")
        volume(tmp_path / "src" / "labelsTr" / f"BRATS_{case:03d}.nii.gz", box())
    assert own(tmp_path / "src", tmp_path / "out", "--split", "train=0.5,test=0.5") == 0
    sides: dict[str, set[str]] = {}
    for split in ("train", "test"):
        for path in (tmp_path / "out" / f"{split}_masks").iterdir():
            sides.setdefault(path.name[:9], set()).add(split)
            with Image.open(path) as mask:
                k = int(path.stem[-4:])
                assert (np.asarray(mask) > 0).sum() == box()[:, :, k].sum()
    assert len(sides) == 4
    assert all(len(splits) == 1 for splits in sides.values())


def soft_disc() -> np.ndarray:
    """(H, W) uint8: 255 in a disc whose edge is smoothed over three pixels, as drawing tools do."""
    rows, columns = np.mgrid[:64, :64]
    disc = (rows - 30) ** 2 + (columns - 33) ** 2 < 14**2
    return np.rint(uniform_filter(disc * 255.0, 3)).astype(np.uint8)


def picture(folder: Path, mask: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(1).integers(0, 255, mask.shape[:2]).astype(np.uint8)).save(
        folder / "a.png"
    )
    Image.fromarray(mask).save(folder / "a_mask.png")
    return folder


@pytest.mark.parametrize("options", [(), ("--foreground", "255")])
@pytest.mark.parametrize("channels", [1, 3])
def test_soft_edges_are_thresholded_as_a_run_does(tmp_path, capsys, options, channels) -> None:
    mask = soft_disc() if channels == 1 else np.repeat(soft_disc()[..., None], 3, axis=-1)
    assert 8 < len(np.unique(mask)) <= 32
    source = picture(tmp_path / "src", mask)
    assert own(source, tmp_path / "out", *options) == 0
    said = capsys.readouterr().out
    assert "data.classes" not in said
    assert "1 of 1 scans have masks with soft edges (first: a): thresholded at half" in said
    prepared = FolderDataset("own", str(tmp_path / "out"), "test").read_ground_truth("a")
    assert (prepared == read_mask(source / "a_mask.png")[0]).all()
    assert (prepared == (soft_disc() > 127.5)).all()


def test_labels_stay_labels_and_a_foreground_that_is_not_there_is_said(tmp_path, capsys) -> None:
    labels = np.zeros((64, 64), np.uint8)
    labels[5:20, 5:20], labels[30:50, 30:50], labels[52:60, 3:20] = 1, 2, 3
    source = picture(tmp_path / "src", labels)
    assert own(source, tmp_path / "out") == 0
    assert "'data.classes={label1: [1], label2: [2], label3: [3]}'" in capsys.readouterr().out
    assert own(source, tmp_path / "o", "--foreground", "7") == 1
    assert "no mask has a pixel of --foreground 7: give labels that the masks hold" in capsys.readouterr().err
    assert own(picture(tmp_path / "soft", soft_disc()), tmp_path / "o", "--foreground", "1") == 1
    assert "--foreground does not name 255: add it, or leave --foreground out" in capsys.readouterr().err
    scan = np.repeat(np.arange(64, dtype=np.uint8)[:, None] * 4, 64, axis=1)
    assert own(picture(tmp_path / "scan", scan), tmp_path / "o") == 1
    assert (
        "a_mask.png has 64 gray values, more than 32 labels: check that it is a mask"
        in capsys.readouterr().err
    )


def test_labels_are_called_as_3d_slicer_calls_them(tmp_path, capsys) -> None:
    volume(tmp_path / "src" / "p1.nii.gz")
    labels = box().astype(np.uint8)
    labels[0, 0, 0] = 2
    image = SimpleITK.GetImageFromArray(labels.T)
    scan = SimpleITK.ReadImage(str(tmp_path / "src" / "p1.nii.gz"))
    image.CopyInformation(scan)
    for number, (value, name) in enumerate([(2, "Vena cava"), (1, "Liver")]):
        image.SetMetaData(f"Segment{number}_LabelValue", str(value))
        image.SetMetaData(f"Segment{number}_Name", name)
    SimpleITK.WriteImage(image, str(tmp_path / "src" / "p1.seg.nrrd"))
    assert own(tmp_path / "src", tmp_path / "out") == 0
    assert "'data.classes={liver: [1], vena_cava: [2]}'" in capsys.readouterr().out


def test_voxels_without_a_size_give_no_size(tmp_path, capsys) -> None:
    path = tmp_path / "src" / "p1.nii"
    volume(path)
    content = bytearray(path.read_bytes())
    content[80:92], content[252:256] = bytes(12), bytes(4)
    path.write_bytes(content)
    assert own(tmp_path / "src", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "p1 does not say how large its voxels are (pixdim 0)" in said
    assert "data.spacing_mm" not in said
    assert "spacing_row_mm" not in (tmp_path / "out" / "index.csv").read_text()
