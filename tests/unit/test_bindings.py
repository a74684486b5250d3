"""The card behind a name of config.yaml, on machines with these cards, and the refusals."""

import dataclasses
import json
import re

import pytest

from framebench.measure.devices import nvml
from framebench.plan import bindings, catalogue, config
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
        ("", "gpu"),
        # Another form, kind or part of a card is another card.
        ("NVIDIA GeForce RTX 4090 D", "rtx-4090-d"),
        ("NVIDIA GeForce RTX 3080 Ti", "rtx-3080-ti"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 NVL", "h100-nvl"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("Quadro RTX 6000", "rtx-6000"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
        ("NVIDIA GH200 480GB", "gh200"),
        ("GRID A100-8C", "grid-a100-8c"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "a100-mig-1g"),
    ],
)
def test_a_label_is_short_and_says_the_whole_model(model, label):
    assert bindings.label(model) == label


@pytest.mark.parametrize(
    ("models", "labels"),
    [
        (["NVIDIA H200", "NVIDIA H200", "NVIDIA L4"], ["h200-1", "h200-2", "l4"]),
        (["NVIDIA A100-SXM4-40GB", "NVIDIA A100-PCIE-80GB"], ["a100", "a100-pcie"]),
        (
            ["NVIDIA A100-SXM4-40GB", "NVIDIA A100-SXM4-80GB", "NVIDIA A100-SXM4-80GB"],
            ["a100-sxm4-40gb", "a100-sxm4-80gb-1", "a100-sxm4-80gb-2"],
        ),
        (["NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 4090 D"], ["rtx-4090", "rtx-4090-d"]),
        (["NVIDIA H100 80GB HBM3", "NVIDIA H100 NVL"], ["h100", "h100-nvl"]),
        ([None, "NVIDIA L4", None], ["gpu-1", "l4", "gpu-2"]),
    ],
)
def test_cards_of_nearly_one_name_have_names_that_tell_them_apart(models, labels):
    cards = [dataclasses.replace(H200, uuid=f"GPU-{i}", name=model) for i, model in enumerate(models)]
    assert chosen("auto", *cards) == {label: f"GPU-{i}" for i, label in enumerate(labels)}


def test_a_mig_device_has_not_the_name_of_its_card():
    assert chosen("auto", dataclasses.replace(H200, uuid=MIG_UUIDS[0])) == {"h200-mig": MIG_UUIDS[0]}


def test_a_model_is_the_card_of_this_name_where_another_has_more_words():
    def of(*names: str) -> list[nvml.Card]:
        return [dataclasses.replace(H200, uuid=uuid, name=name) for uuid, name in zip(UUIDS, names, strict=False)]

    both = of("NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 4090 D")
    assert chosen(["rtx-4090", "rtx-4090-d"], *both) == {"rtx-4090": UUIDS[0], "rtx-4090-d": UUIDS[1]}
    assert chosen(["h100"], *of("NVIDIA H100 NVL")) == {"h100": UUIDS[0]}
    for name, model in (("h100", "NVIDIA H100 80GB HBM3"), ("a100", "NVIDIA A100-SXM4-40GB")):
        told = refusal([name], *of(model, f"NVIDIA {name.upper()} PCIe"))
        assert told.startswith(f"devices[0]: {name!r} is the model of several cards; choose one by its uuid: ")


LOST = "card 1, which is lost: nvmlDeviceGetHandleByIndex: GPU is lost"


def test_auto_takes_the_healthy_cards_and_says_which_it_leaves_out(capsys):
    found = bindings.choose("auto", NOTHING, "results/devices.json", lambda: Machine((L4,), (LOST,)))
    assert {name: gpu.uuid for name, gpu in found.items()} == {"l4": UUIDS[1]}
    assert capsys.readouterr().err == f"devices: auto leaves out {LOST}\n"


def test_auto_does_not_take_the_cpu_where_no_card_can_be_used():
    with pytest.raises(DeviceError) as caught:
        bindings.choose("auto", NOTHING, "results/devices.json", lambda: Machine((), (LOST,)))
    told = f"devices: auto can use no GPU of this machine, which has {LOST}; or give [cpu]"
    assert str(caught.value) == told


