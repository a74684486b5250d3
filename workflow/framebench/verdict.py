"""The answer in words: Keras or PyTorch, for each workload on each device measured."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from framebench import catalogue, languages, workloads
from framebench.analyse.table import BLOCK, one_line
from framebench.figures import cells
from framebench.languages import Language


def sentences(
    comparisons: pd.DataFrame,
    measurements: pd.DataFrame,
    language: Language,
    article_batch_sizes: Mapping[str, int],
    labels: Mapping[str, str],
    *,
    baseline: str = "tensorflow",
) -> list[str]:
    """One sentence per device, workload and pair, and one more where runs failed.

    The pairs are PyTorch with each Keras measured; where there is no such pair, every framework with
    `baseline`. The faster framework is the subject, so that a ratio said is at least 1. `labels` gives the
    display name of each framework, `article_batch_sizes` each workload's batch size to speak about.
    """
    frameworks = sorted(measurements["framework"].unique())
    pairs = [("pytorch", keras) for keras in frameworks if keras.startswith("keras-") and "pytorch" in frameworks]
    if not pairs:
        pairs = [(framework, baseline) for framework in frameworks if framework != baseline]
    said = []
    for (device, _), runs in cells.article_form(measurements, article_batch_sizes).groupby(["device", "workload"]):
        block = runs.iloc[0][BLOCK]
        in_block = comparisons[(comparisons[BLOCK] == block).all(axis=1)]
        for framework, reference in pairs:
            compared = in_block[(in_block["framework"] == framework) & (in_block["reference"] == reference)]
            key, values = _finding(compared, runs, framework, reference, language=language, labels=labels)
            said.append(
                language[key].format(
                    **values,
                    device=cells.device_name(measurements, str(device)),
                    workload=block["workload"],
                    batch_size=block["batch_size"],
                    input=language[f"input_{block['input']}"],
                )
            )
    unfinished = (measurements["status"] != "ok").groupby([measurements[key] for key in [*BLOCK, "framework"]]).any()
    if unfinished.any():
        said.append(language["verdict_failed_cells"].format(failed=unfinished.sum(), cells=len(unfinished)))
    return said


def _finding(
    compared: pd.DataFrame,
    runs: pd.DataFrame,
    framework: str,
    reference: str,
    *,
    language: Language,
    labels: Mapping[str, str],
) -> tuple[str, dict[str, object]]:
    """Key of the sentence for a pair, and its values; `compared` holds the pair's comparison or nothing."""
    values: dict[str, object] = {"framework": labels[framework], "reference": labels[reference]}
    failures = [
        _side(runs[runs["framework"] == side], labels[side], language)
        for side in (framework, reference)
        if cells.state(runs[runs["framework"] == side]) != "ok"
    ]
    if failures:
        return "verdict_not_comparable", values | {"reason": ", ".join(failures)}
    if compared.empty:
        return "verdict_not_comparable", values | {"reason": language["status_not_measured"]}
    row = compared.iloc[0]
    if pd.notna(row["ratio"]) and pd.isna(row["ci_low"]):
        return "verdict_too_few_rounds", values | {"rounds": row["rounds"]}
    if reason := cells.obstacle(row["verdict"]):
        return "verdict_not_comparable", values | {"reason": reason}
    values |= {"ratio": row["ratio"], "low": row["ci_low"], "high": row["ci_high"]}
    values |= {"confidence": 100 * row["confidence"], "rounds": row["rounds"]}
    if row["verdict"] == "no difference shown":
        return "verdict_no_difference", values
    if row["verdict"] == "slower":
        values |= {"framework": labels[reference], "reference": labels[framework]}
        values |= {"ratio": 1 / row["ratio"], "low": 1 / row["ci_high"], "high": 1 / row["ci_low"]}
    return "verdict_faster", values


def _side(runs: pd.DataFrame, label: str, language: Language) -> str:
    """What became of a framework without a single run that counts, with the first reason recorded."""
    status = language[f"status_{cells.state(runs)}"]
    reasons = runs["reason"].dropna()
    if reasons.empty:
        return language["verdict_side"].format(framework=label, status=status)
    return language["verdict_side_reason"].format(framework=label, status=status, reason=one_line(reasons.iloc[0], 120))


def main() -> None:
    """Write the sentences, one a line; one line of error and exit status 1 where that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m framebench.verdict", description=__doc__)
    parser.add_argument("--measurements", required=True, metavar="CSV", help="measurements.csv")
    parser.add_argument("--comparisons", required=True, metavar="CSV", help="comparisons.csv")
    parser.add_argument("--language", required=True, help=f"one of {', '.join(languages.languages())}")
    parser.add_argument("--output", required=True, type=Path, metavar="TXT", help="text file to write, UTF-8")
    parser.add_argument(
        "--baseline",
        default="tensorflow",
        help="what to compare with where Keras and PyTorch are not both there (default: %(default)s)",
    )
    arguments = parser.parse_args()
    try:
        language = languages.load(arguments.language)
        measurements = pd.read_csv(arguments.measurements)
        frameworks = {*measurements["framework"], arguments.baseline}
        said = sentences(
            pd.read_csv(arguments.comparisons),
            measurements,
            language,
            {name: workloads.load(name).article_batch_size for name in sorted(set(measurements["workload"]))},
            {name: catalogue.framework_label(name) for name in frameworks},
            baseline=arguments.baseline,
        )
    except (ValueError, OSError, ModuleNotFoundError, catalogue.AdapterError) as error:
        raise SystemExit(f"error: {error}") from error
    arguments.output.write_text("\n".join(said) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
