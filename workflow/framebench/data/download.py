"""Downloads a published file once, resuming an interrupted download, and trusts only its MD5."""

import hashlib
import http.client
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from framebench.data import DataError

TIMEOUT_S = 30  # seconds of silence on the connection
CHUNK_BYTES = 1 << 18


def md5_of(path: Path) -> str:
    """MD5 of the file's content in lower-case hexadecimal; it detects damage, not malice."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def download(url: str, destination: Path, md5: str, key: str) -> None:
    """Make `destination` a file with this MD5, downloading it if it is not there; `key`: its key in config.yaml.

    The part that has arrived is kept beside it in a `.part` file, so that the next call resumes an interrupted
    download. Raises DataError when the file cannot be downloaded or kept, or has another MD5.
    """
    part = destination.with_name(f"{destination.name}.part")
    try:
        if destination.exists() and md5_of(destination) == md5:
            return
        destination.parent.mkdir(parents=True, exist_ok=True)
        if not (part.exists() and md5_of(part) == md5):
            _fetch(url, part, key)
        found = md5_of(part)
        if found != md5:
            part.unlink()
            raise DataError(
                f"{url}: the file downloaded has MD5 {found}, expected {md5}: it was altered on its way, "
                f"or {key}.md5 is not that of this file; run again to download it anew"
            )
        part.replace(destination)
    except OSError as error:
        raise DataError(
            f"{part}: the download cannot be kept: {error.strerror}: it needs room in a folder that can be written to"
        ) from error


def _fetch(url: str, part: Path, key: str) -> None:
    """Download to `part`, resuming where the server supports that."""
    held = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={held}-"} if held else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and held:
            part.unlink()
            return _fetch(url, part, key)
        raise _unreachable(url, f"HTTP {error.code} {error.reason}", key) from error
    except urllib.error.URLError as error:
        raise _unreachable(url, error.reason, key) from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error, key) from error
    with response:
        resumed = response.status == HTTPStatus.PARTIAL_CONTENT
        received = held if resumed else 0
        total = None if response.length is None else received + response.length
        progress = _Progress(url, total)
        with part.open("ab" if resumed else "wb") as file:
            for chunk in _chunks(response, url):
                file.write(chunk)
                received += len(chunk)
                progress.show(received)
    progress.end(received)
    if total is not None and received < total:
        raise _broken(url, f"it ended after {received} of {total} bytes")


def _chunks(response: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    """The body piece by piece; separates faults of the connection from faults of the disk."""
    while True:
        try:
            chunk = response.read(CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(url, error) from error
        if not chunk:
            return
        yield chunk


def _unreachable(url: str, reason: object, key: str) -> DataError:
    return DataError(
        f"{url}: cannot be downloaded ({reason}): set {key}.archive to a local copy of {Path(url).name}, "
        f"or {key}.source to synthetic"
    )


def _broken(url: str, reason: object) -> DataError:
    return DataError(f"{url}: the connection broke ({reason}): run again to continue the download")


class _Progress:
    """Reports the progress of a download on stderr, at most once a second."""

    def __init__(self, url: str, total: int | None) -> None:
        self._name = Path(url).name
        self._total = total
        self._terminal = sys.stderr.isatty()
        self._shown_at = -1.0

    def show(self, received: int) -> None:
        if time.monotonic() - self._shown_at >= 1:
            self._shown_at = time.monotonic()
            self._print(received, "" if self._terminal else "\n")

    def end(self, received: int) -> None:
        self._print(received, "\n")

    def _print(self, received: int, end: str) -> None:
        text = f"{self._name}: {received / 1e6:.1f} MB"
        if self._total:
            text += f" of {self._total / 1e6:.1f} MB, {received / self._total:.0%}"
        print(f"\r{text}" if self._terminal else text, end=end, file=sys.stderr, flush=True)
