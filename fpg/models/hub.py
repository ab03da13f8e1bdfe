"""Detectors on the Hugging Face Hub: weights and sidecar as everywhere else, a model card next to them.

A repository (or a folder) holds `model.safetensors`, `model.spec.json`, `config.json` (the detector's config; the Hub counts its
downloads) and the card `README.md`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from huggingface_hub import ModelCard, ModelHubMixin, errors, hf_hub_download

from fpg.common.errors import FpgError, InputError
from fpg.common.files import write_json
from fpg.common.models import CARD, MAIN, WEIGHTS, Card, find_model, parse_card
from fpg.common.spec import EngineSpec, sidecar
from fpg.common.strict_json import parse_json
from fpg.models.hub_client import hub_client
from fpg.models.model_card import model_card

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fpg.models.detector import Detector

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (errors.GatedRepoError, "its owner grants access: ask on its page, then log in (hf auth login)"),
    (errors.RepositoryNotFoundError, "the Hub has no such repository, or it is private: check the name, or log in (hf auth login)"),
    (errors.RevisionNotFoundError, "the repository has no such revision"),
    (errors.LocalTokenNotFoundError, "log in first (hf auth login), or give a token"),
)


class ClientOptions(TypedDict, total=False):
    """Of huggingface_hub's client."""

    token: str | bool | None
    cache_dir: str | Path | None
    force_download: bool
    local_files_only: bool


class HubOptions(ClientOptions, total=False):
    """The same, and which revision."""

    revision: str | None


class HubMixin(ModelHubMixin, library_name="fpg"):
    """`from_pretrained`, `save_pretrained` and `push_to_hub` of a `Detector`."""

    spec: EngineSpec | None
    """The sidecar it was loaded with: threshold, temperature and provenance are kept when it is saved again."""

    @classmethod
    def from_pretrained(  # type: ignore[override]  # the base class takes any keyword
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **options: Unpack[HubOptions]
    ) -> Detector:
        """A detector from the Hub or from the disk, on the CPU in evaluation mode.

        Args:
            pretrained_model_name_or_path: `owner/name` on the Hub; or a folder with `model.safetensors` (a run, a download), or with one
                `.safetensors` file of another name; or such a file. What is on the disk needs no network.
            options: `revision`, `token`, `cache_dir`, `force_download`, `local_files_only` of huggingface_hub.

        Raises:
            InputError: no such path or repository, no network, or files that do not fit each other.
        """
        return cls._from_pretrained(model_id=os.fspath(pretrained_model_name_or_path), **options)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> Detector:
        from fpg.models.detector import load_detector  # which needs this module for its base class

        return load_detector(find_weights(model_id) if os.path.exists(model_id) else fetch(model_id, **options))[0]

    def _save_pretrained(self: Any, save_directory: Path) -> None:
        from fpg.models.detector import KEPT, save_detector

        kept: dict[str, Any] = {name: getattr(self.spec, name) for name in KEPT} if self.spec else {}
        provenance = publishable(self.spec.provenance) if self.spec else {}
        self.spec = save_detector(save_directory / MAIN, self, provenance=provenance, **kept)
        write_json(save_directory / "config.json", self.config.to_dict())

    def generate_model_card(
        self: Any, metrics: Mapping[str, Any] | None = None, license: str = "other", repo_id: str = "OWNER/NAME"
    ) -> ModelCard:
        """The card of a detector; arguments as in `fpg.models.model_card.model_card`."""
        return ModelCard(model_card(self.config, self.spec, metrics=metrics, license=license, repo_id=repo_id))


def push_to_hub(
    path: str | os.PathLike[str],
    repo_id: str,
    *,
    metrics: str | os.PathLike[str] | None = None,
    license: str = "other",
    private: bool | None = None,
    token: str | None = None,
    commit_message: str = "Detector saved by fpg",
) -> str:
    """Publish saved weights with a model card; the repository is made if it does not exist.

    Folders of the machine and its command lines, which the sidecar's provenance may hold, are not published.

    Args:
        path: `STEM.safetensors` with its sidecar, or a folder as in `Detector.from_pretrained`.
        repo_id: `owner/name`.
        metrics: what `fpg-eval --json` wrote for these weights; its numbers and protocol go into the card.
        license: of the weights, an identifier of the Hub (`other`: the card says that none is stated).

    Returns:
        Address of the commit.

    Raises:
        InputError: the files cannot be used, the evaluation is another model's, or the Hub refuses.
    """
    from fpg.models.detector import load_detector

    model, spec = load_detector(find_weights(path) if os.path.isdir(path) else path)
    evaluation = _read_metrics(metrics, spec) if metrics is not None else None
    card = {"metrics": evaluation, "license": license, "repo_id": repo_id}
    with _explained(repo_id):
        return str(model.push_to_hub(repo_id, private=private, token=token, commit_message=commit_message, model_card_kwargs=card))


