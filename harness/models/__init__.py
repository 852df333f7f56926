"""Networks by name: stacked ones that train many runs at once, and ordinary ones.

A factory whose first positional parameter is `num_runs` is stacked,
`(num_runs, in_shape, num_classes, *, options) -> Module` with a leading run axis on
inputs, outputs, parameters and buffers; any other is ordinary,
`(in_shape, num_classes, *, options) -> Module`.
"""

from harness.models.mlp import Mlp
from harness.models.patchnet import PatchNet
from harness.models.resnet import resnet18, resnet20
from harness.models.resnet9 import ResNet9
from harness.models.vgg import vgg
from harness.models.vit import VisionTransformer
from harness.models.wrn import wrn

__all__ = [
    "Mlp",
    "PatchNet",
    "ResNet9",
    "VisionTransformer",
    "resnet18",
    "resnet20",
    "vgg",
    "wrn",
]
