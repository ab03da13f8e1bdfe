"""Any classifier of timm with a binary head and named labels, as timm's `push_to_hf_hub` and `save_for_hf` write it.

`config.json` has `architecture`, `num_classes` (1 or 2), `label_names` and timm's `pretrained_cfg` (side, mean, standard deviation). The
network is built and compared with timm's own on random images before anything is written.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn

from fpg.common.errors import InputError, UsageError
from fpg.models.backbones import pretrained_cfg
from fpg.models.config import DetectorConfig
from fpg.models.detector import Detector
from fpg.models.families.base import DetectorFamily, Imported, convert

REAL = ("real", "live", "bonafide", "genuine", "authentic", "original", "pristine")
FAKE = ("fake", "deepfake", "forged", "forgery", "manipulated", "synthetic", "generated", "spoof")
"""What the classes may be called, whatever the case and what stands between the letters."""
_ARGUMENTS = ("img_size", "global_pool", "num_classes", "in_chans", "drop_rate", "drop_path_rate", "dynamic_img_size")
"""`model_args` that fpg's networks have a place for, or that make no difference when they judge."""
_WRAPPER = "timm_model."
"""Before the names in files of transformers' wrapper around timm."""
_PREPROCESSING = (
    "RGB at {size} px with mean {mean} and standard deviation {std}, inside the network; the repository does not say how faces are to be "
    "cut: they are cut as fpg cuts them (--crop says otherwise)"
)


def recognises(config: Mapping[str, Any]) -> bool:
    """Whether a `config.json` is timm's."""
    return isinstance(config.get("architecture"), str)


def build(config: Mapping[str, Any], state: Mapping[str, Tensor], path: str | os.PathLike[str]) -> Imported:
    """See `DetectorFamily.build`."""
    described = {**_mapping(config.get("pretrained_cfg")), **{k: v for k, v in config.items() if k != "pretrained_cfg"}}
    architecture, classes = str(described["architecture"]), described.get("num_classes")
    if classes not in (1, 2):
        raise InputError(path, f"num_classes: expected 1 or 2 (real and fake), got {classes!r}")
    order = _order(_labels(described), int(classes), path)
    common = _common(described, path)
    theirs = _timm_network(architecture, int(classes), common, path)
    state = {name.removeprefix(_WRAPPER): tensor for name, tensor in state.items()}
    own = theirs.state_dict()
    found, report = convert(own, {name: (name,) for name in own}, state, path, f"timm's {architecture}")
    theirs.load_state_dict(found)
    linear, prefix = _classifier(theirs, path)
    model = _same(theirs, linear, prefix, order, {"backbone": architecture, **common}, path)
    words = {name: ", ".join(f"{value:g}" for value in common[name]) for name in ("mean", "std")}
    preprocessing = _PREPROCESSING.format(size=common["image_size"], **words)
    return Imported(model, f"a classifier of timm ({architecture})", "evaluation", preprocessing, report)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _labels(described: Mapping[str, Any]) -> Sequence[Any]:
    names = described.get("label_names")
    if names is None and isinstance(described.get("id2label"), Mapping):
        pairs = cast(Mapping[str, Any], described["id2label"])
        names = [pairs[key] for key in sorted(pairs, key=str)]
    return names if isinstance(names, list) else []


def _order(labels: Sequence[Any], classes: int, path: str | os.PathLike[str]) -> list[int]:
    """What the classes are, by position: 0 real, 1 fake. One logit alone speaks for the last of its labels.

    Raises:
        InputError: labels that do not say so.
    """
    plain = ["".join(filter(str.isalpha, str(label).lower())) for label in labels]
    known = [0 if label in REAL else 1 if label in FAKE else -1 for label in plain]
    if len(known) == 1 and classes == 1 and known[0] >= 0:
        return [1 - known[0], known[0]]
    if sorted(known) == [0, 1]:
        return known
    given = ", ".join(map(str, labels))[:80] or "none"
    raise InputError(path, f"label_names: expected a name for real and one for fake (such as {REAL[0]}, {FAKE[0]}), got {given}")


