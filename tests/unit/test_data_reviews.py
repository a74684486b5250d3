"""Reviews as tokens: the synthetic ones, and those of an archive with the official layout."""

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebench.data.command import main
from framebench.data.imdb import FIRST_WORD, LENGTH, RARE, START, VOCABULARY, padded
from framebench.data.synthetic_reviews import FAVOUR, TELLING, synthetic_reviews

pytestmark = pytest.mark.check

REVIEWS = {
    "aclImdb/train/pos/0_9.txt": "Good good GOOD,<br /><br />it's a film.",
    "aclImdb/train/neg/0_2.txt": "Bad film.",
    "aclImdb/train/neg/1_1.txt": "bad, good",
    "aclImdb/train/unsup/0_0.txt": "never read",
    "aclImdb/test/pos/0_10.txt": "never read",
    "aclImdb/train/labeledBow.feat": "never read",
}


def archive(path: Path, reviews: dict[str, str]) -> str:
    """Writes the archive; its MD5."""
    with tarfile.open(path, "w:gz") as file:
        for name, text in reviews.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            file.addfile(member, io.BytesIO(text.encode()))
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def command(path: Path, md5: str, output: Path, samples: int = 3) -> list[str]:
    options = ["--archive", str(path), "--md5", md5, "--seed", "1", "--samples", str(samples), "--output", str(output)]
    return ["--kind", "reviews", "--source", "imdb", *options]


def test_words_are_counted_from_4_by_their_frequency_and_equally_frequent_ones_by_the_alphabet(tmp_path):
    main(command(tmp_path / "a.tar.gz", archive(tmp_path / "a.tar.gz", REVIEWS), tmp_path / "reviews.npz"))
    good, bad, film, a, its = range(FIRST_WORD, FIRST_WORD + 5)
    with np.load(tmp_path / "reviews.npz") as file:
        found = {tuple(row[row > 0]): label for row, label in zip(file["samples"], file["labels"], strict=True)}
        assert file["samples"].shape == (3, LENGTH)
    assert found == {(START, good, good, good, its, a, film): 1, (START, bad, film): 0, (START, bad, good): 0}


def test_more_reviews_than_there_are_and_another_archive_are_refused(tmp_path):
    md5 = archive(tmp_path / "a.tar.gz", REVIEWS)
    with pytest.raises(SystemExit, match=r"^config\.yaml: reviews\.samples: 4 reviews were requested, but .*holds 3 "):
        main(command(tmp_path / "a.tar.gz", md5, tmp_path / "r.npz", samples=4))
    with pytest.raises(SystemExit, match=r"reviews\.archive: .*MD5 is [0-9a-f]{32}, expected 0{32} \(reviews\.md5\)"):
        main(command(tmp_path / "a.tar.gz", "0" * 32, tmp_path / "r.npz"))
    md5 = archive(tmp_path / "b.tar.gz", {"aclImdb/train/pos/0_9.txt": "good"})
    with pytest.raises(SystemExit, match=r"holds no aclImdb/train/neg or no aclImdb/train/pos"):
        main(command(tmp_path / "b.tar.gz", md5, tmp_path / "r.npz"))
    with pytest.raises(SystemExit, match=r"there is no such file: give the path of aclImdb_v1\.tar\.gz"):
        main(command(tmp_path / "c.tar.gz", md5, tmp_path / "r.npz"))
    assert not (tmp_path / "r.npz").exists()


def test_a_source_of_images_has_no_reviews(tmp_path, capsys):
    arguments = ["--kind", "reviews", "--source", "cifar-10", "--samples", "1", "--seed", "1", "--output", "r.npz"]
    with pytest.raises(SystemExit):
        main(arguments)
    assert "--source cifar-10 has images, not reviews" in capsys.readouterr().err


@given(st.lists(st.integers(1, VOCABULARY - 1), max_size=2 * LENGTH))
def test_the_last_tokens_are_kept_and_zeros_come_after_them(tokens):
    row = padded(tokens)
    kept = tokens[-LENGTH:]
    assert row.shape == (LENGTH,)
    assert row[: len(kept)].tolist() == kept
    assert not row[len(kept) :].any()


def test_synthetic_reviews_are_the_same_for_a_seed_and_of_both_classes():
    tokens, labels = synthetic_reviews(400, 3)
    again, other = synthetic_reviews(400, 3), synthetic_reviews(400, 4)
    assert np.array_equal(tokens, again[0])
    assert np.array_equal(labels, again[1])
    assert not np.array_equal(tokens, other[0])
    assert labels.sum() == 200
    assert RARE not in tokens
    assert tokens.max() < VOCABULARY
    assert (tokens[:, -1] == 0).any()  # some are shorter
    assert (tokens[:, 0] != START).any()  # and some longer


def test_telling_words_are_likelier_in_their_own_class():
    tokens, labels = synthetic_reviews(2000, 5)
    words = [tokens[labels == label] - FIRST_WORD for label in range(2)]
    own, others = (
        sum(np.isin(words[label], np.arange(first, TELLING, 2)).sum() for label, first in pairs)
        for pairs in ([(0, 0), (1, 1)], [(0, 1), (1, 0)])
    )
    assert own / others == pytest.approx(FAVOUR, rel=0.1)


def test_no_reviews_at_all():
    tokens, labels = synthetic_reviews(0, 1)
    assert tokens.shape == (0, LENGTH)
    assert labels.shape == (0,)
