"""Queries of the cards through the real pynvml, in child processes that load the stand-in."""

import json
import os

import pytest

import standin
from standin import UUIDS

pytestmark = pytest.mark.check

SESSION = "import json; from framebench.measure.devices import nvml\nwith nvml.session(): "
CARDS = SESSION + "print(json.dumps([vars(card) for card in nvml.cards()]))"
SEEN = SESSION + "print(json.dumps([[card.uuid for card in nvml.cards()], nvml.left_out()]))"
PROCESSES = SESSION + f"found, reason = nvml.processes(nvml.handle({UUIDS[0]!r})); print(found and len(found), reason)"
NOWHERE_ELSE = "from framebench.measure.devices import libraries; libraries.FOLDERS = ()"
PLAN = "from framebench.plan import bindings; bindings.resolve('auto', 'results of nobody')"
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
        "unknown": {},
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
    found = cards(stand_in)
    assert [card[fact] for card in found] == [None, None]
    assert all(card["unknown"][fact] for card in found)


def test_a_value_that_is_not_available_is_none_with_its_reason(stand_in):
    """NVML_VALUE_NOT_AVAILABLE of nvml.h, -1 in an unsigned number."""
    for card in stand_in.cards:
        card.power_limit_mw = card.max_sm_mhz = card.max_memory_mhz = standin.FOR_EVER
        card.memory_total_bytes = standin.UNKNOWN_BYTES
        card.memory_used_bytes = standin.UNKNOWN_BYTES
    for card in cards(stand_in):
        assert {fact: card[fact] for fact in card["unknown"]} == dict.fromkeys(
            ("power_limit_w", "max_sm_mhz", "max_memory_mhz", "memory_total_mib")
        )
        assert card["unknown"]["power_limit_w"] == "nvmlDeviceGetEnforcedPowerLimit: the answer is 4294967295"
    assert stand_in.child(SESSION + f"print(nvml.used_mib(nvml.handle({UUIDS[0]!r})))") == "None"


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


@pytest.mark.parametrize("kind", standin.KINDS)
def test_what_a_card_of_another_kind_does_not_tell_is_none_with_its_reason(stand_in, kind):
    stand_in.become(kind)
    found = cards(stand_in)
    assert len(found) == (0 if kind == "Jetson" else 2)
    for card in found:
        missing = {fact for fact, value in card.items() if value is None}
        assert missing == set(card["unknown"]), kind
        assert 0 not in [value for value in card.values() if type(value) is not bool]


def test_a_text_that_is_no_utf8_is_unknown_and_its_card_is_found_all_the_same(stand_in):
    """WSL2's driver 555 gives such a name: github.com/wookayin/gpustat/issues/170, gpuopenanalytics/pynvml#53."""
    for card in stand_in.cards:
        card.name, card.pci_bus_id = b"\xf8\x95\xa0\x81", b"\xff"
    stand_in.state.driver_version = b"5\n55"
    stand_in.cards[1].mig, stand_in.cards[1].mig_uuid = 1, b"MIG-\xf8"
    second, first = cards(stand_in)
    assert (first["uuid"], second["uuid"], second["mig_uuids"]) == (*UUIDS, [])
    for card in (first, second):
        assert (card["name"], card["pci_bus_id"], card["driver_version"]) == (None, None, None)
    assert first["unknown"] == {
        "name": "nvmlDeviceGetName: the answer is no UTF-8",
        "pci_bus_id": "nvmlDeviceGetPciInfo: the answer is no UTF-8",
        "driver_version": "nvmlSystemGetDriverVersion: the answer is '5\\n55'",
    }
    told = stand_in.child(SESSION + f"print(nvml.card({UUIDS[0]!r}))")
    assert told == f"{UUIDS[0]} (of unknown name)"


@pytest.mark.parametrize(
    ("function", "code", "reason"),
    [
        # A Jetson: github.com/HazyResearch/intelligence-per-watt/issues/40.
        (
            "nvmlDeviceGetUUID",
            standin.NOT_SUPPORTED,
            "card 0 (NVIDIA H200), which has no UUID to be given to a run by: nvmlDeviceGetUUID: Not Supported",
        ),
        (
            "nvmlDeviceGetHandleByIndex_v2",
            standin.NO_PERMISSION,
            "card 0, which cannot be asked: nvmlDeviceGetHandleByIndex: Insufficient Permissions",
        ),
        (
            "nvmlDeviceGetHandleByIndex_v2",
            standin.INSUFFICIENT_POWER,
            "card 0, which cannot be asked: nvmlDeviceGetHandleByIndex: Insufficient External Power",
        ),
        (
            "nvmlDeviceGetHandleByIndex_v2",
            standin.GPU_IS_LOST,
            "card 0, which is lost: nvmlDeviceGetHandleByIndex: GPU is lost",
        ),
        ("nvmlDeviceGetEccMode", standin.GPU_IS_LOST, "card 0, which is lost: nvmlDeviceGetEccMode: GPU is lost"),
    ],
)
def test_a_card_that_no_run_can_be_given_is_left_out_with_its_reason(stand_in, function, code, reason):
    stand_in.fault(function, code, card=0)
    assert json.loads(stand_in.child(SEEN)) == [[UUIDS[1]], [reason]]


def test_a_card_on_which_nobody_may_compute_is_left_out(stand_in):
    stand_in.cards[1].compute_mode = 2
    told = f"{UUIDS[1]} (NVIDIA L4), whose compute mode is Prohibited (nvidia-smi -c 0 allows computing)"
    assert json.loads(stand_in.child(SEEN)) == [[UUIDS[0]], [told]]
    stand_in.cards[1].compute_mode = 3  # of one process, as a run is
    assert json.loads(stand_in.child(SEEN)) == [[UUIDS[1], UUIDS[0]], []]


