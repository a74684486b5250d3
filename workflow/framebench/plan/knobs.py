"""The keys of config.yaml, each declared here once: its name, its type, its limits and its description.

Their JSON schema (plan/schema.py) and the messages about wrong values (plan/refusals.py) are made from these classes.
Limits of single values are here; values that must fit together, or must exist, are checked in plan/feasible.py.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from typing_extensions import TypedDict

from framebench.measure.protocol import MOST, Allowed, Count, Flag, Protocol

REPEATED = "repeated"  # error of an item that is in a list twice


def _distinct(items: tuple) -> tuple:
    first: dict[Any, int] = {}
    for i, item in enumerate(items):
        if first.setdefault(item, i) != i:
            raise PydanticCustomError(REPEATED, "occurs twice", {"index": i})
    return items


@dataclass(frozen=True)
class Written:
    """The type of a value in the file, and its conversion to the type of the class."""

    form: Any
    taken: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.taken, handler.generate_schema(self.form))


def _like(pattern: str, words: str) -> Allowed:
    """The limits of a text that matches this pattern as a whole; Python's $ alone allows a newline after it."""
    return Allowed(words, pattern=rf"^{pattern}$(?!\n)")


T = TypeVar("T")
DISTINCT = (AfterValidator(_distinct), Field(json_schema_extra={"uniqueItems": True}))
Distinct = Annotated[tuple[T, ...], Field(min_length=1), *DISTINCT]

Name = Annotated[str, Allowed("a name, in quotes where YAML would read it as something else")]
ModelName = Annotated[
    str,
    Allowed(
        "a name of letters, digits, '.', '_' and '-', such as my-net", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
    ),
]
MOST_ROUNDS, MOST_SAMPLES = 1000, 10**7
RoundCount = Annotated[int, Allowed(f"a whole number from 1 to {MOST_ROUNDS}", ge=1, le=MOST_ROUNDS)]
SampleCount = Annotated[int, Allowed(f"a whole number from 1 to {MOST_SAMPLES}", ge=1, le=MOST_SAMPLES)]
Share = Annotated[float, Allowed("a number between 0 and 1, such as 0.95", gt=0, lt=1)]
Margin = Annotated[float, Allowed("a number between 0 and 1, such as 0.10", gt=0, lt=1)]
Minutes = Annotated[float, Allowed("a number of minutes above 0, such as 5", gt=0)]
HalfWidth = Annotated[float, Allowed("a number between 0 and 1, such as 0.02", gt=0, lt=1)]
Core = Annotated[int, Allowed("the number of a core, from 0", ge=0)]
Archive = Annotated[str, Allowed("the path of a file in quotes", min_length=1)] | None
Md5 = Annotated[str, _like("[0-9a-fA-F]{32}", "32 hexadecimal digits in quotes"), AfterValidator(str.lower)]
# Wildcard braces, shell characters and a leading - or ~ would be misread by some tool.
FOLDER = "a folder other than / and . whose name holds letters, digits, spaces and . _ - + = @ only"
Folder = Annotated[str, _like(r"(?![./]*$)[\w./][\w./+=@ -]*", FOLDER), AfterValidator(os.path.normpath)]
# It becomes a folder of the results and part of a figure's name.
DEVICE = "a name that begins with a letter or digit and holds letters, digits and . _ - only, 64 at most"
Device = Annotated[str, _like("[0-9A-Za-z][0-9A-Za-z_.-]{0,63}", DEVICE)]
OF_SLURM = "a name of letters, digits and . _ - only, or several joined with commas"
OfSlurm = Annotated[str, _like(r"[0-9A-Za-z][\w.,-]*", OF_SLURM)]
# It becomes part of a shell's command.
INTERPRETER = "the path of an interpreter, with its folder, made of letters, digits and . _ - + = @ /"
Interpreter = Annotated[str, _like(r"[\w.+=@-]*/[\w./+=@-]+", INTERPRETER), AfterValidator(os.path.abspath)]
Results = Annotated[str, Allowed("the path of a results folder or of an archive", pattern=r"^\s*\S")]
UUID = "a UUID as `nvidia-smi -L` prints it, such as GPU-5b21c3a4-8f0e-4c4e-9d7a-2f1f0a7f6c11"
Uuid = Annotated[str, _like("(GPU|MIG)-[0-9A-Za-z-]+", UUID)]
GPU_MODEL = "letters, digits and _ . - only; request a model with another name in Slurm by constraint"
GpuModel = Annotated[str, _like("[0-9A-Za-z_.][0-9A-Za-z_.-]*", GPU_MODEL)]
GRES = "one GPU, as gpu:1 or gpu:p100:1, its model of letters, digits, _ and . only; one with a - by gpu_model"
Gres = Annotated[str, _like("gpu(:[0-9A-Za-z_.]+)?:1", GRES)]
# Requests that a site may forbid: null sends none, and the site's own default counts.
Sent = Count | None
MegaBytes = Annotated[int, Allowed(f"a whole number from 1 to {MOST}, in MB", ge=1, le=MOST)]
RunMinutes = Annotated[int, Allowed(f"a whole number from 1 to {MOST}, in minutes", ge=1, le=MOST)]
Module = Annotated[str, _like(r"[0-9A-Za-z][\w./+-]*", "the name of a module, such as cuda/12.4")]
# Without the options that have a key here, or that Snakemake gives itself.
OPTION = "an option in its long form such as --reservation=maintenance, and none that a key or Snakemake gives"
Option = Annotated[
    str,
    _like(
        r"--(?!(?:account|array|chdir|clusters|comment|constraint|cpus-per-gpu|cpus-per-task|error|exclude|exclusive"
        r"|export|gpus|gres|job-name|mem|mem-per-cpu|nodelist|nodes|ntasks|ntasks-per-gpu|output|parsable|partition|qos"
        r"|requeue|time|wrap)(?:=|$))[a-z][a-z-]*(?:=[\w.:,@%/+-]+)?",
        OPTION,
    ),
]
Precision = Literal["float32", "tf32", "bfloat16", "float16"]
Input = Literal["device", "host"]


