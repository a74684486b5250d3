"""The card behind a name of config.yaml, on machines with these cards, and the refusals."""

import dataclasses
import json
import re

import pytest

from framebench.measure.devices import nvml
from framebench.plan import bindings
from framebench.plan.bindings import Chosen, DeviceError, Gpu, Machine
from standin import MIG_UUIDS, UUIDS

pytestmark = pytest.mark.check

NOTHING = Chosen({}, None)
FACTS = {"memory_total_mib": 1.0, "power_limit_w": 1.0, "max_sm_mhz": 1, "max_memory_mhz": 1, "ecc": None}
H200, L4 = (
    nvml.Card(uuid, name, "00000000:18:00.0", mig=False, mig_uuids=(), driver_version="1", stand_in=False, **FACTS)
    for uuid, name in zip(UUIDS, ("NVIDIA H200", "NVIDIA L4"), strict=True)
)
SECOND_H200 = dataclasses.replace(H200, uuid=UUIDS[1])
WITH_MIG = dataclasses.replace(H200, mig=True, mig_uuids=MIG_UUIDS)


def chosen(asked: bindings.Asked, *cards: nvml.Card, before: Chosen = NOTHING) -> dict[str, str | None]:
    """Name → UUID of the chosen devices on a machine with these cards."""
    found = bindings.choose(asked, before, "results/devices.json", lambda: Machine(cards))
    return {name: gpu and gpu.uuid for name, gpu in found.items()}


def refusal(asked: bindings.Asked, *cards: nvml.Card, before: Chosen = NOTHING) -> str:
    with pytest.raises(DeviceError) as caught:
        chosen(asked, *cards, before=before)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def gpu(name: str, card: nvml.Card) -> Gpu:
    return Gpu(name, card.uuid, card.name, card.pci_bus_id, card.driver_version, "a-host")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["cpu", "h200"], {"cpu": None, "h200": UUIDS[0]}),
        (["L4"], {"L4": UUIDS[1]}),
        ({"big": {"model": "H200"}, "cpu": {}}, {"big": UUIDS[0], "cpu": None}),
        ({"big": {"model": "nvidia h200"}}, {"big": UUIDS[0]}),
        ({"l4": {}}, {"l4": UUIDS[1]}),
        ({"big": {"uuid": UUIDS[0].upper()}}, {"big": UUIDS[0]}),
        ("auto", {"h200": UUIDS[0], "l4": UUIDS[1]}),
    ],
)
def test_a_name_a_model_or_a_uuid_finds_its_card(asked, found):
    assert chosen(asked, H200, L4) == found


def test_auto_numbers_the_cards_of_one_model_in_the_order_given():
    assert chosen("auto", SECOND_H200, H200) == {"h200-1": UUIDS[1], "h200-2": UUIDS[0]}


def test_auto_is_the_cpu_where_there_is_no_card():
    assert chosen("auto") == {"cpu": None}


@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("Tesla K80", "k80"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("NVIDIA TITAN V", "titan-v"),
        ("NVIDIA", "gpu"),
    ],
)
def test_a_label_is_short_and_holds_the_number_of_the_model(model, label):
    assert bindings.label(model) == label


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (nvml.NoDriverError, ["h200"]),
        (nvml.BrokenDriverError, ["h200"]),
        (nvml.BrokenDriverError, "auto"),
        (nvml.CardLostError, ["h200"]),
        (nvml.CardLostError, "auto"),
    ],
)
def test_cards_that_cannot_be_seen_are_not_taken_for_none(error, asked):
    def cards():
        raise error("for this reason")

    with pytest.raises(DeviceError, match="for this reason"):
        bindings.choose(asked, NOTHING, "results/devices.json", cards)


def test_without_a_driver_auto_is_the_cpu():
    def cards():
        raise nvml.NoDriverError("for this reason")

    assert bindings.choose("auto", NOTHING, "results/devices.json", cards) == {"cpu": None}


