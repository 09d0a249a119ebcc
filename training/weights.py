"""Weights of a backbone: from a file, from torchvision's servers, or none.

Files are safetensors, or .pth read without running any code in them. A download goes to
torch.hub's folder and is taken from there the next time, without a network. Where no weights
can be had the backbone keeps its random start, and the answer says so in words.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from domain.descriptors import Descriptor
from domain.errors import InputError, ModelError, shortened
from domain.files import written_whole
from domain.jobs import Progress, silent
from training.backbones import Backbone, adapt_to_bands, backbone_sha256, build_backbone
from training.downloads import download
from training.preprocessing import BandStatistics

SUFFIXES = (".safetensors", ".pth")
# DenseNet files made before 2018 write "norm.1" where the parameter is now "norm1".
_OLD_DENSENET_KEY = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)")
_TRUNK = "trunk."  # begins the names of what a fused network fuses
_POOL = "pool."  # and of what a pooling learns
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.")


class WeightsKind(StrEnum):
    """Where the weights of a backbone came from."""

    FILE = "file"
    DOWNLOADED = "downloaded"
    UNTRAINED = "untrained"
    WARMED_UP = "warmed_up"
    RETRAINED = "retrained"


_MADE_HERE = (WeightsKind.WARMED_UP, WeightsKind.RETRAINED)


@dataclass(frozen=True)
class WeightsInfo:
    """What a backbone was given.

    Attributes:
        name: of the weights, for people: a file name, or what torchvision calls them.
        sha256: `backbone_sha256` after loading.
        note: one sentence for the log and the page; why, where the backbone is untrained.
    """

    kind: WeightsKind
    name: str
    sha256: str
    note: str


def load_weights(
    backbone: Backbone, source: Path | None, *, progress: Progress = silent
) -> WeightsInfo:
    """The backbone's weights, loaded in place from a file, or downloaded where none is given.

    Args:
        backbone: gets the weights; unchanged where they cannot be had.
        source: a `.safetensors` or `.pth` file of the same architecture, in any float type, with
            or without classifier; None downloads torchvision's default weights.
        progress: told how far a download is; may raise `Cancelled`.

    Raises:
        ModelError: the given file is missing, damaged, holds code or does not fit. A failed
            download is no error: the answer's kind is then `untrained` and its note says why.
    """
    if source is not None:
        return _load_file(backbone, source)
    try:
        return _load_download(backbone, progress)
    except ModelError as error:
        return WeightsInfo(
            WeightsKind.UNTRAINED,
            f"untrained {backbone.name}",
            backbone_sha256(backbone),
            f"The {backbone.name} backbone is untrained, no weights could be had: {error.message}",
        )


def save_backbone(
    backbone: Backbone, path: Path, *, kind: WeightsKind = WeightsKind.WARMED_UP
) -> WeightsInfo:
    """A safetensors file of the backbone, written whole or not at all; `load_weights` reads it.

    The kind is kept in the file, so that a warmed-up backbone is called so ever after.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {key: value.cpu().contiguous() for key, value in backbone.weights().items()}
    told = {
        "architecture": backbone.name,
        "kind": kind.value,
        "bands": json.dumps(asdict(backbone.bands)),
        "descriptor": backbone.descriptor.model_dump_json(),
    }
    with written_whole(path) as draft:
        save_file(state, draft, told)
    return _described(backbone, kind, path.name)


def load_backbone(path: Path) -> tuple[Backbone, WeightsInfo]:
    """The backbone in a file that `save_backbone` wrote, with bands and descriptor; to evaluate.

    Raises:
        ModelError: the file is missing, damaged, or holds no such backbone.
    """
    try:
        with safe_open(path, "pt") as opened:
            told = dict(opened.metadata() or {})
        bands = json.loads(told["bands"])
        # files of versions that knew no other pooling do not name it
        descriptor = Descriptor.model_validate_json(told.get("descriptor", "{}"))
        backbone = build_backbone(told["architecture"], descriptor=descriptor)
        adapt_to_bands(backbone, BandStatistics(tuple(bands["mean"]), tuple(bands["std"])))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, InputError) as error:
        raise _damaged(path, error) from error
    return backbone, _load_file(backbone, path)


def _load_file(backbone: Backbone, path: Path) -> WeightsInfo:
    if path.suffix not in SUFFIXES:
        raise ModelError(
            f"{path}: weights must be a {' or '.join(SUFFIXES)} file.", "Give another file."
        )
    if not path.is_file():
        raise ModelError(f"{path}: there is no such weights file.", "Check the path.")
    read = _read_safetensors if path.suffix == ".safetensors" else _read_pth
    state, kind = read(path)
    missing = _fill(backbone, state, path)
    return _described(backbone, kind, path.name, missing)


def _load_download(backbone: Backbone, progress: Progress) -> WeightsInfo:
    if not backbone.pretrained:
        raise ModelError(f"nobody publishes weights of {backbone.name}.", "Train it at full depth.")
    url = _download_url(backbone.pretrained)
    stored = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    expected = _hash_in(stored.name)
    if not (stored.is_file() and _file_sha256(stored).startswith(expected)):
        download(url, stored, sha256_start=expected, progress=progress)
    state, _ = _read_pth(stored)
    missing = _fill(backbone, state, stored)
    return _described(backbone, WeightsKind.DOWNLOADED, f"torchvision {stored.name}", missing)


