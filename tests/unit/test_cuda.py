"""CUDA, here the stand-in, reveals a run on another card; in child processes."""

import json
import os
from types import SimpleNamespace
from uuid import UUID

import pytest

import standin
from framebench.measure.devices import cuda, libraries
from standin import MIG_UUIDS, UUIDS

pytestmark = pytest.mark.check

VISIBLE = "from framebench.measure.devices import cuda; print(cuda.visible_uuids())"
CHECK = """
from framebench.measure.devices import cuda
try:
    print(cuda.device({uuid!r}))
except RuntimeError as error:
    print(error)
"""


def bare(uuid: str) -> str:
    return uuid.partition("-")[2]


def test_cuda_shows_the_cards_that_the_process_may_see(stand_in):
    assert stand_in.child(VISIBLE) == str([bare(uuid) for uuid in UUIDS])
    assert stand_in.child(VISIBLE, CUDA_VISIBLE_DEVICES=UUIDS[1]) == str([bare(UUIDS[1])])


@pytest.mark.parametrize("uuid", [*UUIDS, MIG_UUIDS[0]])
def test_the_card_that_was_given_is_right(stand_in, uuid):
    stand_in.cards[0].mig_uuid = MIG_UUIDS[0].encode()
    assert stand_in.child(CHECK.format(uuid=uuid), CUDA_VISIBLE_DEVICES=uuid) == "cuda"


def test_another_card_than_that_given_is_told_with_both_uuids(stand_in):
    stand_in.cards[0].cuda_uuid = UUIDS[1].encode()
    told = stand_in.child(CHECK.format(uuid=UUIDS[0]), CUDA_VISIBLE_DEVICES=UUIDS[0])
    assert told == f"the run was given {UUIDS[0]}, and CUDA shows it {bare(UUIDS[1])}"


def test_a_second_card_beside_the_one_given_is_told(stand_in):
    told = stand_in.child(CHECK.format(uuid=UUIDS[0]))
    assert told == f"the run was given {UUIDS[0]}, and CUDA shows it {bare(UUIDS[0])}, {bare(UUIDS[1])}"


@pytest.mark.parametrize("function", ["cuInit", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetUuid_v2"])
def test_a_function_that_fails_is_named_with_its_code(stand_in, function):
    stand_in.fault(function, 999)
    told = stand_in.child(CHECK.format(uuid=UUIDS[0]))
    assert told == f"CUDA cannot be asked for its devices: {function} answers 999"


def test_without_a_driver_or_a_library_nothing_is_right(stand_in_libraries, tmp_path):
    check = CHECK.format(uuid=UUIDS[0])
    told = standin.child(check, standin.without_driver(stand_in_libraries))
    assert told == "CUDA cannot be asked for its devices: cuInit answers 100"
    (tmp_path / "libcuda.so.1").write_text("no library", encoding="utf-8")
    check = f"from framebench.measure.devices import libraries; libraries.FOLDERS = ()\n{check}"
    told = standin.child(check, {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)})
    assert told.startswith("CUDA cannot be asked for its devices: ")


def test_a_driver_before_cuda_11_4_is_asked_by_the_older_call(monkeypatch):
    def get_uuid(bytes_, _):
        bytes_[:] = UUID(bare(UUIDS[0])).bytes
        return 0

    library = SimpleNamespace(
        cuInit=lambda _: 0,
        cuDeviceGetCount=lambda count: setattr(count._obj, "value", 1) or 0,
        cuDeviceGet=lambda *_: 0,
        cuDeviceGetUuid=get_uuid,
    )
    monkeypatch.setattr(libraries, "load", lambda _: library)
    assert cuda.visible_uuids() == [bare(UUIDS[0])]


def test_the_devices_are_told_as_json_and_none_is_no_failure(stand_in):
    ask = "import runpy; runpy.run_module('framebench.measure.devices.cuda', run_name='__main__')"
    assert json.loads(stand_in.child(ask, CUDA_VISIBLE_DEVICES="0")) == [bare(UUIDS[0])]
    assert json.loads(stand_in.child(ask, CUDA_VISIBLE_DEVICES="-1")) == []