class Binding(TypedDict, total=False):
    """The GPU or the node behind the name of a device."""

    uuid: Uuid
    """The UUID of a GPU or of a MIG device, as `nvidia-smi -L` prints it."""
    model: Annotated[
        str, Allowed("words of a GPU's name as `nvidia-smi -L` prints it, such as H200", pattern="^.*[0-9A-Za-z]")
    ]
    """Words of a GPU's name, such as H200; only one card in the machine may have them."""
    # From here on: requests to Slurm. A device with any of these keys is a cluster's.
    kind: Literal["gpu", "cpu"]
    """The measured part of a cluster's node, its GPU or its processor."""
    gpu_model: GpuModel
    """Model of the GPU in Slurm's notation (sbatch --gpus)."""
    gres: Gres | None
    """The GPU as a generic resource (sbatch --gres), for sites that require it; null sends no request for a GPU."""
    partition: OfSlurm
    """Partition to submit to; without it, the site's default."""
    account: OfSlurm
    """Account to charge; without it, your default."""
    qos: OfSlurm
    """Quality of service."""
    constraint: Annotated[str, _like(r"[\w.:()|&*\[\]-]+", "features, joined with & or |")]
    """Features that the node must have, by the site's names."""
    nodelist: Annotated[
        str, _like(r"[0-9A-Za-z][\w.-]*", "the name of one node; to leave nodes out, name them with exclude")
    ]
    """The one node to run on."""
    exclude: Annotated[
        str, _like(r"[0-9A-Za-z][\w.,\[\]-]*", "names of nodes as Slurm writes them, such as node[01-04],node07")
    ]
    """Nodes not to run on."""
    exclusive: Flag
    """True where no other job may run on the node meanwhile."""
    cpus_per_task: Sent
    """CPUs of a job; null sends no number."""
    mem_mb: MegaBytes | None
    """Host memory of a job in MB, of which Snakemake itself takes 250; null sends no request, for sites that refuse
    one."""
    mem_mb_per_cpu: MegaBytes
    """Host memory of a job in MB for each of its CPUs, in place of mem_mb (sbatch --mem-per-cpu)."""
    runtime: RunMinutes | None
    """Minutes for each run of a job; null sends no time limit."""
    modules: Distinct[Module]
    """Environment modules to load before a run."""
    slurm_extra: Annotated[
        Distinct[Option], Allowed("a list of at least one option, such as [--reservation=maintenance]")
    ]
    """Further options of sbatch, without a key here."""


