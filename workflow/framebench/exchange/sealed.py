"""One file that holds many, with a manifest of their checksums that reveals every changed byte.

It is a ZIP archive, which any program opens; this module reads only its own archives, and extracts nothing else.
"""

import hashlib
import io
import json
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
FORMAT = 1
# Far more than a campaign has, and less than a machine can hold.
MOST_FILES = 200_000
MOST_BYTES_OF_FILE = 2**25
MOST_BYTES = 2**30
# Allowed names in the archive: no way up, none from the root, and no character special to a file system or a shell.
NAME = re.compile(r"[\w~@+-][\w.~@+-]*(/[\w~@+-][\w.~@+-]*)*", re.ASCII)
# The comment at the archive's end: it covers what the manifest does not, the manifest and ZIP's own bytes.
SEAL = "sha256 of every byte before this digest: "
DIGITS = 64
# Errors of zipfile for bytes that make no sense to it, or for a compression that it lacks.
NO_ZIP = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
)


class ArchiveError(Exception):
    """The archive cannot be used; one line that names it and, if there is one, the file within."""


def packed(files: Mapping[str, bytes], about: Mapping[str, Any]) -> bytes:
    """The bytes of an archive of these files, by name; the same for the same files. `about` goes into the manifest.

    Raises ValueError for a name that `unpacked` would refuse, and for more than it would read.
    """
    manifest = {"format": FORMAT, **about, "files": {name: _sums(files[name]) for name in sorted(files)}}
    members = {MANIFEST: json.dumps(manifest, indent=1).encode(), **{name: files[name] for name in sorted(files)}}
    if MANIFEST in files:
        raise ValueError(f"{MANIFEST} is the name of the archive's own list")
    if fault := _excess({name: len(content) for name, content in members.items()}):
        raise ValueError(fault)
    bytes_ = io.BytesIO()
    with zipfile.ZipFile(bytes_, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be the name of a file in an archive")
            # The earliest time in ZIP: the same files make the same archive.
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
        archive.comment = (SEAL + "0" * DIGITS).encode()
    sealed = bytes_.getvalue()[:-DIGITS]
    return sealed + hashlib.sha256(sealed).hexdigest().encode()


def unpacked(path: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files of an archive by name, and its manifest; every byte was compared with its checksum.

    Nothing is written anywhere. Raises ArchiveError where anything is not as `packed` left it: a changed byte, a file
    too many or too few, a link, a name that leads elsewhere, more bytes than MOST_BYTES or than a file says it has.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ArchiveError(f"{path}: has more than {MOST_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = _members(path, archive)
    except NO_ZIP as error:
        raise ArchiveError(f"{path}: is no whole archive: {error}") from error
    manifest = _manifest(path, files.pop(MANIFEST, None))
    listed = manifest["files"]
    for name in [*listed, *files]:
        if name not in files:
            raise ArchiveError(f"{path}: {name}: is missing")
        if listed.get(name) != _sums(files[name]):
            known = "differs from its checksum" if name in listed else "is not in the manifest"
            raise ArchiveError(f"{path}: {name}: {known}: export the results again")
    sealed, digest = content[:-DIGITS], content[-DIGITS:]
    if not sealed.endswith(SEAL.encode()) or hashlib.sha256(sealed).hexdigest().encode() != digest:
        raise ArchiveError(f"{path}: was changed after it was exported: export the results again")
    return files, manifest


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, bytes]:
    """The contents of the archive, by name, once its list is found to be harmless."""
    members, sizes = archive.infolist(), dict[str, int]()
    for member in members:
        fault = ""
        kind = stat.S_IFMT(member.external_attr >> 16)
        if not NAME.fullmatch(member.filename):
            fault = "has a name that no exported file has"
        elif kind not in (0, stat.S_IFREG):
            fault = "is no plain file"
        elif member.filename in sizes:
            fault = "occurs twice"
        if fault:
            raise ArchiveError(f"{path}: {member.filename!r}: {fault}")
        sizes[member.filename] = member.file_size
    if fault := _excess(sizes):
        raise ArchiveError(f"{path}: {fault}")
    files = {}
    for member in members:
        try:
            # zipfile gives no more bytes than the declared size, which has just been found small enough.
            files[member.filename] = archive.read(member)
        except NO_ZIP as error:
            raise ArchiveError(
                f"{path}: {member.filename}: cannot be read: {error}: export the results again"
            ) from error
    return files


def _excess(sizes: Mapping[str, int]) -> str:
    """The limit that files with these sizes in bytes exceed; empty where they exceed none."""
    if len(sizes) > MOST_FILES:
        return f"{len(sizes)} files are more than the {MOST_FILES} that an archive may have"
    for name, size in sizes.items():
        if size > MOST_BYTES_OF_FILE:
            return f"{name}: {size} bytes are more than the {MOST_BYTES_OF_FILE} that a file may have"
    if sum(sizes.values()) > MOST_BYTES:
        return f"{sum(sizes.values())} bytes are more than the {MOST_BYTES} that an archive may hold"
    return ""


def _manifest(path: Path, content: bytes | None) -> dict[str, Any]:
    if content is None:
        raise ArchiveError(f"{path}: {MANIFEST}: is missing: this is no archive of `snakemake export`")
    try:
        manifest = json.loads(content)
        if manifest["format"] != FORMAT:
            raise ArchiveError(f"{path}: {MANIFEST}: is of format {manifest['format']!r}; this version reads {FORMAT}")
        if not isinstance(manifest["files"], dict):
            raise TypeError("files is no object")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArchiveError(f"{path}: {MANIFEST}: does not list the files: {error!r}") from error
    return manifest


def _sums(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