def test_a_card_that_is_left_out_is_named_where_it_was_asked_for_and_no_matter_elsewhere():
    machine = Machine((L4,), (LOST,))
    found = bindings.choose(["l4"], NOTHING, "results/devices.json", lambda: machine)
    assert found["l4"].uuid == UUIDS[1]
    with pytest.raises(DeviceError) as caught:
        bindings.choose(["h200"], NOTHING, "results/devices.json", lambda: machine)
    told = f"devices[0]: 'h200' is not on this machine, which has {UUIDS[1]} (NVIDIA L4), {LOST}"
    assert str(caught.value) == told


def test_a_card_of_unknown_name_is_chosen_by_its_uuid_and_kept(tmp_path, monkeypatch):
    nameless = dataclasses.replace(H200, name=None)
    monkeypatch.setattr(bindings, "_machine", lambda: Machine((nameless, L4)))
    asked = {"big": {"uuid": UUIDS[0]}, "l4": {}}
    bindings.keep(asked, bindings.resolve(asked, str(tmp_path)), str(tmp_path))
    found = bindings.resolve(asked, str(tmp_path))
    assert (found["big"].model, found["l4"].uuid) == (None, UUIDS[1])
    assert f"{UUIDS[0]} (of unknown name)" in refusal(["a100"], nameless, L4)


# The variable for one machine after another, each as the parent of every process that asks it.
VISIBLE = """
import contextlib, io, json, os, tempfile
from framebench.plan import bindings, catalogue, config
found = []
for asked, variables in json.loads({cases!r}):
    os.environ.pop("CUDA_VISIBLE_DEVICES", None), os.environ.pop("CUDA_DEVICE_ORDER", None)
    os.environ.update(variables)
    bindings._machine.cache_clear()
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            devices = bindings.resolve(asked, {results!r})
            answer = [gpu and gpu.uuid for gpu in devices.values()]
            said = said.getvalue()
        except bindings.DeviceError as error:
            answer, said = None, str(error)
    found.append([answer, said])
print(json.dumps(found))
"""
ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def resolved(stand_in, results, *cases: tuple[object, dict[str, str]]) -> list[tuple[list | None, str]]:
    """UUIDs of the devices, or None, and the line said, for each `devices` and each set of variables."""
    return json.loads(stand_in.child(VISIBLE.format(cases=json.dumps(cases), results=str(results))))


def visible(value: str, **others: str) -> dict[str, str]:
    return {"CUDA_VISIBLE_DEVICES": value, **others}


def test_auto_takes_the_cards_alone_that_cuda_shows(stand_in, tmp_path):
    """People on shared servers: github.com/gpuopenanalytics/pynvml/issues/28, tensorflow/benchmarks#315."""
    stand_in.cards[0].cuda_rank = 1  # the second card is CUDA's first
    one, two = UUIDS
    told = "devices: auto leaves out {}, which CUDA_VISIBLE_DEVICES={!r} hides\n"
    names = {one: f"{one} (NVIDIA H200)", two: f"{two} (NVIDIA L4)"}
    cases = {
        "0": two,
        "1": one,
        "1,7,0": one,
        one: one,
        two[:12]: two,
        f"{one},GPU-none,{two}": one,
    }
    found = resolved(stand_in, tmp_path, *(("auto", visible(value)) for value in cases))
    for (value, uuid), (uuids, said) in zip(cases.items(), found, strict=True):
        assert uuids == [uuid], value
        assert said == told.format(names[two if uuid == one else one], value)
    by_bus, both, turned, none = resolved(
        stand_in,
        tmp_path,
        ("auto", visible("0", **ORDER)),
        ("auto", visible("0,1")),
        ("auto", visible(f"{one},{two}")),
        ("auto", {}),
    )
    assert by_bus[0] == [one]
    assert sorted(both[0]) == sorted(turned[0]) == sorted(none[0]) == sorted(UUIDS)
    assert (both[1], turned[1], none[1]) == ("", "", "")


