"""TinyViT as image encoder of published SAMs: its publisher's names and shapes."""

from tests.sam.layouts import paired_layout, published_layout

Shapes = dict[str, tuple[int, ...]]


def tiny_vit_layout(
    widths: tuple[int, ...] = (64, 128, 160, 320),
    heads: tuple[int, ...] = (2, 4, 5, 10),
    windows: tuple[int, ...] = (7, 7, 14, 7),
    channels: int = 256,
) -> Shapes:
    """Shapes of the image encoder by the publisher's names; the defaults are the published sides."""
    sides = {"N": channels}
    for stage, width, head, window in zip("ABCD", widths, heads, windows, strict=True):
        sides |= {stage: width, f"{stage}2": width // 2, f"{stage}3": 3 * width, f"{stage}4": 4 * width}
        sides |= {f"h{stage}": head, f"w{stage}": window**2}
    shapes = {name: shape for name, (shape, _) in paired_layout("tiny_vit", **sides).items()}
    norms = [name.removesuffix("weight") for name in shapes if name.endswith(".bn.weight")]
    return shapes | {f"{norm}num_batches_tracked": () for norm in norms}


def mobile_sam_layout() -> Shapes:
    """The whole of mobile_sam.pt."""
    classifier = {name: shape for name, (shape, _) in paired_layout("tiny_vit_classifier", D=320).items()}
    return tiny_vit_layout() | classifier | published_layout("decoder")


def lite_medsam_layout() -> Shapes:
    """The whole of lite_medsam.pth, as the LiteMedSAM branch of bowang-lab/MedSAM builds it at commit b0fab47."""
    stem = {"seq.0": (32, 3, 1, 1), "seq.2": (64, 32, 1, 1)}
    own = {f"image_encoder.patch_embed.{name}.c.weight": shape for name, shape in stem.items()}
    return tiny_vit_layout() | own | published_layout("decoder")
