"""Sentences state the results of the comparisons, and nothing more."""

import re

import pandas as pd
import pytest

import simulated
from framebench import languages
from framebench.analyse import agreement, overhead, why
from framebench.answer import asked, verdict

pytestmark = pytest.mark.check

LABELS = {
    "tensorflow": "TensorFlow",
    "keras-tensorflow": "Keras (TensorFlow)",
    "pytorch": "PyTorch",
    "jax": "JAX",
}
SIZES = {"article-cnn": 128, "vgg-cnn": 64}


def runs(
    framework, status="ok", reason=None, *, batch_size=128, input="device", workload="article-cnn", track="default"
):
    return {
        "device": "cpu",
        "workload": workload,
        "track": track,
        "precision": "float32",
        "input": input,
        "batch_size": batch_size,
        "framework": framework,
        "status": status,
        "reason": reason,
        "device_name": "A $hostile_{name}",
        "flags": None,
        "cpu_quota_cores": None,
        "inherited_variables": None,
    }


def comparison(
    ratio,
    low,
    high,
    verdict,
    *,
    p=None,
    same=0.5,
    needed=None,
    pair=("pytorch", "keras-tensorflow"),
    family="question",
    **block,
):
    framework, reference = pair
    return runs(framework, **block) | {
        "reference": reference,
        "ratio": ratio,
        "ci_low": low,
        "ci_high": high,
        "confidence": 0.95,
        "rounds": 5,
        "method": "t",
        "same_within": 0.1,
        "family": family,
        "p_adjusted": p,
        "p_same_adjusted": same,
        "rounds_to_decide": needed,
        "minutes_to_decide": None if needed is None else 2.0 * needed,
        "finds": 0.3,
        "verdict": verdict,
    }


def said(comparisons, measurements, language="en", **options):
    columns = comparison(None, None, None, "").keys()
    sentences = verdict.sentences(
        pd.DataFrame(measurements),
        pd.DataFrame(comparisons, columns=columns),
        NO_EFFECTS,
        NO_OVERHEADS,
        NO_WHYS,
        article_batch_sizes=SIZES,
        language=languages.load(language),
        labels=LABELS,
        **{"question": simulated.QUESTION, **options},
    )
    return [sentence.text for sentence in sentences]


def said_of(tables, language="en", **options):
    words = {"article_batch_sizes": SIZES, "language": languages.load(language), "labels": LABELS}
    words["question"] = simulated.QUESTION
    measured = tables.measurements, tables.comparisons, tables.effects, NO_OVERHEADS, NO_WHYS
    sentences = verdict.sentences(*measured, **words, **options)
    return [sentence.text for sentence in sentences]


def warned(comparisons, measurements, language="en"):
    rows = pd.DataFrame(comparisons, columns=comparison(None, None, None, "").keys())
    return [one.text for one in verdict.warnings(pd.DataFrame(measurements), rows, languages.load(language))]


NOTHING = simulated.campaign(blocks=[], rounds=0)
NO_EFFECTS, NO_OVERHEADS, NO_WHYS = NOTHING.effects, NOTHING.overhead, NOTHING.why
BOTH = [runs("pytorch"), runs("keras-tensorflow")]


def test_the_faster_one_is_the_subject():
    assert said([comparison(1.42, 1.36, 1.49, "faster")], BOTH) == [
        "On A $hostile_{name}, PyTorch is 1.42 times as fast as Keras (TensorFlow) in training article-cnn "
        "at batch 128 (95 % interval 1.36–1.49, 5 rounds)."
    ]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (comparison(0.84, 0.702, 0.9974, "undecided", needed=9), "interval 0.70–0.997, 5 rounds): about 9 rounds"),
        (comparison(0.9, 0.8, 0.9996, "slower"), "1.11 times as fast as PyTorch"),
        (comparison(0.9, 0.8, 0.9996, "slower"), "interval 1.0004–1.25"),
        (comparison(1.1, 1.0, 1.2, "undecided"), "interval 1.00–1.20, 5 rounds): more than 1,000"),
    ],
)
def test_a_bound_that_is_not_1_is_not_rounded_to_it(row, words):
    (sentence,) = said([row], BOTH)
    assert words in sentence


