"""Put freshly trained tiny networks into the package: `python -m experiments.tiny_weights.embed OUTPUTS`.

Takes what the newest finished runs `tiny_clip` (or `tiny_clip_second`) and `tiny_sam` below OUTPUTS have trained, and
stores it as float16.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from medsam_exp.clip.folder import PACKAGED
from medsam_exp.clip.load import load_clip, save_clip
from medsam_exp.sam.load import load_sam, save_sam
from medsam_exp.types import UserError

EMBEDDED = PACKAGED["tiny"].parent
WEIGHTS = "open_clip_model.safetensors"


def trained(outputs: Path, run: str, stage: str) -> Path:
    """Folder of what a stage left in the newest finished run whose name begins with `run`.

    Raises:
        UserError: there is no finished run.
    """
    summaries = sorted(
        (outputs / "runs").glob(f"{run}*/*/summary.json"), key=lambda summary: summary.parent.name
    )
    if not summaries:
        raise UserError(
            f"{outputs}/runs/{run} has no finished run; start with: python run.py +experiment={run}"
        )
    key = json.loads(summaries[-1].read_text())["keys"][stage]
    result: Path = outputs / "artifacts" / stage / key
    return result


def main(outputs: Path) -> None:
    """Embed both networks."""
    clip = load_clip(str(trained(outputs, "tiny_clip", "finetune_clip") / "clip"))
    with tempfile.TemporaryDirectory() as folder:  # description and tokenizer are build_tokenizer's
        save_clip(clip, Path(folder))
        shutil.copyfile(Path(folder) / WEIGHTS, EMBEDDED / "tiny_clip" / WEIGHTS)
    sam = load_sam("tiny", str(trained(outputs, "tiny_sam", "train_sam") / "sam.safetensors"))
    save_sam(sam, EMBEDDED / "tiny_sam.safetensors")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs"))
    except UserError as error:
        sys.exit(f"error: {error}")
