"""Plants every fault in every framework and reports the response of certificate and run.

`PYTHONPATH=workflow python tests/planted_faults.py --output TABLE.md` writes the table, in 100 minutes on two cores.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from framebench import workloads
from framebench.certify.__main__ import expectation, read
from framebench.certify.judge import judge
from framebench.data.synthetic_images import large_images, synthetic_images
from framebench.data.synthetic_reviews import synthetic_reviews
from framebench.measure.process import environment
from framebench.measure.protocol import Blocks, Protocol, Warmup
from framebench.measure.request import Request
from framebench.plan import catalogue, environments
from framebench.record import Cell
from requested import PROTOCOL

SYNTHETIC = {"images": synthetic_images, "large-images": large_images, "reviews": synthetic_reviews}
SAMPLES = 4000  # in ten classes, of which the lesson takes some
# Workload → samples to learn from. gru-imdb learns nothing here: that takes a minute in each framework.
TRAINING = {"article-cnn": SAMPLES, "vgg-cnn": SAMPLES, "gru-imdb": 0}
PLANTED = Path(__file__).parent / "integration" / "planted.py"
RUN_PROTOCOL = replace(
    PROTOCOL,
    threads=2,
    warmup=Warmup(min_s=0.1, min_steps=16, max_s=0.5, group_s=0.05, tolerance=0.5),
    blocks=Blocks(count=3, min_s=0.1, min_steps=4, lead_in_s=0.02),
    timeout_s=300,
)
# For runs without a plant in later steps.
FEW_STEPS = replace(
    RUN_PROTOCOL,
    warmup=Warmup(min_s=0.0, min_steps=1, max_s=0.0, group_s=0.0, tolerance=1.0),
    blocks=Blocks(count=3, min_s=0.0, min_steps=1, lead_in_s=0.0),
)
HEADING = """# Planted faults: each is refused by certificate, run, or both

Made by `PYTHONPATH=workflow python tests/planted_faults.py --output docs/planted-faults.md` in the test environment, on
its CPU. Each planted fault goes alone through the real adapter, once into a certificate and once into a run at batch
{batch_size}; the table has the reason of each refusal, or `passed`.

- Faults of model files and adapters, from `tests/integration/planted.py` and each framework's `faults.py`; in `jax`,
  `keras-jax` and `keras-torch` one of each kind. Faults `of the lesson` are planted in learning alone, in the first
  workload.
- Work done differently, from `tests/integration/planted_runs.py`, which combines a change with the conditions under
  which it acts: from a batch size or a step on, with an input, in a precision, on a track. In the framework and
  workload of the first rows all combinations are tried; elsewhere, only those above batch 16 from the first step on, in
  the published cell. A certificate's batches have at most 16 samples, so faults above batch 16 share one certificate.

"""
# All combinations are planted here.
COMBINED = ("article-cnn", "pytorch")
RUN_BATCH_SIZE = 20  # above the batch sizes of a certificate, which go up to 16
RUN_SAMPLES = {"large-images": 200}  # others: SAMPLES


@dataclass(frozen=True)
class Outcome:
    """The judge's word on one observation."""

    framework: str
    workload: str
    fault: str
    passed: bool
    reason: str | None
    check: dict | None  # the first that failed


def prepare(folder: Path, workload: str, seed: int, samples: int) -> None:
    """Write the reference's problem and values, and samples to learn from; without any, nothing is learned."""
    kind = workloads.load(workload).data
    made, labels = SYNTHETIC[kind](samples, seed=1)
    np.savez(folder / f"{kind}.npz", samples=made, labels=labels)
    commands: dict[str, dict[str, object]] = {
        "expected": {"--seed": seed, "--output": folder / f"{workload}.npz"},
        "learned": {
            "--data": folder / f"{kind}.npz",
            "--at-a-time": os.cpu_count(),
            "--output": folder / f"{workload}.json",
        },
    }
    for command, options in commands.items():
        arguments = map(str, chain(("--workload", workload), *options.items()))
        subprocess.run(
            [sys.executable, "-P", "-m", f"framebench.certify.{command}", *arguments],
            env=os.environ | {"PYTHONPATH": str(catalogue.ROOT / "workflow"), "OPENBLAS_NUM_THREADS": "1"},
            check=True,
        )


