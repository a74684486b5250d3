"""A copy of the project in which a test can measure a tiny matrix, sharing the installed environments."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest
import yaml

import standin
from framebench import usermodels
from framebench.measure.devices import lease
from framebench.plan import catalogue, environments, installation

# On a busy machine any example may take long and still be right.
hypothesis.settings.register_profile(
    "busy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy machine")

T = TypeVar("T")

PROJECT = Path(__file__).parents[1]
TIERS = ("check", "test", "all")
DEFAULT = sorted(yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))["frameworks"])
# Groups of tests that begin first, the longest first: a long one that begins last has the machine for itself.
FIRST = (
    *("test_readme", "test_slurm", "readme on a model", "test_workflow", "test_certify", "test_prove"),
    *("test_largest_batch", "test_compare", "test_interruption", "test_figures", "test_new_framework"),
    *("test_rounds", "test_tuned"),
)
PARTS = ["Snakefile", "Makefile", "config.yaml", "workflow", "envs", "profiles", "presets", "examples", "CITATION.cff"]

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
    "aa": {"batch_sizes": [32], "rounds": 3},
    "protocol": {
        # PyTorch's threads spin while they wait for one another: with another busy process a run takes minutes.
        "threads": 1,
        "warmup": {"min_s": 0.05, "min_steps": 2, "max_s": 0.5, "group_s": 0.02, "tolerance": 0.2},
        "blocks": {"count": 3, "min_s": 0.05, "min_steps": 2, "lead_in_s": 0.01},
        "synced_steps": 3,
        # The conformance tests and the campaign of test_workflow cover each framework's profiler.
        "profiled_steps": 0,
        "timeout_s": 300,
    },
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Refuse a test that no tier would run."""
    if not any(metafunc.definition.get_closest_marker(tier) for tier in TIERS):
        raise pytest.Collector.CollectError(
            f"{metafunc.definition.nodeid} has no tier: mark it, or its file, as one of {', '.join(TIERS)}"
        )


# A wrapper, so that it comes before xdist, which looks for groups.
@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Give each file to one process, for its shared fixtures, and start the longest first, so that all end together.

    A mark `xdist_group` overrides this, for files with tests of several frameworks.
    """
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    dearest: dict[str, int] = {}
    for item in items:
        group = _group(item)
        dearest[group] = max(
            dearest.get(group, 0), *(TIERS.index(mark.name) for mark in item.iter_markers() if mark.name in TIERS)
        )
    early = {group: place for place, group in enumerate(FIRST)}
    items.sort(key=lambda item: (early.get(_group(item), len(FIRST)), -dearest[_group(item)]))
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin no test after the end of the gate's time, which a slow machine reaches; each is then listed as skipped."""
    end = os.environ.get("FRAMEBENCH_TEST_END")
    if end and time.time() > float(end):
        pytest.skip("not begun: the time of FRAMEBENCH_TEST_END was over")


def _group(item: pytest.Item) -> str:
    return item.get_closest_marker("xdist_group").args[0]


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of a user's own that one test announces are unknown to the others."""
    monkeypatch.setenv(usermodels.VARIABLE, "{}")


@dataclass(frozen=True)
class Plan:
    """Snakemake's plan."""

    jobs: dict[str, int]  # per rule
    runs: dict[str, int]  # to measure, per framework
    outputs: frozenset[str]  # files to be made

    @property
    def measuring(self) -> dict[str, int]:
        """The jobs that measure, of each block's rule."""
        return {rule: count for rule, count in self.jobs.items() if rule.startswith("measure_")}


@dataclass(frozen=True)
class Workspace:
    """A copy of the project in a folder, with a user's actions on it."""

    folder: Path

    def configure(self, **changes: object) -> None:
        """Override keys of config.yaml; mappings are merged, everything else is replaced."""
        path = self.folder / "config.yaml"
        path.write_text(
            yaml.safe_dump(merged(yaml.safe_load(path.read_text(encoding="utf-8")), changes), sort_keys=False),
            encoding="utf-8",
        )

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "snakemake", *arguments)

    def start_snakemake(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A shell's background job, as these tests may be, ignores Ctrl-C, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
            encoding="utf-8",
        )

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, encoding="utf-8")

    def plan(self, *arguments: str) -> Plan:
        """Snakemake's plan for these targets."""
        result = self.snakemake(*arguments, "-n", "--quiet", "reason", "progress", "host")
        assert result.returncode == 0, result.stdout + result.stderr
        jobs: Counter[str] = Counter()
        runs: Counter[str] = Counter()
        outputs: set[str] = set()
        for line in (result.stdout + result.stderr).splitlines():
            kind, _, rule = line.removesuffix(":").partition(" ")
            if kind in ("rule", "localrule", "checkpoint") and line.endswith(":"):
                jobs[rule] += 1
            name, _, path = line.strip().partition(": ")
            if name == "output":
                outputs |= set(path.split(", "))
            if name == "output":
                runs.update(one.split("/")[4] for one in path.split(", ") if "/runs/" in one)
        return Plan(dict(jobs), dict(runs), frozenset(outputs))

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
            # With what Python has compiled, but for files that it is writing now.
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy(source, folder / part)
    (folder / ".venvs").symlink_to(PROJECT / ".venvs")
    workspace = Workspace(folder)
    workspace.configure(**TINY)
    return workspace


