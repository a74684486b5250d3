"""One Keras model on one of Keras's backends, evaluated and trained in float64 to compare the backends.

It runs in that backend's environment. The first process draws the weights and measures the effect of rounding on every
quantity; the others load the same weights. Arrays go through files of NumPy.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from framebench.prove.inside import drawing
from framebench.prove.inside.answering import answer_requests
from framebench.prove.inside.deciding import decided, loss
from framebench.workloads import loading
from framebench.workloads.loading import UserError

STEPS = (1, 3)  # after which the weights are compared
ROLES = {"moving_variance": "variance", "scale": "gamma"}
Arrays = dict[str, np.ndarray]


def observe(request: dict[str, Any]) -> dict[str, Any]:
    """Write the backend's arrays to `request["arrays"]`; the answer names versions."""
    path = Path(request["folder"], request["keras"]["file"])
    keras.utils.set_random_seed(request["seed"])
    batches = list(drawing.batches(request))
    with decided("float64", []):
        model = loading.model(path, request["keras"]["function"])
        if not isinstance(model, keras.Model):
            raise UserError(f"{path.name}: must return a keras.Model, not {type(model).__name__}")
        loading.raised(lambda: model(batches[0][0], training=False), f"{path.name}: the model on its input", path)
        if "told" in request and "pytorch" not in request and keras.backend.backend() == "torch":
            tell(path, request, batches[0])
        shared = Path(request["weights_file"])
        if not shared.exists():
            np.savez(shared, *random(model, request["seed"]))
        with np.load(shared) as file:
            weights = [file[name] for name in file.files]
        found = computed(model, weights, batches, request)
        if keras.backend.backend() == "torch":
            bounds = displaced(model, weights, batches, request, found)
            found |= {f"bound/{name}": bound for name, bound in bounds.items()}
    named: dict[str, Any] = {name.replace("/", "\\"): array for name, array in found.items()}
    np.savez(request["arrays"], **named)
    return {"backend": keras.backend.backend(), "keras": keras.__version__, "parameters": model.count_params()}


def tell(path: Path, request: dict[str, Any], batch: tuple[np.ndarray, np.ndarray]) -> None:
    """Write the weights that the file draws, if there is no other file to prove it with."""
    # PyTorch is in its own environment only.
    import torch  # noqa: PLC0415

    from framebench.prove.inside import given  # noqa: PLC0415
    from framebench.prove.inside.keras_side import KerasSide  # noqa: PLC0415
    from framebench.prove.inside.training import Batch, KerasTraining, Problem  # noqa: PLC0415

    inputs, targets = map(torch.from_numpy, batch)
    side = KerasSide(path, request["keras"]["function"], "float64", inputs)
    training = KerasTraining(side, Problem.of(request))
    given.write(Path(request["told"]), [training], Batch((inputs, inputs), (targets, targets)))


def random(model: keras.Model, seed: int) -> list[np.ndarray]:
    """Weights of every variable, including statistics."""
    generator = np.random.Generator(np.random.PCG64(seed))
    names = [one.path.rpartition("/")[2] for one in model.weights]
    roles = [ROLES.get(name, name) for name in names]
    return [drawing.weight(role, one.shape, generator) for role, one in zip(roles, model.weights, strict=True)]


def computed(
    model: keras.Model, weights: list[np.ndarray], batches: list[tuple[np.ndarray, np.ndarray]], request: dict[str, Any]
) -> Arrays:
    """Logits and loss in evaluation, losses of all steps, and updates of the weights after some of them."""
    for one in model._flatten_layers(include_self=False, recursive=True):
        if isinstance(one, layers.Dropout | layers.SpatialDropout1D | layers.SpatialDropout2D | layers.GaussianDropout):
            one.rate = 0.0  # every backend draws for itself
    model.set_weights(weights)
    # Plain steps show gradients and statistics; how a backend's Adam is built is proved with the framework itself.
    optimizer = keras.optimizers.SGD(request["optimizer"]["learning_rate"])
    model.compile(optimizer=optimizer, loss=loss(request["loss"]), jit_compile=keras.backend.backend() == "jax")
    inputs, targets = batches[0]
    found = {
        "evaluation logits": np.asarray(model.predict_on_batch(inputs)),
        "evaluation loss": np.asarray(model.test_on_batch(inputs, targets)),
    }
    losses = []
    for step, (x, y) in enumerate(batches[: STEPS[-1]], 1):
        losses.append(float(model.train_on_batch(x, y)))
        if step in STEPS:
            for i, (before, one) in enumerate(zip(weights, model.weights, strict=True)):
                name = f"update after {step} step{'s' if step > 1 else ''}/{i} {one.path}"
                found[name] = keras.ops.convert_to_numpy(one) - before
    return found | {"training losses": np.asarray(losses)}


def displaced(
    model: keras.Model,
    weights: list[np.ndarray],
    batches: list[tuple[np.ndarray, np.ndarray]],
    request: dict[str, Any],
    exact: Arrays,
) -> Arrays:
    """Bounds of relative differences, from how far rounding moves every quantity on the PyTorch backend.

    Rounding is that of float32, since Keras passes constants such as a learning rate or √2 to some backends only in
    float32.
    """
    # PyTorch is in its own environment only.
    from framebench.prove.inside.checks import LEAST_UNITS, MARGIN, UNIT  # noqa: PLC0415
    from framebench.prove.inside.training import Displaced  # noqa: PLC0415

    unit = UNIT["float32"]
    with Displaced(unit, growing=False, seed=0):
        moved = computed(model, weights, batches, request)

    def bound(name: str) -> float:
        size = float(np.linalg.norm(exact[name]))
        off = float(np.linalg.norm(moved[name] - exact[name]))
        return max(MARGIN * off / size if size else 0.0, LEAST_UNITS * unit)

    return {name: np.asarray(bound(name)) for name in exact}


if __name__ == "__main__":
    answer_requests(observe)