def declared(framework: str, constant: str) -> tuple[str, ...]:
    """Names that a framework's faults.py declares; none where it does not, or where there is no such file."""
    path = catalogue.folder(framework) / "faults.py"
    return catalogue.declared(path).get(constant, ()) if (catalogue.ROOT / path).is_file() else ()


def plant(framework: str, *folders: Path, only: Sequence[str] = ()) -> None:
    """Observe every fault, or those called so, in the framework's own environment, for each folder's problems."""
    prefix = catalogue.ROOT / environments.prefix(environments.lock_of(framework, "cpu"))
    subprocess.run(
        [prefix / "bin" / "python", "-P", PLANTED, framework, "\n".join(only), *folders],
        env=os.environ
        | {
            "PYTHONPATH": str(catalogue.ROOT / "workflow"),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "CUDA_VISIBLE_DEVICES": "-1",
            "OMP_WAIT_POLICY": "PASSIVE",
        },
        check=True,
        capture_output=True,
    )


def outcomes(folder: Path, framework: str) -> Iterator[Outcome]:
    """The judge's word on everything that was observed."""
    for of_workload in sorted((folder / framework).iterdir()):
        workload = of_workload.name
        expected = expectation(folder / f"{workload}.npz", folder / f"{workload}.json")
        for path in sorted(of_workload.glob("*.npz")):
            judged = judge(workloads.load(workload), expected, read(path))
            first = next((check for check in judged["checks"] if not check["passed"]), None)
            yield Outcome(framework, workload, path.stem, judged["passed"], judged["reason"], first)


@dataclass(frozen=True)
class Tried:
    """A plant in the work of a framework, and the refusals by certificate and run."""

    workload: str
    framework: str
    plant: str
    certificate: str | None
    run: str | None

    @property
    def honest(self) -> bool:
        """True where nothing is planted."""
        return self.plant.startswith("none")

    @property
    def missed(self) -> bool:
        """True where neither refuses it."""
        return not (self.certificate or self.run)

    @property
    def row(self) -> str:
        """A row of the table."""
        told = (one and one.replace(f"{catalogue.ROOT}/", "") for one in (self.certificate, self.run))
        said = [one and " ".join(one.split()).replace("|", "¦")[:150] for one in told]
        return f"| {' | '.join([self.plant, self.framework, self.workload, *(one or 'passed' for one in said)])} |"


def requested(framework: str, workload: str, folder: Path, protocol: Protocol) -> Request:
    """The run in which plants are tried: of its first round, in the cell that is published."""
    prefix = catalogue.ROOT / environments.prefix(environments.lock_of(framework, "cpu"))
    return Request(
        cell=Cell("cpu", workload, framework, "default", "float32", "device", RUN_BATCH_SIZE),
        protocol=protocol,
        data=str(folder / "measured.npz"),
        python=str(prefix / "bin" / "python"),
        environment=str(prefix),
        lock_digest="",
        story=str(folder / "story-float32.npz"),
        diagnosis=True,
    )


def tell(folder: Path, workload: str) -> None:
    """Write the samples of runs, and the reference's steps on them."""
    spec = workloads.load(workload)
    made, labels = SYNTHETIC[spec.data](RUN_SAMPLES.get(spec.data, SAMPLES), seed=1)
    np.savez(folder / "measured.npz", samples=made, labels=labels)
    paths = os.environ | {"PYTHONPATH": str(catalogue.ROOT / "workflow")}
    for precision in ("float32", "bfloat16") if spec.trains else ("float32",):
        told = ["--workload", workload, "--batch-size", str(RUN_BATCH_SIZE), "--precision", precision]
        told += ["--every"] if workload == COMBINED[0] else []  # for the calls of track `tuned`
        told += ["--seed", str(RUN_PROTOCOL.seed), "--data", str(folder / "measured.npz")]
        told += ["--output", str(folder / f"story-{precision}.npz")]
        subprocess.run([sys.executable, "-P", "-m", "framebench.certify.story", *told], env=paths, check=True)


