"""Published detectors in miniature: GenD's files with random tensors, and what its network answers, written down independently.

The forward passes follow the published structure of CLIP's and DINOv3's vision transformers by the names that transformers gives their
tensors; nothing of timm is used.
"""

from __future__ import annotations

import math
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.models import generate_default_cfgs, register_model
from timm.models.vision_transformer import _create_vision_transformer
from torch import Tensor, nn

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
CLIP = {"width": 48, "depth": 2, "heads": 3, "patch": 32, "hidden": 192}
DINO = {"width": 192, "depth": 12, "heads": 3, "patch": 16, "hidden": 768}
_CFG = {"input_size": (3, 224, 224), "fixed_input_size": True, "mean": CLIP_MEAN, "std": CLIP_STD, "first_conv": "patch_embed.proj"}
default_cfgs = generate_default_cfgs({"vit_miniature_clip.random": {**_CFG, "classifier": "head"}})
"""Where timm looks for what it should know of the models of a module."""


@register_model
def vit_miniature_clip(pretrained: bool = False, **options: Any) -> nn.Module:
    """timm's form of `CLIP`."""
    arguments = {"patch_size": CLIP["patch"], "embed_dim": CLIP["width"], "depth": CLIP["depth"], "num_heads": CLIP["heads"]}
    form = {"pre_norm": True, "norm_layer": lambda width, **kw: nn.LayerNorm(width, eps=1e-5, **kw), "act_layer": "quick_gelu"}
    return _create_vision_transformer("vit_miniature_clip", pretrained=pretrained, **{**arguments, **form, **options})


def _random(generator: torch.Generator, shapes: dict[str, tuple[int, ...]], scale: float = 0.3) -> dict[str, Tensor]:
    state = {}
    for name, shape in shapes.items():
        value = torch.randn(*shape, generator=generator) * (scale / max(1.0, math.sqrt(shape[-1]) / 4) if len(shape) > 1 else 0.2)
        state[name] = value + 1 if "norm" in name and name.endswith("weight") else value
    return state


def _layers(prefix: str, names: dict[str, tuple[int, ...]], depth: int) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}{i}.{name}": shape for i in range(depth) for name, shape in names.items()}


