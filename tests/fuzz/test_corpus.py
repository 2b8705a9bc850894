"""The smallest inputs that once ended otherwise than in a value or in one sentence."""

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from medsam_exp.clip.load import load_clip
from medsam_exp.curation.prepare.source import open_source
from medsam_exp.data.coco import read_coco
from medsam_exp.data.decoding import read_image
from medsam_exp.data.volumes.file_volume import read_file_values
from medsam_exp.data.volumes.scan import read_record
from medsam_exp.masks.presence.calibrated import PACKAGED, Calibrated
from medsam_exp.nnunet.checkpoint import read_checkpoint
from medsam_exp.nnunet.results import results_folder
from medsam_exp.report.finished_run import read_run
from medsam_exp.runtime.checkpoint.read import read_weights
from medsam_exp.runtime.foreign import read_json, read_yaml
from medsam_exp.sweep.read import read_sweep
from medsam_exp.text.per_image import PerImage
from medsam_exp.types import UserError
from tests.data.volumes.synthetic import dicom_image
from tests.fuzz.guard import LARGEST, peak_of
from tests.fuzz.png import SIGNATURE, chunk, png
from tests.sweep.conftest import make_run, make_sweep

ZEROS = bytes(70 << 20)


def refused(read: Callable[[], object], said: str) -> None:
    """A sentence of one line, within the memory that any reading may take."""

    def work() -> None:
        with pytest.raises(UserError, match=said) as caught:
            read()
        assert str(caught.value).isprintable()

    assert peak_of(work) < LARGEST


@pytest.mark.parametrize("size", [(9400, 9400), (60_000, 60_000)])
def test_a_png_that_says_more_pixels_than_the_limit(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "a.png").write_bytes(png(np.zeros((1, 1, 3), np.uint16), size))
    refused(lambda: read_image(tmp_path / "a.png"), "pixels")


def test_a_png_without_rows(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 5, 0, 8, 0, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(SIGNATURE + chunk(b"IHDR", header) + chunk(b"IEND", b""))
    refused(lambda: read_image(tmp_path / "a.png"), "cannot be read as an image")


def test_a_name_with_a_line_break_leaves_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a\nb.png").write_bytes(b"no image")
    refused(lambda: read_image(tmp_path / "a\nb.png"), r"a\\nb\.png")


def test_a_dicom_element_of_four_gigabytes_is_not_believed(tmp_path: Path) -> None:
    dicom_image(tmp_path / "a.dcm", np.zeros((4, 4), np.uint8))
    content = (tmp_path / "a.dcm").read_bytes()
    place = content.index(b"\x10\x00\x10\x00PN")  # PatientName, as an element of bytes with a long length
    long = b"\x10\x00\x10\x00OB\0\0" + struct.pack("<I", 0xFFFFFFF0)
    (tmp_path / "a.dcm").write_bytes(content[:place] + long + content[place + 8 :])
    refused(lambda: read_image(tmp_path / "a.dcm"), r"a\.dcm")


def test_a_nifti_of_392_bytes_that_says_32767_cubed(tmp_path: Path) -> None:
    header = bytearray(352)
    header[:4], header[40:48] = struct.pack("<i", 348), struct.pack("<4h", 3, 32767, 32767, 32767)
    header[70:74], header[108:112] = struct.pack("<2h", 16, 32), struct.pack("<f", 352)
    header[344:348] = b"n+1\0"
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(header) + bytes(40)))
    refused(lambda: read_file_values(tmp_path / "a.nii.gz"), "more than its bytes can hold")


def test_coco_of_an_image_of_negative_size(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "a.png", "width": -8, "height": 6}
    (tmp_path / "a.json").write_text(json.dumps({"images": [image], "categories": [], "annotations": []}))
    refused(lambda: read_coco(tmp_path / "a.json"), "damaged annotations")


@pytest.mark.parametrize(("key", "value"), [("features", [["a"]]), ("mean", ["x"]), ("provenance", {})])
def test_a_calibration_of_other_kinds_of_values(tmp_path: Path, key: str, value: object) -> None:
    (tmp_path / "c.json").write_text(json.dumps(json.loads(PACKAGED.read_text()) | {key: value}))
    refused(lambda: Calibrated(str(tmp_path / "c.json")), r"c\.json")


