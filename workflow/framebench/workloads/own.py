"""A user's model as a workload: its problem, and the weights that a proof has given to both of its files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from framebench.usermodels import REQUIREMENTS
from framebench.workloads import loading
from framebench.workloads.layers import SGD, Adam, AdamW, Shape, Workload


@dataclass(frozen=True)
class Own(Workload):
    """A model from a user's own folder, whose layers are not known here.

    Its weights are named by their file, `keras/<place>/<name>` and `pytorch/<name>`, and have that framework's layout.
    """

    asked: Mapping[str, Any] = field(default_factory=dict, hash=False)  # see `framebench.plan.problem.request`
    told: str = ""  # npz of the proof: weights under their names, and facts

    @classmethod
    def of(cls, name: str, model: Mapping[str, Any]) -> "Own":
        asked = model["asked"]
        return cls(
            name,
            data=name,
            input_shape=tuple(asked["input"]["shape"]),
            layers=(),
            optimizer=_optimizer(asked["optimizer"]),
            article_batch_size=asked["batch_size"],
            asked=asked,
            told=model["told"],
        )

    @property
    def folder(self) -> Path:
        return Path(self.asked["folder"])

    @property
    def requirements(self) -> Path | None:
        """The file of packages that it needs besides the framework's, if there is one."""
        path = self.folder / REQUIREMENTS
        return path if path.is_file() else None

    @property
    def loss(self) -> str:
        return self.asked["loss"]

    @property
    def tokens(self) -> int | None:
        return self.asked["input"]["below"]

    @property
    def classifies(self) -> bool:
        """True where a target is the number of a class, False where it is made of floats."""
        return "classes" in self.asked["target"]

    @cached_property
    def _facts(self) -> dict[str, Any]:
        with np.load(self.told, allow_pickle=False) as file:
            return json.loads(str(file["facts"]))

    @property
    def weight_shapes(self) -> dict[str, Shape]:  # type: ignore[override]
        return {name: array.shape for name, array in self.initial_weights(0).items()}

    @property
    def parameters(self) -> None:
        """None: the two files may differ, as by an LSTM's second bias; the proof has both numbers."""
        return None

    @property
    def flops_per_sample(self) -> int:
        return self._facts["flops_per_sample"]

    @property
    def alike(self) -> bool:
        """True where the proof says that a training step changes both files' weights alike, apart from dropout."""
        return self._facts["alike"]

    @property
    def attends(self) -> bool:
        return self._facts["attends"]

    def initial_weights(self, seed: int) -> dict[str, np.ndarray]:
        """Weights of both files, as drawn by Keras in the proof; they do not depend on the seed."""
        with np.load(self.told, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if name != "facts"}

    def samples(self, stored: np.ndarray) -> np.ndarray:
        return stored

    def targets(self, stored: np.ndarray) -> np.ndarray:
        return stored

    def build(self, style: str) -> Any:
        """The model from the file of this style, `keras` or `pytorch`."""
        file = self.asked[style]
        with loading.at_home(self.folder, forget=False):
            return loading.model(self.folder / file["file"], file["function"])


def _optimizer(asked: Mapping[str, Any]) -> SGD | Adam | AdamW:
    if asked["name"] == "sgd":
        return SGD(asked["learning_rate"], asked["momentum"])
    epsilon = asked["epsilon"]["keras"] if isinstance(asked["epsilon"], dict) else asked["epsilon"]
    numbers = asked["learning_rate"], asked["beta_1"], asked["beta_2"], epsilon
    return Adam(*numbers) if asked["name"] == "adam" else AdamW(*numbers, weight_decay=asked["weight_decay"])
