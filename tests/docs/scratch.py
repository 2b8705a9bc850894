"""The folder that a document's commands run in: a copy of the checkout with a few drawn images, and no network."""

import os
import sys
from pathlib import Path

from PIL import Image

from tests.checkout_copy import copy_checkout
from tests.conftest import ROOT

TEXT = "a dark mass"
_PROGRAMS = {
    "medsam-exp": '#!/bin/sh\nexec "{python}" -m medsam_exp "$@"\n',
    "uv": "#!/bin/sh\necho 'uv: nothing is installed in this test' >&2\nexit 1\n",
}


def scratch_checkout(folder: Path) -> Path:
    """Make the folder, and return it; nothing in it is shared with the real checkout but the installed packages."""
    copy_checkout(folder)
    _link_environment(folder / ".venv")
    _draw(folder)
    return folder


def scratch_environment(folder: Path) -> dict[str, str]:
    """The environment of a new user of that folder, whose connections are refused."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("MEDSAM_", "WANDB_", "HYDRA_"))
    }
    home = folder / ".home"
    home.mkdir(exist_ok=True)
    found = [folder / ".bin", folder / ".venv" / "bin", os.environ["PATH"]]
    return kept | {
        "HOME": str(home),
        "PATH": os.pathsep.join(map(str, found)),
        "PYTHONPATH": os.pathsep.join(map(str, (folder, ROOT / "tests" / "no_network"))),
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
    }


def _link_environment(target: Path) -> None:
    """An environment with the installed packages that `make` finds up to date, so that it installs nothing."""
    target.mkdir()
    for part in Path(sys.prefix).iterdir():
        if not part.name.startswith("."):
            (target / part.name).symlink_to(part)
    for mark in (".ready", ".ready-crf"):
        (target / mark).touch()
    programs = target.parent / ".bin"
    programs.mkdir()
    for name, content in _PROGRAMS.items():
        (programs / name).write_text(content.format(python=target / "bin" / "python"))
        (programs / name).chmod(0o755)


def _draw(folder: Path) -> None:
    """Files that documents speak of as the reader's own: my_data/, my_images/, my_pairs.csv, scan.png."""
    from medsam_exp.data.phantom.dataset import PhantomDataset

    dataset = PhantomDataset(count=4, seed=3)
    places = [
        folder / name for name in ("my_data/test_images", "my_data/test_masks", "my_images", "my_pairs")
    ]
    for place in places:
        place.mkdir(parents=True)
    rows = ["filename,Caption"]
    for sample in dataset.samples:
        image = Image.fromarray(dataset.read_image(sample.id))
        for place in (places[0], places[2], places[3]):
            image.save(place / f"{sample.id}.png")
        truth = dataset.read_ground_truth(sample.id)
        assert truth is not None
        Image.fromarray(truth).convert("L").save(places[1] / f"{sample.id}.png")
        rows.append(f'my_pairs/{sample.id}.png,"{sample.description}"')
    image.save(folder / "scan.png")
    (folder / "my_pairs.csv").write_text("\n".join(rows) + "\n")
