"""GenD (WACV 2026, arXiv 2508.06248): a foundation model's image encoder whose normalisations were trained, and a linear layer.

`config.json` names the encoder (`backbone`) and the head: `linear` on the pooled vector, `LinearNorm` on that vector at length 1; two
classes, 1 is fake. Encoders of transformers are rebuilt as timm's networks of the same structure, tensor by tensor.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from timm.layers import resample_abs_pos_embed
from torch import Tensor

from fpg.common.errors import InputError, UsageError
from fpg.models.backbones import NET_PREFIX
from fpg.models.config import DetectorConfig
from fpg.models.detector import Detector
from fpg.models.families.base import DetectorFamily, Imported, convert

SIDE = 224
"""Of the input, in pixels, whatever the encoder was made for."""
HEADS = {"linear": "linear", "LinearNorm": "linear-norm"}
"""GenD's word -> ours."""
_VISION = "feature_extractor.vision_model."
_BACKBONE = "feature_extractor.backbone."


def _clip_names(name: str) -> tuple[str, ...]:
    """A tensor of timm's CLIP vision transformer -> those of transformers' `CLIPVisionModel`."""
    outside = {
        "cls_token": "embeddings.class_embedding",
        "pos_embed": "embeddings.position_embedding.weight",
        "patch_embed.proj.weight": "embeddings.patch_embedding.weight",
    }
    if name in outside:
        return (_VISION + outside[name],)
    part, _, kind = name.rpartition(".")
    if part in ("norm_pre", "norm"):
        return (f"{_VISION}{'pre_layrnorm' if part == 'norm_pre' else 'post_layernorm'}.{kind}",)
    _, block, part = part.split(".", 2)
    parts = {"norm1": "layer_norm1", "norm2": "layer_norm2", "attn.proj": "self_attn.out_proj"}
    places = [f"self_attn.{x}_proj" for x in "qkv"] if part == "attn.qkv" else [parts.get(part, part)]
    return tuple(f"{_VISION}encoder.layers.{block}.{place}.{kind}" for place in places)


def _dinov3_names(name: str) -> tuple[str, ...]:
    """A tensor of timm's DINOv3 (with biases of queries and values) -> those of transformers' `DINOv3ViTModel`."""
    outside = {
        "cls_token": "embeddings.cls_token",
        "reg_token": "embeddings.register_tokens",
        "patch_embed.proj.weight": "embeddings.patch_embeddings.weight",
        "patch_embed.proj.bias": "embeddings.patch_embeddings.bias",
        "norm.weight": "norm.weight",
        "norm.bias": "norm.bias",
    }
    if name in outside:
        return (_BACKBONE + outside[name],)
    _, block, part = name.split(".", 2)
    parts = {
        "gamma_1": "layer_scale1.lambda1",
        "gamma_2": "layer_scale2.lambda1",
        "attn.q_bias": "attention.q_proj.bias",
        "attn.v_bias": "attention.v_proj.bias",
        "attn.proj.weight": "attention.o_proj.weight",
        "attn.proj.bias": "attention.o_proj.bias",
        "mlp.fc1.weight": "mlp.up_proj.weight",
        "mlp.fc1.bias": "mlp.up_proj.bias",
        "mlp.fc2.weight": "mlp.down_proj.weight",
        "mlp.fc2.bias": "mlp.down_proj.bias",
    }
    places = [f"attention.{x}_proj.weight" for x in "qkv"] if part == "attn.qkv.weight" else [parts.get(part, part)]
    return tuple(f"{_BACKBONE}layer.{block}.{place}" for place in places)


def _timm_names(name: str) -> tuple[str, ...]:
    return (_BACKBONE + name,)


@dataclass(frozen=True)
class Encoder:
    """An encoder that GenD was published with."""

    architecture: str
    """timm's network of the same structure."""
    names: Callable[[str], tuple[str, ...]]
    """A tensor of that network -> the tensors in the file that make it."""
    global_pool: str
    """How the vector is pooled, in timm's words."""
    unneeded: tuple[str, ...] = ()
    """Patterns of tensors in the file that take no part in an answer."""


def _clip(architecture: str) -> Encoder:
    return Encoder(architecture, _clip_names, "token", (f"{_VISION}embeddings.position_ids", "feature_extractor.visual_projection.weight"))


