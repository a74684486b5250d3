"""The power of an idle GPU: measured once for each card, and kept in the results."""

import json
from dataclasses import asdict

import pytest

import standin
from framebench.measure import command, supervisor
from framebench.measure.devices import idle
from framebench.plan import catalogue
from requested import PROTOCOL, REQUEST, request

pytestmark = pytest.mark.check


@pytest.fixture
def of_card(stand_in, tmp_path, monkeypatch):
    """The idle power of a card, of the first unless told otherwise, kept in `tmp_path/idle`."""
    monkeypatch.setattr(idle, "SAMPLED_S", 0.1)
    for name, value in (stand_in.environment | {"PYTHONPATH": str(catalogue.ROOT / "workflow")}).items():
        monkeypatch.setenv(name, value)

    def found(card: int = 0, uuid: str | None = None) -> idle.Idle:
        return idle.of_card(tmp_path / "idle", uuid or standin.UUIDS[card], request(sampler_hz=50).protocol)

    return found


def test_each_card_is_measured_once_and_read_back_by_later_invocations(of_card, stand_in, tmp_path):
    first = of_card()
    assert (first.uuid, first.power_w, first.reason) == (standin.UUIDS[0], pytest.approx(120), None)
    stand_in.cards[0].power_instant_mw = stand_in.cards[0].power_mw = 700_000  # it computes
    asked = stand_in.calls("nvmlInitWithFlags")
    assert of_card() == first
    assert stand_in.calls("nvmlInitWithFlags") == asked
    assert of_card(card=1).power_w == pytest.approx(16)
    kept = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "idle").iterdir()}
    assert kept == {f"{one.uuid}.json": asdict(one) for one in (first, of_card(card=1))}


@pytest.mark.parametrize(
    ("kind", "processes", "reason"),
    [
        ("vGPU", {}, "Not Supported"),
        ("vGPU that answers", {}, "the card answered 0, which is not from 0.001 to 10000"),
        (None, {4001: standin.GIB}, idle.OTHERS),
    ],
)
def test_a_power_that_is_not_that_of_an_idle_card_is_null_with_its_reason(of_card, stand_in, kind, processes, reason):
    if kind:
        stand_in.become(kind)
    stand_in.show_processes(0, processes)
    found = of_card()
    assert (found.power_w, found.reason) == (None, reason)
    # The card has computed since: it is not measured later as if it had not.
    stand_in.show_processes(0, {})
    assert of_card() == found


def test_of_a_card_that_does_not_answer_nothing_is_kept(of_card, stand_in, tmp_path):
    stand_in.fault("nvmlDeviceGetTemperature", standin.GPU_IS_LOST, after=3)
    lost = of_card()
    assert (lost.power_w, lost.reason) == (None, "nvmlDeviceGetTemperature: GPU is lost")
    assert not (tmp_path / "idle").exists()
    stand_in.fault("nvmlDeviceGetTemperature")
    assert of_card().power_w == pytest.approx(120)


def test_the_uuid_of_a_mig_device_may_have_slashes(of_card, stand_in, tmp_path):
    stand_in.cards[1].uuid = b"MIG-GPU-5b21c3a4/1/0"
    assert of_card(uuid="MIG-GPU-5b21c3a4/1/0").power_w == pytest.approx(16)
    assert [path.name for path in (tmp_path / "idle").iterdir()] == ["MIG-GPU-5b21c3a4-1-0.json"]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"uuid": "GPU-1"}'])
def test_a_damaged_file_is_told_in_one_line(of_card, tmp_path, content):
    file = tmp_path / "idle" / f"{standin.UUIDS[0]}.json"
    file.parent.mkdir()
    file.write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit) as told:
        of_card()
    assert str(told.value).startswith(f"{file}: cannot be used: ")
    assert str(told.value).endswith("; delete it to measure the idle card again")


def test_a_command_measures_it_before_anything_computes_and_after_other_processes_have_ended(monkeypatch, tmp_path):
    done = []
    monkeypatch.setattr(command, "die_with", lambda parent: None)
    monkeypatch.setattr(command, "wait_for_others", lambda uuid, timeout_s: done.append(f"waited for {uuid}"))
    monkeypatch.setattr(idle, "of_card", lambda folder, uuid, protocol: done.append(f"{folder} of {uuid}"))
    parser = command.parser("a.command", None, decided=tuple(vars(REQUEST.cell)))
    words = ["--data", "d", "--idle", str(tmp_path), "--uuid", "GPU-1"]
    for other_processes in ("wait", "flag"):
        protocol = json.dumps(asdict(PROTOCOL) | {"other_processes": other_processes})
        with command.leased(parser.parse_args([*words, "--protocol", protocol])):
            done.append("computed")
    assert done == ["waited for GPU-1", f"{tmp_path} of GPU-1", "computed", f"{tmp_path} of GPU-1", "computed"]


def test_a_record_has_it_with_its_time_and_its_reason(tmp_path):
    asked = request(device="h200", uuid=standin.UUIDS[0])
    for found in (
        idle.Idle(standin.UUIDS[0], 1.5e9, 71.5, None),
        idle.Idle(standin.UUIDS[0], 1.5e9, None, idle.OTHERS),
    ):
        run = supervisor.Run(supervisor.Member(asked, tmp_path / "log", idle=found), {"cpu_model": "m"}, tmp_path)
        recorded = run.record({})
        assert (recorded["power_idle_w"], recorded["power_idle_unix_s"]) == (found.power_w, 1.5e9)
        assert json.loads(recorded["gpu_unknown"] or "{}").get("power_idle_w") == found.reason
