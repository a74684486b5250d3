"""Shared by the readers of official archives: the check for the right archive, and the messages about a wrong one."""

import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from framebench.data import DataError
from framebench.data.download import download, md5_of


@contextmanager
def official(address: str, given: Path | None, md5: str, key: str, folder: Path) -> Iterator[Path]:
    """The path of an archive: the one `given`, or else that of `address`, downloaded into `folder`.

    An error while it is read becomes a DataError that begins with its name and with its origin in config.yaml, under
    `key`.
    """
    name = Path(address).name
    path = given or folder / name
    source = f"config.yaml: {key}.archive: {path}" if given else str(path)
    if not given:
        download(address, path, md5, key)
    try:
        if not path.exists():
            raise DataError(f"there is no such file: give the path of {name}, or null to download it")
        if not path.is_file():
            raise DataError(f"is not a file: give the path of {name}")
        yield path
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(
            f"{source}: is not a whole gzip-compressed tar archive ({error}): use {name} from {address}"
        ) from error
    except OSError as error:
        raise DataError(f"{source}: cannot be read: {error.strerror}") from error


def check_md5(path: Path, md5: str, key: str) -> None:
    """DataError where the file has another MD5."""
    found = md5_of(path)
    if found != md5:
        raise DataError(
            f"MD5 is {found}, expected {md5} ({key}.md5): the file is truncated or altered; download it again"
        )


def check_enough(samples: int, held: int, what: str, path: Path, key: str) -> None:
    """DataError where an archive holds fewer samples than requested."""
    if samples > held:
        raise DataError(
            f"config.yaml: {key}.samples: {samples} {what} were requested, but {path} holds {held} "
            f"training {what}: set {key}.samples to {held} or less"
        )
