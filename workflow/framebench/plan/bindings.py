"""From the names in config.yaml to the CPU and to cards of this machine: chosen once, and kept with the results.

The choice is in devices.json of the results folder, so that a later invocation, or a job on another host, does not
choose differently.
"""

import dataclasses
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from framebench import files
from framebench.measure.devices import cuda, nvml
from framebench.plan import catalogue

AUTO = "auto"
CPU = "cpu"
RECORD = "devices.json"
# Words of a card's name that say nothing on its model: makers and families; and besides these its memory, and the
# usual form of a server's card. Another form (PCIe, NVL) or kind (Ti, D, Ada) stays: it is another card.
MAKERS = r"nvidia|tesla|geforce|quadro"
NO_MODEL = rf"{MAKERS}|gpu|generation|\d+gb|hbm\d\w*|sxm\d*"
# CUDA_VISIBLE_DEVICES where it is meant to hide every GPU; any other value is meant to name some.
HIDES_ALL = re.compile(r"\s*(-.*|none|void|nodevfiles)?\s*", re.IGNORECASE)

Asked = str | list[str] | Mapping[str, Mapping[str, str]]


class DeviceError(Exception):
    """A device is not available; one line that begins with the key of config.yaml or with the file."""


@dataclass(frozen=True)
class Gpu:
    """The card, or the MIG device of a card, behind a name; None where it did not report a value."""

    name: str
    uuid: str
    model: str | None
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

    def fits(self, uuid: str, model: str | None) -> bool:
        """True where a card is this one: the same UUID, or the words of the model one after another in its name."""
        if self.how == "uuid":
            return uuid.lower() == self.what.lower()
        return nvml.is_model(model, self.what)


@dataclass(frozen=True)
class Machine:
    """The cards on which a run can compute, and a few words on each other card: its name and the reason."""

    cards: tuple[nvml.Card, ...]
    left_out: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()  # UUIDs of cards and MIG devices that CUDA_VISIBLE_DEVICES hides

    def __str__(self) -> str:
        return ", ".join(map(str, [*self.cards, *self.left_out])) or "no card"


@dataclass(frozen=True)
class Chosen:
    """All devices ever chosen for a results folder: name → card, None for the CPU; and those of `auto`."""

    devices: Mapping[str, Gpu | None]
    auto: tuple[str, ...] | None


def resolve(asked: Asked, results: str) -> dict[str, Gpu | None]:
    """The meaning of `devices` of config.yaml: name → card, None for the CPU.

    Names that the results folder has are taken from it; the machine is asked only for others, and not at all for the
    CPU alone. DeviceError where a device does not exist, is hidden, or is not the one chosen before.
    """
    if is_cpu_alone(asked):
        return {CPU: None}
    found = choose(asked, _chosen(results), f"{results}/{RECORD}", _machine)
    if cuda.VISIBLE in os.environ:
        _refuse_hidden_cards(found, f"{results}/{RECORD}")
    return found


def keep(asked: Asked, devices: Mapping[str, Gpu | None], results: str) -> None:
    """Save the choice, with those already in the results folder; nothing where only the CPU is possible."""
    before = _chosen(results)
    auto = tuple(devices) if asked == AUTO else before.auto
    after = Chosen({**before.devices, **devices}, auto)
    if after == before or is_cpu_alone(asked):
        return
    described = {
        name: {"kind": "gpu", **dataclasses.asdict(gpu)} if gpu else {"kind": "cpu"}
        for name, gpu in after.devices.items()
    }
    with files.whole(Path(results, RECORD), encoding="utf-8") as file:
        json.dump({"auto": after.auto, "devices": described}, file, indent=1)


def is_cpu_alone(asked: Asked) -> bool:
    """True where `devices` of config.yaml can be no GPU, whatever the machine has."""
    return asked != AUTO and set(asked) == {CPU}


def bindings(devices: Mapping[str, Gpu | None]) -> dict[str, dict[str, str]]:
    """Devices in the form of config.yaml, with no choice left."""
    return {name: {"uuid": gpu.uuid} if gpu else {} for name, gpu in devices.items()}


