"""The project's own nets as a user would bring them: a folder with two model files and a problem.yaml."""

import shutil
from pathlib import Path

import yaml

from framebench import workloads
from framebench.plan import catalogue
from framebench.workloads.layers import Adam, Dense, Embedding

# ResNet-50 only infers here and so has no loss: a user would train its features towards some target.
FEATURES = 2048
# Its files take images of 224 × 224, which are proved too but take 2 minutes of one core; nothing else depends on it.
SIDES = {"resnet50-features": (224, 64)}


def brought(workload: str, into: Path) -> Path:
    """Write the folder of a workload below `into` and return it."""
    asked, folder = workloads.load(workload), into / workload
    folder.mkdir()
    for name in ("keras.py", "pytorch.py"):
        shutil.copy(catalogue.ROOT / catalogue.PACKAGE / "workloads" / workload.replace("-", "_") / name, folder)
    shape = list(asked.input_shape)
    if workload in SIDES:
        usual, side = SIDES[workload]
        text = (folder / "keras.py").read_text(encoding="utf-8")
        assert text.count(f"({usual}, {usual}, 3)") == 1
        (folder / "keras.py").write_text(
            text.replace(f"({usual}, {usual}, 3)", f"({side}, {side}, 3)"), encoding="utf-8"
        )
        shape = [side, side, 3]
    first, last, optimizer = asked.layers[0], asked.layers[-1], asked.optimizer
    trained = {"name": "adam" if isinstance(optimizer, Adam) else "sgd", **(vars(optimizer) if optimizer else {})}
    tokens = {"type": "int64", "below": first.tokens} if isinstance(first, Embedding) else {}
    problem = {
        "input": {"shape": shape, **tokens},
        "target": {"classes": last.units} if isinstance(last, Dense) else {"shape": [FEATURES]},
        "loss": "softmax_cross_entropy" if isinstance(last, Dense) else "mean_squared_error",
        "optimizer": trained if optimizer else {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9},
        "batch_size": asked.article_batch_size if optimizer else 2,
        "pytorch": {"function": "Net"},  # a class is as good as a function
    }
    (folder / "problem.yaml").write_text(yaml.safe_dump(problem), encoding="utf-8")
    return folder
