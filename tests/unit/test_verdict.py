"""The verdict says what the comparisons show and nothing more."""

import sys

import pandas as pd
import pytest

from framebench import languages, verdict

LABELS = {
    "tensorflow": "TensorFlow",
    "keras-tensorflow": "Keras (TensorFlow)",
    "pytorch": "PyTorch",
    "jax": "JAX",
}
SIZES = {"article-cnn": 128, "vgg-cnn": 64}


def runs(framework, status="ok", reason=None, *, batch_size=128, input="device", workload="article-cnn"):
    return {
        "device": "cpu",
        "workload": workload,
        "track": "default",
        "precision": "float32",
        "input": input,
        "batch_size": batch_size,
        "framework": framework,
        "status": status,
        "reason": reason,
        "device_name": "A $hostile_{name}",
    }


def comparison(ratio, low, high, verdict, *, batch_size=128, pair=("pytorch", "keras-tensorflow"), input="device"):
    framework, reference = pair
    return runs(framework, batch_size=batch_size, input=input) | {
        "reference": reference,
        "ratio": ratio,
        "ci_low": low,
        "ci_high": high,
        "confidence": 0.95,
        "rounds": 5,
        "verdict": verdict,
    }


def said(comparisons, measurements, language="en"):
    columns = comparison(None, None, None, "").keys()
    return verdict.sentences(
        pd.DataFrame(comparisons, columns=columns),
        pd.DataFrame(measurements),
        languages.load(language),
        SIZES,
        LABELS,
    )


BOTH = [runs("pytorch"), runs("keras-tensorflow")]


def test_the_faster_one_is_the_subject():
    assert said([comparison(1.42, 1.36, 1.49, "faster")], BOTH) == [
        "On A $hostile_{name}, PyTorch trains article-cnn at batch 128 1.42 times as fast as Keras "
        "(TensorFlow) (95 % interval 1.36–1.49, 5 rounds, batches already on the device)."
    ]


def test_a_slower_pytorch_makes_keras_the_subject_with_the_inverse():
    (sentence,) = said([comparison(0.5, 0.4, 0.8, "slower")], BOTH)
    assert "Keras (TensorFlow) trains article-cnn at batch 128 2.00 times as fast as PyTorch" in sentence
    assert "1.25–2.50" in sentence


def test_no_difference_shown_gives_the_interval_but_no_direction():
    (sentence,) = said([comparison(1.01, 0.97, 1.06, "no difference shown")], BOTH)
    assert "no difference is shown between PyTorch and Keras (TensorFlow)" in sentence
    assert "0.97–1.06" in sentence
    assert "as fast" not in sentence


@pytest.mark.parametrize("verdict", ["no difference shown", "not comparable: only 2 rounds, an interval needs 3"])
def test_without_an_interval_there_is_no_direction_and_no_number(verdict):
    (sentence,) = said([comparison(2.0, None, None, verdict)], BOTH)
    assert "too few rounds (5) for a verdict" in sentence
    assert "2.00" not in sentence


def test_a_failed_side_is_named_with_status_and_reason_and_the_cells_are_counted():
    measurements = [runs("pytorch", "out_of_memory", "std::bad_alloc"), runs("keras-tensorflow")]
    compared = [comparison(None, None, None, "not comparable: pytorch out_of_memory")]
    first, last = said(compared, measurements)
    assert first.endswith("PyTorch out of memory (std::bad_alloc).")
    assert last.startswith("In 1 of 2 cells ")
    assert "measurements.csv" in last


def test_a_failed_side_without_a_reason_and_a_missing_side_are_named():
    measurements = [runs("pytorch", "timeout"), runs("keras-tensorflow", workload="vgg-cnn", batch_size=64)]
    article, vgg, _ = said([], measurements)
    assert article.endswith(": PyTorch timed out, Keras (TensorFlow) not measured.")
    assert vgg.endswith(": PyTorch not measured.")


def test_what_is_not_comparable_says_why():
    (sentence,) = said([comparison(1.4, 1.3, 1.5, "not comparable: no valid certificate")], BOTH)
    assert sentence.endswith("cannot be compared (batches already on the device): no valid certificate.")


def test_a_pair_that_was_not_compared_is_said_to_be_so():
    (sentence,) = said([], BOTH)
    assert "cannot be compared" in sentence


def test_without_keras_each_framework_is_compared_with_the_baseline():
    measurements = [runs("pytorch"), runs("jax"), runs("tensorflow")]
    compared = [
        comparison(1.5, 1.4, 1.6, "faster", pair=("pytorch", "tensorflow")),
        comparison(0.5, 0.4, 0.8, "slower", pair=("jax", "tensorflow")),
    ]
    jax, pytorch = said(compared, measurements)
    assert "TensorFlow trains article-cnn at batch 128 2.00 times as fast as JAX" in jax
    assert "PyTorch trains article-cnn at batch 128 1.50 times as fast as TensorFlow" in pytorch


def test_it_speaks_of_the_device_input_and_the_batch_size_nearest_to_the_articles():
    measurements, compared = [], []
    for input, batch_size in [("device", 32), ("device", 256), ("device", 1024), ("host", 128)]:
        for framework in ("pytorch", "keras-tensorflow"):
            measurements.append(runs(framework, batch_size=batch_size, input=input))
        compared.append(comparison(1.42, 1.36, 1.49, "faster", batch_size=batch_size, input=input))
    (sentence,) = said(compared, measurements)
    assert "at batch 256 " in sentence
    assert "batches already on the device" in sentence


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (comparison(1.42, 1.36, 1.49, "faster"), "PyTorch 쪽이 Keras (TensorFlow) 대비 1.42배"),
        (comparison(1.01, 0.97, 1.06, "no difference shown"), "차이가 확인되지 않습니다"),
        (comparison(1.42, None, None, "no difference shown"), "결론을 낼 수 없습니다"),
        (comparison(1.42, 1.36, 1.49, "not comparable: no certificate"), "비교할 수 없습니다"),
    ],
)
def test_korean_says_the_same(row, expected):
    (sentence,) = said([row], BOTH, "ko")
    assert expected in sentence
    assert sentence.startswith("A $hostile_{name}에서 article-cnn 학습(배치 128")


def test_the_command_writes_one_sentence_a_line(tmp_path, monkeypatch):
    pd.DataFrame(BOTH).to_csv(tmp_path / "measurements.csv", index=False)
    pd.DataFrame([comparison(1.42, 1.36, 1.49, "faster")]).to_csv(tmp_path / "comparisons.csv", index=False)
    monkeypatch.chdir(tmp_path)
    command = "verdict --measurements measurements.csv --comparisons comparisons.csv --language en --output out.txt"
    monkeypatch.setattr(sys, "argv", command.split())
    verdict.main()
    lines = (tmp_path / "out.txt").read_text(encoding="utf-8").splitlines()
    assert lines == said([comparison(1.42, 1.36, 1.49, "faster")], BOTH)
