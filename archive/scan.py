"""What is in a folder of images: the readable ones with their identity, the rest with a reason."""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from PIL.Image import Image

from archive.decode import COLOUR_BANDS, SUFFIXES, decode, decode_planes, read_bytes
from archive.fingerprint import perceptual_hash, pixel_sha256
from archive.locate import image_file
from domain.config import Layout
from domain.errors import ArchiveError
from domain.images import QuarantinedFile, ScannedImage
from domain.jobs import Progress, silent

_FEWEST_CLASSES = 2
_IMAGES_PER_CLASS = 2  # on average; below, folders are rather albums of one picture

_THREADS = min(4, os.cpu_count() or 1)  # each may hold one picture of the largest size
_AHEAD = 256  # files handed to the threads at a time, so that cancelling takes effect


@dataclass(frozen=True)
class Scan:
    """What a scan found, in the order of paths.

    Attributes:
        images: readable files that are new.
        quarantined: files named like images that cannot be used, and why.
        layout: `classes` or `flat`, never `auto`.
        unchanged: known paths whose content is the same; they were not decoded.
        changed: known paths whose content is another now; they are not among `images`.
        missing: known paths where no file is any more.
    """

    images: list[ScannedImage]
    quarantined: list[QuarantinedFile]
    layout: Layout
    unchanged: list[str]
    changed: list[str]
    missing: list[str]


@dataclass
class _Findings:
    """Results as they come in, one file after another."""

    images: list[ScannedImage] = field(default_factory=list)
    quarantined: list[QuarantinedFile] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def add(self, outcome: "_Outcome") -> None:
        if isinstance(outcome, ScannedImage):
            self.images.append(outcome)
        elif isinstance(outcome, QuarantinedFile):
            self.quarantined.append(outcome)
        elif outcome.same:
            self.unchanged.append(outcome.path)
        else:
            self.changed.append(outcome.path)


@dataclass(frozen=True)
class _Known:
    path: str
    same: bool


_Outcome = ScannedImage | QuarantinedFile | _Known


def scan(
    root: Path,
    *,
    layout: Layout = Layout.AUTO,
    known: Mapping[str, str] | None = None,
    exclude: Path | None = None,
    bands: int = COLOUR_BANDS,
    progress: Progress = silent,
) -> Scan:
    """The images below a folder; files are only read, never changed.

    Files whose names end in .jpg, .jpeg, .jpe, .jfif, .png, .tif or .tiff are candidates; other
    files, and hidden files and folders, are passed over. A candidate is put aside with a reason
    when it cannot be decoded safely (`archive.decode`), when its content is of another format
    than its name says, or when it is a link to outside the folder. Links to folders are not
    followed.

    With layout `auto` a folder counts as a class when every image lies in exactly one level of
    sub-folders, there are at least 2 such folders, and they have 2 images or more on average.

    Args:
        root: the folder; paths are given relative to it.
        layout: `classes`: the first folder below the root names the class, images directly in
            the root have none; `flat`: no classes; `auto`: see above.
        known: path to sha256 of files catalogued before.
        exclude: a folder below the root that is passed over, such as a project's own; elsewhere
            it changes nothing.
        bands: what is read of each image; files with another number are put aside. Three are red,
            green and blue, which every picture can give.
        progress: told about the files read.

    Raises:
        ArchiveError: the folder is missing, no folder, cannot be read, or has no image files.
        Cancelled: `progress` asked to stop.
    """
    known = known or {}
    base = _checked_root(root)
    paths, findings = _listed(base, None if exclude is None else exclude.resolve())
    if not paths and not findings.quarantined:
        raise ArchiveError(
            f"{str(root)!r} has no image files (JPEG, PNG or TIFF) in it or in its sub-folders.",
            "Name the folder that holds the images.",
        )
    found = _read_all(paths, _Look(base, known, bands), findings, progress)
    readable = [*(image.path for image in found.images), *found.unchanged, *found.changed]
    seen = _detected(readable) if layout is Layout.AUTO else layout
    return Scan(
        images=[_with_class(image, seen) for image in found.images],
        quarantined=sorted(found.quarantined, key=lambda file: file.path),
        layout=seen,
        unchanged=found.unchanged,
        changed=found.changed,
        missing=sorted(known.keys() - set(paths)),
    )