def _read_metrics(path: str | os.PathLike[str], spec: EngineSpec) -> dict[str, Any]:
    try:
        value = parse_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(path, f"is not a readable evaluation: {error}") from error
    model = value.get("model") if isinstance(value, dict) else None
    if not isinstance(model, dict) or "auc" not in value:
        raise InputError(path, "is not an evaluation: expected what fpg-eval --json wrote")
    if model.get("backend") == "torch" and model.get("sha256") != spec.files[spec.model_file]:
        raise InputError(path, f"is the evaluation of another model ({model.get('file')})")
    return value


def publishable(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Provenance without what describes the machine: command line and platform left out, of absolute paths the last name."""
    return {name: _without_paths(value) for name, value in provenance.items() if name not in ("command", "platform", "how_to_use")}


def _without_paths(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_paths(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(item) for item in value]
    return os.path.basename(os.path.normpath(value)) if isinstance(value, str) and os.path.isabs(value) else value


def find_weights(path: str | os.PathLike[str]) -> Path:
    """The weights in a folder (`fpg.common.models.find_model`); a file is returned as it is.

    Raises:
        InputError: none, or several and none of the usual name.
    """
    return find_model(path, WEIGHTS) if os.path.isdir(path) else Path(path)


def fetch(repo_id: str, *, revision: str | None = None, **options: Unpack[ClientOptions]) -> Path:
    """Weights and sidecar of a repository, from the Hub or its cache, both of the same commit.

    Args:
        repo_id: `owner/name`.
        revision: branch, tag or commit; None is the newest.
        options: `token`, `cache_dir`, `force_download`, `local_files_only` of huggingface_hub.

    Returns:
        Path of the weights; the sidecar lies next to them.

    Raises:
        InputError: see `HubMixin.from_pretrained`.
    """
    with _explained(repo_id):
        spec = Path(hf_hub_download(repo_id, sidecar(MAIN).name, revision=revision, **options))
        return Path(hf_hub_download(repo_id, MAIN, revision=spec.parent.name, **options))


def fetch_card(repo_id: str, *, revision: str | None = None, **options: Unpack[ClientOptions]) -> Card:
    """The model card of a repository, from the Hub or its cache; arguments and errors as of `fetch`.

    Raises:
        InputError: the repository has none, or one that cannot be read.
    """
    with _explained(repo_id):
        try:
            text = Path(hf_hub_download(repo_id, CARD, revision=revision, **options)).read_text(encoding="utf-8")
        except errors.EntryNotFoundError as error:
            if isinstance(error, FileNotFoundError):  # not in the cache, and nobody to ask
                raise
            raise InputError(repo_id, f"the repository has no model card ({CARD}), which has to state a licence") from error
        except ValueError as error:
            raise InputError(f"{repo_id}/{CARD}", f"is not a readable model card: {error}") from error
        return parse_card(text, f"{repo_id}/{CARD}")


def fetch_published(repo_id: str, *, revision: str | None = None, **options: Unpack[ClientOptions]) -> Path:
    """A repository of any kind that `fpg-import` knows, from the Hub or its cache, all files of the same commit.

    Args:
        repo_id, revision, options: as of `fetch`.

    Returns:
        Path of fpg's weights, with the sidecar next to them, or a folder with another project's `config.json`, `model.safetensors` and,
        where there is one, card; the folder's name is the commit.

    Raises:
        InputError: see `HubMixin.from_pretrained`.
    """
    with _explained(repo_id, "config.json"):
        try:
            spec = Path(hf_hub_download(repo_id, sidecar(MAIN).name, revision=revision, **options))
            return Path(hf_hub_download(repo_id, MAIN, revision=spec.parent.name, **options))
        except errors.EntryNotFoundError:
            config = Path(hf_hub_download(repo_id, "config.json", revision=revision, **options))
        with contextlib.suppress(errors.EntryNotFoundError):
            hf_hub_download(repo_id, "README.md", revision=config.parent.name, **options)
        return Path(hf_hub_download(repo_id, MAIN, revision=config.parent.name, **options)).parent


@contextlib.contextmanager
def _explained(repo_id: str, companion: str = sidecar(MAIN).name) -> Iterator[None]:
    """Turn what the Hub's client raises into one line; `companion` is the file that the weights come with."""
    with hub_client() as unreachable:
        try:
            yield
        except FpgError:
            raise
        except errors.HFValidationError as error:
            raise InputError(repo_id, "no such file or folder, and not a name on the Hub (owner/name)") from error
        except Exception as error:  # the client's errors without a network differ between its versions
            raise InputError(repo_id, _unreachable(unreachable) if unreachable else _reason(error, companion)) from error


def _reason(error: Exception, companion: str) -> str:
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, FileNotFoundError):
        return (
            f"the repository lacks {MAIN} or {companion}: not in a form that is read here (pickles are not); fpg-import takes published "
            "files of some other kinds"
        )
    if isinstance(error, errors.HfHubHTTPError):
        return f"the Hub refuses: {_first_line(error)}"
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return _unreachable(_first_line(error))


def _unreachable(why: str) -> str:
    return f"the Hub cannot be reached; a model fetched elsewhere works as a folder, or as a file with its sidecar ({why})"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