def clip_state(generator: torch.Generator, side: int = 224) -> dict[str, Tensor]:
    """GenD's tensors on a miniature CLIP."""
    d, hidden, patch = CLIP["width"], CLIP["hidden"], CLIP["patch"]
    norms = {f"layer_norm{i}.{kind}": (d,) for i in (1, 2) for kind in ("weight", "bias")}
    attention = {f"self_attn.{x}.weight": (d, d) for x in ("q_proj", "k_proj", "v_proj", "out_proj")}
    attention |= {f"self_attn.{x}.bias": (d,) for x in ("q_proj", "k_proj", "v_proj", "out_proj")}
    mlp: dict[str, tuple[int, ...]] = {"mlp.fc1.weight": (hidden, d), "mlp.fc1.bias": (hidden,), "mlp.fc2.weight": (d, hidden)}
    inside = {**norms, **attention, **mlp, "mlp.fc2.bias": (d,)}
    vision: dict[str, tuple[int, ...]] = {
        "embeddings.class_embedding": (d,),
        "embeddings.patch_embedding.weight": (d, 3, patch, patch),
        "embeddings.position_embedding.weight": ((side // patch) ** 2 + 1, d),
        **{f"{part}.{kind}": (d,) for part in ("pre_layrnorm", "post_layernorm") for kind in ("weight", "bias")},
        **_layers("encoder.layers.", inside, CLIP["depth"]),
    }
    shapes = {f"feature_extractor.vision_model.{name}": shape for name, shape in vision.items()}
    shapes |= {"feature_extractor.visual_projection.weight": (32, d), "model.linear.weight": (2, d), "model.linear.bias": (2,)}
    return _random(generator, shapes)


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int, turn: Any = None) -> Tensor:
    batch, tokens, width = q.shape
    q, k, v = (x.view(batch, tokens, heads, width // heads).transpose(1, 2) for x in (q, k, v))
    if turn is not None:
        q, k = turn(q), turn(k)
    weights = ((q @ k.transpose(-1, -2)) / math.sqrt(width // heads)).softmax(-1)
    return (weights @ v).transpose(1, 2).reshape(batch, tokens, width)


def clip_vector(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """Images [B, 3, S, S] in [0, 1] -> the pooled output of CLIP's vision model [B, width]."""
    s = {name.removeprefix("feature_extractor.vision_model."): tensor for name, tensor in state.items()}
    x = (images - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / torch.tensor(CLIP_STD).view(3, 1, 1)
    d, patch = CLIP["width"], CLIP["patch"]
    x = F.conv2d(x, s["embeddings.patch_embedding.weight"], stride=patch).flatten(2).transpose(1, 2)
    x = torch.cat([s["embeddings.class_embedding"].expand(len(x), 1, d), x], 1) + s["embeddings.position_embedding.weight"]

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (d,), s[f"{name}.weight"], s[f"{name}.bias"], 1e-5)

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, s[f"{name}.weight"], s[f"{name}.bias"])

    x = norm(x, "pre_layrnorm")
    for i in range(CLIP["depth"]):
        at = f"encoder.layers.{i}"
        y = norm(x, f"{at}.layer_norm1")
        x = x + linear(_attend(*(linear(y, f"{at}.self_attn.{n}_proj") for n in "qkv"), CLIP["heads"]), f"{at}.self_attn.out_proj")
        y = linear(norm(x, f"{at}.layer_norm2"), f"{at}.mlp.fc1")
        x = x + linear(y * torch.sigmoid(1.702 * y), f"{at}.mlp.fc2")
    return norm(x[:, 0], "post_layernorm")


def dino_state(generator: torch.Generator) -> dict[str, Tensor]:
    """GenD's tensors on the smallest DINOv3 that timm knows."""
    d, hidden = DINO["width"], DINO["hidden"]
    inside: dict[str, tuple[int, ...]] = {
        **{f"norm{i}.{kind}": (d,) for i in (1, 2) for kind in ("weight", "bias")},
        **{f"attention.{x}_proj.weight": (d, d) for x in "qkvo"},
        **{f"attention.{x}_proj.bias": (d,) for x in "qvo"},
        **{f"layer_scale{i}.lambda1": (d,) for i in (1, 2)},
        "mlp.up_proj.weight": (hidden, d),
        "mlp.up_proj.bias": (hidden,),
        "mlp.down_proj.weight": (d, hidden),
        "mlp.down_proj.bias": (d,),
    }
    outside: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, d),
        "embeddings.mask_token": (1, 1, d),
        "embeddings.register_tokens": (1, 4, d),
        "embeddings.patch_embeddings.weight": (d, 3, DINO["patch"], DINO["patch"]),
        "embeddings.patch_embeddings.bias": (d,),
        "norm.weight": (d,),
        "norm.bias": (d,),
    }
    names = {f"feature_extractor.backbone.{n}": shape for n, shape in {**outside, **_layers("layer.", inside, DINO["depth"])}.items()}
    return _random(generator, {**names, "model.linear.weight": (2, d), "model.linear.bias": (2,)})


def dino_vector(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """Images [B, 3, S, S] in [0, 1] -> DINOv3's class token after the last normalisation [B, width]."""
    s = {name.removeprefix("feature_extractor.backbone."): tensor for name, tensor in state.items()}
    mean, std = torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1), torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1)
    d, heads, patch = DINO["width"], DINO["heads"], DINO["patch"]
    x = F.conv2d((images - mean) / std, s["embeddings.patch_embeddings.weight"], s["embeddings.patch_embeddings.bias"], stride=patch)
    rows, columns = x.shape[2:]
    x = x.flatten(2).transpose(1, 2)
    tokens = [s["embeddings.cls_token"].expand(len(x), 1, d), s["embeddings.register_tokens"].expand(len(x), 4, d), x]
    x = torch.cat(tokens, 1)

    width = d // heads
    y, z = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
    places = 2 * torch.stack([y.flatten(), z.flatten()], 1) - 1
    frequencies = 100.0 ** -torch.arange(0, 1, 4 / width)
    angles = (2 * math.pi * places[:, :, None] * frequencies).flatten(1).tile(2)

    def turn(q: Tensor) -> Tensor:
        patches = q[:, :, 5:]
        half = torch.cat([-patches[..., width // 2 :], patches[..., : width // 2]], -1)
        return torch.cat([q[:, :, :5], patches * angles.cos() + half * angles.sin()], 2)

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (d,), s[f"{name}.weight"], s[f"{name}.bias"], 1e-5)

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, s[f"{name}.weight"], s.get(f"{name}.bias"))

    for i in range(DINO["depth"]):
        at = f"layer.{i}"
        q, k, v = (linear(norm(x, f"{at}.norm1"), f"{at}.attention.{n}_proj") for n in "qkv")
        seen = linear(_attend(q, k, v, heads, turn), f"{at}.attention.o_proj")
        x = x + s[f"{at}.layer_scale1.lambda1"] * seen
        inner = F.gelu(linear(norm(x, f"{at}.norm2"), f"{at}.mlp.up_proj"))
        x = x + s[f"{at}.layer_scale2.lambda1"] * linear(inner, f"{at}.mlp.down_proj")
    return norm(x[:, 0], "norm")


def pe_network() -> nn.Module:
    """timm's smallest Perception Encoder as GenD builds it: made for 384 px, given 224, without its last layer."""
    net = timm.create_model("vit_pe_core_tiny_patch16_384", pretrained=False, dynamic_img_size=True, num_classes=0)
    return net.eval()


def pe_state(generator: torch.Generator) -> dict[str, Tensor]:
    """GenD's tensors on it."""
    shapes = {f"feature_extractor.backbone.{name}": tuple(tensor.shape) for name, tensor in pe_network().state_dict().items()}
    return _random(generator, {**shapes, "model.linear.weight": (2, 192), "model.linear.bias": (2,)})


def pe_vector(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """Images [B, 3, 224, 224] in [0, 1] -> its attention pooling [B, width], position embeddings resampled in the pass."""
    net = pe_network()
    prefix = "feature_extractor.backbone."
    net.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)})
    vector: Tensor = net((images - 0.5) / 0.5)
    return vector


def answer(state: dict[str, Tensor], vector: Tensor, head: str) -> Tensor:
    """GenD's head on a pooled vector: logits [B, 2]."""
    vector = vector / vector.norm(dim=1, keepdim=True) if head == "LinearNorm" else vector
    return F.linear(vector, state["model.linear.weight"], state["model.linear.bias"])
