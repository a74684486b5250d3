"""The CIFAR-10 archive: read exactly in its format, and otherwise refused with the reason."""

import gzip
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from framebench.data import cifar10
from framebench.data.command import main
from framebench.data.download import md5_of

pytestmark = pytest.mark.check

ROOT = Path(__file__).parents[2]
PER_BATCH = 4
NAMES = b"airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n"


def encode(images: np.ndarray, labels: np.ndarray) -> bytes:
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([labels[:, None], planes], axis=1).tobytes()


def members() -> dict[str, bytes]:
    random = np.random.default_rng(0)
    content = {}
    for name in cifar10.BATCHES:
        images = random.integers(0, 256, (PER_BATCH, 32, 32, 3), np.uint8)
        content[name] = encode(images, random.integers(0, 10, PER_BATCH, np.uint8))
    return content | {cifar10.NAMES: NAMES}


def pack(path: Path, content: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def command(archive: Path | None, output: Path, samples: int = 20, md5: str | None = None) -> list[str]:
    digest = md5 or (md5_of(archive) if archive and archive.is_file() else "0" * 32)
    options = ["--samples", str(samples), "--seed", "1", "--md5", digest, "--output", str(output)]
    return ["--kind", "images", "--source", "cifar-10", *options, *(["--archive", str(archive)] if archive else [])]


def refusal(arguments: list[str], output: Path) -> str:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not output.exists()
    message = str(end.value)
    assert "\n" not in message
    return message


@settings(max_examples=30)
@given(data=st.data(), count=st.integers(1, 5))
def test_records_decode_to_the_images_they_were_made_of(data, count):
    images = data.draw(arrays.arrays(np.uint8, (count, 32, 32, 3)))
    labels = data.draw(arrays.arrays(np.uint8, count, elements=st.integers(0, 9)))
    decoded, decoded_labels = cifar10.decode(encode(images, labels))
    assert np.array_equal(decoded, images) and np.array_equal(decoded_labels, labels)


def test_a_record_is_a_label_and_then_red_green_and_blue_rows():
    record = bytearray(3073)
    record[0] = 7
    record[1 + 32 * 2 + 5] = 100  # red, row 2, column 5
    record[1 + 2 * 1024 + 31] = 200  # blue, row 0, column 31
    images, labels = cifar10.decode(bytes(record))
    assert labels.tolist() == [7]
    assert images[0, 2, 5].tolist() == [100, 0, 0] and images[0, 0, 31].tolist() == [0, 0, 200]
    assert images.sum(dtype=int) == 300


def test_the_first_training_images_are_written_in_order(tmp_path):
    content = members()
    output = tmp_path / "images.npz"
    main(command(pack(tmp_path / "a.tar.gz", content), output, samples=18))
    images, labels = cifar10.decode(b"".join(content[name] for name in cifar10.TRAINING))
    with np.load(output, allow_pickle=False) as file:
        assert file["samples"].flags.c_contiguous
        assert np.array_equal(file["samples"], images[:18]) and np.array_equal(file["labels"], labels[:18])


def test_an_md5_in_capitals_is_the_same(tmp_path):
    archive = pack(tmp_path / "a.tar.gz", members())
    main(command(archive, tmp_path / "images.npz", md5=md5_of(archive).upper()))


def test_more_images_than_there_are_is_refused_with_both_numbers(tmp_path):
    archive = pack(tmp_path / "a.tar.gz", members())
    message = refusal(command(archive, tmp_path / "o.npz", samples=21), tmp_path / "o.npz")
    assert message.startswith(f"config.yaml: data.samples: 21 images were requested, but {archive} holds 20")


def test_another_md5_is_refused_with_both(tmp_path):
    archive = pack(tmp_path / "a.tar.gz", members())
    message = refusal(command(archive, tmp_path / "o.npz", md5="ab" * 16), tmp_path / "o.npz")
    assert message == (
        f"config.yaml: data.archive: {archive}: MD5 is {md5_of(archive)}, expected {'ab' * 16} (data.md5): "
        "the file is truncated or altered; download it again"
    )


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_truncated_archive_is_refused_by_its_md5_and_without(tmp_path, keep):
    archive = pack(tmp_path / "a.tar.gz", members())
    md5 = md5_of(archive)
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * keep)])
    output = tmp_path / "o.npz"
    assert "truncated or altered" in refusal(command(archive, output, md5=md5), output)
    # Cut off between two members, it reads as a shorter archive.
    message = refusal(command(archive, output), output)
    assert f"{archive}: is not a whole gzip-compressed tar" in message or f"{archive}: holds no" in message


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>not found</html>", gzip.compress(b"no tar at all" * 100), gzip.compress(b"")],
    ids=["empty", "page", "no tar", "empty gzip"],
)
def test_files_that_are_no_archives_are_refused_as_such(tmp_path, content):
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(content)
    message = refusal(command(archive, tmp_path / "o.npz"), tmp_path / "o.npz")
    assert message.startswith(f"config.yaml: data.archive: {archive}: is not a whole gzip-compressed tar archive")
    assert message.endswith("use cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz")


@pytest.mark.parametrize(("folder", "edition"), [("cifar-10-batches-py", "Python"), ("cifar-10-batches-mat", "Matlab")])
def test_another_edition_is_recognised_whatever_its_md5(tmp_path, folder, edition):
    archive = pack(tmp_path / "a.tar.gz", {f"{folder}/data_batch_4": b"never opened"})
    message = refusal(command(archive, tmp_path / "o.npz", md5="ab" * 16), tmp_path / "o.npz")
    assert f"{archive}: is the {edition} version of CIFAR-10, expected the binary version" in message


