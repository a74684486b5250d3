"""Only the tracks of the matrix are proved, and as many certificates at a time as there are cores and memory for."""

import pytest

from framebench.plan.proofs import PROOF_MIB, cores_each, covers_tuned

pytestmark = pytest.mark.check


@pytest.mark.parametrize(
    ("content", "covers"),
    [
        ('{"id": "a", "tracks": ["default", "tuned"]}', True),
        ('{"id": "a", "tracks": ["default"]}', False),
        ('{"id": "b", "tracks": ["default", "tuned"]}', False),
        ('{"id": "a", "tracks": null}', False),
        ('{"id": "a"}', False),
        ("[]", False),
        ("no JSON", False),
        (None, False),
    ],
)
def test_a_track_that_a_campaign_drops_is_covered_by_the_certificate_that_is_there_and_still_counts(
    tmp_path, content, covers
):
    certificate = tmp_path / "pytorch.json"
    if content is not None:
        certificate.write_text(content, encoding="utf-8")
    assert covers_tuned(certificate, "a") is covers


@pytest.mark.parametrize(
    ("cores", "proofs_that_memory_holds", "at_a_time"),
    [(16, 40, 16), (16, 6, 5), (16, 1, 1), (2, 8, 2), (2, 1.9, 1), (1, 8, 1), (4, 0.2, 1)],
)
def test_as_many_proofs_run_at_a_time_as_cores_and_memory_allow(cores, proofs_that_memory_holds, at_a_time):
    assert cores // cores_each(cores, proofs_that_memory_holds * PROOF_MIB) == at_a_time
