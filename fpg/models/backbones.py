"""Any timm network as a backbone in two parts: up to its last block, and from there to the map that is pooled.

The split is what FPG needs: the last block's output carries the response map and the similarity loss, the map before
pooling carries the class branch. Token grids (ViT, Swin, ...) are handed out as maps [B, C, h, w] without prefix tokens.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import Any

import timm
import torch
from timm.layers import Conv2dSame, LayerNorm2d, PatchEmbed, RmsNorm2d
from timm.models import checkpoint_seq
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from torch import Tensor, nn

from fpg.common.errors import UsageError
from fpg.models.config import DetectorConfig

log = logging.getLogger(__name__)

NET_PREFIX = "backbone.net."
"""Of the timm network's tensors among a detector's."""


class Backbone(nn.Module):
    """A convolutional network whose last stage is the map that is pooled: both parts of the split see the same map.

    Attributes:
        net: the timm network, without classifier.
        last_channels: channels of the last block's output.
        channels: channels of the map before pooling.
    """

    net: Any
    last_channels: int
    channels: int

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.last_channels = self.net.num_features
        self.channels = self.net.num_features

    def last_block(self, x: Tensor) -> Tensor:
        """Normalised images [B, 3, S, S] -> output of the last block [B, last_channels, h, w]."""
        return self.net.forward_features(x)

    def pre_pooling(self, a: Tensor) -> Tensor:
        """Output of the last block -> map before pooling [B, channels, h, w]."""
        norm = _final_norm(self.net)
        return a if norm is None else _normalize(a, norm)


class EfficientNetBackbone(Backbone):
    """EfficientNets: blocks, then head convolution with its normalisation and activation (1792 channels for B4)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(net)
        self.last_channels = self.net.conv_head.in_channels

    def last_block(self, x: Tensor) -> Tensor:
        """See `Backbone.last_block`."""
        x = self.net.bn1(self.net.conv_stem(x))
        if self.net.grad_checkpointing and torch.is_grad_enabled():
            return checkpoint_seq(self.net.blocks, x, flatten=True)
        return self.net.blocks(x)

    def pre_pooling(self, a: Tensor) -> Tensor:
        """See `Backbone.pre_pooling`."""
        return self.net.bn2(self.net.conv_head(a))


class TokenBackbone(Backbone):
    """Transformers and their kin: the last block's tokens as a grid; the final normalisation follows before pooling."""

    def last_block(self, x: Tensor) -> Tensor:
        """See `Backbone.last_block`."""
        return self.net.forward_intermediates(x, indices=1, norm=False, intermediates_only=True, output_fmt="NCHW")[-1]