def test_auto_is_the_cpu_where_the_variable_hides_every_gpu_and_says_so(stand_in, tmp_path):
    values = ("", "-1", "NoDevFiles")
    for value, found in zip(
        values, resolved(stand_in, tmp_path, *(("auto", visible(value)) for value in values)), strict=True
    ):
        assert found == [[None], f"devices: auto takes the CPU, as CUDA_VISIBLE_DEVICES={value!r} hides every GPU\n"]


def test_a_variable_that_names_no_card_of_the_machine_is_refused_and_so_is_one_that_cuda_cannot_read(
    stand_in, tmp_path
):
    values = ("7", "0,0", "all", "gpu-5b21")
    refused = resolved(stand_in, tmp_path, *(("auto", visible(value)) for value in values))
    for (uuids, said), value in zip(refused, values, strict=True):
        assert uuids is None
        assert said.startswith(
            f"devices: auto can use no GPU of this machine, which has {UUIDS[1]} (NVIDIA L4), which "
        )
        assert said.endswith(f"which CUDA_VISIBLE_DEVICES={value!r} hides; or give [cpu]")
    stand_in.fault("cuInit", 999)
    [(_, broken)] = resolved(stand_in, tmp_path, (["h200"], visible("0")))
    assert broken == (
        "devices[0]: 'h200' is an NVIDIA GPU, and none can be seen here: CUDA_VISIBLE_DEVICES='0' is set, and CUDA "
        "cannot be asked for its devices: cuInit answers 999; unset it"
    )


def test_a_line_of_the_loaders_is_not_taken_for_the_reason_of_cuda(stand_in, tmp_path):
    stand_in.fault("cuInit", 803)
    [(_, broken)] = resolved(stand_in, tmp_path, ("auto", visible("0", LD_PRELOAD="/nowhere/libnone.so")))
    assert "CUDA cannot be asked for its devices: cuInit answers 803" in broken


def test_a_named_card_that_is_hidden_is_refused_and_a_model_is_that_of_the_visible_card(stand_in, tmp_path):
    hidden, by_uuid, shown = resolved(
        stand_in,
        tmp_path,
        (["l4"], visible("0")),
        ({"big": {"uuid": UUIDS[1]}}, visible("0")),
        (["h200"], visible("0")),
    )
    there = f"which has {UUIDS[0]} (NVIDIA H200), {UUIDS[1]} (NVIDIA L4), which CUDA_VISIBLE_DEVICES='0' hides"
    assert hidden == [None, f"devices[0]: 'l4' is not on this machine, {there}"]
    assert by_uuid == [None, f"devices.big.uuid: {UUIDS[1]!r} is not on this machine, {there}"]
    assert shown == [[UUIDS[0]], ""]
    stand_in.cards[1].name = b"NVIDIA H200"
    assert resolved(stand_in, tmp_path, (["h200"], visible("1"))) == [[[UUIDS[1]], ""]]


def test_a_machine_whose_one_gpu_has_no_uuid_is_refused_in_one_line(stand_in, tmp_path):
    """A Jetson: github.com/HazyResearch/intelligence-per-watt/issues/40."""
    stand_in.become("Jetson")
    stand_in.state.card_count = 1
    there = "card 0 (Orin (nvgpu)), which has no UUID to be given to a run by: nvmlDeviceGetUUID: Not Supported"
    auto, named = resolved(stand_in, tmp_path, ("auto", {}), (["orin"], {}))
    assert auto == [None, f"devices: auto can use no GPU of this machine, which has {there}; or give [cpu]"]
    assert named == [None, f"devices[0]: 'orin' is not on this machine, which has {there}"]


def test_a_mig_device_that_is_visible_alone_is_taken(stand_in, tmp_path):
    stand_in.cards[0].mig, stand_in.cards[0].mig_uuid = 1, MIG_UUIDS[0].encode()
    one, two = resolved(stand_in, tmp_path, ("auto", visible(MIG_UUIDS[0])), ("auto", visible("MIG-77")))
    assert one[0] == two[0] == [MIG_UUIDS[0]]