@pytest.mark.parametrize(("language", "words"), [("en", "a stand-in for the NVIDIA driver"), ("ko", "테스트용 대역")])
def test_a_warning_says_that_a_run_was_made_with_a_stand_in(language, words):
    measurements = [runs("pytorch"), runs("keras-tensorflow") | {"flags": "warmup_not_converged;stand_in"}]
    (warning,) = warned([comparison(1.42, 1.36, 1.49, "faster")], measurements, language)
    assert words in warning


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_warning_says_how_many_runs_a_quota_held_back(language):
    held = runs("pytorch") | {"flags": "cpu_throttled", "cpu_quota_cores": 0.5}
    (warning,) = warned([comparison(1.42, 1.36, 1.49, "faster")], [held, runs("keras-tensorflow")], language)
    assert all(words in warning for words in ("0.5", "1", "2"))


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_warning_names_the_variables_that_reached_the_runs_from_outside(language):
    measured = [
        runs("pytorch") | {"inherited_variables": told}
        for told in ('{"LD_LIBRARY_PATH": "/site/lib", "CUDA_HOME": "/site"}', '{"LD_LIBRARY_PATH": "/other"}', None)
    ]
    (warning,) = warned([comparison(1.42, 1.36, 1.49, "faster")], measured, language)
    assert "CUDA_HOME, LD_LIBRARY_PATH" in warning


@pytest.mark.parametrize(("language", "words"), [("en", "in running resnet50-features at batch 32"), ("ko", "추론")])
def test_inference_is_not_called_training(language, words):
    cell = {"workload": "resnet50-features", "batch_size": 32}
    tables = [pd.DataFrame([row | cell for row in rows]) for rows in (BOTH, [comparison(1.42, 1.36, 1.49, "faster")])]
    options = {"article_batch_sizes": {"resnet50-features": 32}, "language": languages.load(language), "labels": LABELS}
    options["question"] = simulated.QUESTION
    (sentence,) = verdict.sentences(*tables, NO_EFFECTS, NO_OVERHEADS, NO_WHYS, **options)
    assert words in sentence.text


@pytest.mark.parametrize(("language", "words"), [("en", "is slower since 2.10"), ("ko", "2.10 버전부터 느려졌습니다")])
def test_a_version_is_called_slower_where_that_is_shown_and_all_else_is_counted(language, words):
    alike = {"since": "2.10", "verdict": agreement.TOGETHER}
    shown = alike | {"verdict": agreement.SLOWER, "ratio": 0.5, "ci_low": 0.4, "ci_high": 0.6}
    rows = [shown, alike, alike | {"verdict": agreement.TOO_FEW}, alike | {"since": None, "verdict": agreement.APART}]
    of_all = runs("pytorch") | {"reference_version": "2.9, lock d", "confidence": 0.95, "runs": 4, "reference_runs": 5}
    slower, others = said([], BOTH, language, agreement=pd.DataFrame([of_all | row for row in rows]))[-2:]
    assert words in slower
    assert all(told in slower for told in ("2.9, lock d", "0.50", "0.40–0.60", "A $hostile_{name}"))
    assert re.findall(r"\d+", others) in (["2", "3"], ["3", "2"])


def test_the_default_precision_of_frameworks_comes_first():
    cells = [{"precision": "bfloat16"}, {"precision": "float32"}, {"precision": "tf32"}]
    sentences = said([], [run | cell for run in BOTH for cell in cells])
    assert [next((one for one in ("bfloat16", "tf32") if one in text), "") for text in sentences] == [
        "",
        "bfloat16",
        "tf32",
    ]


def test_a_slower_pytorch_makes_keras_the_subject_with_the_inverse():
    (sentence,) = said([comparison(0.5, 0.4, 0.8, "slower")], BOTH)
    assert "Keras (TensorFlow) is 2.00 times as fast as PyTorch in training article-cnn at batch 128" in sentence
    assert "1.25–2.50" in sentence


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            comparison(1.01, 0.97, 1.06, "same"),
            "PyTorch is as fast as Keras (TensorFlow) in training article-cnn at batch 128: within 10 % "
            "(ratio 1.01, 95 % interval 0.97–1.06, 5 rounds).",
        ),
        (
            comparison(1.05, 1.03, 1.07, "faster", same=0.01),
            "PyTorch is 1.05 times as fast as Keras (TensorFlow) in training article-cnn at batch 128 "
            "(95 % interval 1.03–1.07, 5 rounds), a difference shown to be within 10 %.",
        ),
        (
            comparison(1.1, 0.9, 1.3, "undecided", needed=1234.0),
            "it is undecided whether PyTorch or Keras (TensorFlow) is the faster in training article-cnn at batch 128 "
            "(ratio 1.10, 95 % interval 0.90–1.30, 5 rounds): about 1,234 rounds would decide it.",
        ),
        (
            comparison(1.1, 0.9, 1.3, "undecided"),
            "it is undecided whether PyTorch or Keras (TensorFlow) is the faster in training article-cnn at batch 128 "
            "(ratio 1.10, 95 % interval 0.90–1.30, 5 rounds): more than 1,000 rounds would be needed to decide it.",
        ),
    ],
)
def test_the_same_a_small_difference_and_the_undecided_have_sentences_of_their_own(row, words):
    assert said([row], BOTH) == [f"On A $hostile_{{name}}, {words}"]