def _checked_root(root: Path) -> Path:
    """The folder, links resolved."""
    try:
        base = root.resolve(strict=True)
        with os.scandir(base):
            return base
    except NotADirectoryError as error:
        reason, hint = "is no folder", "Name the folder that holds the images, not a file."
        raise ArchiveError(f"{str(root)!r} {reason}.", hint) from error
    except FileNotFoundError as error:
        hint = "Check the spelling; a relative path counts from the folder you are in."
        raise ArchiveError(f"{str(root)!r} does not exist.", hint) from error
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "Make sure that you may read the folder."
        raise ArchiveError(f"{str(root)!r} cannot be opened: {reason}.", hint) from error


def _listed(base: Path, excluded: Path | None) -> tuple[list[str], _Findings]:
    """Paths of candidates relative to the folder, sorted; and what can be refused unopened."""
    paths: list[str] = []
    refused = _Findings()

    def refuse(path: str, reason: str) -> None:
        refused.quarantined.append(QuarantinedFile(_printable(path), reason))

    def cannot_open(error: OSError) -> None:
        folder = os.path.relpath(error.filename, base)
        refuse(folder, f"The folder cannot be opened: {error.strerror}.")

    for parent, folders, names in os.walk(base, onerror=cannot_open):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and Path(parent, name) != excluded
        )
        within = Path(parent).relative_to(base)
        for name in folders:
            if (base / within / name).is_symlink():
                refuse((within / name).as_posix(), "Links to folders are not followed.")
        for name in names:
            path = (within / name).as_posix()
            if name.startswith(".") or Path(name).suffix.lower() not in SUFFIXES:
                continue
            if reason := _refused_unopened(base, path):
                refuse(path, reason)
            else:
                paths.append(path)
    return sorted(paths), refused


def _refused_unopened(base: Path, path: str) -> str | None:
    """Why a file is put aside without opening it; None if it is worth a look."""
    if path != _printable(path):
        return "The name is not valid UTF-8; rename the file or its folder."
    try:
        image_file(base, path)
    except ArchiveError as error:
        return error.message
    return None


def _printable(path: str) -> str:
    """The path as text that can be stored: bytes that are no UTF-8 are spelled out."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def _read_all(
    paths: list[str],
    look: "_Look",
    findings: _Findings,
    progress: Progress,
) -> _Findings:
    """Every file looked at, in the order of paths, by some threads."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="scan") as pool:
        for start in range(0, len(paths), _AHEAD):
            batch = paths[start : start + _AHEAD]
            progress(start / len(paths), f"Reading image {start + 1} of {len(paths)}")
            for outcome in pool.map(look, batch):
                findings.add(outcome)
    progress(1.0, f"{len(paths)} files read")
    return findings


@dataclass(frozen=True)
class _Look:
    """A look at one file below the folder."""

    base: Path
    known: Mapping[str, str]
    bands: int

    def __call__(self, path: str) -> _Outcome:
        known_sha256 = self.known.get(path)
        try:
            data = read_bytes(self.base / path)
            sha256 = hashlib.sha256(data).hexdigest()
            if known_sha256 == sha256:
                return _Known(path, same=True)
            scanned = _scanned(path, data, sha256, self.bands)
        except ArchiveError as error:
            return QuarantinedFile(path, error.message)
        return scanned if known_sha256 is None else _Known(path, same=False)


def _scanned(path: str, data: bytes, sha256: str, bands: int) -> ScannedImage:
    name = PurePosixPath(path)
    decoded = decode(data, name.name)
    promised = SUFFIXES[name.suffix.lower()]
    if decoded.format != promised:
        raise ArchiveError(
            f"{name.name!r} is a {decoded.format} by its content, not a {promised}.",
            "Rename the file.",
        )
    planes: tuple[Image, ...] = (decoded.image,)
    if bands != COLOUR_BANDS:
        planes = decode_planes(data, name.name, bands)
    return ScannedImage(
        path=path,
        sha256=sha256,
        pixel_sha256=pixel_sha256(*planes),
        perceptual_hash=perceptual_hash(decoded.image),
        width_px=decoded.image.width,
        height_px=decoded.image.height,
        class_name=None,
    )


def _detected(paths: list[str]) -> Layout:
    folders = Counter(PurePosixPath(path).parent for path in paths)
    one_level = all(len(folder.parts) == 1 for folder in folders)
    enough = len(folders) >= _FEWEST_CLASSES and len(paths) >= _IMAGES_PER_CLASS * len(folders)
    return Layout.CLASSES if one_level and enough else Layout.FLAT


def _with_class(image: ScannedImage, layout: Layout) -> ScannedImage:
    steps = PurePosixPath(image.path).parts
    named = layout is Layout.CLASSES and len(steps) > 1
    return replace(image, class_name=steps[0] if named else None)