def test_a_card_chosen_before_is_not_measured_while_it_is_hidden(stand_in, tmp_path):
    bindings.keep("auto", {"h200": gpu("h200", H200)}, str(tmp_path))
    for asked in ("auto", ["h200"]):
        shown, hidden = resolved(stand_in, tmp_path, (asked, visible("0")), (asked, visible("1")))
        assert shown == [[UUIDS[0]], ""]
        assert hidden == [
            None,
            f"devices: 'h200' stands for {UUIDS[0]} (NVIDIA H200) in these results, which CUDA_VISIBLE_DEVICES='1' "
            f"hides; unset it, or delete {tmp_path}/devices.json to choose the devices anew",
        ]


def test_the_results_of_another_machine_are_used_whatever_the_variable_says(stand_in, tmp_path):
    elsewhere = dataclasses.replace(gpu("h200", H200), uuid="GPU-elsewhere")
    bindings.keep(["h200"], {"h200": elsewhere}, str(tmp_path))
    assert resolved(stand_in, tmp_path, (["h200"], visible("0"))) == [[["GPU-elsewhere"], ""]]


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


def test_two_cards_of_one_uuid_are_not_measured_as_two():
    """A run is given its card by the UUID, and both would be measured on the first."""
    told = refusal("auto", H200, dataclasses.replace(H200, pci_bus_id="00000000:3B:00.0"))
    assert told == f"devices: 'h200-1' and 'h200-2' are the same card, {UUIDS[0]} (NVIDIA H200)"


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
    kept = json.loads((tmp_path / "devices.json").read_text(encoding="utf-8"))
    assert (kept["devices"]["l4"]["uuid"], kept["auto"]) == (UUIDS[1], ["h200", "l4"])


def test_a_new_name_joins_those_that_were_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr(bindings, "_machine", lambda: Machine((H200, L4)))
    for asked in (["h200"], ["cpu", "l4"]):
        bindings.keep(asked, bindings.resolve(asked, str(tmp_path)), str(tmp_path))
    kept = json.loads((tmp_path / "devices.json").read_text(encoding="utf-8"))["devices"]
    assert {name: values["kind"] for name, values in kept.items()} == {"h200": "gpu", "cpu": "cpu", "l4": "gpu"}


def test_for_the_cpu_alone_nothing_is_looked_at_and_nothing_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(bindings, "_machine", lambda: pytest.fail("the cards were looked at"))
    for asked in (["cpu"], {"cpu": {}}):
        bindings.keep(asked, bindings.resolve(asked, str(tmp_path)), str(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("devices", "cards", "packages"),
    [("auto", (L4,), "cuda"), ("auto", (), "cpu"), (["cpu", "l4"], (L4,), "cuda"), (["cpu"], (L4,), "cpu")],
)
def test_packages_are_those_for_cuda_where_one_of_the_devices_is_a_card(
    tmp_path, monkeypatch, devices, cards, packages
):
    """Not where a file of the driver is: github.com/NVIDIA/nvidia-container-toolkit/issues/271."""
    monkeypatch.setattr(bindings, "_machine", lambda: Machine(cards))
    monkeypatch.chdir(tmp_path)
    written = config.readable(catalogue.ROOT / "config.yaml") | {"devices": devices}
    assert config.load(written, "config.yaml").packages == packages


@pytest.mark.parametrize("content", ["", "[]", '{"auto": null}', '{"auto": null, "devices": {"a": {"kind": "gpu"}}}'])
def test_a_record_of_the_devices_that_cannot_be_read_is_refused_with_the_way_out(tmp_path, content):
    (tmp_path / "devices.json").write_text(content, encoding="utf-8")
    with pytest.raises(DeviceError, match=re.escape(f"{tmp_path}/devices.json: cannot be used: ")):
        bindings.resolve("auto", str(tmp_path))


def test_the_devices_kept_are_said_as_a_configuration_says_them():
    assert bindings.bindings({"big": gpu("big", H200), "cpu": None}) == {"big": {"uuid": UUIDS[0]}, "cpu": {}}