@pytest.mark.parametrize("verdict", ["undecided", "not comparable: only 2 rounds, an interval needs 3"])
def test_without_an_interval_there_is_no_direction_and_no_number(verdict):
    (sentence,) = said([comparison(2.0, None, None, verdict)], BOTH)
    assert "too few rounds (5) for a verdict" in sentence
    assert "2.00" not in sentence


def test_a_failed_side_is_named_with_status_and_reason_and_the_cells_are_counted():
    measurements = [runs("pytorch", "out_of_memory", "std::bad_alloc"), runs("keras-tensorflow")]
    compared = [comparison(None, None, None, "not comparable: pytorch out_of_memory")]
    (sentence,) = said(compared, measurements)
    assert sentence.endswith("PyTorch out of memory (std::bad_alloc).")
    (warning,) = warned(compared, measurements)
    assert warning.startswith("In 1 of 2 cells ")
    assert "measurements.csv" in warning


def test_a_failed_side_without_a_reason_and_a_missing_side_are_named():
    measurements = [runs("pytorch", "timeout"), runs("keras-tensorflow", workload="vgg-cnn", batch_size=64)]
    article, vgg = said([], measurements)
    assert article.endswith(": PyTorch timed out, Keras (TensorFlow) not measured.")
    assert vgg.endswith(": PyTorch not measured.")


def test_an_incomparable_pair_gives_the_reason():
    (sentence,) = said([comparison(1.4, 1.3, 1.5, "not comparable: no valid certificate")], BOTH)
    assert sentence.endswith("cannot be compared in training article-cnn at batch 128: no valid certificate.")


def test_a_pair_that_was_not_compared_is_said_to_be_so():
    (sentence,) = said([], BOTH)
    assert "cannot be compared" in sentence


def test_without_a_question_each_framework_is_compared_with_the_baseline():
    measurements = [runs("pytorch"), runs("jax"), runs("tensorflow")]
    compared = [
        comparison(1.5, 1.4, 1.6, "faster", pair=("pytorch", "tensorflow")),
        comparison(0.5, 0.4, 0.8, "slower", pair=("jax", "tensorflow")),
    ]
    jax, pytorch = said(compared, measurements, question=None)
    assert "TensorFlow is 2.00 times as fast as JAX in training article-cnn at batch 128" in jax
    assert "PyTorch is 1.50 times as fast as TensorFlow in training article-cnn at batch 128" in pytorch


def both(**block):
    return [runs("pytorch", **block), runs("keras-tensorflow", **block)]


def test_each_track_and_input_has_a_sentence_of_its_own_that_names_it_and_the_default_one_comes_first():
    blocks = [{"track": track, "input": input} for track in ("tuned", "default") for input in ("host", "device")]
    compared = [comparison(i, 0.9 * i, 1.1 * i, "faster", **block) for i, block in enumerate(blocks, start=2)]
    sentences = said(compared, [run for block in blocks for run in both(**block)])
    assert [re.sub(r".* is (.*) times .*article-cnn (.*) \(95.*", r"\2 \1", sentence) for sentence in sentences] == [
        "at batch 128 5.00",
        "at batch 128 (batches from host memory) 4.00",
        "at batch 128 (tuned settings) 3.00",
        "at batch 128 (tuned settings, batches from host memory) 2.00",
    ]


def test_it_speaks_of_the_batch_size_nearest_to_the_articles_and_says_what_the_others_answer():
    answers = {
        8: "slower",
        16: "slower",
        32: "undecided",
        256: "faster",
        1024: "faster",
        2048: "no verdict",
        4096: "same",
    }
    compared = [comparison(1.42, 1.36, 1.49, answer, batch_size=size) for size, answer in answers.items()]
    (sentence,) = said(compared, [run for size in answers for run in both(batch_size=size)])
    assert "is 1.42 times as fast as Keras (TensorFlow) in training article-cnn at batch 256" in sentence
    assert sentence.endswith(
        "At the other batch sizes measured: Keras (TensorFlow) faster at batch 8, 16; "
        "undecided at batch 32; PyTorch faster at batch 1024; "
        "no verdict at batch 2048; as fast as each other at batch 4096."
    )


