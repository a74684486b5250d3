"""The file problem.yaml of a user's folder, read strictly: every key is declared here, with its limits."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from framebench.measure.protocol import MOST, Allowed, Count, Flag
from framebench.plan import schema
from framebench.plan.refusals import ConfigError, explained, shown
from framebench.plan.yaml_file import readable

FILE, WEIGHTS = "problem.yaml", "weights.yaml"
DEFAULT_EPSILON = 1e-7  # Adam's, as in keras.io/api/optimizers/adam; PyTorch's own default is 1e-8
SIDES = ("keras", "pytorch")

UNSET: Any = None  # error of a missing key
Sizes = Annotated[
    tuple[Count, ...], Field(min_length=1), Allowed("a list of sizes without the batch, such as [32, 32, 3]")
]
Rate = Annotated[float, Allowed("a number above 0, such as 0.01", gt=0)]
Share = Annotated[float, Allowed("a number from 0 to below 1, such as 0.9", ge=0, lt=1)]
Decay = Annotated[float, Allowed("a number of at least 0, such as 0.01", ge=0)]
Small = Annotated[float, Allowed("a number above 0, such as 1.0e-7", gt=0)]
Below = Annotated[int, Allowed(f"the number of tokens, a whole number from 2 to {MOST}", ge=2, le=MOST)]
Classes = Annotated[int, Allowed(f"a whole number from 2 to {MOST}", ge=2, le=MOST)]
FileName = Annotated[str, Allowed("the name of a Python file in the folder", pattern=r"^[\w.-]+\.py$")]
Function = Annotated[str, Allowed("the name of a function or class in the file", pattern=r"^[A-Za-z_]\w*$")]


class Strict:
    """Refuses any other key."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True)
class Input(Strict):
    """One sample in Keras's layout."""

    shape: Sizes
    """Sizes of one sample, images channels last."""
    type: Literal["float32", "int64", "int32"] = "float32"
    """Type of the values."""
    below: Below = UNSET
    """Number of tokens, for integers."""


@dataclass(frozen=True)
class Target(Strict):
    """The target of one sample."""

    classes: Classes = UNSET
    """Number of classes, one of which is right."""
    shape: Sizes = UNSET
    """Sizes of one target of floats, images channels last; with classes, sizes of the positions to classify."""


@dataclass(frozen=True)
class Epsilons(Strict):
    """Adam's epsilon in each framework."""

    keras: Small
    """Keras's."""
    pytorch: Small
    """PyTorch's."""


@dataclass(frozen=True)
class Optimizer(Strict):
    """The optimizer of both frameworks."""

    name: Literal["sgd", "adam", "adamw"]
    """Name of the optimizer."""
    learning_rate: Rate
    """Learning rate."""
    momentum: Share = UNSET
    """Momentum of sgd."""
    weight_decay: Decay = UNSET
    """Decoupled weight decay of adamw."""
    beta_1: Share = UNSET
    """Decay of Adam's first moment."""
    beta_2: Share = UNSET
    """Decay of Adam's second moment."""
    epsilon: Small | Epsilons = UNSET
    """Adam's epsilon, one number or one for each framework."""


@dataclass(frozen=True)
class File(Strict):
    """A model file with another name, or with another function name."""

    file: FileName = UNSET
    """Name of the file."""
    function: Function = "build"
    """Name of the function or class that returns the model."""


@dataclass(frozen=True)
class Problem(Strict):
    """Every key of problem.yaml."""

    input: Input
    """One sample, such as {shape: [32, 32, 3], type: float32}."""
    target: Target
    """The target of one sample, such as {classes: 10}."""
    loss: Literal["softmax_cross_entropy", "mean_squared_error", "binary_cross_entropy"]
    """The loss, of logits."""
    optimizer: Optimizer
    """The optimizer, such as {name: sgd, learning_rate: 0.01, momentum: 0.9}."""
    batch_size: Count
    """Samples of one training step."""
    compare_anyway: Flag = False
    """True where models that are not equal are measured all the same."""
    keras: File = File()
    """The Keras file, if it is not keras.py with a function build."""
    pytorch: File = File()
    """The PyTorch file, if it is not pytorch.py with a function build."""