def _common(described: Mapping[str, Any], path: str | os.PathLike[str]) -> dict[str, Any]:
    """Fields of `DetectorConfig` that both attempts share, but for the heads.

    Raises:
        InputError: an input that is no square of three colours, or arguments that fpg has no place for.
    """
    arguments = _mapping(described.get("model_args"))
    if foreign := [f"{name}={value!r}" for name, value in arguments.items() if name not in _ARGUMENTS]:
        raise InputError(path, f"model_args: the network is built by its name alone, got {', '.join(foreign)[:200]}")
    shape = described.get("input_size")
    if not (isinstance(shape, list) and len(shape) == 3 and shape[0] == 3 and shape[1] == shape[2] and isinstance(shape[1], int)):
        raise InputError(path, f"input_size: expected [3, S, S], got {str(shape)[:80]}")
    colours: dict[str, tuple[float, ...]] = {}
    for name in ("mean", "std"):
        values = described.get(name)
        least = 0.0 if name == "std" else -math.inf
        if not (isinstance(values, list) and len(values) == 3 and all(isinstance(v, int | float) and least < v < math.inf for v in values)):
            raise InputError(path, f"{name}: expected three numbers{' > 0' if name == 'std' else ''}, got {str(values)[:80]}")
        colours[name] = tuple(float(value) for value in values)
    side = arguments.get("img_size", shape[1])
    pool = arguments.get("global_pool", described.get("global_pool"))
    return {"image_size": side, "normalization": "given", "dropout": 0.0, "drop_connect": 0.0, "global_pool": pool, **colours}


def _timm_network(architecture: str, classes: int, common: Mapping[str, Any], path: str | os.PathLike[str]) -> nn.Module:
    """timm's network with random weights.

    Raises:
        InputError: timm has no such network, or it does not take that side or pooling.
    """
    options: dict[str, Any] = {"num_classes": classes}
    try:
        if pretrained_cfg(architecture).fixed_input_size:
            options["img_size"] = common["image_size"]
        if common["global_pool"] is not None:
            options["global_pool"] = common["global_pool"]
        return cast(nn.Module, timm.create_model(architecture, pretrained=False, **options)).eval()
    except UsageError as error:
        raise InputError(path, f"architecture: expected a network of timm, got {architecture[:80]}") from error
    except (AssertionError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(path, f"{architecture} cannot be built with {options}: {error}") from error


def _classifier(net: Any, path: str | os.PathLike[str]) -> tuple[nn.Linear, str]:
    """The last layer, and its name.

    Raises:
        InputError: it is not one linear layer.
    """
    last = net.get_classifier()
    if not isinstance(last, nn.Linear):
        raise InputError(path, f"its classifier is not a linear layer but {type(last).__name__}")
    return last, next(name for name, module in net.named_modules() if module is last)


@torch.no_grad()
def _same(
    theirs: nn.Module, linear: nn.Linear, prefix: str, order: Sequence[int], fields: Mapping[str, Any], path: str | os.PathLike[str]
) -> Detector:
    """The detector that answers as timm's network does: with an activation map where the score is a mean over places, else without.

    Raises:
        InputError: neither does.
    """
    side = fields["image_size"]
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(fields[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    weight, bias = linear.weight.detach(), torch.zeros(linear.out_features) if linear.bias is None else linear.bias.detach()
    answer = theirs((images - mean) / std)
    if len(weight) == 1:  # one logit z is two of which the other is 0
        answer, weight, bias = (torch.cat([torch.zeros_like(value), value], dim) for value, dim in ((answer, 1), (weight, 0), (bias, 0)))
    rows = [list(order).index(label) for label in (0, 1)]
    answer, weight, bias = answer[:, rows], weight[rows], bias[rows]
    kept = {name: tensor for name, tensor in theirs.state_dict().items() if not name.startswith(f"{prefix}.")}
    for changes in ({"heads": "plain", "global_pool": None}, {"heads": "linear"}):
        try:
            model = _filled(DetectorConfig(**{**fields, **changes}), kept, weight, bias)
        except UsageError as error:
            raise InputError(path, str(error)) from error
        if model is not None and torch.allclose(model(images).logits, answer, rtol=1e-4, atol=1e-4 * float(answer.abs().max())):
            return model
    raise InputError(path, "gives other outputs when it is split into backbone and classifier: fpg cannot use it")


def _filled(config: DetectorConfig, kept: Mapping[str, Tensor], weight: Tensor, bias: Tensor) -> Detector | None:
    """A detector with those weights; None where its backbone has other tensors."""
    model = Detector(config).eval()
    if model.backbone.channels != weight.shape[1] or set(model.backbone.net.state_dict()) != set(kept):
        return None
    model.backbone.net.load_state_dict(dict(kept))
    model.classifier.weight.copy_(weight)
    model.classifier.bias.copy_(bias)
    return model


FAMILY = DetectorFamily("timm classifiers", recognises, build)
