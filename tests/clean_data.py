"""A clean dataset in the users' layout, into which tests put one fault each."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

SIZE = (96, 120)


def scan(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W) uint8: tissue of several grains, no two seeds alike."""
    generator = np.random.default_rng(seed)
    grains = [gaussian_filter(generator.normal(size=size), grain) * grain for grain in (1.5, 4, 12)]
    tissue = sum(grains)
    return np.clip(110 + 35 * tissue / tissue.std(), 5, 180).astype(np.uint8)


def lesion(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W) uint8 {0, 255}: an ellipse."""
    generator = np.random.default_rng(1000 + seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    y, x = generator.uniform(35, size[0] - 35), generator.uniform(35, size[1] - 35)
    return ((((rows - y) / 14) ** 2 + ((columns - x) / 20) ** 2 < 1) * 255).astype(np.uint8)


class Clean:
    """Twelve images in three splits: two classes, each image another patient."""

    def __init__(self, root: Path, suffix: str = "png") -> None:
        self.root, self.suffix = root, suffix
        self.rows: dict[tuple[str, str], tuple[str, str]] = {}
        for number in range(12):
            split = ("train", "val", "test")[0 if number < 6 else 1 if number < 9 else 2]
            self.put(split, f"case_{number:02}", scan(number), lesion(number))
        self.write_index()

    def put(
        self,
        split: str,
        stem: str,
        image: np.ndarray | None,
        mask: np.ndarray | None,
        class_name: str | None = None,
        group: str | None = None,
    ) -> None:
        """Write or overwrite a sample; None leaves its file out."""
        for kind, values in (("images", image), ("masks", mask)):
            path = self.path(split, kind, stem)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if values is not None:
                Image.fromarray(values).save(path)
        number = len(self.rows)
        known = self.rows.get((split, stem), (("benign", "malignant")[number % 2], f"patient_{number}"))
        self.rows[split, stem] = (class_name or known[0], group or known[1])
        self.write_index()

    def path(self, split: str, kind: str, stem: str) -> Path:
        return self.root / f"{split}_{kind}" / f"{stem}.{self.suffix}"

    def write_index(self) -> None:
        self.root.mkdir(exist_ok=True)
        with (self.root / "index.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("name", "split", "class", "group", "source"))
            for (split, stem), (class_name, group) in self.rows.items():
                writer.writerow((f"{stem}.{self.suffix}", split, class_name, group, "drawn"))
