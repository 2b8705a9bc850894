"""Small copies of every download, drawn, in the layout that its publishers give it."""

import csv
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from tests.command import command

main = command("prepare")


def prepared(*arguments: object) -> Path:
    """Run a command that must succeed; the folder it wrote."""
    assert main([str(argument) for argument in arguments]) == 0
    return Path(str(arguments[2]))


def refused(capsys, *arguments: object) -> str:
    """Run a command that must fail with one sentence; that sentence."""
    assert main([str(argument) for argument in arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def tree(out: Path) -> dict[str, bytes]:
    """Everything in a prepared folder."""
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.name != ".preparing.lock")
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def index(out: Path) -> dict[str, dict[str, str]]:
    """Rows of index.csv by name."""
    with (out / "index.csv").open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def zipped(folder: Path, prefix: str = "") -> Path:
    """A zip with the folder's files, below a folder called `prefix`."""
    path = folder.parent / f"{folder.name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{prefix}{file.relative_to(folder).as_posix()}")
        archive.writestr(f"__MACOSX/{prefix}._x.png", b"clutter")
    return path


def scan(n: int, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    """(H, W) uint8, another blotchy picture for every n."""
    draw = np.random.default_rng(n)
    coarse = Image.fromarray(draw.integers(0, 255, (6, 8), dtype=np.uint8))
    return np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC))