def _download_url(name: str) -> str:
    """Where torchvision keeps its default weights of an architecture."""
    from torchvision.models import get_model_weights  # takes seconds: only where it is needed

    url: str = get_model_weights(name).DEFAULT.url
    return url


def _hash_in(file_name: str) -> str:
    """The start of the SHA-256 that torchvision puts into its file names."""
    found = _HASH_IN_NAME.search(file_name)
    return found.group(1) if found else ""


def _file_sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], WeightsKind]:
    try:
        with safe_open(path, "pt") as opened:
            told = (opened.metadata() or {}).get("kind", WeightsKind.FILE.value)
        state = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    return state, WeightsKind(told) if told in _MADE_HERE else WeightsKind.FILE


def _read_pth(path: Path) -> tuple[dict[str, Tensor], WeightsKind]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes PyTorch raise nearly anything
        raise _damaged(path, error) from error
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise ModelError(
            f"{path} holds no plain table of weights, but {_contents(loaded)}.",
            "Save model.state_dict() and give that file.",
        )
    return dict(loaded), WeightsKind.FILE


def _damaged(path: Path, error: Exception) -> ModelError:
    if "weights_only" in str(error) or "Weights only" in str(error):
        return ModelError(
            f"{path} holds more than weights (Python objects, which could run code); it was not "
            "loaded.",
            "Save model.state_dict() as safetensors and give that file.",
        )
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ModelError(
        f"{path} cannot be read as weights: {reason}", "The file is damaged; get it again."
    )


def _contents(loaded: object) -> str:
    if isinstance(loaded, dict):
        return f"a table with the entries {shortened([str(key) for key in loaded])}"
    return f"an object of type {type(loaded).__name__}"


def _fill(backbone: Backbone, state: dict[str, Tensor], path: Path) -> str:
    """Load after every check has passed, so that a bad file leaves the backbone as it was.

    Weights of its trunk alone do for a fused network; a pooling that learns starts as it is where
    they do not tell.

    Returns:
        What the weights are not for, in words; empty where they are for everything.
    """
    kept = _without_classifier(backbone, state)
    whole = backbone.trunk is backbone.network or any(key.startswith(_TRUNK) for key in kept)
    wanted = backbone.weights() if whole else backbone.trunk.state_dict()
    problem = _key_problem(set(wanted), set(kept)) or _value_problem(wanted, kept)
    if problem:
        raise ModelError(
            f"{path} does not fit the backbone {backbone.name}: {problem}.",
            "Give weights of that architecture, or choose the backbone the file was made for.",
        )
    of_pool = {key.removeprefix(_POOL): kept[key] for key in kept if key.startswith(_POOL)}
    backbone.pool.load_state_dict(of_pool, strict=False)
    part = backbone.network if whole else backbone.trunk
    part.load_state_dict(
        {key: kept[key] for key in kept if not key.startswith(_POOL)}, strict=False
    )
    return "" if whole else " What fuses its maps is untrained: train at full depth."


def _without_classifier(backbone: Backbone, state: dict[str, Tensor]) -> dict[str, Tensor]:
    dropped = (f"{backbone.classifier}.", f"{backbone.classifier.removeprefix(_TRUNK)}.")
    renamed = {_OLD_DENSENET_KEY.sub(r"\1\2", key): value for key, value in state.items()}
    return {key: value for key, value in renamed.items() if not key.startswith(dropped)}


def _key_problem(wanted: set[str], given: set[str]) -> str:
    # Counters of batch normalisation are absent from old files and without use in evaluation.
    needed = {key for key in wanted if not key.endswith("num_batches_tracked")}
    missing = sorted(key for key in needed - given if not key.startswith(_POOL))
    extra = sorted(given - wanted)
    parts = [f"{len(missing)} parameters are missing ({shortened(missing)})"] * bool(missing)
    parts += [f"{len(extra)} are unknown ({shortened(extra)})"] * bool(extra)
    return "; ".join(parts)


def _value_problem(wanted: dict[str, Tensor], given: dict[str, Tensor]) -> str:
    for key, value in given.items():
        if value.shape != wanted[key].shape:
            return f"{key} has shape {list(value.shape)}, not {list(wanted[key].shape)}"
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            return f"{key} holds values that are not finite"
    return ""


def _described(backbone: Backbone, kind: WeightsKind, name: str, missing: str = "") -> WeightsInfo:
    told = {
        WeightsKind.FILE: f"{backbone.name} uses the weights file {name}.",
        WeightsKind.DOWNLOADED: f"{backbone.name} uses the downloaded weights {name}.",
        WeightsKind.WARMED_UP: f"{backbone.name} was warmed up on the archive's own images, "
        "without labels.",
        WeightsKind.RETRAINED: f"{backbone.name} was retrained on the answers.",
        WeightsKind.UNTRAINED: f"{backbone.name} is untrained.",
    }
    return WeightsInfo(kind, name, backbone_sha256(backbone), told[kind] + missing)