def test_beside_the_undecided_the_other_batch_sizes_name_the_faster_one():
    compared = [
        comparison(1.01, 0.97, 1.06, "undecided"),
        comparison(0.5, 0.4, 0.8, "slower", batch_size=32),
        comparison(1.42, 1.36, 1.49, "faster", batch_size=512),
    ]
    (sentence,) = said(compared, [run for size in (32, 128, 512) for run in both(batch_size=size)])
    assert sentence.endswith("measured: Keras (TensorFlow) faster at batch 32; PyTorch faster at batch 512.")


def test_where_no_batch_size_has_a_verdict_there_is_nothing_to_say_of_the_others():
    compared = [comparison(1.4, None, None, "not comparable: only 2 rounds", batch_size=size) for size in (32, 128)]
    (sentence,) = said(compared, both(batch_size=32) + both(batch_size=128))
    assert "other batch sizes" not in sentence


@pytest.mark.parametrize(
    ("others", "language", "words"),
    [
        (0, "en", "their number (Holm–Shaffer, 4 comparisons)"),
        (0, "ko", "비교 4건"),
        (3, "en", "4 on the question, and separately 3 on other pairs"),
        (3, "ko", "질문에 대한 비교 4건과 나머지 비교 3건을 따로"),
    ],
)
def test_it_says_how_many_verdicts_on_the_question_are_adjusted_together_and_how_many_others(others, language, words):
    rows = [comparison(1.2, 1.1, 1.3, "faster", p=0.01, batch_size=size) for size in range(8)]
    rows += [comparison(1.2, 1.1, 1.3, "faster", p=0.01, batch_size=size, family="page") for size in range(2 * others)]
    assert words in said(rows, BOTH, language)[-1]


def test_where_nothing_is_asked_all_verdicts_are_adjusted_together():
    rows = [comparison(1.2, 1.1, 1.3, "faster", p=0.01, batch_size=size, family="page") for size in range(8)]
    assert "(Holm–Shaffer, 4 comparisons)" in said(rows, BOTH)[-1]


@pytest.mark.parametrize(
    ("frameworks", "question", "pairs"),
    [
        (["jax", "keras-jax", "pytorch"], ["jax", "pytorch"], [("jax", "pytorch")]),
        (["jax", "pytorch"], None, [("jax", "tensorflow"), ("pytorch", "tensorflow")]),
        (["jax", "pytorch"], ["pytorch", "keras-jax"], [("jax", "tensorflow"), ("pytorch", "tensorflow")]),
    ],
)
def test_the_pair_spoken_of_is_that_of_the_question_or_each_with_the_baseline(frameworks, question, pairs):
    assert asked.pairs(frameworks, "tensorflow", question) == pairs


def test_a_single_comparison_needs_no_word_on_adjusting():
    rows = [comparison(1.42, 1.36, 1.49, "faster", p=0.01), comparison(0.7, 0.67, 0.74, "slower", p=0.01)]
    assert len(said(rows[:1], BOTH)) == len(said(rows, BOTH)) == 1


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "1 of 1 comparisons pair runs that were measured on two devices"), ("ko", "비교 1건 중 1건은 같은 모델의")],
)
def test_comparisons_of_two_cards_are_counted(language, words):
    across = {"method": "t, across cards in 2 of 5 rounds"}
    rows = [comparison(1.42, 1.36, 1.49, "faster", p=0.01), comparison(0.7, 0.67, 0.74, "slower", p=0.01)]
    assert words in warned([row | across for row in rows], BOTH, language)[0]


ARTICLE = [("article-cnn", "device", 128), ("article-cnn", "host", 128), ("article-cnn", "device", 32)]


def test_tuning_has_one_sentence_per_workload_with_gain_interval_and_reason():
    blocks = [*ARTICLE, ("vgg-cnn", "device", 64)]
    tables = simulated.campaign(tracks=["default", "tuned"], blocks=blocks)
    article, vgg = (sentence for sentence in said_of(tables) if "change the speed of" in sentence)
    assert article.startswith(
        "On A CPU, tuned settings change the speed of training article-cnn at batch 128 by these factors "
        "(95 % intervals): Keras (TensorFlow) unchanged, as the search found nothing faster than the defaults; "
        "PyTorch 1.90 "
    )
    assert "(1.90–1.90): tbbmalloc saves the page faults" in article
    assert "(5,400 → 3 per step), channels-last" in article
    assert "10 steps per call" in article
    assert "vgg-cnn at batch 64 by" in vgg


