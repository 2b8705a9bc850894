import inspect
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

from medsam_exp.data import folder_files
from medsam_exp.data.decoding import MOST_ELONGATED
from medsam_exp.data.folder import FolderDataset
from medsam_exp.data.image import ImageDataset
from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.sam.families import FAMILIES
from medsam_exp.types import FolderSplit, Sample, UserError
from tests.data.volumes.synthetic import dicom_image

CONF = Path(__file__).resolve().parents[2] / "conf"


def scan(seed: int, shape: tuple[int, ...] = (12, 16)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def disk(shape: tuple[int, int] = (12, 16)) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (rows - 6) ** 2 + (columns - 7) ** 2 < 16


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four good pairs of the test split, of various formats."""
    (tmp_path / "test_images").mkdir()
    (tmp_path / "test_masks").mkdir()
    for i, (image, mask) in enumerate([("png", "png"), ("JPG", "png"), ("tif", "PNG"), ("bmp", "tiff")]):
        Image.fromarray(scan(i)).save(tmp_path / "test_images" / f"case_{i}.{image}")
        Image.fromarray((disk() * 255).astype(np.uint8)).save(tmp_path / "test_masks" / f"case_{i}.{mask}")
    return tmp_path


def folder(root: Path, **arguments) -> FolderDataset:
    return FolderDataset(name="folder", root=str(root), **{"split": "test", **arguments})


def test_pairs_by_stem_whatever_the_suffix(root):
    dataset = folder(root, modality="ultrasound", target="breast tumor", spacing_mm=[0.5, 0.25])
    assert dataset.samples == tuple(Sample(f"case_{i}") for i in range(4))
    assert dataset.has_ground_truth
    assert dataset.notes == ()
    assert {dataset.pixel_spacing_mm(sample.id) for sample in dataset.samples} == {(0.5, 0.25)}
    assert (dataset.modality, dataset.target) == ("ultrasound", "breast tumor")
    np.testing.assert_array_equal(dataset.read_image("case_0"), np.stack([scan(0)] * 3, -1))
    np.testing.assert_array_equal(dataset.read_image("case_3"), np.stack([scan(3)] * 3, -1))
    for sample in dataset.samples:
        np.testing.assert_array_equal(dataset.read_ground_truth(sample.id), disk())
    with pytest.raises(KeyError):
        dataset.read_image("case_9")


def test_stems_with_dots_spaces_and_case_are_exact(root):
    for stem in ("PMC12.001", "benign (1)", "Case_0"):
        Image.fromarray(scan(1)).save(root / "test_images" / f"{stem}.png")
        Image.fromarray(disk()).save(root / "test_masks" / f"{stem}.png")
    ids = [sample.id for sample in folder(root).samples]
    assert ids == sorted(["PMC12.001", "benign (1)", "Case_0", *(f"case_{i}" for i in range(4))])


def all_of(dataset: FolderDataset) -> tuple:
    of_each = [(dataset.identity(one.id), dataset.pixel_spacing_mm(one.id)) for one in dataset.samples]
    masks = [dataset.read_ground_truth(one.id).tobytes() for one in dataset.samples]
    return dataset.samples, dataset.notes, dataset.label_names, of_each, masks


@pytest.mark.parametrize(
    "arguments",
    [{}, {"mask_values": [255]}, {"classes": {"bright": [255], "gray": [7]}, "absent": "drop"}],
    ids=["two-valued", "values", "classes"],
)
def test_files_that_were_checked_are_not_decoded_to_be_checked_again(root, tmp_path, monkeypatch, arguments):
    """Whatever is remembered, the dataset is the one of fresh eyes; a changed file is looked at again."""
    gray = 7 if arguments else 0
    other = np.where(disk(), 255, gray * (np.arange(16) > 12)).astype(np.uint8)
    Image.fromarray(other).save(root / "test_masks" / "case_0.png")
    arguments = {**arguments, "on_error": "skip"}
    remembered = {**arguments, "remembered_in": str(tmp_path / "artifacts")}
    Image.fromarray(scan(9, (5, 5))).save(root / "test_masks" / "case_3.tiff")  # of another size: faulty
    fresh, decoded, real = all_of(folder(root, **arguments)), [], folder_files.decode
    monkeypatch.setattr(
        folder_files, "decode", lambda path, *rest: decoded.append(path.stem) or real(path, *rest)
    )
    assert all_of(folder(root, **remembered)) == fresh
    assert sorted(set(decoded)) == [f"case_{number}" for number in range(4)]
    decoded.clear()
    assert all_of(folder(root, **remembered)) == fresh
    assert set(decoded) == {"case_3"}, "faults are not remembered"
    Image.fromarray(scan(7)).save(root / "test_images" / "case_2.tif")
    decoded.clear()
    changed = all_of(folder(root, **remembered))
    assert set(decoded) == {"case_2", "case_3"}
    assert changed == all_of(folder(root, **arguments)) != fresh


def test_order_does_not_depend_on_the_file_system(root, monkeypatch):
    before = folder(root).samples
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: reversed(list(listed(self))))
    assert folder(root).samples == before


def test_without_masks_it_only_predicts(root):
    for path in (root / "test_masks").iterdir():
        path.unlink()
    (root / "test_masks").rmdir()
    dataset = folder(root)
    assert not dataset.has_ground_truth
    assert len(dataset.samples) == 4
    for read in (dataset.read_ground_truth, lambda i: dataset.ground_truth_digest(i, FileDigests())):
        with pytest.raises(UserError, match="has no test_masks"):
            read("case_0")


def test_digests_follow_the_files(root):
    dataset, digests = folder(root), FileDigests()
    image, truth = dataset.image_digest("case_0", digests), dataset.ground_truth_digest("case_0", digests)
    assert image != dataset.image_digest("case_1", digests)
    assert truth != folder(root, mask_values=[255]).ground_truth_digest("case_0", digests)
    Image.fromarray(~disk()).save(root / "test_masks" / "case_0.png")
    assert folder(root).image_digest("case_0", FileDigests()) == image
    assert folder(root).ground_truth_digest("case_0", FileDigests()) != truth


FAULTS = {
    "image without mask": ("lone", r"lone has an image \(lone\.png\) but no mask"),
    "mask without image": ("ghost", r"ghost has a mask \(ghost\.png\) but no image"),
    "size": ("size", r"size has an image of 16 x 12 and a mask of 12 x 16 pixels"),
    "truncated image": ("cut", r"cut\.png cannot be read as an image"),
    "empty file": ("void", r"void\.png is empty \(0 bytes\)"),
    "truncated mask": ("cutmask", r"test_masks/cutmask\.png cannot be read"),
    "two images": ("twin", r"twin has 2 images \(twin\.bmp, twin\.png\)"),
    "two masks": ("twinmask", r"twinmask has 2 masks \(twinmask\.bmp, twinmask\.png\)"),
    "labels": ("labels", r"labels\.png has more than two levels \(0, 1, 2\)"),
    "turned": ("turned", r"turned\.png and its mask have different orientation tags"),
}


def save_labels(path: Path) -> None:
    labels = disk().astype(np.uint8)
    labels[0] = 2
    Image.fromarray(labels).save(path)


def save_turned(path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 3
    Image.fromarray(scan(5)).save(path, exif=exif)


DO = {
    "image without mask": lambda image, mask: mask.unlink(),
    "mask without image": lambda image, mask: image.unlink(),
    "size": lambda image, mask: Image.fromarray(disk().T).save(mask),
    "truncated image": lambda image, mask: image.write_bytes(image.read_bytes()[:-200]),
    "empty file": lambda image, mask: image.write_bytes(b""),
    "truncated mask": lambda image, mask: mask.write_bytes(mask.read_bytes()[:40]),
    "two images": lambda image, mask: Image.fromarray(scan(6)).save(image.with_suffix(".bmp")),
    "two masks": lambda image, mask: Image.fromarray(disk()).save(mask.with_suffix(".bmp")),
    "labels": lambda image, mask: save_labels(mask),
    "turned": lambda image, mask: save_turned(image),
}


def add_fault(root: Path, fault: str) -> None:
    stem = FAULTS[fault][0]
    image, mask = root / "test_images" / f"{stem}.png", root / "test_masks" / f"{stem}.png"
    Image.fromarray(scan(5, (12, 16, 3))).save(image)
    Image.fromarray(disk()).save(mask)
    DO[fault](image, mask)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named_or_skipped(root, fault):
    add_fault(root, fault)
    stem, message = FAULTS[fault]
    with pytest.raises(UserError, match=rf"1 of 5 samples are faulty \(.*{message}.*on_error=skip"):
        folder(root)
    dataset = folder(root, on_error="skip")
    assert [sample.id for sample in dataset.samples] == [f"case_{i}" for i in range(4)]
    (note,) = dataset.notes
    assert note.startswith("skipped: ")
    assert stem in note


def test_all_faults_come_in_one_error(root):
    for fault in FAULTS:
        add_fault(root, fault)
    with pytest.raises(UserError) as caught:
        folder(root)
    message = str(caught.value)
    assert f"{len(FAULTS)} of {len(FAULTS) + 4} samples are faulty" in message
    assert all(stem in message for stem, _ in FAULTS.values())
    assert "\n" not in message
    assert len(folder(root, on_error="skip").notes) == len(FAULTS)


def test_many_faults_are_counted_and_ten_are_named(root):
    for i in range(25):
        Image.fromarray(scan(i)).save(root / "test_images" / f"extra_{i:02}.png")
    with pytest.raises(UserError, match=r"25 of 29 samples are faulty .*extra_09.*; and 15 more\)") as caught:
        folder(root)
    assert "extra_10" not in str(caught.value)


def test_skipping_everything_is_an_error(root):
    for path in (root / "test_masks").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="4 of 4 samples are faulty"):
        folder(root, on_error="skip")


def test_pair_that_is_turned_alike_is_read_alike(root):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(scan(0)).save(root / "test_images" / "case_0.png", exif=exif)
    Image.fromarray((disk() * 255).astype(np.uint8)).save(root / "test_masks" / "case_0.png", exif=exif)
    dataset = folder(root)
    np.testing.assert_array_equal(dataset.read_image("case_0")[..., 0], np.rot90(scan(0), -1))
    np.testing.assert_array_equal(dataset.read_ground_truth("case_0"), np.rot90(disk(), -1))


def test_lossy_masks_are_counted_in_a_note(root):
    for i in (0, 2):
        (root / "test_masks" / f"case_{i}.{'png' if i == 0 else 'PNG'}").unlink()
        Image.fromarray((disk() * 255).astype(np.uint8)).save(
            root / "test_masks" / f"case_{i}.jpg", quality=60
        )
    (note,) = folder(root).notes
    assert note.startswith("2 of 4 masks have blurred values")
    assert "case_0" in note


def test_empty_masks_are_fine_unless_all_are(root):
    masks = sorted((root / "test_masks").iterdir())
    for path in masks[1:]:
        Image.fromarray(np.zeros((12, 16), np.uint8)).save(path)
    assert folder(root).notes == ()
    Image.fromarray(np.zeros((12, 16), np.uint8)).save(masks[0])
    assert folder(root).notes == ("all 4 masks are empty",)


def test_masks_of_class_labels_with_the_targets_values(root):
    for path in (root / "test_masks").iterdir():
        labels = disk().astype(np.uint8) * 2
        labels[0] = 1
        Image.fromarray(labels).save(path)
    dataset = folder(root, mask_values=[2])
    np.testing.assert_array_equal(dataset.read_ground_truth("case_2"), disk())


def test_limit_keeps_the_first_ids_and_looks_no_further(root):
    add_fault(root, "truncated image")  # id "cut" comes after "case_..."
    assert [sample.id for sample in folder(root, limit=2).samples] == ["case_0", "case_1"]
    assert len(folder(root, limit=4).samples) == 4
    with pytest.raises(UserError, match=r"cut\.png"):
        folder(root, limit=5)


def test_other_files_and_hidden_files_do_not_count(root):
    for name in ("Thumbs.db", "notes.txt", ".DS_Store", "._case_0.png"):
        (root / "test_images" / name).write_bytes(b"x")
    (root / "test_images" / "deeper.png").mkdir()
    (root / "test_images" / "e.gif").write_bytes(b"x")
    assert len(folder(root).samples) == 4
    assert folder(root).notes == (
        "test_images: 3 not read, as they are no images: 1 .gif, 1 .txt, 1 folders",
    )


def test_dicom_images_say_how_large_their_pixels_are(root):
    dicom_image(root / "test_images" / "d.dcm", scan(7).astype(np.int16), PixelSpacing=[0.8, 0.5])
    dicom_image(root / "test_masks" / "d.dcm", disk().astype(np.int16))
    own = folder(root)
    assert own.pixel_spacing_mm("d") == (0.8, 0.5)
    assert own.pixel_spacing_mm("case_0") is None
    np.testing.assert_array_equal(own.read_ground_truth("d"), disk())
    assert folder(root, spacing_mm=[1.0, 2.0]).pixel_spacing_mm("d") == (1.0, 2.0)
    with pytest.raises(UserError, match=r"d\.dcm is a DICOM image, read as a screen shows it"):
        folder(root, mask_values=[1])


def test_missing_places_say_the_expected_layout(root, tmp_path):
    with pytest.raises(UserError, match=r"nowhere is not a folder; expected .*nowhere/test_images"):
        folder(root / "nowhere")
    with pytest.raises(UserError, match=r"no folder val_images \(it has test_images, test_masks\)"):
        folder(root, split="val")
    (tmp_path / "dicom" / "test_images").mkdir(parents=True)
    with pytest.raises(UserError, match=r"has no images \(found nothing\)"):
        folder(tmp_path / "dicom")
    (tmp_path / "dicom" / "test_images" / "scan.nii").write_bytes(b"x")
    with pytest.raises(UserError, match=r"has no images \(found \.nii\).*\.png"):
        folder(tmp_path / "dicom")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"on_error": "ignore"}, "data.on_error is ignore"),
        ({"limit": 0}, "data.limit is 0"),
        ({"spacing_mm": [1.0]}, "data.spacing_mm"),
        ({"spacing_mm": [1.0, 0.0]}, "data.spacing_mm"),
        ({"class_name": "benign", "index": "index.csv"}, "data.class_name and data.index"),
    ],
)
def test_wrong_arguments(root, arguments, message):
    with pytest.raises(UserError, match=message):
        folder(root, **arguments)


def write_index(root: Path, text: str) -> None:
    (root / "index.csv").write_text(text, encoding="utf-8-sig")


def test_classes_come_from_the_index(root):
    rows = "\n".join(
        f"test,case_{i}{'.png' if i else ''},{'benign' if i % 2 else 'malignant'}" for i in range(4)
    )
    write_index(root, f"split,name,class\n{rows}\ntrain,case_0.png,benign\n")
    classes = [sample.class_name for sample in folder(root, index="index.csv").samples]
    assert classes == ["malignant", "benign", "malignant", "benign"]
    assert {sample.class_name for sample in folder(root, class_name="cyst").samples} == {"cyst"}
    assert {sample.class_name for sample in folder(root).samples} == {None}


def test_index_with_other_columns(root):
    write_index(root, "file,diagnosis\n" + "\n".join(f"images/case_{i}.JPG,cyst" for i in range(4)))
    columns = {"name_column": "file", "class_column": "diagnosis", "split_column": None}
    dataset = folder(root, index="index.csv", **columns)
    assert {sample.class_name for sample in dataset.samples} == {"cyst"}


def test_classes_come_from_names_where_nothing_else_says_them(root):
    for stem in ("Benign (1)", "malignant_2", "covid_3", "non_COVID (4)"):
        Image.fromarray(scan(1)).save(root / "test_images" / f"{stem}.png")
        Image.fromarray(disk()).save(root / "test_masks" / f"{stem}.png")
    classes = {
        s.id: s.class_name for s in folder(root, class_pattern="benign|malignant|non.?covid|covid").samples
    }
    assert classes["Benign (1)"] == "benign"
    assert classes["malignant_2"] == "malignant"
    assert (classes["covid_3"], classes["non_COVID (4)"]) == ("covid", "non covid")
    assert classes["case_0"] is None
    said = folder(root, class_pattern="benign", class_name="cyst").samples
    assert {sample.class_name for sample in said} == {"cyst"}
    with pytest.raises(UserError, match=r"data\.class_pattern '\(' is no regular expression"):
        folder(root, class_pattern="(")


def test_faults_of_the_index(root):
    with pytest.raises(UserError, match=r"index\.csv does not exist: set data\.index to a CSV file"):
        folder(root, index="index.csv")
    write_index(root, "split,name\ntest,case_0\n")
    with pytest.raises(UserError, match=r"no column 'class' \(it has 'split', 'name'\)"):
        folder(root, index="index.csv")
    write_index(root, "split,name,class\ntest,case_0,benign\ntest,case_0.png,malignant\n")
    with pytest.raises(UserError, match="case_0 two classes, benign and malignant"):
        folder(root, index="index.csv")
    write_index(root, "split,name,class\ntest,case_0,benign\ntest,case_1,\n")
    with pytest.raises(UserError, match=r"3 of 4 samples are faulty \(case_1 has no class in index\.csv"):
        folder(root, index="index.csv")
    assert [sample.id for sample in folder(root, index="index.csv", on_error="skip").samples] == ["case_0"]


@pytest.mark.parametrize(
    ("name", "split", "count"),
    [
        ("breast_tumors", "train", 300),
        ("breast_tumors", "val", 30),
        ("breast_tumors", "test", 20),
        ("brain_tumors", "test", 15),
        ("lung_CT", "test", 5),
    ],
)
def test_real_folders(shared_data, name, split, count):
    dataset = folder(shared_data / name, split=split)
    assert len(dataset.samples) == count
    assert dataset.has_ground_truth
    assert dataset.notes == ()
    for sample in dataset.samples[:20]:
        image, mask = dataset.read_image(sample.id), dataset.read_ground_truth(sample.id)
        assert image.shape == (*mask.shape, 3)
        assert max(mask.shape) == 384
        assert image.std() > 5
        assert 0.002 < mask.mean() < 0.5


def test_real_classes(shared_data):
    samples = folder(shared_data / "breast_tumors", split="val", index="index.csv").samples
    assert [sample.class_name for sample in samples].count("benign") == 18
    assert all(sample.id.startswith(str(sample.class_name)) for sample in samples)


@pytest.mark.parametrize(
    ("choice", "place"),
    [
        ("busi", "breast_tumors"),
        ("brain_mri", "brain_tumors"),
        ("lung_xray", "lung_Xray"),
        ("lung_ct", "lung_CT"),
    ],
)
def test_yaml_names_every_argument_and_its_folder(tmp_path, choice, place):
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        data = compose(
            f"data/{choice}", overrides=[f"+paths.data={tmp_path}", f"+paths.artifacts={tmp_path}"]
        ).data
    arguments = dict(data)
    assert arguments.pop("_target_") == "medsam_exp.data.folder.FolderDataset"
    assert set(arguments) == set(inspect.signature(FolderDataset).parameters)
    assert data.root == str(tmp_path / place)
    assert data.modality
    assert data.target
    for kind, array in (("images", scan(0)), ("masks", disk())):
        (tmp_path / place / f"test_{kind}").mkdir(parents=True)
        Image.fromarray(array).save(tmp_path / place / f"test_{kind}" / "a.png")
    assert FolderDataset(**arguments).samples == (Sample("a"),)


def with_sizes(root, text):
    (root / "index.csv").write_text("name,split,spacing_row_mm,spacing_column_mm\n" + text)
    return folder(root, spacing_mm="index.csv")


def test_every_image_may_have_its_own_pixel_size(root):
    rows = "case_0.png,test,0.5,0.25\ncase_1,test,,\ncase_2,test,1,1\ncase_3,test,2,2\ncase_3,train,9,9\n"
    dataset = with_sizes(root, rows)
    sizes = [dataset.pixel_spacing_mm(sample.id) for sample in dataset.samples]
    assert sizes == [(0.5, 0.25), None, (1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("case_0,test,1,1\n", r"case_1 has no row in index.csv"),
        ("case_0,test,1,\n", r"gives case_0 the pixel size 1 x nothing: give two positive numbers"),
        ("case_0,test,0,1\n", r"gives case_0 the pixel size 0 x 1"),
        ("case_0,test,one,1\n", r"gives case_0 the pixel size one x 1"),
        ("case_0,test,1,1\ncase_0.png,test,2,1\n", r"gives case_0 two sizes of a pixel"),
    ],
)
def test_wrong_pixel_sizes(root, rows, sentence):
    with pytest.raises(UserError, match=sentence):
        with_sizes(root, rows)


def test_a_table_without_pixel_sizes(root):
    (root / "index.csv").write_text("name,split\n")
    with pytest.raises(UserError, match=r"no column 'spacing_row_mm'"):
        folder(root, spacing_mm="index.csv")
    with pytest.raises(UserError, match=r"sizes.csv does not exist: set data.spacing_mm to"):
        folder(root, spacing_mm="sizes.csv")


def test_masks_that_are_read_by_wrong_values_are_refused(tmp_path: Path) -> None:
    for number in range(3):
        for kind, pixels in (("images", np.full((8, 8), 30 * number)), ("masks", np.eye(8) * 255)):
            (tmp_path / f"test_{kind}").mkdir(exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"test_{kind}" / f"{number}.png")
    with pytest.raises(
        UserError, match=r"no mask has a pixel of data\.mask_values=\[1\]; they hold 0, 255: name"
    ):
        folder(tmp_path, mask_values=[1])
    assert folder(tmp_path, mask_values=[1, 255]).notes == ()
    assert folder(tmp_path, mask_values=[1], limit=2).notes == (
        "data.limit: the first 2 of 3 images",
        "all 2 masks are empty",
    )


def test_an_image_that_no_network_can_look_at_is_a_fault_of_its_file(root: Path) -> None:
    Image.fromarray(np.zeros((2, 1025), np.uint8)).save(root / "test_images" / "wide.png")
    Image.fromarray(np.zeros((2, 1025), np.uint8)).save(root / "test_masks" / "wide.png")
    with pytest.raises(UserError, match=r"wide\.png has 1025 x 2 pixels, longer than 512 to 1: crop it"):
        folder(root)
    with pytest.raises(UserError, match=r"wide\.png has 1025 x 2 pixels"):
        ImageDataset(str(root / "test_images" / "wide.png"))
    assert "wide.png has 1025 x 2 pixels" in folder(root, on_error="skip").notes[0]
    for family in FAMILIES.values():  # what passes is taken by every SAM
        for shape in ((1, MOST_ELONGATED), (MOST_ELONGATED, 1)):
            family.framing(256).preprocess(np.zeros((*shape, 3), np.uint8))


def test_a_folder_declares_that_it_has_other_splits_and_other_datasets_do_not(root):
    assert isinstance(folder(root), FolderSplit)
    image = next((root / "test_images").iterdir())
    assert not isinstance(ImageDataset(str(image)), FolderSplit)
    assert not isinstance(PhantomDataset(0, 1), FolderSplit)


def test_the_folders_of_a_download_are_answered_with_the_command_that_arranges_them(tmp_path):
    for name in ("benign", "malignant", "normal"):
        (tmp_path / name).mkdir()
    with pytest.raises(
        UserError, match=f"BUSI's download; arrange them first: medsam-exp prepare busi '{tmp_path}'$"
    ):
        folder_files.find_folders(tmp_path, "test")
