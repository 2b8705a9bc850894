"""What lesions are called: appearance decides the class, so that class words can be seen in the image."""

from dataclasses import dataclass

SHAPES = ("round", "oval", "lobulated", "spiculated")
TONES = ("dark", "bright")
SIZES = ("small", "large")
ROWS = ("upper", "middle", "lower")
COLUMNS = ("left", "middle", "right")


def place_name(y: float, x: float) -> str:
    """Name of the ninth of the image in which a point lies, as seen on the screen ("upper left").

    Args:
        y: relative row in [0, 1], downwards.
        x: relative column in [0, 1], rightwards.
    """
    row, column = ROWS[min(int(3 * y), 2)], COLUMNS[min(int(3 * x), 2)]
    return "center" if row == column else f"{row} {column}"


SHAPE_WORDS = {
    "round": ("round", "circular"),
    "oval": ("oval", "elongated"),
    "lobulated": ("lobulated", "irregular"),
    "spiculated": ("spiculated", "star-shaped"),
}
SIZE_WORDS = {"small": ("small", "little"), "large": ("large", "big")}


@dataclass(frozen=True)
class Vocabulary:
    """Words of one kind of scan.

    Attributes:
        scans: names of the scan ("breast ultrasound").
        tones: words for darker and brighter than the surroundings.
        nouns: words for any lesion ("mass").
        classes: names by (tone, shape); the first is the class name, the others are synonyms.
    """

    scans: tuple[str, ...]
    tones: dict[str, tuple[str, ...]]
    nouns: tuple[str, ...]
    classes: dict[tuple[str, str], tuple[str, ...]]


_IN_LUNGS = {
    ("dark", "round"): ("bulla",),
    ("dark", "oval"): ("air cyst", "lung cyst"),
    ("dark", "lobulated"): ("cavity", "lung cavity"),
    ("dark", "spiculated"): ("cavitating abscess",),
    ("bright", "round"): ("nodule", "lung nodule"),
    ("bright", "oval"): ("granuloma",),
    ("bright", "lobulated"): ("consolidation", "pneumonia", "infiltrate"),
    ("bright", "spiculated"): ("lung cancer", "carcinoma", "malignant tumor"),
}

VOCABULARIES: dict[str, Vocabulary] = {
    "breast_ultrasound": Vocabulary(
        scans=("breast ultrasound", "ultrasound of the breast", "breast sonogram"),
        tones={"dark": ("dark", "hypoechoic"), "bright": ("bright", "hyperechoic")},
        nouns=("mass", "lesion", "breast tumor"),
        classes={
            ("dark", "round"): ("cyst", "benign cyst", "simple cyst"),
            ("dark", "oval"): ("fibroadenoma", "benign tumor", "benign mass"),
            ("dark", "lobulated"): ("malignant tumor", "malignant mass", "breast cancer"),
            ("dark", "spiculated"): ("invasive carcinoma", "carcinoma", "malignant carcinoma"),
            ("bright", "round"): ("hamartoma", "benign hamartoma"),
            ("bright", "oval"): ("lipoma", "benign lipoma"),
            ("bright", "lobulated"): ("angiolipoma",),
            ("bright", "spiculated"): ("fat necrosis",),
        },
    ),
    "brain_mri": Vocabulary(
        scans=("brain MRI", "T1 MRI of the brain", "magnetic resonance image of the brain"),
        tones={"dark": ("dark", "hypointense"), "bright": ("bright", "hyperintense", "enhancing")},
        nouns=("mass", "lesion", "brain tumor"),
        classes={
            ("dark", "round"): ("arachnoid cyst", "cyst"),
            ("dark", "oval"): ("epidermoid",),
            ("dark", "lobulated"): ("low-grade glioma", "astrocytoma"),
            ("dark", "spiculated"): ("infarct",),
            ("bright", "round"): ("metastasis", "brain metastasis"),
            ("bright", "oval"): ("meningioma",),
            ("bright", "lobulated"): ("glioma", "high-grade glioma"),
            ("bright", "spiculated"): ("glioblastoma", "malignant glioma"),
        },
    ),
    "chest_xray": Vocabulary(
        scans=("chest X-ray", "X-ray of the chest", "chest radiograph"),
        tones={"dark": ("dark", "lucent"), "bright": ("bright", "dense", "opaque")},
        nouns=("lesion", "lung lesion", "finding"),
        classes=_IN_LUNGS,
    ),
    "lung_ct": Vocabulary(
        scans=("lung CT", "CT of the chest", "CT slice of the lungs"),
        tones={"dark": ("dark", "hypodense"), "bright": ("bright", "hyperdense")},
        nouns=("lesion", "lung lesion", "mass"),
        classes=_IN_LUNGS,
    ),
    "abdominal_ct": Vocabulary(
        scans=("abdominal CT", "CT of the abdomen", "CT slice of the abdomen"),
        tones={"dark": ("dark", "hypodense"), "bright": ("bright", "hyperdense")},
        nouns=("lesion", "mass", "abdominal tumor"),
        classes={
            ("dark", "round"): ("cyst", "simple cyst"),
            ("dark", "oval"): ("fluid collection",),
            ("dark", "lobulated"): ("abscess",),
            ("dark", "spiculated"): ("carcinoma", "malignant tumor"),
            ("bright", "round"): ("adenoma", "benign tumor"),
            ("bright", "oval"): ("hemangioma", "benign hemangioma"),
            ("bright", "lobulated"): ("hematoma",),
            ("bright", "spiculated"): ("metastasis",),
        },
    ),
}
