"""The cost of the harness itself, as ratios from one run: `make bench`. Prints; asserts nothing.

1. Images/s through the harness ÷ images/s of a plain script of the same loop, for each framework: fresh processes of
both, whose windows alternate within seconds.
2. Wall time of the whole workflow ÷ that of the rounds of all blocks, for the default config.yaml.
3. Wall time and memory of planning many runs.
4. Images/s of PyTorch on one core beside the sampler of a GPU (the tests' stand-in) ÷ without, at 1, 10 and 100 Hz.
"""

import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np

import standin
from conftest import PROJECT, TINY, make_workspace
from framebench.analyse.statistics import geometric_mean_interval
from framebench.data.synthetic_images import synthetic_images
from framebench.measure.devices.cpu import machine, pinned
from framebench.measure.devices.sampling import Sampling
from framebench.measure.process import environment
from framebench.measure.protocol import Blocks
from framebench.measure.request import Request
from framebench.measure.round import everyone, take_turns
from framebench.measure.supervisor import Member, Run
from framebench.plan import config, environments
from framebench.plan.yaml_file import readable
from framebench.record import Cell

BATCH_SIZE = 128
SAMPLES = 25600
BLOCKS = Blocks(count=20, min_s=0.2, min_steps=4, lead_in_s=0.05)  # of harness and plain script alike
FRAMEWORKS = ["tensorflow", "keras-tensorflow", "pytorch"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20, help="fresh processes on either side of a ratio (default: 20)")
    parser.add_argument("--runs", type=int, default=10_000, help="runs of the plan, at least (default: 10000)")
    parser.add_argument("--only", choices=["harness", "workflow", "plan", "sampler"], help="one of them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.only in (None, "plan"):
            plan(Path(folder, "plan"), arguments.runs)
        if arguments.only in (None, "harness"):
            harness(Path(folder, "harness"), arguments.pairs)
        if arguments.only in (None, "workflow"):
            workflow(Path(folder, "workflow"))
        if arguments.only in (None, "sampler"):
            sampler(Path(folder, "sampler"), arguments.pairs)


def harness(folder: Path, pairs: int) -> None:
    """A run of the harness and a plain script, both alive, whose short windows alternate in random order."""
    folder.mkdir()
    samples, labels = synthetic_images(SAMPLES, seed=1)
    np.savez(folder / "images.npz", samples=samples, labels=labels)
    published = config.load(readable(PROJECT / "config.yaml"), "config.yaml").protocol
    protocol = replace(published, blocks=BLOCKS, interleave=True)
    for framework in FRAMEWORKS:
        prefix = environments.prefix(environments.lock_of(framework, "cpu"))
        request = Request(
            cell=Cell("cpu", "article-cnn", framework, "default", "float32", "device", BATCH_SIZE),
            protocol=protocol,
            data=str(folder / "images.npz"),
            python=str(PROJECT / prefix / "bin" / "python"),
            environment=str(PROJECT / prefix),
            lock_digest="",
            weights_only=True,
        )
        ratios = [pair(folder, replace(request, round=number)) for number in range(1, pairs + 1)]
        told(f"harness ÷ plain script, {framework}", ratios)


def pair(folder: Path, request: Request) -> float:
    """Images/s of one run of the harness ÷ those of one plain script, each the median of its windows."""
    with tempfile.TemporaryDirectory(dir=folder) as own, pinned(request.protocol.cores):
        through = Run(Member(request, folder / "run.log"), machine(), Path(own))
        plain = Plain(request, folder / "plain.log")
        try:
            through.start(sample=False)
            for one in (through, plain):
                one.built()
                one.warm_up()
            draw = random.Random(f"{request.cell.framework} {request.round}")
            take_turns([through, plain], BLOCKS.count, count(1), draw, everyone)
            for one in (through, plain):
                one.end()
                one.close()
        finally:
            through.kill()
            plain.kill()
        record = through.record({})
    if record["status"] != "ok":
        sys.exit(f"{request.cell.framework}: {record['reason']} (log: {folder / 'run.log'})")
    return record["images_per_s"] / median(plain.speeds)


class Plain:
    """A plain script that takes turns like a run: it times a window for each line of its input."""

    def __init__(self, request: Request, log: Path) -> None:
        script = PROJECT / "tests" / "plain" / f"{request.cell.framework.replace('-', '_')}.py"
        numbers = request.cell.batch_size, request.protocol.threads, BLOCKS.min_s
        self.speeds: list[float] = []
        with log.open("w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [request.python, script, *map(str, numbers)],
                env=environment(request),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
            )
        self._log = log

    def built(self) -> None:
        """No record fields: it only reports that it is warm."""

    def warm_up(self) -> None:
        self._read()

    def take_turn(self, places: Sequence[int]) -> None:
        for _ in places:
            print(file=self._process.stdin, flush=True)
            self.speeds.append(float(self._read()))

    def end(self) -> None:
        self._process.stdin.close()

    def close(self) -> None:
        self._process.wait()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self._process.args[1]} has ended: {self._log.read_text(encoding='utf-8')[-1000:]}")
        return line