class PooledBackbone(Backbone):
    """Any network with its own way from its last tokens or map to one vector: class token, attention pooling, mean."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(net)
        self.channels = getattr(self.net, "head_hidden_size", None) or self.net.num_features

    def pool(self, a: Tensor) -> Tensor:
        """Output of the last block (tokens or a map, as timm's `forward_features` gives it) -> [B, channels]."""
        return self.net.forward_head(a, pre_logits=True)

    def places(self, a: Tensor) -> Tensor:
        """Output of the last block -> the same as a map [B, last_channels, h, w], without prefix tokens."""
        if a.ndim == 4:
            return a.permute(0, 3, 1, 2) if str(getattr(self.net, "output_fmt", "NCHW")) == "NHWC" else a
        grid = getattr(getattr(self.net, "patch_embed", None), "grid_size", None)
        if grid is None or grid[0] * grid[1] > a.shape[1]:
            return a.transpose(1, 2).unsqueeze(3)  # tokens of no grid, one below the other
        return a[:, a.shape[1] - grid[0] * grid[1] :].transpose(1, 2).unflatten(2, tuple(grid))


def _final_norm(net: Any) -> nn.Module | None:
    """The normalisation that the network applies around its pooling; on the map before pooling it acts per position."""
    for owner, name in ((net, "norm"), (net, "fc_norm"), (getattr(net, "head", None), "norm")):
        norm = getattr(owner, name, None)
        if isinstance(norm, nn.Module) and not isinstance(norm, nn.Identity):
            return norm
    return None


def _normalize(a: Tensor, norm: nn.Module) -> Tensor:
    if isinstance(norm, (LayerNorm2d, RmsNorm2d, nn.BatchNorm2d, nn.GroupNorm)):
        return norm(a)
    return norm(a.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _takes_tokens(net: Any) -> bool:
    """Whether `forward_features` answers with something else than a map [B, C, h, w]."""
    norm = getattr(net, "norm", None)
    return hasattr(net, "patch_embed") or (isinstance(norm, nn.Module) and hasattr(net, "forward_intermediates"))


def pretrained_cfg(name: str) -> Any:
    """timm's description of a backbone's published weights (mean, std, file, classifier).

    Raises:
        UsageError: timm knows no such model.
    """
    try:
        cfg = timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as error:
        raise UsageError(f"backbone: expected a timm model name, got {name} ({error})") from error
    if cfg is None:
        raise UsageError(f"backbone: expected a timm model name, got {name}")
    return cfg


def resolve_config(config: DetectorConfig) -> DetectorConfig:
    """The config with `normalization="auto"` replaced by what it means for the backbone.

    Raises:
        UsageError: timm knows no such backbone.
    """
    cfg = pretrained_cfg(config.backbone)
    if config.normalization != "auto":
        return config
    if config.backbone.split(".")[0] == "tf_efficientnet_b4":
        return dataclasses.replace(config, normalization="none")
    return dataclasses.replace(config, normalization="given", mean=tuple(cfg.mean), std=tuple(cfg.std))


def create_net(config: DetectorConfig, pretrained: bool = False) -> nn.Module:
    """timm's network for a config, without classifier.

    Raises:
        UsageError: timm knows no such backbone, or it cannot take images of that size.
    """
    if not pretrained_cfg(config.backbone).fixed_input_size:
        return _create(config, pretrained)
    try:
        net = _create(config, pretrained, img_size=config.image_size)
    except AssertionError as error:
        raise _refused(config, error) from error
    _check_patches(net, config)
    try:
        _try_size(net, config.image_size)
    except (AssertionError, RuntimeError) as error:
        raise _refused(config, error) from error
    return net


def _check_patches(net: Any, config: DetectorConfig) -> None:
    """timm silently cuts off what does not fill a patch; here it is refused.

    Raises:
        UsageError: naming the sizes that fit.
    """
    embedding = getattr(net, "patch_embed", None)
    if not isinstance(embedding, PatchEmbed):
        return
    side, size = max(embedding.patch_size), config.image_size
    if size % side:
        below = size // side * side
        fitting = f"{below} or {below + side}" if below >= side else f"{side}"
        raise UsageError(f"image_size: {config.backbone} takes multiples of its patch, {side} px (e.g. {fitting}), got {size}")


def _refused(config: DetectorConfig, error: Exception) -> UsageError:
    return UsageError(f"image_size: {config.backbone} does not take {config.image_size} ({error})")


def _create(config: DetectorConfig, pretrained: bool, **options: Any) -> nn.Module:
    if config.global_pool is not None:
        options["global_pool"] = config.global_pool
    try:
        return timm.create_model(config.backbone, pretrained=pretrained, num_classes=0, drop_path_rate=config.drop_connect, **options)
    except (AssertionError, ValueError) as error:
        if config.global_pool is None:
            raise
        raise UsageError(f"global_pool: {config.backbone} has no {config.global_pool} ({error})") from error
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        log.warning("%s has no stochastic depth: drop_connect %g is not applied", config.backbone, config.drop_connect)
        return timm.create_model(config.backbone, pretrained=pretrained, num_classes=0, **options)


@torch.no_grad()
def _try_size(net: nn.Module, size: int) -> None:
    """One image through: networks of a fixed size show only then that a size does not suit them."""
    net.eval()
    net(torch.zeros(1, 3, size, size))
    net.train()


def split(net: Any, config: DetectorConfig) -> Backbone:
    """Wrap a timm network in the split that fits it, with the config's batch normalisation constants.

    What the network would do after the map before pooling (attention pooling, head convolutions on the pooled vector) is not part of
    the split; its weights stay as they are and take no gradient, so that distributed training does not wait for one.
    """
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = module.momentum if config.bn_momentum is None else config.bn_momentum
            module.eps = module.eps if config.bn_eps is None else config.bn_eps
    if config.padding == "deepfakebench":
        _pad_as_deepfakebench(net, config)
    if not config.has_map:
        return PooledBackbone(net)
    if isinstance(net, EfficientNet):
        return EfficientNetBackbone(net)
    _freeze_unreached(net)
    return TokenBackbone(net) if _takes_tokens(net) else Backbone(net)


class _FixedPadding(nn.Conv2d):
    """A convolution's weights with zeros added around the image: `before` to the left and above, `after` to the right and below."""

    def __init__(self, conv: nn.Conv2d, before: int, after: int) -> None:
        size, stride = conv.kernel_size[0], conv.stride[0]
        super().__init__(conv.in_channels, conv.out_channels, size, stride, groups=conv.groups, bias=False, device="meta")
        self.weight = conv.weight
        self.around = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, out, h, w]."""
        return super().forward(nn.functional.pad(x, self.around))


def _pad_as_deepfakebench(net: nn.Module, config: DetectorConfig) -> None:
    """Replace the strided convolutions: the stem without padding, the others padded as TensorFlow's "same" pads for a 380 px image."""
    strided = [(name, module) for name, module in net.named_modules() if isinstance(module, Conv2dSame)]
    if not isinstance(net, EfficientNet) or not strided:
        raise UsageError(f"padding: deepfakebench is for tf_efficientnet backbones, got {config.backbone}")
    side = 380
    for name, conv in strided:
        out = math.ceil(side / conv.stride[0])
        total = 0 if name == "conv_stem" else max((out - 1) * conv.stride[0] + conv.kernel_size[0] - side, 0)
        net.set_submodule(name, _FixedPadding(conv, total // 2, total - total // 2))
        side = out


def _freeze_unreached(net: Any) -> None:
    """By timm's convention `forward_features` uses nothing of `head` and `attn_pool`, but the split takes a normalisation from there."""
    names = ("head", "attn_pool", *(("conv_head", "norm_head") if isinstance(net, MobileNetV3) else ()))
    norm = _final_norm(net)
    reached = set() if norm is None else {id(parameter) for parameter in norm.parameters()}
    for part in (getattr(net, name, None) for name in names):
        if isinstance(part, nn.Module):
            for parameter in part.parameters():
                if id(parameter) not in reached:
                    parameter.requires_grad_(False)


def normalization_buffers(config: DetectorConfig) -> tuple[Tensor, Tensor] | None:
    """(mean, std) as float32 [1, 3, 1, 1] for a resolved config, None for none."""
    if config.mean is None or config.std is None:
        return None
    return torch.tensor(config.mean).view(1, 3, 1, 1), torch.tensor(config.std).view(1, 3, 1, 1)