def blob(n: int, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    """(H, W) bool, a rectangle of its own for every n."""
    draw = np.random.default_rng(1000 + n)
    row, column = draw.integers(0, 12), draw.integers(0, 16)
    mask = np.zeros(size, bool)
    mask[row : row + 9, column : column + 7] = True
    return mask


def save(path: Path, pixels: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels).save(path, **options)


def busi(root: Path, benign: int = 6, malignant: int = 4, normal: int = 2) -> Path:
    """BUSI: one benign image with two masks, one malignant image that is a benign one again."""
    for start, (name, count) in enumerate(
        {"benign": benign, "malignant": malignant, "normal": normal}.items()
    ):
        for n in range(1, count + 1):
            save(root / name / f"{name} ({n}).png", np.repeat(scan(100 * start + n)[..., None], 3, axis=2))
            mask = blob(100 * start + n) if name != "normal" else np.zeros((24, 32), bool)
            save(root / name / f"{name} ({n})_mask.png", mask)
    save(root / "benign" / "benign (2)_mask_1.png", blob(7))
    again = np.repeat(scan(3)[..., None], 3, axis=2)
    save(root / "malignant" / "malignant (4).png", np.clip(again.astype(int) + 3, 0, 255).astype(np.uint8))
    return root


def xlsx(rows: list[list[str | int]]) -> bytes:
    """A spreadsheet as Excel writes it: text shared, numbers in place."""
    strings = sorted({cell for row in rows for cell in row if isinstance(cell, str)})
    cells = [
        "".join(
            f'<c r="{"ABC"[column]}{number}" t="s"><v>{strings.index(cell)}</v></c>'
            if isinstance(cell, str)
            else f'<c r="{"ABC"[column]}{number}"><v>{cell}</v></c>'
            for column, cell in enumerate(row)
        )
        for number, row in enumerate(rows, 1)
    ]
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    sheet = "".join(f'<row r="{number}">{row}</row>' for number, row in enumerate(cells, 1))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as book:
        book.writestr(
            "xl/worksheets/sheet1.xml", f"<worksheet {space}><sheetData>{sheet}</sheetData></worksheet>"
        )
        items = "".join(f"<si><t>{text}</t></si>" for text in strings)
        book.writestr("xl/sharedStrings.xml", f"<sst {space}>{items}</sst>")
    return file.getvalue()


def udiat(root: Path, count: int = 9) -> Path:
    """UDIAT: every third image is malignant, the table's numbers have lost their zeros."""
    rows: list[list[str | int]] = [["Image", "Type", "Diagnosis"]]
    for n in range(1, count + 1):
        save(root / "original" / f"{n:06d}.png", scan(500 + n))
        save(root / "GT" / f"{n:06d}.png", blob(500 + n))
        rows.append([n, "Malignant" if n % 3 == 0 else "Benign", "CYST"])
    (root / "DatasetB.xlsx").write_bytes(xlsx(rows))
    return root


def write_mat(
    path: Path, image: np.ndarray, mask: np.ndarray, label: int, patient: str, *, number: bool = False
) -> None:
    """One slice as MATLAB v7.3 saves it: columns first, text as numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("cjdata")
        group["image"] = image.T
        group["tumorMask"] = mask.T.astype(np.uint8)
        group["label"] = np.array([[float(label)]])
        codes = (
            np.array([[float(patient)]]) if number else np.array([[ord(c)] for c in patient], dtype=np.uint16)
        )
        group["PID"] = codes
        group["tumorBorder"] = np.zeros((1, 8))


def brain(root: Path, patients: int = 6, slices: int = 3) -> Path:
    """The brain tumours: unequal sides, so that an exchange of rows and columns shows."""
    numbers = range(1, patients * slices + 1)
    for n in numbers:
        patient = (n - 1) // slices
        image = (scan(700 + n).astype(np.int16) * 9) - 40
        write_mat(root / f"{n}.mat", image, blob(700 + n), patient % 3 + 1, f"MR0{patient}A")
    with h5py.File(root / "cvind.mat", "w") as file:
        file["cvind"] = np.array([[(n - 1) // slices % 5 + 1 for n in numbers]], dtype=np.float64)
    return root


def covid(root: Path, *, part: str = "Lung", train: int = 3) -> Path:
    """COVID-QU-Ex, with names that tell the class and names that do not."""
    top = root / f"{part} Segmentation Data"
    names = {"COVID-19": "covid_{n}", "Non-COVID": "non_COVID ({n})", "Normal": "sub-S0{n}"}
    for number, (split, count) in enumerate({"Train": train, "Val": 1, "Test": 2}.items()):
        for place, (name, pattern) in enumerate(names.items()):
            for n in range(count):
                seed = 100 * number + 10 * place + n
                file = f"{pattern.format(n=seed)}.png"
                save(top / split / name / "images" / file, scan(seed))
                save(top / split / name / "lung masks" / file, blob(seed))
                if part == "Infection":
                    infected = blob(seed + 1) if name == "COVID-19" else np.zeros((24, 32), bool)
                    save(top / split / name / "infection masks" / file, infected)
    return root


def chest_ct(root: Path, patients: int = 8, slices: int = 3) -> Path:
    """The CT slices as JPEG; the last slice of each patient shows no lungs, and one image has no mask."""
    for patient in range(patients):
        for n in range(slices):
            seed = 100 * patient + n
            save(root / "images/images" / f"ID0{patient}_{n}.jpg", scan(seed, (32, 48)), quality=95)
            mask = np.zeros((32, 48, 3), np.uint8)
            mask[2:5, 2:5, 0] = 255  # trachea
            mask[16:24, 8:16, 1] = 255  # heart
            if n < slices - 1:
                mask[8 : 24 - n, 24:40, 2] = 255  # lungs
            save(root / "masks/masks" / f"ID0{patient}_mask_{n}.jpg", mask, quality=95, subsampling=0)
    save(root / "images/images" / "ID00_99.jpg", scan(99, (32, 48)))
    (root / "train.csv").write_text("ImageId,MaskId\n")
    return root


CAPTIONS = (
    "Axial CT of the chest shows a nodule.",
    "IN PROGRESS",
    "The prostate is enlarged, with\n several calcifications.",
    "Sagittal T2 image of the knee joint.",
)


def medpix(root: Path) -> Path:
    """MedPix 2.0: a short caption, and a description whose image is missing."""
    entries = [
        {
            "Type": "CT",
            "U_id": f"MPX{n // 2}",
            "image": f"MPX{n // 2}_synpic{n}",
            "Description": {"Caption": caption, "Modality": "CT - noncontrast", "Age": "73"},
            "Location": "Chest",
        }
        for n, caption in enumerate(CAPTIONS)
    ]
    missing = {**entries[0], "image": "MPX9_synpic9"}
    for entry in entries:
        save(root / "images" / f"{entry['image']}.png", scan(len(str(entry["image"]))))
    (root / "Description.json").write_text(json.dumps([*entries, missing]))
    (root / "Case_topic.json").write_text(
        json.dumps([{"U_id": "MPX0", "PreparedImage": {"Title": "Lung nodule"}}])
    )
    return root


def roco(root: Path) -> Path:
    """ROCO: three licences, one image that was not fetched, one that is no radiology."""
    licences = ("CC BY", "CC BY-NC-SA", "NO-CC CODE")
    for split, first in {"train": 0, "validation": 10}.items():
        folder = root / "data" / split / "radiology"
        rows, captions = ["ROCO_ID,PMC_ID,CC"], []
        for n, licence in enumerate(licences, first):
            save(folder / "images" / f"PMC{n}_a-{n}.jpg", scan(n))
            rows.append(f"ROCO_{n:05d},PMC{n}_a-{n}.jpg,{licence}")
            captions.append(f"ROCO_{n:05d}\t Chest radiograph number {n}, with a nodule, see arrow.")
        rows.append(f"ROCO_{first + 9:05d},PMC{first + 9}_gone.jpg,CC BY")
        captions.append(f"ROCO_{first + 9:05d}\t An image that could not be fetched any more.")
        (folder / "licences.txt").write_text("\n".join(rows))
        (folder / "captions.txt").write_text("\n".join(captions))
    other = root / "data/train/non-radiology"
    save(other / "images" / "PMC77_chart.jpg", scan(77))
    (other / "captions.txt").write_text("ROCO_00077\t A bar chart of survival over the years.")
    return root


def authors(root: Path) -> Path:
    """The ready-made zip: masks of 0 and 1, JPEG masks, an image and a mask without a partner."""
    top = root / "data"
    for number, split in enumerate(("train", "val", "test")):
        for n in range(2):
            seed = 10 * number + n
            save(top / "breast_tumors" / f"{split}_images" / f"benign ({seed}).png", scan(seed))
            save(
                top / "breast_tumors" / f"{split}_masks" / f"benign ({seed}).png", blob(seed).astype(np.uint8)
            )
            save(top / "lung_CT" / f"{split}_images" / f"{seed}.jpg", scan(seed))
            save(top / "lung_CT" / f"{split}_masks" / f"{seed}.jpg", blob(seed), quality=95)
    save(top / "breast_tumors/test_images/malignant (77).png", scan(77))
    save(top / "lung_CT/val_masks/88.jpg", blob(88))
    return root


def by_split(rows: Mapping[str, Mapping[str, str]], split: str) -> list[str]:
    """Names of one split."""
    return [name for name, row in rows.items() if row["split"] == split]


def workbook(path: Path, rows: list[tuple[str, ...]]) -> None:
    """An Excel file with inline texts, as openpyxl writes them."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    cells = [
        "".join(
            f'<c r="{chr(65 + column)}{number}" t="inlineStr"><is><t>{text}</t></is></c>'
            for column, text in enumerate(row)
        )
        for number, row in enumerate(rows, 1)
    ]
    sheet = "".join(f'<row r="{number}">{row}</row>' for number, row in enumerate(cells, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/workbook.xml", "<workbook/>")
        book.writestr(
            "xl/worksheets/sheet1.xml",
            f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>',
        )


def biomedparse(root: Path) -> Path:
    """BiomedParseData: two sets; one image with two targets, one of them with a space."""
    targets = {
        ("BreastUS", "train", "benign_1_ultrasound_breast"): ["benign+tumor"],
        ("BreastUS", "test", "malignant_2_ultrasound_breast"): ["malignant+tumor"],
        ("amos22/CT", "test", "amos_0004_3_CT_abdomen"): ["liver", "left+kidney"],
    }
    for number, ((name, split, stem), of_image) in enumerate(targets.items()):
        save(root / name / split / f"{stem}.png", scan(number))
        for target in of_image:
            save(root / name / f"{split}_mask" / f"{stem}_{target}.png", blob(number + len(target)))
    return root


def medsegbench(root: Path, name: str = "busi_128.npz", several: bool = False) -> Path:
    """MedSegBench: gray images, labels of 0 and 1 (or up to 2), and a subset."""
    arrays = {}
    for start, (split, count) in enumerate({"train": 3, "val": 1, "test": 2}.items()):
        numbers = range(10 * start, 10 * start + count)
        arrays[f"{split}_images"] = np.stack([scan(number) for number in numbers])
        labels = np.stack([blob(number).astype(np.uint8) for number in numbers])
        arrays[f"{split}_label"] = (
            labels + (labels * (np.arange(32) > 16)).astype(np.uint8) if several else labels
        )
        arrays[f"{split}_images_C1"] = arrays[f"{split}_images"][:1]
        arrays[f"{split}_label_C1"] = arrays[f"{split}_label"][:1]
    root.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(root / name, **arrays)
    return root


def medclipseg(root: Path, name: str = "BUSI") -> Path:
    """MedCLIPSeg: a set with its usual texts and contradictory ones, and an image that no list names."""
    rows: dict[str, list[tuple[str, ...]]] = {}
    for number, (split, stem) in enumerate(
        [("Train", "000001"), ("Val", "000002"), ("Test", "000003"), ("Test", "7")]
    ):
        save(root / name / f"{split}_Folder/img/{stem}.png", scan(number))
        save(root / name / f"{split}_Folder/label/{stem}.png", blob(number))
        rows.setdefault(split, []).append((f"{stem}.png", f"A tumor, number {number}.", f"{stem}.png"))
    save(root / name / "Test_Folder/img/unnamed.png", scan(9))
    heading = ("Image", "Description", "Ground Truth")
    lists = root / name / "Prompts_Folder"
    for split, end in (("Train", ""), ("Val", ""), ("Test", "_original")):
        workbook(lists / f"{split}_text{end}.xlsx", [heading, *rows[split]])
    workbook(lists / "Train_text_10.xlsx", [heading, rows["Train"][0]])
    workbook(lists / "Test_text_contradictory.xlsx", [heading, ("7.png", "Nothing is there.", "7.png")])
    return root


def cvpr_text_3d(root: Path) -> Path:
    """CVPR 2025: a volume of two labels with texts, and one of instances whose labels lie in a folder of their own."""
    root.mkdir(parents=True, exist_ok=True)
    volume = np.stack([scan(number) for number in range(4)])
    labels = np.stack([blob(number).astype(np.uint8) * (1 + 4 * (number == 2)) for number in range(4)])
    labels[3] = 0
    texts = {"1": "Liver in abdominal CT", "5": "A tumor of the\n liver", "instance_label": 0}
    spacing = np.array([3.0, 0.5, 0.75])
    np.savez_compressed(root / "CT_a.npz", imgs=volume, gts=labels, spacing=spacing, text_prompts=texts)
    texts = {"1": "cell nuclei", "instance_label": np.int64(1)}
    (root / "3D_val_gt").mkdir()
    np.savez_compressed(root / "MIC_b.npz", imgs=volume, spacing=spacing, text_prompts=texts)
    np.savez_compressed(root / "3D_val_gt/MIC_b.npz", gts=labels)
    return root