@pytest.mark.parametrize("code", [standin.GPU_IS_LOST, standin.INSUFFICIENT_POWER])
def test_a_healthy_card_is_found_by_its_uuid_beside_one_that_makes_the_query_fail(stand_in, code):
    """The query by UUID fails where any card is lost, or without power (nvml.h)."""
    stand_in.fault("nvmlDeviceGetHandleByUUID", code)
    stand_in.fault("nvmlDeviceGetHandleByIndex_v2", code, card=1)
    stand_in.cards[0].mig, stand_in.cards[0].mig_uuid = 1, standin.MIG_UUIDS[0].encode()
    for uuid in (UUIDS[0], standin.MIG_UUIDS[0]):
        assert stand_in.child(SESSION + f"print(nvml.card({uuid!r}).uuid)") == uuid
    with pytest.raises(AssertionError, match=r"CardLostError|NoCardError.*card 1, which cannot be asked"):
        stand_in.child(SESSION + f"nvml.card({UUIDS[1]!r})")


def test_a_driver_that_does_not_count_its_cards_has_not_none(stand_in):
    stand_in.fault("nvmlDeviceGetCount_v2", standin.FUNCTION_NOT_FOUND)
    with pytest.raises(AssertionError, match="BrokenDriverError: the NVIDIA driver does not answer: nvmlDeviceGetC"):
        cards(stand_in)


def test_the_processes_on_a_card_are_told_with_their_memory_where_the_driver_knows_it(stand_in):
    stand_in.show_processes(0, {4001: 3 * standin.GIB, 4002: standin.UNKNOWN_BYTES, 4003: 0})
    code = SESSION + f"print([(one.pid, one.used_mib) for one in nvml.processes(nvml.handle({UUIDS[0]!r}))[0]])"
    assert stand_in.child(code) == "[(4001, 3072.0), (4002, None), (4003, None)]"
    assert stand_in.child(code.replace(*UUIDS)) == "[]"


def test_an_older_driver_is_asked_for_its_processes_by_the_older_call_or_they_are_not_known(stand_in):
    """Such drivers: github.com/NVIDIA/k8s-device-plugin/issues/331, gpuopenanalytics/pynvml#43."""
    stand_in.show_processes(0, {4001: standin.GIB, 4002: standin.GIB})
    second, third = standin.PROCESS_LISTS
    stand_in.fault(third, standin.FUNCTION_NOT_FOUND)
    assert stand_in.child(PROCESSES) == "2"
    stand_in.fault(second, standin.NOT_SUPPORTED)
    assert stand_in.child(PROCESSES) == f"None {third}: Function Not Found; {second}: Not Supported"


@pytest.mark.parametrize(("driver", "calls"), [(b"535.54.03", 0), (b"535.98", 2), (b"470.256.02", 2), (b"", 2)])
def test_drivers_that_fill_another_structure_are_asked_by_the_older_call(stand_in, driver, calls):
    """From 535.43 to before 535.98: github.com/XuehaiPan/nvitop/issues/88."""
    stand_in.show_processes(0, {4001: standin.GIB, 4002: standin.GIB})
    stand_in.state.driver_version = driver
    assert stand_in.child(PROCESSES) == "2"
    assert stand_in.calls(standin.PROCESS_LISTS[1]) == calls


def test_without_a_library_there_is_no_driver(tmp_path):
    library = tmp_path / "libnvidia-ml.so.1"
    library.write_text("no library", encoding="utf-8")
    reason = standin.child(NOWHERE_ELSE + REASON, {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)})
    assert reason == "NoDriverError: libnvidia-ml.so.1 cannot be loaded"


def test_a_library_without_a_driver_is_told_from_no_library(stand_in_libraries):
    reason = standin.child(REASON, standin.without_driver(stand_in_libraries))
    assert reason == "NoDriverError: libnvidia-ml.so.1 is there, but no driver is loaded"


def test_a_driver_that_does_not_answer_is_told_from_none(stand_in):
    stand_in.fault("nvmlInitWithFlags", standin.LIBRARY_MISMATCH)
    told = (
        "the NVIDIA driver does not answer: RM has detected an NVML/RM version mismatch; the driver was updated while "
    )
    assert stand_in.child(REASON).startswith(f"BrokenDriverError: {told}")


@pytest.mark.parametrize("function", ["nvmlInitWithFlags", "nvmlDeviceGetName"])
def test_a_driver_that_hangs_ends_a_plan_in_one_line(stand_in, function):
    """Drivers do so for good: github.com/NVIDIA/open-gpu-kernel-modules/issues/971, NVIDIA/go-nvml#152."""
    stand_in.fault(function, delay_ms=20_000)
    plan = f"from framebench.measure.devices import nvml; nvml.ANSWER_S = 1\n{PLAN}"
    told = "^the NVIDIA driver does not answer within 1 s, nor would it answer nvidia-smi; restart the machine, or .+$"
    with pytest.raises(AssertionError, match=told):
        stand_in.child(plan)


def test_a_driver_in_a_folder_that_the_loader_does_not_know_is_found(stand_in):
    """WSL2's /usr/lib/wsl/lib: github.com/NVIDIA/nvidia-docker/issues/1548."""
    hidden = {name: value for name, value in stand_in.environment.items() if name != "LD_LIBRARY_PATH"}
    here = f"from framebench.measure.devices import libraries; libraries.FOLDERS = ({str(stand_in.libraries)!r},)\n"
    assert len(json.loads(standin.child(here + CARDS, hidden))) == 2
    shown = "from framebench.measure.devices import cuda; print(len(cuda.visible_uuids()))"
    assert standin.child(here + shown, hidden) == "2"
