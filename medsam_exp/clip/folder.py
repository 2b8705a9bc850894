"""A CLIP in a folder: how its files are called, which of them decide what it computes; open_clip is not imported."""

from pathlib import Path

CONFIG = "open_clip_config.json"
TRANSFORMERS_CONFIG, TRANSFORMERS_INPUT = "config.json", "preprocessor_config.json"
"""What transformers' CLIPs lie with instead: of the network, and of its input."""
WEIGHT_NAMES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
)
"""Names under which open_clip looks for weights in a folder, best first."""
TOKENIZER_NAMES = ("tokenizer.json", "vocab.txt")
"""Files of which a Hugging Face tokenizer needs one."""
PACKAGED = {"tiny": Path(__file__).resolve().parent.parent / "embedded" / "tiny_clip"}
"""Models that come with this package."""


def described_by(folder: Path) -> list[Path]:
    """Files in a model's folder that decide what it computes, besides the weights."""
    names = [CONFIG, TRANSFORMERS_CONFIG, "tokenizer_config.json", "special_tokens_map.json", "merges.txt"]
    if not (folder / CONFIG).is_file():
        names.append(TRANSFORMERS_INPUT)
    paths = (folder / name for name in (*names, *TOKENIZER_NAMES))
    return sorted(path for path in paths if path.is_file())


def own_weights(folder: Path) -> Path | None:
    """The file of weights in a model's folder."""
    return next((path for name in WEIGHT_NAMES if (path := folder / name).is_file()), None)