@pytest.mark.parametrize(
    ("low", "high", "verdict", "expected"),
    [
        (1.1, 1.3, "faster", "PyTorch 1.20 (1.10–1.30): tbbmalloc saves"),
        (1.1, 1.3, "slower", "PyTorch 1.20 (1.10–1.30); "),
        # The interval alone excludes 1; the verdict is adjusted.
        (1.1, 1.3, "not shown", "PyTorch no change shown (1.10–1.30); "),
        (None, None, "not shown", "PyTorch 1.20 (too few rounds for an interval); "),
    ],
)
def test_the_reason_for_a_gain_is_told_only_where_one_is_shown(low, high, verdict, expected):
    tables = simulated.campaign(tracks=["default", "tuned"], blocks=ARTICLE[:1])
    of_pytorch = tables.effects["framework"] == "pytorch"
    tables.effects.loc[of_pytorch, ["ratio", "ci_low", "ci_high", "verdict"]] = [1.2, low, high, verdict]
    (sentence,) = (sentence for sentence in said_of(tables) if "change the speed of" in sentence)
    assert expected in sentence


def test_tuning_that_failed_is_not_spoken_of():
    failed = [(framework, "article-cnn", 128) for framework in simulated.THREE]
    tables = simulated.campaign(tracks=["default", "tuned"], blocks=ARTICLE[:1], failed=failed)
    assert not any("change the speed of" in sentence for sentence in said_of(tables))


def test_busy_runs_of_merged_machines_are_counted_and_none_is_to_be_deleted():
    tables = simulated.campaign(blocks=ARTICLE[:1], busy_rounds=[2], gpus={"p100@a": "P100", "p100@b": "P100"})
    (warning,) = warned(tables.comparisons, tables.measurements)
    assert warning.startswith("6 of 30 runs") and "make" not in warning


def test_runs_on_a_busy_machine_are_counted_with_the_command_that_measures_them_again():
    tables = simulated.campaign(blocks=ARTICLE[:1], busy_rounds=[2, 3])
    (warning,) = warned(tables.comparisons, tables.measurements)
    assert warning.startswith("6 of 15 runs ") and "`make rerun-busy`" in warning


def test_korean_speaks_of_all_of_it_too():
    blocks = [*ARTICLE, ("article-cnn", "device", 512)]
    tables = simulated.campaign(tracks=["default", "tuned"], blocks=blocks, noise=0.02, busy_rounds=[1])
    english, korean = said_of(tables), said_of(tables, "ko")
    assert len(korean) == len(english) == 4 + 1 + 1
    assert korean[0].endswith("다른 배치 크기: 배치 32, 512에서는 PyTorch가 빠름.")
    assert "(배치 128, 튜닝 설정, 호스트에서 공급하는 데이터)은" in korean[3]
    assert "속도비(기본 설정=1, 95% 신뢰구간): Keras (TensorFlow) 변화 없음" in korean[4]
    assert "비교 8건과 나머지 비교 16건을 따로" in korean[5]
    assert "실행 120회 중 24회" in warned(tables.comparisons, tables.measurements, "ko")[0]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (comparison(1.42, 1.36, 1.49, "faster"), "PyTorch가 Keras (TensorFlow)보다 1.42배 빠릅니다"),
        (comparison(1.01, 0.97, 1.06, "same"), "10% 이내로 같습니다(속도비 1.01"),
        (comparison(1.05, 1.03, 1.07, "faster", same=0.01), "그 차이는 10% 이내로 확인되었습니다."),
        (comparison(1.1, 0.9, 1.3, "undecided", needed=40), "약 40라운드가 필요합니다"),
        (comparison(1.42, None, None, "undecided"), "비교할 수 없습니다"),
        (comparison(1.42, 1.36, 1.49, "not comparable: no certificate"), "비교할 수 없습니다"),
    ],
)
def test_korean_says_the_same(row, expected):
    (sentence,) = said([row], BOTH, "ko")
    assert expected in sentence
    assert sentence.startswith("A $hostile_{name}에서 article-cnn 학습(배치 128")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"finding": "fixed"}, "1.20 ms on TensorFlow (0.80–1.60) at any batch size, so in its API; no part"),
        ({"finding": "grows"}, "30.0 µs per sample on TensorFlow (20.0–40.0), so in the computation"),
        ({"finding": "fixed and grows"}, "1.20 ms on TensorFlow (0.80–1.60) at any batch size and 30.0 µs per"),
        ({}, "5.00 ms on TensorFlow (4.00–6.00); these batch sizes do not tell"),
    ],
)
def test_the_cost_of_keras_itself_is_given_with_its_kind(changes, words):
    row = {
        **{"device": "cpu", "workload": "article-cnn", "track": "default", "precision": "float32", "input": "device"},
        **{"batch_size": 128, "framework": "keras-tensorflow", "native": "tensorflow", "confidence": 0.95},
        **{"extra_ms": 5.0, "extra_ms_low": 4.0, "extra_ms_high": 6.0},
        **{"fixed_ms": 1.2, "fixed_ms_low": 0.8, "fixed_ms_high": 1.6},
        **{"growth_us_per_sample": 30.0, "growth_us_per_sample_low": 20.0, "growth_us_per_sample_high": 40.0},
        **{"finding": "not told apart"},
        **changes,
    }
    for language in languages.languages():
        for answer in ("slower", "undecided"):
            sentences = verdict.sentences(
                pd.DataFrame(BOTH),
                pd.DataFrame([comparison(0.5, 0.4, 0.6, answer, pair=("keras-tensorflow", "tensorflow"))]),
                NO_EFFECTS,
                pd.DataFrame([row, row | {"batch_size": 32, "fixed_ms": 77.0}]),
                NO_WHYS,
                article_batch_sizes=SIZES,
                language=languages.load(language),
                labels=LABELS,
            )
            texts = [sentence.text for sentence in sentences if sentence.table == "overhead"]
            # Its own interval shows a cost in either case; the verdict on the pair decides.
            assert len(texts) == (answer == "slower")
            assert all("TensorFlow" in text and "77" not in text for text in texts)
            assert language != "en" or all(words in text for text in texts)