def test_a_part_of_a_word_is_no_model():
    assert refusal(["h20"], H200).startswith("devices[0]: 'h20' is not on this machine, which has GPU-")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["cpu", "a100"], f"devices[1]: 'a100' is not on this machine, which has {UUIDS[0]} (NVIDIA H200), {UUIDS[1]}"),
        ({"big": {"uuid": "GPU-1"}}, f"devices.big.uuid: 'GPU-1' is not on this machine, which has {UUIDS[0]} (NVIDIA"),
        ({"cpu": {"model": "L4"}}, "devices.cpu: is the processor and has no uuid or model; give a GPU another name"),
        (["L4", "l4"], f"devices: 'L4' and 'l4' are the same card, {UUIDS[1]} (NVIDIA L4)"),
    ],
)
def test_a_missing_device_is_refused_with_the_existing_ones(asked, message):
    assert refusal(asked, H200, L4).startswith(message)


def test_a_model_of_several_cards_is_refused_with_their_uuids():
    told = refusal({"big": {"model": "H200"}}, H200, SECOND_H200)
    assert told.startswith("devices.big.model: 'H200' is the model of several cards; choose one by its uuid: ")
    assert all(uuid in told for uuid in UUIDS)


@pytest.mark.parametrize("asked", ["auto", ["h200"], {"big": {"uuid": UUIDS[0]}}])
def test_a_card_with_mig_on_is_refused_with_its_mig_devices(asked):
    told = refusal(asked, WITH_MIG)
    assert "MIG is on on" in told
    assert all(uuid in told for uuid in MIG_UUIDS)


def test_a_mig_device_can_be_named():
    assert chosen({"slice": {"uuid": MIG_UUIDS[1]}}, WITH_MIG) == {"slice": MIG_UUIDS[1]}


def test_an_earlier_choice_stays_whatever_this_machine_has():
    before = Chosen({"h200": gpu("h200", H200)}, ("h200",))
    for asked in ("auto", ["h200"], {"h200": {"uuid": UUIDS[0]}}):
        assert chosen(asked, L4, before=before) == {"h200": UUIDS[0]}


def test_a_name_that_stood_for_another_card_is_refused_with_the_way_out():
    before = Chosen({"big": gpu("big", H200)}, None)
    assert refusal({"big": {"uuid": UUIDS[1]}}, H200, L4, before=before) == (
        f"devices.big.uuid: {UUIDS[1]!r} is not what 'big' stands for in these results, {UUIDS[0]} (NVIDIA H200); "
        "take another name, or delete results/devices.json to choose the devices anew"
    )


def test_a_choice_is_kept_and_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(bindings, "_machine", lambda: Machine((H200, L4)))
    first = bindings.resolve("auto", str(tmp_path))
    bindings.keep("auto", first, str(tmp_path))
    monkeypatch.setattr(bindings, "_machine", lambda: Machine(()))
    assert bindings.resolve("auto", str(tmp_path)) == first
    assert bindings.resolve(["l4"], str(tmp_path)) == {"l4": first["l4"]}
    kept = json.loads((tmp_path / "devices.json").read_text())
    assert (kept["devices"]["l4"]["uuid"], kept["auto"]) == (UUIDS[1], ["h200", "l4"])


def test_a_new_name_joins_those_that_were_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr(bindings, "_machine", lambda: Machine((H200, L4)))
    for asked in (["h200"], ["cpu", "l4"]):
        bindings.keep(asked, bindings.resolve(asked, str(tmp_path)), str(tmp_path))
    kept = json.loads((tmp_path / "devices.json").read_text())["devices"]
    assert {name: values["kind"] for name, values in kept.items()} == {"h200": "gpu", "cpu": "cpu", "l4": "gpu"}


def test_for_the_cpu_alone_nothing_is_looked_at_and_nothing_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(bindings, "_machine", lambda: pytest.fail("the cards were looked at"))
    for asked in (["cpu"], {"cpu": {}}):
        bindings.keep(asked, bindings.resolve(asked, str(tmp_path)), str(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "[]", '{"auto": null}', '{"auto": null, "devices": {"a": {"kind": "gpu"}}}'])
def test_a_record_of_the_devices_that_cannot_be_read_is_refused_with_the_way_out(tmp_path, content):
    (tmp_path / "devices.json").write_text(content)
    with pytest.raises(DeviceError, match=re.escape(f"{tmp_path}/devices.json: cannot be used: ")):
        bindings.resolve("auto", str(tmp_path))


def test_the_devices_kept_are_said_as_a_configuration_says_them():
    assert bindings.bindings({"big": gpu("big", H200), "cpu": None}) == {"big": {"uuid": UUIDS[0]}, "cpu": {}}