def choose(asked: Asked, chosen: Chosen, record: str, machine: Callable[[], Machine]) -> dict[str, Gpu | None]:
    """`resolve`, given a function that asks the machine, and the name of the file with the choice as `record`."""
    if asked == AUTO:
        if chosen.auto is not None:
            return {name: chosen.devices[name] for name in chosen.auto}
        return _every(machine)
    found: dict[str, Gpu | None] = {}
    for wish in _wishes(asked):
        if wish.name == CPU:
            found[CPU] = None
        elif before := chosen.devices.get(wish.name):
            found[wish.name] = _as_before(wish, before, record)
        else:
            found[wish.name] = _gpu(wish.name, _card(wish, machine))
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


def _every(machine: Callable[[], Machine]) -> dict[str, Gpu | None]:
    """Each card of the machine under a label of its model; the CPU where there is none.

    Cards that are left out are told on stderr.
    """
    if cuda.VISIBLE in os.environ and HIDES_ALL.fullmatch(os.environ[cuda.VISIBLE]):
        print(f"devices: auto takes the CPU, as {_variable()} hides every GPU", file=sys.stderr, flush=True)
        return {CPU: None}
    try:
        found = machine()
    except (nvml.BrokenDriverError, nvml.CardLostError) as error:
        raise DeviceError(f"devices: auto cannot see which NVIDIA GPUs there are: {error}; or give names") from None
    except nvml.NoDriverError:
        return {CPU: None}
    if found.left_out and not found.cards:
        raise DeviceError(f"devices: auto can use no GPU of this machine, which has {found}; or give [cpu]")
    for one in found.left_out:
        print(f"devices: auto leaves out {one}", file=sys.stderr, flush=True)
    devices: dict[str, Gpu | None] = {}
    for label, card in zip(labels(found.cards), found.cards, strict=True):
        _refuse_mig("devices", card)
        devices[label] = _gpu(label, card)
    _refuse_shared_cards(devices)
    return devices or {CPU: None}


def labels(cards: Sequence[nvml.Card]) -> list[str]:
    """A name for each card, which no other has: short, or in full where a short one means two models.

    Cards of one model are numbered, in the order given.
    """
    models = [_model(card) for card in cards]
    of_label = {label(model): {other for other in models if label(other) == label(model)} for model in models}
    told = [label(model, full=len(of_label[label(model)]) > 1) for model in models]
    return [f"{one}-{told[: i + 1].count(one)}" if told.count(one) > 1 else one for i, one in enumerate(told)]


def label(model: str, full: bool = False) -> str:
    """A name for a model: `NVIDIA H200` → `h200`, `NVIDIA GeForce RTX 4090 D` → `rtx-4090-d`, nothing → `gpu`.

    In full, `NVIDIA A100-SXM4-40GB` is `a100-sxm4-40gb` and not `a100`.
    """
    left_out = MAKERS if full else NO_MODEL
    return "-".join(word for word in nvml.words(model) if not re.fullmatch(left_out, word)) or "gpu"


def _model(card: nvml.Card) -> str:
    """The model of a card; that of a MIG device is another than its card's."""
    is_mig = card.uuid.startswith("MIG-") and not nvml.is_model(card.name, "mig")
    return f"{card.name or ''}{' MIG' * is_mig}"


def _card(wish: Wish, machine: Callable[[], Machine]) -> nvml.Card:
    """The one requested card; its MIG device where the uuid is one's."""
    try:
        there = machine()
    except nvml.NvmlError as error:
        raise DeviceError(f"{wish.key}: {wish.what!r} is an NVIDIA GPU, and none can be seen here: {error}") from None
    if wish.how == "uuid":
        for card in there.cards:
            for uuid in card.mig_uuids:
                if wish.fits(uuid, card.name):
                    return dataclasses.replace(card, uuid=uuid)
    found = [card for card in there.cards if wish.fits(card.uuid, card.name)]
    # The RTX 4090 is not the RTX 4090 D beside it.
    found = [card for card in found if label(card.name or "", full=True) == label(wish.what, full=True)] or found
    if not found:
        raise DeviceError(f"{wish.key}: {wish.what!r} is not on this machine, which has {there}")
    if len(found) > 1:
        listed = ", ".join(map(str, found))
        raise DeviceError(f"{wish.key}: {wish.what!r} is the model of several cards; choose one by its uuid: {listed}")
    _refuse_mig(wish.key, found[0])
    return found[0]