def _dinov3(size: str) -> Encoder:
    architecture = f"vit_{size}_patch16_dinov3_qkvb"  # with the biases that the file has
    return Encoder(architecture, _dinov3_names, "token", (f"{_BACKBONE}embeddings.mask_token", f"{_BACKBONE}rope_embeddings.*"))


def _pe(architecture: str) -> Encoder:
    return Encoder(architecture, _timm_names, "map")


ENCODERS = {
    "openai/clip-vit-base-patch16": _clip("vit_base_patch16_clip_quickgelu_224"),
    "openai/clip-vit-base-patch32": _clip("vit_base_patch32_clip_quickgelu_224"),
    "openai/clip-vit-large-patch14": _clip("vit_large_patch14_clip_quickgelu_224"),
    "vit_pe_core_base_patch16_224": _pe("vit_pe_core_base_patch16_224"),
    "vit_pe_core_large_patch14_336": _pe("vit_pe_core_large_patch14_336"),
    "facebook/dinov3-vits16-pretrain-lvd1689m": _dinov3("small"),
    "facebook/dinov3-vitb16-pretrain-lvd1689m": _dinov3("base"),
    "facebook/dinov3-vitl16-pretrain-lvd1689m": _dinov3("large"),
}
"""`backbone` of `config.json` -> what it is. OpenAI's CLIP has the quick form of GELU."""

PREPROCESSING = (
    f"RGB at {SIDE} px with the encoder's mean and standard deviation, inside the network; faces turned upright by five points at scale "
    "1.3. GenD takes RetinaFace's points, fits them by the least median of squares and shrinks with cubic interpolation; fpg takes the "
    "points of its own face mesh, fits them by least squares and shrinks by area: scores differ a little from those of GenD's own pipeline"
)


def recognises(config: Mapping[str, Any]) -> bool:
    """Whether a `config.json` is GenD's."""
    return config.get("model_type") == "GenD" or ("backbone" in config and config.get("head") in HEADS)


def build(config: Mapping[str, Any], state: Mapping[str, Tensor], path: str | os.PathLike[str]) -> Imported:
    """See `DetectorFamily.build`."""
    backbone, head = config.get("backbone"), config.get("head")
    encoder = ENCODERS.get(backbone) if isinstance(backbone, str) else None
    if encoder is None:
        raise InputError(path, f"backbone: expected one of {', '.join(ENCODERS)}, got {str(backbone)[:80]}")
    if head not in HEADS:
        raise InputError(path, f"head: expected one of {', '.join(HEADS)}, got {str(head)[:80]}")
    title = f"GenD (WACV 2026) on {backbone}"
    try:
        model = Detector(detector_config(encoder, HEADS[head]))
    except UsageError as error:  # a timm without that network
        raise InputError(path, f"cannot be built: {error}") from error
    own = model.state_dict()
    sources = {name: _names(name, encoder) for name in own}
    found, report = convert(own, sources, _resized(state, own), path, title, encoder.unneeded)
    model.load_state_dict(found)
    return Imported(model.eval(), title, "aligned", PREPROCESSING, report)


def detector_config(encoder: Encoder, heads: Any) -> DetectorConfig:
    """Our description of the network."""
    return DetectorConfig(
        backbone=encoder.architecture, image_size=SIDE, heads=heads, global_pool=encoder.global_pool, dropout=0.0, drop_connect=0.0
    )


def _names(name: str, encoder: Encoder) -> tuple[str, ...]:
    if name.startswith("classifier."):
        return (f"model.linear.{name.removeprefix('classifier.')}",)
    return encoder.names(name.removeprefix(NET_PREFIX))


def _resized(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The file's tensors with the position embedding for `SIDE`, which GenD resamples in every pass, resampled once."""
    name, ours = f"{_BACKBONE}pos_embed", own.get(f"{NET_PREFIX}pos_embed")
    theirs = state.get(name)
    if ours is None or theirs is None or theirs.ndim != 3 or theirs.shape[2] != ours.shape[2]:
        return dict(state)
    old, new = (round((tensor.shape[1] - 1) ** 0.5) for tensor in (theirs, ours))
    if theirs.shape[1] - 1 != old * old:
        return dict(state)  # no square grid: refused as another shape
    return {**state, name: resample_abs_pos_embed(theirs.float(), [new, new], [old, old], num_prefix_tokens=1)}


FAMILY = DetectorFamily("GenD", recognises, build)
