"""Samples one GPU through NVML at a steady rate: `python -P -m framebench.measure.devices.sampler --help`.

It is a process of its own, because a thread in the trainer's process would take the interpreter from its steps. It
writes a line of JSON for each sample, so that no sample is lost however it ends; it ends when its standard input does,
and so with its parent. framebench.measure.devices.samples reads the lines.
"""

import argparse
import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pynvml

from framebench.measure.devices import nvml

PROCESSES_EVERY_S = 5  # the list of processes is by far the most expensive call
READY = "sampling"  # printed on standard output at the first sample, or when there will be none


@dataclass(frozen=True)
class Query:
    """One call of NVML: its name, and the values for each column, or the reason why there are none."""

    name: str
    columns: tuple[str, ...]
    ask: Callable[[Any], tuple[Any, ...] | str]


def _memory(card: Any) -> tuple[float, ...]:
    memory = pynvml.nvmlDeviceGetMemoryInfo(card, pynvml.nvmlMemory_v2)
    return memory.used / nvml.MIB, memory.reserved / nvml.MIB


def _memory_with_reserved(card: Any) -> tuple[float, ...]:
    return (pynvml.nvmlDeviceGetMemoryInfo(card).used / nvml.MIB,)


def _utilisation(card: Any) -> tuple[float, ...]:
    rates = pynvml.nvmlDeviceGetUtilizationRates(card)
    return rates.gpu, rates.memory


def _power_field(field: int) -> Callable[[Any], tuple[float, ...]]:
    """A field's value in W; the call can succeed while the field fails, which has a return code of its own."""

    def ask(card: Any) -> tuple[float, ...]:
        [found] = pynvml.nvmlDeviceGetFieldValues(card, [field])
        if found.nvmlReturn:
            raise pynvml.NVMLError(found.nvmlReturn)
        return (found.value.uiVal / 1000,)

    return ask


# Energy and power come first, nearest to the sample's time. Where two calls fill the same column, the later is for
# drivers that do not know the earlier; the first version of the memory call counts the driver's reserve as used.
QUERIES = (
    Query(
        "nvmlDeviceGetTotalEnergyConsumption",
        ("energy_counter_j",),
        lambda card: (pynvml.nvmlDeviceGetTotalEnergyConsumption(card) / 1000,),
    ),
    Query("NVML_FI_DEV_POWER_INSTANT", ("power_instant_w",), _power_field(pynvml.NVML_FI_DEV_POWER_INSTANT)),
    Query("NVML_FI_DEV_POWER_AVERAGE", ("power_average_w",), _power_field(pynvml.NVML_FI_DEV_POWER_AVERAGE)),
    Query("nvmlDeviceGetPowerUsage", ("power_w",), lambda card: (pynvml.nvmlDeviceGetPowerUsage(card) / 1000,)),
    Query("nvmlDeviceGetMemoryInfo_v2", ("memory_used_mib", "memory_reserved_mib"), _memory),
    Query("nvmlDeviceGetMemoryInfo", ("memory_used_mib",), _memory_with_reserved),
    Query("nvmlDeviceGetUtilizationRates", ("utilisation_percent", "memory_utilisation_percent"), _utilisation),
    Query(
        "nvmlDeviceGetClockInfo(SM)",
        ("sm_mhz",),
        lambda card: (pynvml.nvmlDeviceGetClockInfo(card, pynvml.NVML_CLOCK_SM),),
    ),
    Query(
        "nvmlDeviceGetClockInfo(MEM)",
        ("memory_mhz",),
        lambda card: (pynvml.nvmlDeviceGetClockInfo(card, pynvml.NVML_CLOCK_MEM),),
    ),
    Query(
        "nvmlDeviceGetTemperature",
        ("temperature_c",),
        lambda card: (pynvml.nvmlDeviceGetTemperature(card, pynvml.NVML_TEMPERATURE_GPU),),
    ),
    Query(
        "nvmlDeviceGetCurrentClocksEventReasons",
        ("throttle_reasons_bits",),
        lambda card: (pynvml.nvmlDeviceGetCurrentClocksEventReasons(card),),
    ),
    Query(
        "nvmlDeviceGetCurrentClocksThrottleReasons",
        ("throttle_reasons_bits",),
        lambda card: (pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(card),),
    ),
    Query(
        "nvmlDeviceGetTotalEccErrors",
        ("ecc_uncorrected_errors",),
        lambda card: (
            pynvml.nvmlDeviceGetTotalEccErrors(
                card, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
            ),
        ),
    ),
)