def told(what: str, ratios: Sequence[float]) -> None:
    """Print the mean of ratios with its interval."""
    estimate = geometric_mean_interval(ratios, 0.95)
    interval = f" (95 % interval {estimate.low:.3f}–{estimate.high:.3f})" if estimate.low else ""
    print(f"{what}: {estimate.mean:.3f}{interval}, {len(ratios)} pairs", flush=True)


def workflow(folder: Path) -> None:
    """The default campaign, its environments installed."""
    folder.mkdir()
    workspace = make_workspace(folder)
    (folder / "config.yaml").write_text((PROJECT / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    start = time.perf_counter()
    result = workspace.snakemake()
    wall_s = time.perf_counter() - start
    if result.returncode:
        sys.exit(result.stdout + result.stderr)
    # All runs of a round have its time.
    rounds_s = sum({json.loads(path.read_text(encoding="utf-8"))["round_s"] for path in workspace.records()})
    print(
        f"workflow ÷ rounds: {wall_s / rounds_s:.3f} ({wall_s:.0f} s ÷ {rounds_s:.0f} s,"
        f" {len(workspace.records())} runs)",
        flush=True,
    )


def plan(folder: Path, runs: int) -> None:
    """A dry run over so many runs, or a few more."""
    folder.mkdir()
    workspace = make_workspace(folder)
    sizes = list(range(1, runs // len(FRAMEWORKS) + 2))
    matrix = [TINY["matrix"][0] | {"batch_sizes": sizes}]
    workspace.configure(matrix=matrix, data={"samples": len(sizes)})
    start = time.perf_counter()
    planned = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules"],
        cwd=folder,
        capture_output=True,
        check=True,
        text=True,
        encoding="utf-8",
    )
    wall_s = time.perf_counter() - start
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    (jobs,) = re.findall(r"^measure_\S+ +(\d+)$", planned.stdout + planned.stderr, re.MULTILINE)[:1]
    print(f"planning {int(jobs) * len(FRAMEWORKS)} runs: {wall_s:.1f} s, {peak_mib:.0f} MiB", flush=True)


def sampler(folder: Path, pairs: int) -> None:
    """The plain script beside the sampler of a run, and without it, in turn."""
    folder.mkdir()
    if not standin.build(folder):
        sys.exit("no C compiler (cc) to build the stand-in for the NVIDIA driver")
    os.environ |= standin.StandIn(folder, folder / "state").environment | {"PYTHONPATH": str(PROJECT / "workflow")}
    python = PROJECT / environments.prefix(environments.lock_of("pytorch", "cpu")) / "bin" / "python"
    script = [python, PROJECT / "tests" / "plain" / "pytorch.py", str(BATCH_SIZE), "1", "3"]

    def images_per_s() -> float:
        # On the core that the sampler avoids.
        alone = ["taskset", "--cpu-list", "0"]
        return float(
            subprocess.run(
                [*alone, *script], input="\n", capture_output=True, check=True, text=True, encoding="utf-8"
            ).stdout
        )

    for hz in (10, 1, 100):
        ratios = []
        for number in range(pairs):
            # Each goes first in turn, so that the sampler is not blamed for a slowing machine.
            speeds = {}
            for sampled in (number % 2 == 0, number % 2 == 1):
                with Sampling(standin.UUIDS[0], hz, [0], folder / "lines") if sampled else nullcontext():
                    speeds[sampled] = images_per_s()
            ratios.append(speeds[True] / speeds[False])
        told(f"beside the sampler ÷ without, {hz} Hz", ratios)


if __name__ == "__main__":
    main()
