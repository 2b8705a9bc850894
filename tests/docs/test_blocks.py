"""How blocks and their markers are read, and that wrong commands are found."""

import pytest

from tests.conftest import ROOT
from tests.docs.blocks import MarkerError, blocks_of
from tests.docs.checked import NotCheckableError, check_command


def test_blocks_are_found_with_line_language_and_markers() -> None:
    text = (
        "A\n\n```bash\npython a.py  # why\n```\n\n<!-- needs: weights, gpu -->\n\n```bash\nx\n```\n"
        "1. in a list\n\n   ```yaml\n   a: 1\n   ```\n```\ntree\n```\n"
    )
    found = blocks_of(text)
    assert [(b.line, b.language, b.text) for b in found] == [
        (4, "bash", "python a.py  # why\n"),
        (10, "bash", "x\n"),
        (15, "yaml", "a: 1\n"),
        (18, "", "tree\n"),
    ]
    assert [len(b.markers) for b in found] == [0, 1, 0, 0]
    assert found[1].markers[0].reasons == ("weights", "gpu")


def test_a_marker_may_speak_of_some_lines_only() -> None:
    (block,) = blocks_of(
        "<!-- needs: minutes for: make test -->\n<!-- needs: waits for: make app -->\n"
        "```bash\nmake demo   # at once\n# a remark\n\nmake test \\\n  -k\nmake app\n```\n"
    )
    assert [(line, block.cannot_run(line)) for line in block.commands()] == [
        ("make demo   # at once", False),
        ("make test -k", True),
        ("make app", True),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!-- needs: luck -->\n```bash\nx\n```\n", "luck is no reason"),
        ("<!-- needs: gpu\n-->\n```bash\nx\n```\n", "looks like"),
        ("<!-- needs: gpu -->\nwords\n```bash\nx\n```\n", "directly before its block"),
        ("<!-- needs: gpu -->\n", "before no block"),
        ("```bash\nx\n", "has no end"),
    ],
)
def test_wrong_markers_are_said(text: str, said: str) -> None:
    with pytest.raises(MarkerError, match=said):
        blocks_of(text)


@pytest.mark.parametrize(
    "command",
    [
        "make demo",
        "make collect RUN=FOLDER   # with a remark",
        "python run.py +experiment=busi_zeroshot data.root=FOLDER trainer=gpu",
        "python run.py -m saliency=m2ib,gradcam 'stages=[saliency]' seed=0,1",
        "CUDA_VISIBLE_DEVICES=1 python run.py '+sweep=[saliency,seeds]' hydra/launcher=slurm",
        "medsam-exp compare RUN_A RUN_B --measure dsc",
        "medsam-exp runs --sort sam/dsc --jobs",
        "export MEDSAM_DATA=/data",
    ],
)
def test_right_commands_pass(command: str) -> None:
    check_command(command, ROOT)


@pytest.mark.parametrize(
    "command",
    [
        "make coffee",
        "python run.py +experiment=busi_zeroshott",
        "python run.py data.roots=FOLDER",
        "python run.py -m saliency=m2ib,gradkam",
        "python run.py saliency.steps=many",
        "medsam-exp compared A B",
        "medsam-exp compare A B --mesure dsc",
        "medsam-exp runs --sorted size",
        "medsam-exp rum",
        "tar xf data.tar",
    ],
)
def test_wrong_commands_do_not(command: str) -> None:
    from hydra.errors import HydraException

    with pytest.raises((NotCheckableError, HydraException)):
        check_command(command, ROOT)
