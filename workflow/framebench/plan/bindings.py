"""From the names in config.yaml to the CPU and to cards of this machine: chosen once, and kept with the results.

The choice is in devices.json of the results folder, so that a later invocation, or a job on another host, does not
choose differently.
"""

import dataclasses
import json
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from framebench import files
from framebench.measure.devices import nvml

AUTO = "auto"
CPU = "cpu"
RECORD = "devices.json"

Asked = str | list[str] | Mapping[str, Mapping[str, str]]


class DeviceError(Exception):
    """A device is not available; one line that begins with the key of config.yaml or with the file."""


@dataclass(frozen=True)
class Gpu:
    """The card, or the MIG device of a card, behind a name; None where it did not report a value."""

    name: str
    uuid: str
    model: str
    pci_bus_id: str | None
    driver_version: str | None
    host: str


@dataclass(frozen=True)
class Wish:
    """The device behind a name: `how` is `uuid` or `model`, `what` its value; `key` is its place in config.yaml."""

    key: str
    name: str
    how: str
    what: str

    def fits(self, uuid: str, model: str) -> bool:
        """True where a card is this one: the same UUID, or the words of the model one after another in its name."""
        if self.how == "uuid":
            return uuid.lower() == self.what.lower()
        return nvml.is_model(model, self.what)


@dataclass(frozen=True)
class Chosen:
    """All devices ever chosen for a results folder: name → card, None for the CPU; and those of `auto`."""

    devices: Mapping[str, Gpu | None]
    auto: tuple[str, ...] | None


def resolve(asked: Asked, results: str) -> dict[str, Gpu | None]:
    """The meaning of `devices` of config.yaml: name → card, None for the CPU.

    Names that the results folder has are taken from it; the machine is asked only for others, and not at all for the
    CPU alone. DeviceError where a device does not exist, or is not the one chosen before.
    """
    if asked != AUTO and set(asked) == {CPU}:
        return {CPU: None}
    return choose(asked, _chosen(results), f"{results}/{RECORD}", _cards)


def keep(asked: Asked, devices: Mapping[str, Gpu | None], results: str) -> None:
    """Save the choice, with those already in the results folder; nothing where only the CPU is possible."""
    before = _chosen(results)
    auto = tuple(devices) if asked == AUTO else before.auto
    after = Chosen({**before.devices, **devices}, auto)
    if after == before or (asked != AUTO and set(asked) == {CPU}):
        return
    described = {
        name: {"kind": "gpu", **dataclasses.asdict(gpu)} if gpu else {"kind": "cpu"}
        for name, gpu in after.devices.items()
    }
    with files.whole(Path(results, RECORD)) as file:
        json.dump({"auto": after.auto, "devices": described}, file, indent=1)


def bindings(devices: Mapping[str, Gpu | None]) -> dict[str, dict[str, str]]:
    """Devices in the form of config.yaml, with no choice left."""
    return {name: {"uuid": gpu.uuid} if gpu else {} for name, gpu in devices.items()}


def choose(
    asked: Asked, chosen: Chosen, record: str, cards: Callable[[], Iterable[nvml.Card]]
) -> dict[str, Gpu | None]:
    """`resolve`, given the machine's `cards` and the name of the file with the choice as `record`."""
    if asked == AUTO:
        if chosen.auto is not None:
            return {name: chosen.devices[name] for name in chosen.auto}
        return _every(cards)
    found: dict[str, Gpu | None] = {}
    for wish in _wishes(asked):
        if wish.name == CPU:
            found[CPU] = None
        elif before := chosen.devices.get(wish.name):
            found[wish.name] = _as_before(wish, before, record)
        else:
            found[wish.name] = _gpu(wish.name, _card(wish, cards))
    _refuse_shared_cards(found)
    return found


def _wishes(asked: Asked) -> list[Wish]:
    if not isinstance(asked, Mapping):
        return [Wish(f"devices[{i}]", name, "model", name) for i, name in enumerate(asked)]
    wishes = []
    for name, binding in asked.items():
        if name == CPU and binding:
            raise DeviceError(f"devices.{name}: is the processor and has no uuid or model; give a GPU another name")
        # A uuid is enough; a name alone is a model, as in a list.
        how = "uuid" if "uuid" in binding else "model"
        key = f"devices.{name}.{how}" if binding else f"devices.{name}"
        wishes.append(Wish(key, name, how, binding.get(how, name)))
    return wishes


