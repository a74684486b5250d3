"""A run with other work than the reference's is refused, wherever the work differs; honest runs are not."""

import json
from itertools import count
from unittest.mock import patch

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from framebench import record, workloads
from framebench.certify import reference, story
from framebench.certify.arithmetic import Arithmetic
from framebench.data.batches import batch, read
from framebench.measure.looks import Looks
from framebench.measure.pace import MoreWork, Pace
from framebench.measure.protocol import few_steps
from framebench.measure.story import NOT_TOLD, judged
from framebench.workloads.layers import SGD, Adam, Conv, Dense, Dropout, Flatten, MaxPool, Workload
from requested import PROTOCOL, request

pytestmark = pytest.mark.check

BATCH_SIZE, BATCHES = 32, 31
LAYERS = (
    Conv("conv1", 8, 3, "same"),
    MaxPool(2),
    Flatten(),
    Dense("dense1", 32, relu=True),
    Dense("dense2", 4, relu=False),
)
DROPPING = (*LAYERS[:3], Dropout(0.25), Dense("dense1", 256, relu=True), Dropout(0.5), LAYERS[4])


def workload(layers=LAYERS, optimizer: SGD | Adam | None = SGD(0.05, 0.9)) -> Workload:  # noqa: B008
    return Workload("tiny", "images", (8, 8, 3), layers, optimizer, article_batch_size=1)


class Numpy:
    """A trainer in NumPy, like the adapters; a plant changes its work in one place."""

    def __init__(self, of: Workload, weights, data, plant, dropout=True) -> None:
        self.workload, self.data, self.plant = of, data, plant
        self.masks = np.random.default_rng(5) if dropout and story.drops(of) else None
        self.load(weights)

    def load(self, weights) -> None:
        self.now = {name: array.copy() for name, array in weights.items()}
        self.kept = reference._update(self.workload, self.now, Arithmetic()) if self.workload.trains else None
        self.step = 0

    def weights(self):
        return {name: array.copy() for name, array in self.now.items()}

    def batch(self, number: int):
        return batch(self.workload, read(self.data), BATCH_SIZE, number)

    def train(self, pace) -> None:
        for taken in count():
            images, labels = self.plant.samples(*self.plant.batch(self.batch, taken))
            if self.plant.takes(taken):
                self._step(images, labels)
            if pace.over(lambda: None, self.plant.told(taken)):
                return

    def infer(self, pace, take) -> None:
        for taken in count():
            images, _ = self.plant.batch(self.batch, taken)
            take(self.plant.output(story.outputs(self.workload, self.now, images)))
            if pace.over(lambda: None, self.plant.told(taken)):
                return

    def _step(self, images, labels) -> None:
        self.step += 1
        masks = self.masks if self.plant.drops else None
        logits, back = reference.forward(self.workload, self.now, images, Arithmetic(), dropout=masks)
        gradients = back(reference.cross_entropy(logits, labels, Arithmetic())[1])
        moved = {name: self.kept(name, self.step, self.plant.gradient(gradients[name])) for name in self.now}
        self.now = {name: array - moved[name] for name, array in self.now.items()}


class Honest:
    """The correct parts, any of which a plant may replace."""

    drops = True

    def batch(self, batch, number):
        return batch(number)

    def samples(self, images, labels):
        return images, labels

    def takes(self, taken):
        return True

    def told(self, taken):
        return 1

    def gradient(self, gradient):
        return gradient

    def output(self, output):
        return output


class HalfOfTheBatch(Honest):
    def samples(self, images, labels):
        half = len(images) // 2
        return np.concatenate([images[:half]] * 2), np.concatenate([labels[:half]] * 2)


class FirstBatchesAgain(Honest):
    def batch(self, batch, number):
        return batch(number % 11)


class OneBatch(Honest):
    def batch(self, batch, number):
        return batch(number if number < 10 else 0)


class ToldAsTwo(Honest):
    def told(self, taken):
        return 2


class ToldAsTwoLater(Honest):
    def told(self, taken):
        return 2 if taken > 15 else 1


class HalfOfTheBatchLater(HalfOfTheBatch):
    calls = 0

    def samples(self, images, labels):
        self.calls += 1
        return super().samples(images, labels) if self.calls > 15 else (images, labels)


class OtherLearningRate(Honest):
    def gradient(self, gradient):
        return np.float32(1.02) * gradient


class NoStepLater(Honest):
    def takes(self, taken):
        return taken < 15


class LabelsOffByOne(Honest):
    def samples(self, images, labels):
        return images, (labels + 1) % 4


class NotANumber(Honest):
    def gradient(self, gradient):
        return gradient * np.float32("nan")


class NoDropout(Honest):
    drops = False


