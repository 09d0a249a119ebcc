"""One file fetched from the network: gives up when no data comes, leaves no half file.

The body is checked against the hash in its torchvision file name before it gets its final name.
Waiting happens in a thread that is watched, because a name look-up or a connection attempt
to several dead addresses takes longer than any socket timeout says.
"""

import hashlib
import http.client
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from domain.errors import ModelError
from domain.files import written_whole
from domain.jobs import Progress, silent

PATIENCE_S = 10.0  # without a byte; a connection that is only slow may go on
_CHUNK_BYTES = 1 << 16
_POLL_S = 0.05


@dataclass
class _Transfer:
    """What the downloading thread tells the watching one, and the other way round."""

    heard_at: float = field(default_factory=time.monotonic)
    received_bytes: int = 0
    total_bytes: int = 0
    sha256: str = ""
    error: Exception | None = None
    abandoned: threading.Event = field(default_factory=threading.Event)


def download(
    url: str,
    target: Path,
    *,
    sha256_start: str = "",
    patience_s: float = PATIENCE_S,
    progress: Progress = silent,
) -> None:
    """The file at the URL, stored under `target` whole and checked, or not at all.

    Args:
        url: where the file is.
        target: final path; its folder is made.
        sha256_start: what the hash of the file must start with.
        patience_s: seconds without any data after which the download is given up.
        progress: told the fraction received; may raise `Cancelled`.

    Raises:
        ModelError: no data came, the server refused, or the file is not the expected one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    transfer = _Transfer()
    with written_whole(target) as draft:
        thread = threading.Thread(
            target=_fetch, args=(url, draft, transfer, patience_s), name="download", daemon=True
        )
        try:
            thread.start()
            _watch(thread, transfer, patience_s, progress)
            _check(url, transfer, sha256_start)
        finally:
            transfer.abandoned.set()


def _fetch(url: str, draft: Path, transfer: _Transfer, patience_s: float) -> None:
    """Runs in the thread; writes only into the file opened here, which may be unlinked by then."""
    digest = hashlib.sha256()
    try:
        with (
            urllib.request.urlopen(url, timeout=patience_s) as response,
            draft.open("r+b") as out,
        ):
            transfer.total_bytes = int(response.headers.get("Content-Length") or 0)
            while not transfer.abandoned.is_set() and (chunk := response.read1(_CHUNK_BYTES)):
                out.write(chunk)
                digest.update(chunk)
                transfer.received_bytes += len(chunk)
                transfer.heard_at = time.monotonic()
        transfer.sha256 = digest.hexdigest()
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        transfer.error = error
    except (OSError, http.client.HTTPException, ValueError) as error:
        transfer.error = error


def _watch(
    thread: threading.Thread, transfer: _Transfer, patience_s: float, progress: Progress
) -> None:
    while thread.is_alive():
        thread.join(_POLL_S)
        if thread.is_alive() and time.monotonic() - transfer.heard_at > patience_s:
            transfer.error = TimeoutError(f"no data for {patience_s:g} s")
            return
        share = transfer.received_bytes / max(transfer.total_bytes, 1)
        progress(min(share, 1.0), f"downloaded {transfer.received_bytes / 1e6:.1f} MB")


def _check(url: str, transfer: _Transfer, sha256_start: str) -> None:
    hint = "Check the connection, or give a weights file with --weights."
    if transfer.error is not None:
        raise ModelError(f"{url} cannot be downloaded: {_in_words(transfer.error)}.", hint)
    if transfer.received_bytes < transfer.total_bytes:
        got = f"{transfer.received_bytes} of {transfer.total_bytes} bytes"
        raise ModelError(f"{url} broke off after {got}.", hint)
    if not transfer.sha256.startswith(sha256_start):
        raise ModelError(
            f"{url} gave another file than expected: its SHA-256 starts with "
            f"{transfer.sha256[: len(sha256_start)]}, not {sha256_start}.",
            hint,
        )


def _in_words(error: Exception) -> str:
    cause = getattr(error, "reason", None) or error
    return str(cause) or type(cause).__name__