def _every(cards: Callable[[], Iterable[nvml.Card]]) -> dict[str, Gpu | None]:
    """Each card of the machine under a label of its model; the CPU where there is none."""
    try:
        found = list(cards())
    except (nvml.BrokenDriverError, nvml.CardLostError) as error:
        raise DeviceError(f"devices: auto cannot see which NVIDIA GPUs there are: {error}; or give names") from None
    except nvml.NoDriverError:
        found = []
    labels = [label(card.name) for card in found]
    devices: dict[str, Gpu | None] = {}
    for i, card in enumerate(found):
        _refuse_mig("devices", card)
        number = f"-{labels[: i + 1].count(labels[i])}" if labels.count(labels[i]) > 1 else ""
        devices[labels[i] + number] = _gpu(labels[i] + number, card)
    return devices or {CPU: None}


def label(model: str) -> str:
    """A short name for a model, up to its number: `NVIDIA H200` → `h200`, `NVIDIA GeForce RTX 4090` → `rtx-4090`."""
    words = [word for word in nvml.words(model) if word not in ("nvidia", "tesla", "geforce", "quadro")]
    numbered = [i for i, word in enumerate(words) if any(map(str.isdigit, word))]
    return "-".join(words[: numbered[0] + 1] if numbered else words) or "gpu"


def _card(wish: Wish, cards: Callable[[], Iterable[nvml.Card]]) -> nvml.Card:
    """The one requested card; its MIG device where the uuid is one's."""
    try:
        there = list(cards())
    except nvml.NvmlError as error:
        raise DeviceError(f"{wish.key}: {wish.what!r} is an NVIDIA GPU, and none can be seen here: {error}") from None
    if wish.how == "uuid":
        for card in there:
            for uuid in card.mig_uuids:
                if wish.fits(uuid, card.name):
                    return dataclasses.replace(card, uuid=uuid)
    found = [card for card in there if wish.fits(card.uuid, card.name)]
    if not found:
        listed = ", ".join(map(_told, there)) or "no card"
        raise DeviceError(f"{wish.key}: {wish.what!r} is not on this machine, which has {listed}")
    if len(found) > 1:
        listed = ", ".join(map(_told, found))
        raise DeviceError(f"{wish.key}: {wish.what!r} is the model of several cards; choose one by its uuid: {listed}")
    _refuse_mig(wish.key, found[0])
    return found[0]


def _refuse_mig(key: str, card: nvml.Card) -> None:
    if card.mig:
        devices = ", ".join(card.mig_uuids) or "it has none yet"
        raise DeviceError(
            f"{key}: MIG is on on {_told(card)}, so that CUDA shows only its MIG devices; "
            f"choose one by its uuid: {devices}"
        )


def _refuse_shared_cards(devices: Mapping[str, Gpu | None]) -> None:
    names: dict[str, str] = {}
    for name, gpu in devices.items():
        if gpu and (other := names.setdefault(gpu.uuid.lower(), name)) != name:
            raise DeviceError(f"devices: {other!r} and {name!r} are the same card, {gpu.uuid} ({gpu.model})")


def _as_before(wish: Wish, before: Gpu, record: str) -> Gpu:
    """The device chosen before for a name; DeviceError where another one is requested now."""
    if wish.fits(before.uuid, before.model):
        return before
    raise DeviceError(
        f"{wish.key}: {wish.what!r} is not what {wish.name!r} stands for in these results, {before.uuid} "
        f"({before.model}); take another name, or delete {record} to choose the devices anew"
    )


def _told(card: nvml.Card) -> str:
    return f"{card.uuid} ({card.name})"


def _gpu(name: str, card: nvml.Card) -> Gpu:
    return Gpu(name, card.uuid, card.name, card.pci_bus_id, card.driver_version, platform.node())


@cache
def _cards() -> tuple[nvml.Card, ...]:
    with nvml.session():
        return tuple(nvml.cards())


def _chosen(results: str) -> Chosen:
    path = Path(results, RECORD)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        devices = {
            name: Gpu(**{key: values[key] for key in Gpu.__annotations__}) if values["kind"] == "gpu" else None
            for name, values in content["devices"].items()
        }
        return Chosen(devices, content["auto"] and tuple(content["auto"]))
    except FileNotFoundError:
        return Chosen({}, None)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DeviceError(f"{path}: cannot be used: {error!r}; delete it to choose the devices anew") from None