@pytest.mark.parametrize(
    ("finding", "language", "words"),
    [
        (why.HOST, "en", "a difference in Python and dispatching on the host"),
        (why.DEVICE, "en", "a difference in what the device computes"),
        (why.BOTH, "ko", "둘 다에서 차이가 확인됨"),
        (overhead.UNTOLD, "en", None),
    ],
)
def test_it_says_whether_the_device_or_the_host_makes_the_difference(finding, language, words):
    frameworks = [*simulated.THREE, "jax"]
    tables = simulated.campaign(frameworks=frameworks, blocks=[("article-cnn", "device", 128)])
    whys = tables.why.assign(finding=finding)
    assert len(whys) == 3  # JAX has no result
    sentences = verdict.sentences(
        *(tables.measurements, tables.comparisons, tables.effects, NO_OVERHEADS, whys),
        article_batch_sizes=SIZES,
        language=languages.load(language),
        labels=LABELS | {"jax": "JAX"},
        question=simulated.QUESTION,
    )
    said = [sentence.text for sentence in sentences if sentence.table == "why"]
    if words is None:
        assert not said
    else:
        (text,) = said
        # PyTorch with Keras, and Keras with its backends; not PyTorch with TensorFlow.
        assert text.count(words) == 2
        assert "TensorFlow takes" in text or language != "en"


def test_no_reason_is_told_for_a_difference_that_is_not_shown():
    tables = simulated.campaign(blocks=[("article-cnn", "device", 128)])
    sentences = verdict.sentences(
        *(tables.measurements, tables.comparisons.assign(verdict="undecided"), tables.effects, tables.overhead),
        tables.why.assign(finding=why.DEVICE),
        article_batch_sizes=SIZES,
        language=languages.load("en"),
        labels=LABELS,
        question=simulated.QUESTION,
    )
    assert {sentence.table for sentence in sentences} == {"comparisons"}


def test_a_sentence_names_the_rows_that_it_was_made_from():
    tables = simulated.campaign(tracks=["default", "tuned"], busy_rounds=[1])
    words = {"article_batch_sizes": SIZES, "language": languages.load("en"), "labels": LABELS}
    words["question"] = simulated.QUESTION
    measured = tables.measurements, tables.comparisons, tables.effects, tables.overhead, tables.why
    sentences = verdict.sentences(*measured, **words)
    for sentence in sentences:
        table = getattr(tables, sentence.table)
        assert all((table[key] == value).any() for key, value in sentence.where.items())
    # One profiled round is too few for a reason.
    assert [sentence.table for sentence in sentences[-3:]] == ["effects", "overhead", "comparisons"]
    assert sentences[0].where["batch_size"] == 128
