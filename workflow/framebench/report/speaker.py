"""Values of keys and quantities as words for a reader."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from framebench.analyse import machines
from framebench.languages import Language, numbers
from framebench.plan import catalogue
from framebench.report.quantities import Quantity, Value


@dataclass(frozen=True)
class Speaker:
    """Formats the values of keys for a reader."""

    language: Language
    labels: Mapping[str, str]
    devices: Mapping[str, str]

    def value(self, key: str, value: Any) -> str:
        """A key's value in full."""
        if key == "device":
            name = self.devices.get(str(value), str(value))
            if machines.machine(str(value)):
                return f"{machines.alone(str(value))}, {name}"
            said = self.language.value(value)
            return name if name == str(value) else f"{said} ({name})"
        if key == "framework":
            return self.labels.get(value) or catalogue.framework_label(value)
        if key in ("track", "input"):
            return self.language[f"{key}_{value}"]
        return self.language.workload(str(value)) if key == "workload" else str(value)

    def at(self, what: str, machine: str) -> str:
        """Words for a machine, if there are several."""
        return f"{what} ({machine})" if machine else what

    def briefly(self, key: str, value: Any) -> str:
        """The same in short."""
        if key == "input":
            return self.language[f"input_{value}_short"]
        if key == "batch_size":
            return self.language["batch"].format(batch_size=value)
        if key == "device":
            return self.language.value(value)
        return str(value) if key == "workload" else self.value(key, value)

    def number(self, quantity: Quantity, value: Value) -> str:
        """The number with its bounds, or the reason for its absence."""
        if value.number is None:
            return value.remark

        def said(number: float) -> str:
            if quantity.reference:
                return numbers.ratio(number)
            return numbers.number(number, f",.{quantity.decimals}f")

        return numbers.bounded(value.number, value.low, value.high, said)
