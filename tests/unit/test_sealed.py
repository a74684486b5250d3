"""An export comes back complete, a changed byte is found, and nothing unwanted gets out of an archive."""

import io
import json
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebench.exchange import sealed
from framebench.exchange.sealed import MANIFEST, ArchiveError, packed, unpacked

pytestmark = pytest.mark.check

NAMES = st.from_regex(sealed.NAME, fullmatch=True).filter(lambda name: name != MANIFEST)
SMALL = {"runs/cpu/round-1.json": b'{"a": 1}' * 20, "certificates/x/y.json": b"{}"}


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("archive") / "results.zip"


def refusal(file: Path, content: bytes) -> str:
    file.write_bytes(content)
    with pytest.raises(ArchiveError) as caught:
        unpacked(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ") and "\n" not in message
    return message.removeprefix(f"{file}: ")


def forged(members: Mapping[str, bytes], **changes) -> bytes:
    """An archive that holds exactly these members, without a seal."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            member = zipfile.ZipInfo(name)
            for key, value in changes.items():
                setattr(member, key, value)
            made.writestr(member, data, zipfile.ZIP_DEFLATED)
    return content.getvalue()


def listing(files: Mapping[str, bytes]) -> bytes:
    return json.dumps({"format": 1, "files": {name: sealed._sums(content) for name, content in files.items()}}).encode()


@settings(max_examples=50)
@given(
    files=st.dictionaries(NAMES, st.binary(max_size=200), max_size=5), about=st.dictionaries(st.just("x"), st.text())
)
def test_packed_files_and_the_manifest_come_back(file, files, about):
    file.write_bytes(packed(files, about))
    found, manifest = unpacked(file)
    assert found == files
    assert {key: manifest[key] for key in about} == about
    assert {name: one["bytes"] for name, one in manifest["files"].items()} == {k: len(v) for k, v in files.items()}


def test_the_same_files_make_the_same_archive_in_whatever_order():
    assert packed(SMALL, {}) == packed(dict(reversed(SMALL.items())), {})


def test_every_changed_byte_is_found(file):
    whole = packed(SMALL, {})
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8  # each bit's turn
        refusal(file, bytes(changed))


@given(data=st.data())
def test_a_part_of_an_archive_is_refused_and_so_is_one_with_more_bytes(file, data):
    whole = packed(SMALL, {})
    refusal(file, whole[: data.draw(st.integers(0, len(whole) - 1))])
    more = data.draw(st.binary(min_size=1, max_size=80))
    refusal(file, whole + more)
    refusal(file, more + whole)


@given(content=st.binary(max_size=300))
def test_any_other_file_is_refused(file, content):
    refusal(file, content)


@settings(max_examples=50)
@given(
    manifest=st.binary(max_size=60) | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps).map(str.encode)
)
def test_a_manifest_that_lists_nothing_is_refused(file, manifest):
    assert refusal(file, forged({MANIFEST: manifest})).startswith("manifest.json: ")


def test_an_archive_of_something_else_is_said_to_be_one(file):
    assert "this is no archive of `snakemake export`" in refusal(file, forged({"a.txt": b""}))


def test_an_archive_of_a_later_version_is_said_to_be_one(file):
    assert "is of format 2" in refusal(file, forged({MANIFEST: b'{"format": 2, "files": {}}'}))


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../x.json",
        "runs/../../x.json",
        "a//b",
        "a\\b",
        "C:/x",
        "runs/",
        "",
        ".hidden",
        "a/.b",
        "ä",
        "a\nb",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_by_name(file, name):
    files = {name: b"{}"}
    assert "has a name that no exported file has" in refusal(file, forged({MANIFEST: listing(files), **files}))
    with pytest.raises(ValueError, match="cannot be the name"):
        packed(files, {})


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFCHR, stat.S_IFIFO])
def test_a_link_is_refused_and_so_is_whatever_is_no_plain_file(file, kind):
    files = {"runs/x.json": b"/etc/passwd"}
    content = forged({MANIFEST: listing(files), **files}, external_attr=kind << 16)
    assert "is no plain file" in refusal(file, content)


def test_a_file_that_stands_there_twice_is_refused(file):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr("a.json", b"1")
        made.writestr("a.json", b"2")
    assert refusal(file, content.getvalue()) == "'a.json': occurs twice"


def test_a_bomb_is_refused_before_it_is_unpacked(file, monkeypatch):
    monkeypatch.setattr(sealed, "MOST_BYTES_OF_FILE", 1000)
    monkeypatch.setattr(sealed, "MOST_BYTES", 1500)
    monkeypatch.setattr(sealed, "MOST_FILES", 3)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("was unpacked"))
    assert "a: 1001 bytes are more than the 1000" in refusal(file, forged({"a": bytes(1001)}))
    assert "1600 bytes are more than the 1500" in refusal(file, forged({"a": bytes(800), "b": bytes(800)}))
    assert "4 files are more than the 3" in refusal(file, forged(dict.fromkeys("abcd", b"")))
    assert "has more than 1500 bytes" in refusal(file, bytes(1501))


def test_a_size_that_is_a_lie_is_found(file, monkeypatch):
    monkeypatch.setattr(sealed, "MOST_BYTES_OF_FILE", 1000)
    content = forged({"a": bytes(100_000)})
    assert content.count((100_000).to_bytes(4, "little")) == 2
    lie = content.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert refusal(file, lie).startswith("a: cannot be read: ")


def test_a_changed_file_is_named_and_so_is_one_too_many_or_too_few(file):
    listed = {MANIFEST: listing({"a": b"1", "b": b"2"})}
    assert refusal(file, forged({**listed, "a": b"1", "b": b"3"})).startswith("b: differs from its checksum")
    assert refusal(file, forged({**listed, "a": b"1"})) == "b: is missing"
    assert refusal(file, forged({**listed, "a": b"1", "b": b"2", "c": b""})).startswith("c: is not in the manifest")


def test_an_archive_packed_by_another_program_has_no_seal(file):
    assert "was changed after it was exported" in refusal(file, forged({MANIFEST: listing(SMALL), **SMALL}))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ArchiveError, match=r"none\.zip: cannot be read: No such file"):
        unpacked(tmp_path / "none.zip")
