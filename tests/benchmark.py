"""What the harness itself costs, as ratios from one run: `make bench`. Prints; asserts nothing.

1. Images/s through the harness ÷ images/s of a plain script of the same loop, for each framework.
2. Wall time of the whole workflow ÷ the sum of the runs' own process times, for the default config.yaml.
3. Wall time and memory of planning many runs.
4. Images/s of PyTorch on one core beside the sampler of a GPU (the tests' stand-in) ÷ without, at 1, 10 and 100 Hz.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import yaml

import standin
from conftest import PROJECT, TINY, make_workspace
from framebench.analyse.statistics import geometric_mean_interval
from framebench.measure.devices.sampling import Sampling
from framebench.plan import environments

BATCH_SIZE = 128
FRAMEWORKS = ["tensorflow", "keras-tensorflow", "pytorch"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5, help="harness and plain runs per framework (default: 5)")
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
    """Plain script and harness in turn, so that both see the same machine."""
    folder.mkdir()
    workspace = make_workspace(folder)
    published = yaml.safe_load((PROJECT / "config.yaml").read_text())
    matrix = [TINY["matrix"][0] | {"batch_sizes": [BATCH_SIZE], "rounds": pairs}]
    workspace.configure(matrix=matrix, data=published["data"], protocol=published["protocol"])
    threads = str(len(os.sched_getaffinity(0)))
    for framework in FRAMEWORKS:
        python = PROJECT / environments.prefix(environments.lock_of(framework, "cpu")) / "bin" / "python"
        script = PROJECT / "tests" / "plain" / f"{framework.replace('-', '_')}.py"
        ratios = []
        for number in range(1, pairs + 1):
            plain = workspace.run(str(python), str(script), str(BATCH_SIZE), threads)
            record = (
                f"results/runs/cpu/article-cnn/{framework}/default/float32/device/batch-{BATCH_SIZE}"
                f"/round-{number}.json"
            )
            workspace.snakemake(record)
            through = json.loads((workspace.folder / record).read_text())["images_per_s"]
            ratios.append(through / float(plain.stdout))
        estimate = geometric_mean_interval(ratios, 0.95)
        interval = f" (95 % interval {estimate.low:.3f}–{estimate.high:.3f})" if estimate.low else ""
        print(f"harness ÷ plain script, {framework}: {estimate.mean:.3f}{interval}, {pairs} pairs", flush=True)


def workflow(folder: Path) -> None:
    """The default campaign, its environments installed."""
    folder.mkdir()
    workspace = make_workspace(folder)
    (folder / "config.yaml").write_text((PROJECT / "config.yaml").read_text())
    start = time.perf_counter()
    result = workspace.snakemake()
    wall_s = time.perf_counter() - start
    if result.returncode:
        sys.exit(result.stdout + result.stderr)
    process_s = sum(json.loads(path.read_text())["process_s"] for path in workspace.records())
    print(
        f"workflow ÷ runs: {wall_s / process_s:.3f} ({wall_s:.0f} s ÷ {process_s:.0f} s,"
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
    )
    wall_s = time.perf_counter() - start
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    (planned_runs,) = re.findall(r"^measure +(\d+)$", planned.stdout + planned.stderr, re.MULTILINE)[:1]
    print(f"planning {planned_runs} runs: {wall_s:.1f} s, {peak_mib:.0f} MiB", flush=True)


def sampler(folder: Path, pairs: int) -> None:
    """The plain script with the sampler of a run beside it, as a run has it, and without, in turn."""
    folder.mkdir()
    if not standin.build(folder):
        sys.exit("no C compiler (cc) to build the stand-in for the NVIDIA driver")
    os.environ |= standin.StandIn(folder, folder / "state").environment | {"PYTHONPATH": str(PROJECT / "workflow")}
    python = PROJECT / environments.prefix(environments.lock_of("pytorch", "cpu")) / "bin" / "python"
    script = [python, PROJECT / "tests" / "plain" / "pytorch.py", str(BATCH_SIZE), "1"]

    def images_per_s() -> float:
        # On the core that the sampler leaves alone.
        alone = ["taskset", "--cpu-list", "0"]
        return float(subprocess.run([*alone, *script], capture_output=True, check=True, text=True).stdout)

    for hz in (10, 1, 100):
        ratios = []
        for number in range(pairs):
            # Each goes first in turn, so that a machine that slows down is not taken for the sampler.
            speeds = {}
            for sampled in (number % 2 == 0, number % 2 == 1):
                with Sampling(standin.UUIDS[0], hz, [0], folder / "lines") if sampled else nullcontext():
                    speeds[sampled] = images_per_s()
            ratios.append(speeds[True] / speeds[False])
        estimate = geometric_mean_interval(ratios, 0.95)
        interval = f" (95 % interval {estimate.low:.3f}–{estimate.high:.3f})" if estimate.low else ""
        print(f"beside the sampler ÷ without, {hz} Hz: {estimate.mean:.3f}{interval}, {pairs} pairs", flush=True)


if __name__ == "__main__":
    main()