def _refuse_mig(key: str, card: nvml.Card) -> None:
    if card.mig:
        devices = ", ".join(card.mig_uuids) or "it has none yet"
        raise DeviceError(
            f"{key}: MIG is on on {card}, so that CUDA shows only its MIG devices; choose one by its uuid: {devices}"
        )


def _refuse_shared_cards(devices: Mapping[str, Gpu | None]) -> None:
    names: dict[str, str] = {}
    for name, gpu in devices.items():
        if gpu and (other := names.setdefault(gpu.uuid.lower(), name)) != name:
            raise DeviceError(f"devices: {other!r} and {name!r} are the same card, {_told(gpu)}")


def _as_before(wish: Wish, before: Gpu, record: str) -> Gpu:
    """The device chosen before for a name; DeviceError where another one is requested now."""
    if wish.fits(before.uuid, before.model):
        return before
    raise DeviceError(
        f"{wish.key}: {wish.what!r} is not what {wish.name!r} stands for in these results, "
        f"{_told(before)}; take another name, or delete {record} to choose the devices anew"
    )


def _refuse_hidden_cards(devices: Mapping[str, Gpu | None], record: str) -> None:
    """DeviceError where CUDA_VISIBLE_DEVICES hides a card that was chosen before."""
    try:
        hidden = _machine().hidden
    except nvml.NvmlError:  # the results of another machine
        return
    for name, gpu in devices.items():
        if gpu and gpu.uuid in hidden:
            raise DeviceError(
                f"devices: {name!r} stands for {_told(gpu)} in these results, which {_variable()} hides; unset it, or "
                f"delete {record} to choose the devices anew"
            )


def _told(gpu: Gpu) -> str:
    return f"{gpu.uuid} ({gpu.model or nvml.UNKNOWN_NAME})"


def _gpu(name: str, card: nvml.Card) -> Gpu:
    return Gpu(name, card.uuid, card.name, card.pci_bus_id, card.driver_version, platform.node())


@cache
def _machine() -> Machine:
    with nvml.session():
        with nvml.answering():
            there, left_out = nvml.cards(), nvml.left_out()
        if not there or cuda.VISIBLE not in os.environ:
            return Machine(tuple(there), tuple(left_out))
        visible_uuids = shown()
        visible: list[nvml.Card] = []
        for card in there:
            found = [nvml.card(uuid) for uuid in (card.uuid, *card.mig_uuids) if cuda.bare(uuid) in visible_uuids]
            visible += found
            left_out += [] if found else [f"{card}, which {_variable()} hides"]
    every = {uuid for card in there for uuid in (card.uuid, *card.mig_uuids)}
    return Machine(tuple(visible), tuple(left_out), frozenset(every - {card.uuid for card in visible}))


def shown() -> list[str]:
    """The UUIDs that CUDA shows, in its notation; asked in a process of its own, which alone then holds the devices.

    BrokenDriverError where CUDA cannot be asked.
    """
    try:
        said = subprocess.run(
            [sys.executable, "-P", "-m", cuda.__name__],
            env={**os.environ, "PYTHONPATH": str(catalogue.ROOT / "workflow")},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=nvml.ANSWER_S,
            encoding="utf-8",
        )
    except subprocess.TimeoutExpired:
        raise _unanswered(f"CUDA does not answer within {nvml.ANSWER_S} s") from None
    if said.returncode:
        # Before CUDA's words there may be lines of the loader's or of Python's.
        raise _unanswered([f"CUDA ends the process with code {said.returncode}", *said.stderr.splitlines()][-1])
    return json.loads(said.stdout)


def _unanswered(reason: str) -> nvml.NvmlError:
    return nvml.BrokenDriverError(
        f"{_variable()} is set, and {reason}; unset it" if cuda.VISIBLE in os.environ else reason
    )


def _variable() -> str:
    return f"{cuda.VISIBLE}={os.environ.get(cuda.VISIBLE)!r}"


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
