"""Options of a run as somebody types them: one is changed, then the configuration is composed and checked."""

from pathlib import Path

from medsam_exp.cli.compose import composed
from medsam_exp.config.passed import check_once
from tests.fuzz.reader import Files, Reader

_TYPED = (
    "data=phantom", "data.count=2", "saliency.beta=0.5", "seed=1", "name=a", "batch_size={saliency:2}",
    "stages=[saliency]", "clip=tiny", "sam=tiny", "text=free", "text.text='a mass'", "logger=csv", "workers=1",
    "trainer.accelerator=cpu", "presence=clip_contrast", "postprocess.iterations=3", "+fit.steps=2",
)  # fmt: skip


def _make() -> Files:
    return {"typed.txt": "\n".join(_TYPED).encode()}


def _compose(folder: Path) -> None:
    typed = (folder / "typed.txt").read_bytes().decode(errors="replace").replace("\0", "")
    check_once(composed([line for line in typed.split("\n") if line]))


READERS = (Reader("options", _make, _compose, cost=10),)
