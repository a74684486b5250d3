"""A copy of the project in which a test can measure a tiny matrix, sharing the installed environments."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
import yaml

import standin
from framebench import catalogue, environments

# On a machine that does something else too, any example may take long and be right.
hypothesis.settings.register_profile(
    "busy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy machine")

PROJECT = Path(__file__).parents[1]
PARTS = ["Snakefile", "Makefile", "config.yaml", "workflow", "envs", "profiles", "presets", "CITATION.cff"]

# The smallest campaign that still trains: a run takes little more than its framework's import.
TINY = {
    "devices": ["cpu"],
    "data": {"samples": 1024},
    "matrix": [
        {
            "workload": "article-cnn",
            "tracks": ["default"],
            "precisions": ["float32"],
            "inputs": ["device"],
            "batch_sizes": [32],
            "rounds": 1,
        }
    ],
    "languages": ["en"],
    "tuning": {"trials": 2},
    "aa": {"batch_sizes": [32], "rounds": 3},
    "protocol": {
        # PyTorch's threads spin while they wait for one another: with another busy process a run takes minutes.
        "threads": 1,
        "warmup": {"min_s": 0.05, "min_steps": 2, "max_s": 0.5, "group_s": 0.02, "tolerance": 0.2},
        "blocks": {"count": 3, "min_s": 0.05, "min_steps": 2},
        "synced_steps": 3,
        # Each framework's profiler is followed by the conformance tests and the campaign of test_workflow.
        "profiled_steps": 0,
        "timeout_s": 300,
    },
}


@dataclass(frozen=True)
class Plan:
    """What Snakemake would do now."""

    jobs: dict[str, int]  # of each rule
    runs: dict[str, int]  # to measure, of each framework


@dataclass(frozen=True)
class Workspace:
    """A folder with the project in it, and what a user does there."""

    folder: Path

    def configure(self, **changes: object) -> None:
        """Put these keys over config.yaml; mappings are merged, everything else is replaced."""
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(merged(yaml.safe_load(path.read_text()), changes), sort_keys=False))

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "snakemake", *arguments)

    def start_snakemake(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)

    def plan(self, *arguments: str) -> Plan:
        """What Snakemake would do now for these targets."""
        result = self.snakemake(*arguments, "-n", "--quiet", "reason", "progress", "host")
        assert result.returncode == 0, result.stdout + result.stderr
        jobs: Counter[str] = Counter()
        runs: Counter[str] = Counter()
        for line in (result.stdout + result.stderr).splitlines():
            kind, _, rule = line.removesuffix(":").partition(" ")
            if kind in ("rule", "localrule", "checkpoint") and line.endswith(":"):
                jobs[rule] += 1
            name, _, path = line.strip().partition(": ")
            if name == "output" and "/runs/" in path:
                runs[path.split("/")[4]] += 1
        return Plan(dict(jobs), dict(runs))

    def records(self) -> list[Path]:
        return sorted((self.folder / "results" / "runs").rglob("round-*.json"))


def merged(old: dict, new: dict) -> dict:
    return old | {
        key: merged(old[key], value) if isinstance(value, dict) and isinstance(old.get(key), dict) else value
        for key, value in new.items()
    }


def make_workspace(folder: Path) -> Workspace:
    for part in PARTS:
        source = PROJECT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    (folder / ".venvs").symlink_to(PROJECT / ".venvs")
    workspace = Workspace(folder)
    workspace.configure(**TINY)
    return workspace


def copy_of(workspace: Workspace, folder: Path) -> Workspace:
    """Everything with its times, so that Snakemake sees what it saw in the original."""
    shutil.copytree(workspace.folder, folder, symlinks=True, dirs_exist_ok=True)
    return Workspace(folder)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One for each of pytest's processes, which gives all that is started here leases of its own.

    So no test waits for a measurement elsewhere on this machine. No test looks at how fast anything was.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("temporary")))
        yield


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory, installed: None) -> Workspace:
    """A workspace with the certificates made and nothing measured, to take copies of.

    For all of pytest's processes: the first that needs it makes it, and the others wait.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "certified"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            made = make_workspace(tmp_path_factory.mktemp("certifying"))
            result = made.snakemake("certificates")
            assert result.returncode == 0, result.stdout + result.stderr
            made.folder.rename(folder)
    return Workspace(folder)


@pytest.fixture
def certified_workspace(certified: Workspace, tmp_path: Path) -> Workspace:
    """For tests of what comes after the certificates, which take the longest in a tiny campaign."""
    return copy_of(certified, tmp_path)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The environments of all frameworks, those that config.yaml does not name among them."""
    prefixes = {
        PROJECT / environments.prefix(environments.lock_of(framework, "cpu")) for framework in catalogue.frameworks()
    }
    everything = tmp_path_factory.mktemp("everything") / "config.yaml"
    everything.write_text(yaml.safe_dump({"frameworks": list(catalogue.frameworks()), "packages": "cpu"}))
    with (PROJECT / ".venvs" / "tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((prefix / ".complete").exists() for prefix in prefixes):
            made = Workspace(PROJECT).snakemake("--cores", "all", "environments", "--configfile", str(everything))
            assert made.returncode == 0, made.stdout + made.stderr


@pytest.fixture(scope="session")
def cifar10_archive() -> Path:
    """Real CIFAR-10 images in the official layout, where FRAMEBENCH_CIFAR10_ARCHIVE names them."""
    name = os.environ.get("FRAMEBENCH_CIFAR10_ARCHIVE")
    if not name:
        pytest.skip("FRAMEBENCH_CIFAR10_ARCHIVE names no archive of real images")
    return Path(name)


@pytest.fixture(scope="session")
def stand_in_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with libraries in place of the NVIDIA driver's; skips where they cannot be built."""
    folder = tmp_path_factory.mktemp("libraries")
    if not standin.build(folder):
        pytest.skip("no C compiler (cc) to build the stand-in for the NVIDIA driver")
    return folder


@pytest.fixture
def stand_in(stand_in_libraries: Path, tmp_path: Path) -> standin.StandIn:
    """Two NVIDIA cards for child processes that get its `environment`."""
    return standin.StandIn(stand_in_libraries, tmp_path / "stand-in")