@dataclass(frozen=True)
class Rounds:
    """Fresh processes per cell: `at_least`, and up to `at_most` by one of two rules.

    For a plain number of rounds, both limits are that number and there is no rule.
    """

    at_least: RoundCount
    """Rounds of every cell, from which the number of further rounds is computed."""
    at_most: RoundCount
    """Most rounds of a cell."""
    ci_half_width: Annotated[float | None, Written(HalfWidth, lambda share: share)] = None
    """Target for half the width of a ratio's interval, as a share of the ratio: 0.02 is 2 %."""
    until: Annotated[Literal["decided"] | None, Written(Literal["decided"], lambda word: word)] = None
    """The rule that gives each block the rounds that decide it within same_within, as far as budget_min goes."""

    @classmethod
    def of(cls, written: "int | Rounds") -> "Rounds":
        """Rounds from a number, or from rounds with a rule."""
        return cls(written, written) if isinstance(written, int) else written

    @property
    def has_rule(self) -> bool:
        """True where a rule may add rounds to the first ones."""
        return self.ci_half_width is not None or self.until is not None


@dataclass(frozen=True)
class Entry:
    """Cells of one workload: every combination of these, with every framework and device."""

    workload: Name
    """A folder of workflow/framebench/workloads/."""
    tracks: Distinct[Name]
    """The tracks: code and settings of the frameworks."""
    precisions: Distinct[Precision]
    """Arithmetic of the training step."""
    inputs: Distinct[Input]
    """Source of a step's batch, the device's memory or the host's."""
    batch_sizes: Distinct[Count]
    """Images per step."""
    rounds: Annotated[Rounds, Written(RoundCount | Rounds, Rounds.of)]
    """Fresh processes per cell, as a number or as a rule."""


@dataclass(frozen=True)
class Images:
    """The images to train on."""

    source: Literal["synthetic", "cifar-10"]
    """Source of the images."""
    samples: SampleCount
    """Images in one epoch."""
    archive: Archive
    """Path of cifar-10-binary.tar.gz; null downloads it."""
    md5: Md5
    """Required MD5 of the archive."""

    kind: ClassVar[str] = "images"  # kind of samples in a workload's spec
    held: ClassVar[int] = 50_000  # number of samples in the official archive


@dataclass(frozen=True)
class Reviews:
    """The reviews to train on."""

    source: Literal["synthetic", "imdb"]
    """Source of the reviews."""
    samples: SampleCount
    """Reviews in one epoch."""
    archive: Archive
    """Path of aclImdb_v1.tar.gz; null downloads it."""
    md5: Md5
    """Required MD5 of the archive."""

    kind: ClassVar[str] = "reviews"
    held: ClassVar[int] = 25_000


@dataclass(frozen=True)
class LargeImages:
    """The images of 224×224 pixels."""

    samples: SampleCount
    """Images in one epoch."""

    kind: ClassVar[str] = "large-images"
    held: ClassVar[int] = 0  # they have no archive
    source: ClassVar[str] = "synthetic"
    archive: ClassVar[str | None] = None
    md5: ClassVar[str | None] = None


@dataclass(frozen=True)
class WrittenProtocol(Protocol):
    """The measuring protocol."""

    # Words or numbers here; numbers in the requests for runs.
    cores: Literal["any"] | Annotated[Distinct[Core], Allowed("a list of at least one core number")]  # type: ignore[assignment]
    """Cores that the measuring process is pinned to, the same for every framework."""
    threads: Literal["auto"] | Count  # type: ignore[assignment]
    """CPU threads given to every framework."""


@dataclass(frozen=True)
class LargestBatch:
    """The search for the largest batch that trains."""

    start: Count
    """First batch size of the search."""
    at_most: Count
    """Largest batch size to try."""
    host_memory_mib: Annotated[int, Allowed("a whole number of MiB", ge=1)] | None
    """Memory limit of a CPU trial in MiB; null disables the CPU search."""

    @property
    def most_trials(self) -> int:
        """Most trials of a search: doublings or halvings, then bisections down to 1/16."""
        return self.at_most.bit_length() + 5


@dataclass(frozen=True)
class AgainstItself:
    """The campaign of `snakemake aa`, every framework against itself and against itself with more work."""

    workload: Name
    """A folder of workflow/framebench/workloads/."""
    batch_sizes: Distinct[Count]
    """Images per step, one cell each."""
    rounds: RoundCount
    """Fresh processes per cell and side."""
    more_work_every: Count
    """Counted steps of the handicapped side before each uncounted one."""