@cache
def adapter() -> TypeAdapter[Problem]:
    return TypeAdapter(Problem)


def load(folder: Path) -> Problem:
    """The checked problem of a folder; ConfigError with file and key where something is wrong."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: is no folder; MODEL must be one with {FILE}, keras.py and pytorch.py")
    path = folder / FILE
    written = readable(path)
    try:
        problem = adapter().validate_python(written)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explained(error, written, schema.described(adapter(), 'problem'))}") from None
    if wrong := next(_contradictions(problem), None):
        raise ConfigError(f"{path}: {wrong}")
    return problem


def _contradictions(problem: Problem) -> Iterator[str]:
    if problem.input.type == "float32" and problem.input.below:
        yield "input.below: is for tokens; leave it out, or set input.type to int64"
    if problem.input.type != "float32" and not problem.input.below:
        yield f"input.below: is missing; of type {problem.input.type}, the number of tokens is needed"
    if not problem.target.classes and not problem.target.shape:
        yield "target: is empty; allowed: {classes: 10}, or {shape: [1]} for floats"
    if problem.loss == "softmax_cross_entropy" and not problem.target.classes:
        yield "target.classes: is missing; the loss softmax_cross_entropy needs the number of classes"
    if problem.loss != "softmax_cross_entropy" and problem.target.classes:
        yield f"target.classes: the loss {problem.loss} takes floats; allowed: target: {{shape: [1]}} and the like"
    name = problem.optimizer.name
    for key, owners in (
        ("momentum", ("sgd",)),
        ("weight_decay", ("adamw",)),
        *((key, ("adam", "adamw")) for key in ("beta_1", "beta_2", "epsilon")),
    ):
        if getattr(problem.optimizer, key) is not None and name not in owners:
            yield f"optimizer.{key}: {name} has none; allowed: only with the optimizer {' or '.join(owners)}"


def weights(folder: Path) -> dict[str, str]:
    """The pairs of weights.yaml, layer of Keras → module of PyTorch by its path here; empty without the file."""
    path = folder / WEIGHTS
    if not path.exists():
        return {}
    pairs = readable(path)
    for name, other in pairs.items():
        if not isinstance(name, str) or not isinstance(other, str):
            raise ConfigError(f"{path}: {name}: {shown(other)} is not allowed; a Keras layer with its PyTorch module")
    return {name: other.replace(".", "/") for name, other in pairs.items()}


def files(folder: Path, problem: Problem) -> dict[str, dict[str, str]]:
    """The existing model files: side → file and function; ConfigError where a named one is missing."""
    found = {}
    for side in SIDES:
        asked: File = getattr(problem, side)
        name = asked.file or f"{side}.py"
        if (folder / name).is_file():
            found[side] = {"file": name, "function": asked.function}
        elif asked.file:
            raise ConfigError(f"{folder / FILE}: {side}.file: {name!r} is not in the folder")
    return found


def optimizer(problem: Problem) -> dict[str, Any]:
    """The optimizer with its defaults."""
    given = {key: value for key, value in asdict(problem.optimizer).items() if value is not None}
    if given["name"] == "sgd":
        return {"momentum": 0.0, **given}
    defaults: Mapping[str, float] = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": DEFAULT_EPSILON}
    decay = {"weight_decay": 0.01} if given["name"] == "adamw" else {}  # PyTorch's default; Keras's is 0.004
    return {**defaults, **decay, **given}


def request(folder: Path, problem: Problem, seed: int, threads: int) -> dict[str, Any]:
    """The problem in the form for processes that run the user's code."""
    return {
        "folder": str(folder),
        "input": vars(problem.input),
        "target": {key: value for key, value in vars(problem.target).items() if value is not None},
        "loss": problem.loss,
        "optimizer": optimizer(problem),
        "batch_size": problem.batch_size,
        "weights": weights(folder),
        "compare_anyway": problem.compare_anyway,
        "seed": seed,
        "threads": threads,
        **files(folder, problem),
    }
