"""A Slurm cluster on one host: the real controller, munge and the daemon of each node, as plain processes on loopback.

It needs no systemd, no database and no file under /etc, only `without` needs root, and everything ends with the
session. The nodes share the host's processors. Each has a driver of its own, a stand-in whose cards only that node's
jobs see: Slurm's task prolog gives them the variables in the file of the node's name in `drivers`.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = "/usr/sbin:/usr/bin:/sbin:/bin"
DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "scancel", "scontrol", "sinfo", "squeue")
# Begins a command that may mount what others do not see; root's, so that it may also fail.
ANOTHER_VIEW = ("unshare", "--mount")
# Character devices that every user has: for other files Slurm sets no CUDA_VISIBLE_DEVICES.
DEVICE_FILES = ("/dev/null", "/dev/zero", "/dev/full")


@dataclass(frozen=True)
class Node:
    name: str
    partition: str
    gpu: str | None = None  # the model as Slurm names it
    gpus: int = 0


NODES = (
    Node("node01", "gpu", "p100", 1),
    Node("node02", "gpu", "tesla-k80", 2),
    Node("node03", "cpu"),
)
URGENT = "urgent"  # a partition of every node, whose jobs take the place of the others'
CPUS, MEMORY_MB = 6, 16_000  # of each node, whatever the host has


class Cluster:
    """The running cluster in `folder`; its users find it by `environment`, and so by the variable SLURM_CONF alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._daemons: dict[str, subprocess.Popen] = {}
        for name in ("state", "spool", "log", "drivers"):
            (folder / name).mkdir()
        self._write_configuration(_free_ports(1 + len(NODES)))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))},
            "SLURM_CONF": str(folder / "slurm.conf"),
        }

    @staticmethod
    def missing() -> str | None:
        """The reason why there can be no cluster here."""
        absent = [name for name in (*DAEMONS, *CLIENTS) if not shutil.which(name, path=PROGRAMS)]
        return f"{', '.join(absent)} not installed: apt install slurm-wlm" if absent else None

    def start(self) -> None:
        own = {name: self.folder / f"munge.{name}" for name in ("socket", "key", "pid", "seed", "log")}
        own["key"].touch(mode=0o600)
        own["key"].write_bytes(os.urandom(1024))
        options = (f"--{name if name == 'socket' else f'{name}-file'}={path}" for name, path in own.items())
        # By force: it wants a socket that every user can reach, and pytest's folders are of one.
        self._start("munged", "munged", "--foreground", "--force", *options)
        self.until(own["socket"].exists, "munge does not answer")
        self._start("slurmctld", "slurmctld", "-D")
        for node in NODES:
            self.start_node(node.name)
        self.until(lambda: all(self.state(node.name) == "idle" for node in NODES), "the nodes are not idle")

    def stop(self) -> None:
        with contextlib.suppress(subprocess.SubprocessError):
            self.cancel_all()
        for daemon in self._daemons.values():
            daemon.terminate()
        for daemon in self._daemons.values():
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()

    def cancel_all(self) -> None:
        self.run("scancel", f"--user={getpass.getuser()}")
        self.until(lambda: not self.jobs(), "jobs do not end")

    def start_node(self, name: str, *within: str) -> None:
        self._start(name, *within, "slurmd", "-D", "-N", name)

    def lose(self, name: str) -> None:
        """A loss of power of a node: its daemon is gone, with every process that it started for jobs."""
        self._daemons.pop(name).kill()
        for pid in _processes_of_jobs(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def without(self, folder: Path, name: str) -> Iterator[None]:
        """Hides the content of the folder from this node and its jobs, as if it were not mounted."""
        self.lose(name)
        self.start_node(name, *ANOTHER_VIEW, "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(folder))
        try:
            yield
        finally:
            self.lose(name)
            self.start_node(name)

    def state(self, name: str) -> str:
        return self.run("sinfo", "--noheader", f"--nodes={name}", "--format=%t")

    def jobs(self, *states: str) -> list[str]:
        """Ids of the jobs in these states, or waiting and running, in the order of submission."""
        asked = [f"--states={','.join(states)}"] if states else []
        return sorted(self.run("squeue", "--noheader", "--format=%i", *asked).split(), key=int)

    def job_of(self, device: str) -> str:
        """Id of the one job, waiting or running, that Snakemake's comment says is of this device."""
        jobs = [line.split() for line in self.run("squeue", "--noheader", "--format=%i %k").splitlines()]
        (found,) = (job for job, comment in jobs if f"_wildcards_{device}_" in comment)
        return found

    def run(self, *command: str) -> str:
        result = subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
            cwd=self.folder,
            encoding="utf-8",
        )
        return result.stdout.strip()

    def install_driver(self, node: str, variables: dict[str, str]) -> None:
        """From its next job on, the node's jobs have these variables."""
        lines = [f"export {name}={value}\n" for name, value in variables.items()]
        (self.folder / "drivers" / node).write_text("".join(lines), encoding="utf-8")

    @staticmethod
    def until(condition: Callable[[], object], otherwise: str, timeout_s: float = 300) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, otherwise
            time.sleep(0.1)

    def _start(self, name: str, *command: str) -> None:
        with (self.folder / "log" / f"{name}.out").open("a", encoding="utf-8") as output:
            self._daemons[name] = subprocess.Popen(
                command,
                env=self.environment | {"PATH": PROGRAMS},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _write_configuration(self, ports: list[int]) -> None:
        host, user, folder = socket.gethostname().partition(".")[0], getpass.getuser(), self.folder
        nodes, gres = [], ["AutoDetect=off"]
        for node, port in zip(NODES, ports[1:], strict=True):
            has = f"Gres=gpu:{node.gpu}:{node.gpus} Feature={node.gpu}" if node.gpu else ""
            nodes.append(
                f"NodeName={node.name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port}"
                f" CPUs={CPUS} RealMemory={MEMORY_MB} {has}"
            )
            if node.gpu:
                files = ",".join(DEVICE_FILES[: node.gpus])
                gres.append(f"NodeName={node.name} Name=gpu Type={node.gpu} File={files}")
        partitions = [
            f"PartitionName={name} Nodes={','.join(_named(node for node in NODES if node.partition == name))}"
            " MaxTime=01:00:00 State=UP"
            for name in sorted({node.partition for node in NODES})
        ]
        partitions.append(f"PartitionName={URGENT} Nodes=ALL PriorityTier=2")
        (folder / "gres.conf").write_text("\n".join(gres) + "\n", encoding="utf-8")
        (folder / "slurm.conf").write_text(
            CONFIGURATION.format(host=host, user=user, folder=folder, port=ports[0])
            + "\n".join([*nodes, *partitions])
            + "\n",
            encoding="utf-8",
        )
        prolog = folder / "task-prolog"
        prolog.write_text(f'#!/bin/sh\ncat "{folder}/drivers/$SLURMD_NODENAME" 2>/dev/null || true\n', encoding="utf-8")
        prolog.chmod(0o755)


CONFIGURATION = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
TaskProlog={folder}/task-prolog
MailProg=/bin/true
MpiDefault=none
# Every process of a job is known by its process group, without cgroups.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=0,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# What nodes say below of their processors and memory goes, not what the host has.
SlurmdParameters=config_overrides
# A job that no node could ever run is refused at once.
EnforcePartLimits=ALL
DefMemPerCPU=100
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
InactiveLimit=0
KillWait=2
MinJobAge=300
GresTypes=gpu
AccountingStorageType=accounting_storage/none
# A job over its memory is killed, as cgroups would; they would also call it OUT_OF_MEMORY.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
"""


def _named(nodes: Iterable[Node]) -> list[str]:
    return [node.name for node in nodes]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _processes_of_jobs(node: str) -> list[int]:
    """Processes with the environment of a job on this node, and the daemon's own processes that watch them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (process / "environ").read_bytes().split(b"\0")
            if f"SLURMD_NODENAME={node}".encode() in environment:
                found.append(int(process.name))
                parent = int((process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
                if (Path("/proc") / str(parent) / "comm").read_text(encoding="utf-8").startswith("slurmstepd"):
                    found.append(parent)
    return found