def test_a_yaml_that_is_too_deep(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text('{"a":' * 100_000)
    with pytest.raises(UserError, match=r"a\.yaml"):
        read_yaml(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("[" * 101 + "]" * 101)
    with pytest.raises(UserError, match=r"deeper than limits\.nesting=100"):
        read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize("depth", [101, 500, 100_000])
@pytest.mark.parametrize("name", ["a.json", "texts.json", "geometry.json", "config.json"])
def test_a_json_that_is_too_deep(tmp_path: Path, name: str, depth: int) -> None:
    (tmp_path / name).write_text('{"model_type": "clip", "a": ' + "[" * depth + "]" * depth + "}")
    read: dict[str, Callable[[], object]] = {
        "a.json": lambda: read_json(tmp_path / name),
        "texts.json": lambda: PerImage(str(tmp_path / name)),
        "geometry.json": lambda: read_record(tmp_path),
        "config.json": lambda: load_clip(str(tmp_path)),
    }
    refused(read[name], r"deeper than limits\.nesting=100")


def test_a_json_as_deep_as_may_be_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 100 + "]" * 100)
    assert str(read_json(tmp_path / "a.json")) == "[" * 100 + "]" * 100


@pytest.mark.parametrize("content", [b"\xff\xfe", b"- !!python/object:os.system x", b"a: [", b"\0"])
def test_a_yaml_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    refused(lambda: read_yaml(tmp_path / "a.yaml"), "cannot be read as YAML")


@pytest.mark.parametrize(
    "metrics",
    [None, {"sam/dsc": None}, {"sam/dsc": {"mean": 1}}, {"sam/dsc": {"mean": "", "std": 1, "ci95": None}}],
)
def test_a_summary_with_figures_of_another_form(tmp_path: Path, metrics: object) -> None:
    make_run(tmp_path / "run", {"seed": "0"})
    path = tmp_path / "run" / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": metrics}))
    refused(lambda: read_run(tmp_path / "run"), "is not what a run leaves")


def test_a_job_with_a_value_that_no_axis_has(tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path / "sweep", {"saliency": ["m2ib", "gradcam"]})
    content = json.loads((sweep / "sweep.json").read_text())
    content["jobs"][0]["overrides"]["saliency"] = "another"
    (sweep / "sweep.json").write_text(json.dumps(content))
    refused(lambda: read_sweep([sweep]), "job 0 has a value of saliency that is on no axis")


def test_a_checkpoint_that_grows_a_thousandfold(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(len(ZEROS) // 4)}, buffer)
    with (
        zipfile.ZipFile(buffer) as source,
        zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for member in source.namelist():
            archive.writestr(member, source.read(member))
    refused(lambda: read_weights(tmp_path / "a.pt"), r"more than limits\.packing=100")


def test_a_tensor_that_repeats_one_number(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(100_000, 100_000)}, tmp_path / "a.pt")
    refused(lambda: read_weights(tmp_path / "a.pt"), "holds a tensor of 40,000,000,000 bytes made of 4")


@pytest.mark.parametrize(
    "content", [{"network_weights": {}}, {"network_weights": [1], "init_args": {}, "trainer_name": "a"}]
)
def test_an_nnunet_checkpoint_that_lacks_a_part(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pth")
    refused(lambda: read_checkpoint(tmp_path / "a.pth"), "is no checkpoint of nnU-Net")


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b'{"labels": 1}', b"[" * 100_000])
def test_a_dataset_json_without_labels(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "fold_0").mkdir()
    (tmp_path / "fold_0" / "checkpoint_final.pth").touch()
    (tmp_path / "plans.json").write_bytes(b"{}")
    (tmp_path / "dataset.json").write_bytes(content)
    found = results_folder(tmp_path, "checkpoint_final.pth")
    refused(lambda: found.labels, r"dataset\.json")


def test_a_zip_within_a_zip_that_grows_a_thousandfold(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.zip", ZEROS)

    def read() -> None:
        with open_source(tmp_path / "a.zip") as source:
            source.facts()

    refused(read, f"inner.zip would have {len(ZEROS)} bytes unpacked")


@pytest.mark.parametrize(("key", "value"), [("layers", 1_000_000_000), ("timm_model_name", "hf-hub:x/y")])
def test_a_clip_folder_that_asks_for_too_much(tmp_path: Path, key: str, value: object) -> None:
    text = {"context_length": 12, "vocab_size": 300, "width": 32, "heads": 2, "layers": 1}
    vision = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 1, key: value}
    content = {"model_cfg": {"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    refused(lambda: load_clip(str(tmp_path), "random"), rf"vision_cfg\.{key} is ")