@dataclass(frozen=True)
class Part:
    """The results of one campaign, a folder or an archive; without a `name`, its machine gets one from its records."""

    path: str
    name: str | None = None

    @classmethod
    def of(cls, written: str | dict[str, str]) -> "Part":
        """The part from a path, or from a single pair of name and path."""
        if isinstance(written, str):
            return cls(written)
        ((name, path),) = written.items()
        return cls(path, name)


class SameWithin(TypedDict):
    """The margin within which two speeds count as the same, as a share: 0.10 is up to 1.10 times as fast."""

    cpu: Margin
    """The margin on a CPU."""
    gpu: Margin
    """The margin on a GPU."""


TwoFrameworks = Annotated[
    tuple[Name, ...],
    Field(min_length=2, max_length=2),
    *DISTINCT,
    Allowed("a list of two different frameworks, such as [pytorch, keras-tensorflow]"),
]
NamedResults = Annotated[dict[Device, Results], Field(min_length=1, max_length=1)]
PathOrNamed = Annotated[
    Results | NamedResults, Allowed("a path, or the name of a machine with one, such as {lab: lab.zip}")
]
Bound = Annotated[
    Binding,
    Allowed("{}, one of the keys uuid and model, or keys that ask a Slurm cluster, such as {gpu_model: p100}"),
]
Bindings = Annotated[dict[Device, Bound], Field(min_length=1)]


@dataclass(frozen=True)
class Knobs:
    """Every key of config.yaml, in the order of the file."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, regex_engine="python-re"
    )

    results: Folder
    """Folder for all results."""
    devices: Annotated[
        Literal["auto"] | Distinct[Device] | Bindings,
        Allowed("auto, a list such as [cpu, h200], or names such as {cpu: {}, big: {model: H200}}"),
    ]
    """Devices to measure on; auto, a list of names, or names with their meaning."""
    packages: Literal["auto", "cpu", "cuda"]
    """The package builds to install; auto takes cuda where a device is a GPU."""
    interpreters: Annotated[
        Mapping[Name, Interpreter],
        Allowed(
            "{} or names of frameworks or environments with the path of an interpreter, such as "
            "{pytorch: /opt/site/bin/python3}"
        ),
    ] = field(hash=False)
    """A site's own interpreters, each by the name of the framework, or of the environment, that it is for."""
    frameworks: Distinct[Name]
    """The frameworks to compare; names of the folders in workflow/framebench/frameworks/."""
    baseline: Name
    """The framework that the others are drawn relative to."""
    question: TwoFrameworks | None
    """The two frameworks of the question, or null for no question."""
    models: Annotated[
        Mapping[ModelName, Annotated[str, Allowed("the path of a folder, such as ../my-net")]],
        Allowed("{} or names with the folder of a model of your own, such as {my-net: ../my-net}"),
    ] = field(hash=False)
    """Models of your own, by their name in a matrix entry."""
    matrix: Annotated[tuple[Entry, ...], Field(min_length=1), Allowed("a list of at least one entry")]
    """The cells; every entry is crossed with every framework and device."""
    budget_min: Minutes
    """Minutes for all rounds beyond at_least, where rounds are measured until decided."""
    order: Literal["rounds", "blocks"]
    """Order of the runs: all blocks once before any block twice, or block after block."""
    data: Images
    reviews: Reviews
    large_images: LargeImages
    protocol: WrittenProtocol
    largest_batch: LargestBatch | None
    """The search for the largest batch that trains, or null for no search."""
    aa: AgainstItself
    confidence: Share
    """Level of every confidence interval."""
    same_within: SameWithin = field(hash=False)
    """The margin within which two speeds count as the same, by the kind of device."""
    across_cards: Flag
    """True where two frameworks are compared although their runs of a round were on two cards of one model."""
    languages: Distinct[Name]
    """Languages of figures and verdict; names of the files in workflow/framebench/languages/."""
    merge: Annotated[
        tuple[Annotated[Part, Written(PathOrNamed, Part.of)], ...],
        *DISTINCT,
        Allowed(
            "a list such as [results, lab.zip], or with names of the machines such as [{here: results}, {lab: lab.zip}]"
        ),
    ]
    """Results folders and archives of `snakemake export` for `snakemake merge`."""

    @property
    def bindings(self) -> Mapping[str, Binding]:
        """The devices with their meaning; nothing where only names are given."""
        return self.devices if isinstance(self.devices, dict) else {}