def install_cpu_builds_for_cuda(folder: Path) -> None:
    """Make a workspace's locks for CUDA install the CPU builds, which are there: its cards are stand-ins."""
    venvs = folder / ".venvs"
    venvs.unlink()
    venvs.mkdir()
    for lock in (folder / "envs").glob("*-cpu.txt"):
        cuda = lock.with_name(lock.name.replace("-cpu", "-cuda"))
        cuda.write_text(lock.read_text(encoding="utf-8"), encoding="utf-8")
        for one in (lock, cuda):
            (folder / environments.prefix(one)).symlink_to(PROJECT / environments.prefix(lock))


def append(path: Path, *statements: str) -> None:
    """Append to a file of a workspace."""
    path.write_text("\n\n\n".join([path.read_text(encoding="utf-8").rstrip(), *statements]) + "\n", encoding="utf-8")


def processes(folder: Path, module: str) -> list[int]:
    """Ids of the processes that run this module in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # It may end meanwhile.
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().split(b"\0")
            if module.encode() in command and (process / "cwd").readlink() == folder:
                found.append(int(process.name))
    return found


def wait_for(condition: Callable[[], T], timeout_s: float = 300) -> T:
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found


def copy_of(workspace: Workspace, folder: Path) -> Workspace:
    """Everything with its times, so that Snakemake sees the same as in the original."""
    shutil.copytree(workspace.folder, folder, symlinks=True, dirs_exist_ok=True)
    return Workspace(folder)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def own_leases() -> Iterator[None]:
    """Leases of its own for every pytest process, so that no test waits for a measurement elsewhere on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(lease.OF_TESTS, f"{os.getpid()}-")
        yield


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory, installed: None) -> Workspace:
    """A workspace with the certificates made and nothing measured, to take copies of."""

    def make(folder: Path) -> None:
        result = make_workspace(folder).snakemake("certificates")
        assert result.returncode == 0, result.stdout + result.stderr

    return Workspace(made_once("certified", make, tmp_path_factory))


def made_once(name: str, make: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder made by the first of pytest's processes that needs it, while the others wait.

    The gate runs two tiers of tests of one commit one after another, and names a place that the two share.
    """
    folder = tmp_path_factory.getbasetemp()
    shared = os.environ.get("FRAMEBENCH_TEST_SHARED")
    folder = Path(shared) if shared else folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    folder /= name
    with folder.with_suffix(".lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            making = tmp_path_factory.mktemp("making")
            make(making)
            shutil.move(making, folder)
    return folder


@pytest.fixture
def certified_workspace(certified: Workspace, tmp_path: Path) -> Workspace:
    """For tests of the steps after the certificates, which take the longest in a tiny campaign."""
    return copy_of(certified, tmp_path)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The environments of the frameworks that config.yaml names."""
    _install(yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))["frameworks"], tmp_path_factory)


@pytest.fixture(scope="session")
def every_environment(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The environments of all existing frameworks."""
    _install(catalogue.frameworks(), tmp_path_factory)


def _install(frameworks: Iterable[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    prefixes = [PROJECT / environments.prefix(environments.lock_of(framework, "cpu")) for framework in frameworks]
    these = tmp_path_factory.mktemp("installing") / "config.yaml"
    these.write_text(
        yaml.safe_dump({"frameworks": list(frameworks), "question": None, "packages": "cpu"}), encoding="utf-8"
    )
    with (PROJECT / ".venvs" / "tests.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all(map(installation.usable, prefixes)):
            made = Workspace(PROJECT).snakemake("--cores", "all", "environments", "--configfile", str(these))
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