def _processes(card: Any) -> tuple[Any, ...] | str:
    """A row for each process that computes on the card; its memory is null where the driver does not know it."""
    found, reason = nvml.processes(card)
    return reason if found is None else tuple((one.pid, one.used_mib) for one in found)


PROCESSES = Query("nvmlDeviceGetComputeRunningProcesses", ("pid", "used_mib"), _processes)


def ticks(
    period_ns: int, wait_until: Callable[[int], bool], clock_ns: Callable[[], int] = time.perf_counter_ns
) -> Iterator[int]:
    """Sampling times of `clock_ns`, a period apart, until `wait_until` returns False instead of waiting.

    Times that pass while a sample is taken are skipped, and no two are less than half a period apart.
    """
    start_ns = tick_ns = clock_ns()
    while wait_until(tick_ns):
        taken_ns = clock_ns()
        yield taken_ns
        earliest_ns = max(clock_ns(), taken_ns + period_ns // 2)
        periods = -((start_ns - earliest_ns) // period_ns)  # rounded up
        tick_ns = start_ns + periods * period_ns


def ask(query: Query, card: Any) -> tuple[Any, ...] | str:
    """The values of a query, or the reason why there are none; nvml.CardLostError where the card is lost."""
    try:
        return query.ask(card)
    except pynvml.NVMLError as error:
        if error.value in nvml.LOST:
            raise nvml.CardLostError(f"{query.name}: {error}") from None
        return str(error)


def probe(card: Any) -> tuple[list[Query], dict[str, str]]:
    """The queries that this card answers, and the reasons for the others, by name; one query per column."""
    answered: list[Query] = []
    dropped: dict[str, str] = {}
    for query in QUERIES:
        if any(query.columns[0] in other.columns for other in answered):
            continue
        found = ask(query, card)
        if isinstance(found, str):
            dropped[query.name] = found
        else:
            answered.append(query)
    return answered, dropped


def run(uuid: str, hz: float, lines: TextIO, wait_until: Callable[[int], bool]) -> None:
    """Write lines of samples of a card until `wait_until` returns False.

    Raises nvml.NvmlError where the card or the driver is absent or lost.
    """

    def write(line: object) -> None:
        lines.write(json.dumps(line) + "\n")
        lines.flush()

    with nvml.session():
        card = nvml.handle(uuid)
        queries, dropped = probe(card)
        processes = ask(PROCESSES, card)
        if isinstance(processes, str):
            dropped[PROCESSES.name] = processes
        sources = {column: query.name for query in queries for column in query.columns}
        write({"uuid": uuid, "hz": hz, "sources": sources, "dropped": dropped})
        list_ns = 0
        for number, t_ns in enumerate(ticks(round(1e9 / hz), wait_until)):
            row: list[float | None] = [t_ns]
            for query in queries:
                found = ask(query, card)
                row += [None] * len(query.columns) if isinstance(found, str) else found
            write(row)
            if number == 0:
                print(READY, flush=True)
            if PROCESSES.name not in dropped and t_ns >= list_ns:
                list_ns = t_ns + PROCESSES_EVERY_S * 10**9
                processes = ask(PROCESSES, card)
                if not isinstance(processes, str):
                    write({"t_ns": t_ns, "processes": processes})


def main() -> None:
    arguments = parser().parse_args()
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, allowed - set(arguments.avoid_cores) or allowed)

    def wait_until(t_ns: int) -> bool:
        timeout_s = max(0, t_ns - time.perf_counter_ns()) / 1e9
        return not select.select([sys.stdin], [], [], timeout_s)[0]

    with arguments.output.open("w", encoding="utf-8") as lines:
        ended = None
        try:
            run(arguments.uuid, arguments.hz, lines, wait_until)
        except nvml.NvmlError as error:
            ended = str(error)
        lines.write(json.dumps({"ended": ended}) + "\n")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m framebench.measure.devices.sampler", description=__doc__)
    parser.add_argument("--uuid", required=True, help="the GPU")
    parser.add_argument("--hz", type=float, required=True, help="samples per second")
    parser.add_argument("--avoid-cores", type=int, nargs="*", default=[], help="cores to avoid, if there are others")
    parser.add_argument("--output", type=Path, required=True, help="file for the lines")
    return parser


if __name__ == "__main__":
    main()