class OutputOfHalf(Honest):
    def output(self, output):
        return np.concatenate([output[: len(output) // 2]] * 2)


class TwoOutputsAlike(Honest):
    """Two of them, which the reference does not compute beyond the first batch."""

    calls = 0

    def output(self, output):
        self.calls += 1
        return output if self.calls == 1 else np.concatenate([output[:7], output[6:7], output[8:]])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    generator = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("story") / "images.npz"
    labels = generator.integers(0, 4, BATCH_SIZE * BATCHES)
    # Images that a net can tell apart, and so dark that it does not in its first step, as with real ones.
    images = generator.integers(0, 16, (len(labels), 8, 8, 3)) + 5 * labels[:, None, None, None]
    np.savez(path, samples=images.astype(np.uint8), labels=labels)
    return path


def run(data, folder, plant, of, more_work_every=None):
    """Record fields and flags of a run with this plant."""
    weights = of.initial_weights(PROTOCOL.seed)

    def of_number(number):
        return batch(of, read(data), BATCH_SIZE, number)

    facts, arrays = story.story(of, weights, of_number, batch_size=BATCH_SIZE, precision="float32", seed=PROTOCOL.seed)
    story.write(folder / "story.npz", facts, arrays)
    asked = request(data=str(data), story=str(folder / "story.npz"), batch_size=BATCH_SIZE)
    trainer, outputs = Numpy(of, weights, data, plant), []
    told = Looks(trainer, asked, of, weights=weights, outputs=outputs, folder=folder / "looks")
    protocol = few_steps(PROTOCOL)
    pace = Pace(protocol.warmup, protocol.blocks, Turns(), 0, looks=told)
    listener = MoreWork(pace, more_work_every) if more_work_every else pace
    pace.start()
    if of.trains:
        trainer.train(listener)
    else:
        trainer.infer(listener, outputs.append)
    if told.batches_without_dropout:
        told.look_without_dropout(Numpy(of, weights, data, plant, dropout=False))
    with patch.object(workloads, "load", lambda name: of):
        return judged(asked, folder / "looks")


class Turns:
    """One turn, of 20 blocks: the run goes on after the first steps."""

    given = False

    def wait(self, state):
        self.given, before = True, self.given
        return 0 if before else 20


@pytest.mark.parametrize("layers", [LAYERS, DROPPING], ids=["", "dropout"])
@pytest.mark.parametrize("optimizer", [SGD(0.05, 0.9), Adam(0.001, 0.9, 0.999, 1e-7)], ids=["sgd", "adam"])
def test_an_honest_run_is_looked_at_from_the_first_step_to_the_last(data, tmp_path, layers, optimizer):
    seen, flags = run(data, tmp_path, Honest(), workload(layers, optimizer))
    assert "status" not in seen and not flags, seen.get("reason")
    steps = (1, 2, 3, 5, 10)
    start = (
        [("start", 1), *(("no_dropout", step) for step in steps)]
        if layers is DROPPING
        else ([("start", step) for step in steps])
    )
    found = [(one["at"], one["step"]) for one in seen["story"]]
    assert sorted(one for one in found if one[0] != "later") == sorted(start)
    later = [step for at, step in found if at == "later"]
    assert len(later) == 4 and max(later) - min(later) > 200, "one before its turn, and three after it"
    assert json.dumps(seen)


@pytest.mark.parametrize(("number", "passes"), [(5, True), (6, False)], ids=["its batch", "another"])
def test_rounding_that_moves_a_later_batch_alone_is_no_other_work(data, tmp_path, number, passes):
    """In the first batches no ReLU was near zero, so that their bounds are narrow; this batch has bounds of its own."""
    of = workload()
    weights = of.initial_weights(PROTOCOL.seed)
    exact = {f"1/{name}": array for name, array in weights.items()}
    story.write(tmp_path / "story.npz", {"bounds": {"1": 1e-9}, "along": {"1": 1e-9}}, exact)
    rounded = story.displacement(weights, "float32", 100)
    changed = story.updates(of, rounded, [batch(of, read(data), BATCH_SIZE, number)], (1,))[1]
    (tmp_path / "looks").mkdir()
    np.savez(tmp_path / "looks/000 later 1 5.npz", **changed)
    asked = request(data=str(data), story=str(tmp_path / "story.npz"), batch_size=BATCH_SIZE)
    with patch.object(workloads, "load", lambda name: of):
        seen, _ = judged(asked, tmp_path / "looks")
    assert ("status" not in seen) == passes, seen.get("reason")
    (look,) = seen["story"]
    assert look["bound"] > 1e-6


@pytest.mark.parametrize(
    "plant",
    [
        HalfOfTheBatch,
        FirstBatchesAgain,
        OneBatch,
        ToldAsTwo,
        ToldAsTwoLater,
        HalfOfTheBatchLater,
        OtherLearningRate,
        NoStepLater,
        LabelsOffByOne,
        NotANumber,
    ],
)
def test_other_work_is_refused_with_step_number_and_bound(data, tmp_path, plant):
    seen, _ = run(data, tmp_path, plant(), workload())
    assert seen["status"] == "invalid"
    assert "not the reference's work" in seen["reason"] and "to within" in seen["reason"]
    later = plant in (FirstBatchesAgain, OneBatch, ToldAsTwoLater, HalfOfTheBatchLater, NoStepLater)
    assert ("taken from the initial weights" in seen["reason"]) == later


@pytest.mark.parametrize(
    "plant", [HalfOfTheBatch, FirstBatchesAgain, ToldAsTwo, ToldAsTwoLater, NoStepLater, LabelsOffByOne, NoDropout]
)
def test_beside_dropout_other_work_is_refused_too(data, tmp_path, plant):
    # The size of what Adam changes hardly depends on the masks.
    optimizer = Adam(0.001, 0.9, 0.999, 1e-7) if plant is NoDropout else SGD(0.05, 0.9)
    seen, _ = run(data, tmp_path, plant(), workload(DROPPING, optimizer))
    assert seen["status"] == "invalid"


def test_more_work_that_is_meant_is_not_taken_for_other_work(data, tmp_path):
    """A framework against itself: the uncounted steps are known."""
    seen, _ = run(data, tmp_path, Honest(), workload(), more_work_every=3)
    assert "status" not in seen and len(seen["story"]) == 9


def test_outputs_of_inference_are_compared_with_the_reference(data, tmp_path):
    of = workload(optimizer=None)
    seen, _ = run(data, tmp_path, Honest(), of)
    assert "status" not in seen
    assert [(one["at"], one["weight"]) for one in seen["story"]] == [("start", "outputs"), *[("later", "outputs")] * 4]


def test_a_run_of_which_nothing_could_be_looked_at_is_refused(data, tmp_path):
    """Its first call covers two steps, and there is no look after which that many can be taken at once."""
    seen, flags = run(data, tmp_path, ToldAsTwo(), workload(optimizer=None))
    assert (seen["status"], seen["story"], flags) == ("invalid", [], [])
    assert "told of steps it may not take" in seen["reason"]


@pytest.mark.parametrize("plant", [OutputOfHalf, OneBatch, TwoOutputsAlike])
def test_outputs_of_other_samples_are_refused(data, tmp_path, plant):
    seen, _ = run(data, tmp_path, plant(), workload(optimizer=None))
    assert seen["status"] == "invalid" and "of outputs" in seen["reason"]


def test_a_net_that_the_reference_cannot_train_is_flagged(data, tmp_path):
    story.write(tmp_path / "story.npz", {"failed": "the reference cannot"}, {})
    asked = request(data=str(data), story=str(tmp_path / "story.npz"), batch_size=BATCH_SIZE)
    told = Looks(None, asked, workload(), weights={}, outputs=[], folder=tmp_path / "looks")  # type: ignore[arg-type]
    told.look(1)
    assert told.later(1, 0.1) == (0, ())
    assert judged(asked, tmp_path / "looks") == ({"story": []}, [NOT_TOLD])
    assert judged(asked, tmp_path / "none") == ({"story": []}, [NOT_TOLD])


def test_size_and_share_of_an_update_tell_its_distance():
    exact = {"a": np.array([3.0, 4.0]), "b": np.zeros(2)}
    found = story.numbers({"a": np.array([3.0, 5.0]), "b": np.zeros(2)}, exact)
    assert found["a"] == pytest.approx((34**0.5 / 5, 29 / 25))
    assert set(found) == {"a", story.ALL} and story.distance(*found["a"]) == pytest.approx(1 / 5)
    # A weight that the reference leaves as it was counts among all.
    moved = story.numbers({"a": exact["a"], "b": np.array([5.0, 0.0])}, exact)
    assert story.distance(*moved[story.ALL]) == pytest.approx(1.0)


def test_a_batch_is_that_of_the_run_by_its_number(data):
    of = workload()
    first = batch(of, read(data), BATCH_SIZE, 0)
    assert first[0].shape == (BATCH_SIZE, 8, 8, 3) and first[0].dtype == np.float32 and first[1].dtype == np.int64
    assert (batch(of, read(data), BATCH_SIZE, BATCHES)[0] == first[0]).all()
    assert (batch(of, read(data), BATCH_SIZE, 7, batches=7)[0] == first[0]).all()


def test_a_large_batch_is_looked_at_after_fewer_steps():
    of = workload()
    assert story.looked_after(of, BATCH_SIZE, every=False) == story.STEPS
    assert story.looked_after(of, 10**9, every=False) == (1,)
    # One call of track `tuned` takes ten steps, and nothing can be seen before its end.
    assert story.looked_after(of, 10**9, every=True) == story.STEPS


def test_every_look_fits_the_schema_of_a_record(data, tmp_path):
    looks = []
    for name, of in {"sgd": workload(), "dropping": workload(DROPPING), "inference": workload(optimizer=None)}.items():
        (tmp_path / name).mkdir()
        looks += run(data, tmp_path / name, Honest(), of)[0]["story"]
    schema = json.loads(record.SCHEMA.read_text(encoding="utf-8"))
    validator = Draft202012Validator({"$defs": schema["$defs"], "$ref": "#/$defs/look"})
    assert {one["at"] for one in looks} == {"start", "no_dropout", "later"}
    for one in looks:
        validator.validate(one)
