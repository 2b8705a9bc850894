"""nnU-Net's network in bfloat16, as predictions may have it."""

import torch
from torch import Tensor, nn

_PRODUCTS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def compute_in_bfloat16(network: nn.Module) -> None:
    """Let a network compute in bfloat16, in place; weights that are loaded afterwards are rounded to it.

    Convolutions and what is between them are in bfloat16, channels last in memory. In float32 stay sums of products,
    statistics, scales and shifts of norms, and all that comes after the network: its rounded logits go on as float32.

    Args:
        network: takes (1, C, H, W) from now on. Its instance norms become batch norms of that one image, which are the
            same, but do not copy channels that are last to channels that are first.
    """
    for module in network.modules():
        if isinstance(module, _PRODUCTS):
            for parameter in module.parameters(recurse=False):
                layout = torch.channels_last if parameter.ndim == 4 else torch.preserve_format
                parameter.data = parameter.data.to(torch.bfloat16, memory_format=layout)
    made: dict[nn.Module, nn.Module] = {}  # nnU-Net's blocks hold a norm under two names
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.InstanceNorm2d and not child.track_running_stats:
                made.setdefault(child, _of_one_image(child))
                setattr(parent, name, made[child])
    network.register_forward_pre_hook(_enter)
    network.register_forward_hook(_leave)


def _of_one_image(norm: nn.InstanceNorm2d) -> nn.BatchNorm2d:
    result = nn.BatchNorm2d(norm.num_features, norm.eps, affine=norm.affine, track_running_stats=False)
    result.weight, result.bias = norm.weight, norm.bias
    return result.train(norm.training)


def _enter(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    (image,) = inputs
    if len(image) != 1:
        raise ValueError(f"a batch of {len(image)}, but in bfloat16 the network takes one image at a time")
    return (image.to(torch.bfloat16, memory_format=torch.channels_last),)


def _leave(_: nn.Module, __: tuple[Tensor], logits: Tensor) -> Tensor:
    return logits.float()
