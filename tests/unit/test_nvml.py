"""Queries of the cards through the real pynvml, in child processes that load the stand-in."""

import json
import os

import pytest

import standin
from standin import UUIDS

pytestmark = pytest.mark.check

SESSION = "import json; from framebench.measure.devices import nvml\nwith nvml.session(): "
CARDS = SESSION + "print(json.dumps([vars(card) for card in nvml.cards()]))"
REASON = """
from framebench.measure.devices import nvml
try:
    with nvml.session(): print("a driver")
except nvml.NoDriverError as error:
    print(f"{type(error).__name__}: {error}")
"""


def cards(stand_in: standin.StandIn) -> list[dict]:
    return json.loads(stand_in.child(CARDS))


def test_two_cards_are_told_by_uuid_with_all_their_facts(stand_in):
    second, first = cards(stand_in)
    assert first == {
        "uuid": UUIDS[0],
        "name": "NVIDIA H200",
        "pci_bus_id": "00000000:18:00.0",
        "memory_total_mib": 140 * 1024,
        "power_limit_w": 700,
        "max_sm_mhz": 1980,
        "max_memory_mhz": 3201,
        "ecc": True,
        "mig": False,
        "mig_uuids": [],
        "driver_version": "999.1",
        "stand_in": True,
    }
    assert (second["uuid"], second["name"]) == (UUIDS[1], "NVIDIA L4")


@pytest.mark.parametrize(
    ("function", "fact"),
    [
        ("nvmlDeviceGetEccMode", "ecc"),
        ("nvmlDeviceGetMigMode", "mig"),
        ("nvmlDeviceGetEnforcedPowerLimit", "power_limit_w"),
        ("nvmlDeviceGetMaxClockInfo", "max_sm_mhz"),
        ("nvmlDeviceGetMemoryInfo", "memory_total_mib"),
        ("nvmlDeviceGetPciInfo_v3", "pci_bus_id"),
        ("nvmlSystemGetDriverVersion", "driver_version"),
    ],
)
@pytest.mark.parametrize("code", [standin.NOT_SUPPORTED, standin.FUNCTION_NOT_FOUND])
def test_queries_without_an_answer_are_none(stand_in, function, fact, code):
    stand_in.fault(function, code)
    assert [card[fact] for card in cards(stand_in)] == [None, None]


def test_a_query_that_one_card_does_not_answer_is_none_for_that_card_alone(stand_in):
    stand_in.fault("nvmlDeviceGetEccMode", standin.NOT_SUPPORTED, card=1)
    assert [card["ecc"] for card in cards(stand_in)] == [None, True]


def test_the_memory_of_a_card_is_told_by_a_driver_without_the_second_version_of_it(stand_in):
    stand_in.fault("nvmlDeviceGetMemoryInfo_v2", standin.FUNCTION_NOT_FOUND)
    assert [card["memory_total_mib"] for card in cards(stand_in)] == [24 * 1024, 140 * 1024]


def test_mig_devices_are_told_and_found_by_their_uuids(stand_in):
    stand_in.cards[0].mig, stand_in.cards[0].mig_uuid = 1, standin.MIG_UUIDS[0].encode()
    _, card = cards(stand_in)
    assert (card["mig"], card["mig_uuids"]) == (True, [standin.MIG_UUIDS[0]])
    found = stand_in.child(SESSION + f"card = nvml.card({standin.MIG_UUIDS[0]!r}); print(card.uuid, card.mig)")
    assert found == f"{standin.MIG_UUIDS[0]} None"


def test_the_processes_on_a_card_are_told_with_their_memory_where_the_driver_knows_it(stand_in):
    stand_in.show_processes(0, {4001: 3 * standin.GIB, 4002: standin.UNKNOWN_BYTES})
    code = SESSION + f"print([(one.pid, one.used_mib) for one in nvml.processes({UUIDS[0]!r})])"
    assert stand_in.child(code) == "[(4001, 3072.0), (4002, None)]"
    assert stand_in.child(SESSION + f"print(nvml.processes({UUIDS[1]!r}))") == "[]"
    stand_in.fault("nvmlDeviceGetComputeRunningProcesses_v3", standin.FUNCTION_NOT_FOUND)
    assert stand_in.child(SESSION + f"print(nvml.processes({UUIDS[0]!r}))") == "None"


def test_a_card_that_this_process_may_not_ask_is_left_out(stand_in):
    stand_in.fault("nvmlDeviceGetHandleByIndex_v2", standin.NO_PERMISSION, card=0)
    assert [card["uuid"] for card in cards(stand_in)] == [UUIDS[1]]


def test_a_lost_card_is_no_card_that_does_not_answer(stand_in):
    stand_in.fault("nvmlDeviceGetEccMode", standin.GPU_IS_LOST, card=0)
    with pytest.raises(AssertionError, match="CardLostError: nvmlDeviceGetEccMode: GPU is lost"):
        cards(stand_in)


def test_without_a_library_there_is_no_driver(tmp_path):
    library = tmp_path / "libnvidia-ml.so.1"
    library.write_text("no library")
    reason = standin.child(REASON, {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)})
    assert reason == "NoDriverError: libnvidia-ml.so.1 cannot be loaded"


def test_a_library_without_a_driver_is_told_from_no_library(stand_in_libraries):
    reason = standin.child(REASON, standin.without_driver(stand_in_libraries))
    assert reason == "NoDriverError: libnvidia-ml.so.1 is there, but no driver is loaded"


def test_a_driver_that_does_not_answer_is_told_from_none(stand_in):
    stand_in.fault("nvmlInitWithFlags", standin.LIBRARY_MISMATCH)
    told = "the NVIDIA driver does not answer: RM has detected an NVML/RM version mismatch."
    assert stand_in.child(REASON) == f"BrokenDriverError: {told}"