@pytest.mark.parametrize("name", [*cifar10.BATCHES, cifar10.NAMES])
def test_a_missing_member_is_named(tmp_path, name):
    content = members()
    del content[name]
    archive = pack(tmp_path / "a.tar.gz", content)
    assert f"{archive}: holds no {name}" in refusal(command(archive, tmp_path / "o.npz"), tmp_path / "o.npz")


@pytest.mark.parametrize(
    ("name", "data", "fault"),
    [
        (cifar10.TRAINING[2], b"", "has 0 bytes, expected a multiple of 3073 above 0"),
        (cifar10.BATCHES[5], bytes(3074), "has 3074 bytes, expected a multiple of 3073 above 0"),
        (cifar10.TRAINING[4], bytes(3073) + b"\x0a" + bytes(3072), "record 1 has label 10, expected 0 to 9"),
        (cifar10.NAMES, b"airplane\nbird\n", "lists 2 names, expected 10"),
    ],
)
def test_a_member_that_is_not_as_the_format_says_is_named(tmp_path, name, data, fault):
    archive = pack(tmp_path / "a.tar.gz", members() | {name: data})
    message = refusal(command(archive, tmp_path / "o.npz"), tmp_path / "o.npz")
    assert message.startswith(f"config.yaml: data.archive: {archive}: {name}") and fault in message


def test_a_member_that_is_a_folder_counts_as_missing(tmp_path):
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in (*cifar10.BATCHES, cifar10.NAMES):
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE
            tar.addfile(member)
    assert f"holds no {cifar10.BATCHES[0]}" in refusal(command(archive, tmp_path / "o.npz"), tmp_path / "o.npz")


def test_nothing_is_extracted_to_where_a_member_points(tmp_path):
    content = members() | {"../outside.bin": b"x", "/tmp/framebench-outside.bin": b"x"}
    (tmp_path / "in").mkdir()
    archive = pack(tmp_path / "in" / "a.tar.gz", content)
    main(command(archive, tmp_path / "in" / "images.npz"))
    assert not (tmp_path / "outside.bin").exists() and not Path("/tmp/framebench-outside.bin").exists()


def test_a_path_without_a_file_is_refused(tmp_path):
    missing = tmp_path / "none.tar.gz"
    message = refusal(command(missing, tmp_path / "o.npz"), tmp_path / "o.npz")
    assert message.startswith(f"config.yaml: data.archive: {missing}: there is no such file")
    message = refusal(command(tmp_path, tmp_path / "o.npz"), tmp_path / "o.npz")
    assert message.startswith(f"config.yaml: data.archive: {tmp_path}: is not a file")


def test_an_unreadable_archive_is_refused_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = command(pack(Path("a.tar.gz"), members()), Path("o.npz"))
    Path("a.tar.gz").chmod(0)
    tmp_path.chmod(0o755)
    user = os.geteuid()
    if user == 0:  # root may read everything
        os.seteuid(65534)
    try:
        message = refusal(arguments, Path("o.npz"))
    finally:
        os.seteuid(user)
    assert message == "config.yaml: data.archive: a.tar.gz: cannot be read: Permission denied"


def test_without_an_archive_and_a_network_the_alternatives_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(cifar10, "ADDRESS", "http://127.0.0.1:9/cifar-10-binary.tar.gz")
    message = refusal(command(None, tmp_path / "o.npz"), tmp_path / "o.npz")
    assert "set data.archive to a local copy of cifar-10-binary.tar.gz, or data.source to synthetic" in message


def test_an_earlier_download_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "ADDRESS", "http://127.0.0.1:9/cifar-10-binary.tar.gz")
    archive = pack(tmp_path / "cifar-10-binary.tar.gz", members())
    main(command(None, tmp_path / "images.npz", md5=md5_of(archive)))
    assert (tmp_path / "images.npz").exists()


def test_a_downloaded_archive_that_is_bad_is_named_without_the_key(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "ADDRESS", "http://127.0.0.1:9/cifar-10-binary.tar.gz")
    archive = pack(tmp_path / "cifar-10-binary.tar.gz", {"readme.html": b"hello"})
    message = refusal(command(None, tmp_path / "o.npz", md5=md5_of(archive)), tmp_path / "o.npz")
    assert message.startswith(f"{archive}: holds no {cifar10.BATCHES[0]}")


def test_the_md5_is_not_optional(tmp_path, capsys):
    arguments = [word for word in command(tmp_path, tmp_path / "o.npz") if word not in ("--md5", "0" * 32)]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2 and "needs --md5" in capsys.readouterr().err


def test_the_command_ends_with_one_line_and_exit_code_1(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "framebench", "data", *command(tmp_path / "none.tar.gz", tmp_path / "o.npz")],
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert run.returncode == 1 and run.stderr.count("\n") == 1 and run.stderr.startswith("config.yaml: data.archive")


def test_real_images_are_read(tmp_path):
    path = os.environ.get("FRAMEBENCH_CIFAR10_ARCHIVE")
    if not path:
        pytest.skip("FRAMEBENCH_CIFAR10_ARCHIVE does not name a CIFAR-10 binary archive")
    main(command(Path(path), tmp_path / "images.npz", samples=5000))
    with np.load(tmp_path / "images.npz", allow_pickle=False) as file:
        images, labels = file["samples"], file["labels"]
    # The dataset's first image is a frog, its second a truck; the first pixel is public knowledge.
    assert labels[:2].tolist() == [6, 9] and images[0, 0, 0].tolist() == [59, 62, 63]
    assert np.bincount(labels).min() > 400
    # Neighbouring pixels of a photograph are alike, and a wrong layout would destroy that.
    assert np.abs(np.diff(images.astype(int), axis=2)).mean() < 20
    assert np.abs(np.diff(images.astype(int), axis=1)).mean() < 20