def try_plants(folder: Path, framework: str, workload: str, only: Sequence[str] = ()) -> list[Tried]:
    """Every plant of `integration/planted_runs.py`, or `only` these, in certificate and run of a framework.

    `folder` has the files of `prepare` and `tell`.
    """
    few = not only and (workload, framework) != COMBINED
    request = requested(framework, workload, folder, FEW_STEPS if few else RUN_PROTOCOL)
    (folder / "request.json").write_text(request.to_json(), encoding="utf-8")
    options = ["--few"] if few else []

    def planted(mode: str) -> None:
        there = f"{catalogue.ROOT / 'workflow'}:{PLANTED.parent}"
        variables = environment(request) | {"PYTHONPATH": there, "OMP_WAIT_POLICY": "PASSIVE"}
        command = [request.python, "-P", PLANTED.with_name("planted_runs.py"), mode, framework, folder, *options, *only]
        subprocess.run(command, env=variables, check=True, capture_output=True)

    planted("certificate")
    planted("run")
    runs = {path.stem.removeprefix(f"{framework}-"): path for path in sorted(folder.glob(f"{framework}-*.json"))}
    refused = {one.fault: None if one.passed else str(one.reason) for one in outcomes(folder, framework)}
    said = {plant: json.loads(path.read_text(encoding="utf-8")).get("reason") for plant, path in runs.items()}
    return [Tried(workload, framework, plant, refused.get(plant, refused["none"]), said[plant]) for plant in runs]


def kept(folder: Path) -> Iterator[Tried]:
    """The plants that earlier invocations have left in `folder`."""
    for path in sorted(folder.glob("*.json")):
        yield from (Tried(**one) for one in json.loads(path.read_text(encoding="utf-8")))


def tried(folder: Path) -> Iterator[Tried]:
    """Every plant in every workload and framework; finished ones are kept in `folder`, and not repeated."""
    for workload in catalogue.workloads():
        with tempfile.TemporaryDirectory() as name:
            prepared = False
            for framework in catalogue.frameworks():
                file = folder / f"{workload}-{framework}.json"
                if not catalogue.takes_part(framework, workload):
                    continue
                if not file.exists():
                    if not prepared:
                        prepare(Path(name), workload, seed=1, samples=SAMPLES if workload == COMBINED[0] else 0)
                        tell(Path(name), workload)
                        prepared = True
                    found = try_plants(Path(name), framework, workload)
                    file.write_text(json.dumps([asdict(one) for one in found], indent=1), encoding="utf-8")
                of_both = [Tried(**one) for one in json.loads(file.read_text(encoding="utf-8"))]
                missed = [one.plant for one in of_both if one.missed and not one.honest]
                print(f"{workload} in {framework}: {len(of_both)} tried, missed {missed}", file=sys.stderr, flush=True)
                yield from of_both


def table(found: Sequence[Tried]) -> str:
    """The table of all plants, after the counts of refusals."""
    planted = [one for one in found if not one.honest]
    lines = [
        "| workload | plants | refused by the certificate | by the run | by neither | honest | of these refused |",
        "|---|---|---|---|---|---|---|",
    ]
    for workload in (*dict.fromkeys(one.workload for one in found), "all"):
        of, honest = ([one for one in some if workload in (one.workload, "all")] for some in (planted, found))
        honest = [one for one in honest if one.honest]
        said = ([bool(one.certificate), bool(one.run), one.missed] for one in of)
        counts = [len(of), *map(sum, zip(*said, strict=True)), len(honest), sum(not one.missed for one in honest)]
        lines.append(f"| {workload} | {' | '.join(map(str, counts))} |")
    lines += ["", "| plant | framework | workload | certificate | run |", "|---|---|---|---|---|"]
    first = (lambda one: (one.workload, one.framework) != COMBINED, lambda one: not one.honest, lambda one: one.plant)
    in_order = sorted(found, key=lambda one: tuple(key(one) for key in first))
    there = {(one.workload, one.framework) for one in found}
    cells = ((workload, framework) for workload in catalogue.workloads() for framework in catalogue.frameworks())
    left = [f"{workload} in {framework}" for workload, framework in cells if (workload, framework) not in there]
    not_tried = [f"Not tried yet: {', '.join(left)}.", ""] if left else []
    rows = [*not_tried, *lines, *(one.row for one in in_order)]
    return HEADING.format(batch_size=RUN_BATCH_SIZE) + "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="TABLE.md")
    parser.add_argument("--only-kept", action="store_true", help="try nothing more: the table of what is kept")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep what is done there, and go on from it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        found = kept(folder) if options.only_kept else tried(folder)
        options.output.write_text(table(list(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
