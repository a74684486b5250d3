"""Share of each cell in the peak of its device, and in the speed of large products there."""

import pandas as pd
import pytest

from framebench.analyse import command, given
from framebench.analyse.limits import CEILING, limits
from framebench.analyse.table import table, write_table
from framebench.plan.catalogue import ROOT
from runs import run

pytestmark = pytest.mark.check

PUBLISHED = pd.read_csv(ROOT / given.resource("gpu_peaks"))


def measured(*runs: dict) -> pd.DataFrame:
    return table(list(runs))


def of(framework: str, number: int, achieved: float, ceiling: float | None, **changes) -> dict:
    return run(
        framework,
        number,
        100.0,
        achieved_gflops=achieved,
        ceiling_gflops=ceiling,
        ceiling_copy_gb_per_s=ceiling and ceiling / 10,
        **changes,
    )


def by_framework(frame: pd.DataFrame) -> dict[str, dict]:
    return {row["framework"]: row for row in frame.to_dict("records")}


def test_a_cpu_is_held_against_the_framework_whose_products_were_fastest():
    found = limits(
        measured(
            *(of("pytorch", number, 20, ceiling) for number, ceiling in enumerate([90, 100, 400], start=1)),
            *(of("tensorflow", number, 30, 80) for number in (1, 2, 3)),
        ),
        PUBLISHED,
    )
    rows = by_framework(found)
    assert rows["pytorch"]["share_of_peak"] == pytest.approx(0.2)  # by the median, not by the best
    assert rows["tensorflow"]["share_of_peak"] == pytest.approx(0.3)
    assert set(found["ceiling_framework"]) == {"pytorch"}
    assert set(found["peak_source"]) == {CEILING}
    assert set(found["ceiling_gb_per_s"]) == {10}


def test_a_ceiling_of_the_first_round_alone_holds_for_all_rounds():
    found = limits(
        measured(of("pytorch", 1, 20, 100), of("pytorch", 2, 30, None), of("pytorch", 3, 40, None)), PUBLISHED
    )
    (row,) = found.to_dict("records")
    assert (row["runs"], row["ceiling_gflops"]) == (3, 100)
    assert row["share_of_peak"] == pytest.approx(0.3)


def test_a_gpu_is_held_against_its_makers_peak_for_the_precision():
    gpu = {"device": "h200", "device_name": "NVIDIA H200", "device_uuid": "GPU-1"}
    found = limits(
        measured(
            *(of("pytorch", number, 6_700, 50_000, **gpu) for number in (1, 2)),
            *(of("pytorch", number, 9_894, 700_000, **gpu, precision="bfloat16") for number in (1, 2)),
        ),
        PUBLISHED,
    )
    shares = dict(zip(found["precision"], found["share_of_peak"], strict=True))
    assert shares == {"float32": pytest.approx(0.1), "bfloat16": pytest.approx(0.01)}
    assert dict(zip(found["precision"], found["ceiling_gflops"], strict=True)) == {"float32": 5e4, "bfloat16": 7e5}
    assert all(source.startswith("NVIDIA H200 datasheet") for source in found["peak_source"])


def test_a_gpu_that_the_table_does_not_have_is_held_against_its_ceiling():
    found = limits(measured(of("pytorch", 1, 10, 40, device="x", device_name="NVIDIA X1000")), PUBLISHED)
    assert list(found[["peak_gflops", "peak_source", "share_of_peak"]].iloc[0]) == [40, CEILING, 0.25]


def test_failed_runs_have_no_share_and_keep_their_row():
    rows = by_framework(limits(measured(of("pytorch", 1, 10, 40), run("tensorflow", 1, None)), PUBLISHED))
    assert rows["tensorflow"]["runs"] == 0
    assert pd.isna(rows["tensorflow"]["share_of_peak"])
    assert rows["tensorflow"]["peak_gflops"] == 40


def test_without_any_ceiling_there_is_no_peak():
    (row,) = limits(measured(of("pytorch", 1, 10, None)), PUBLISHED).to_dict("records")
    assert pd.isna(row["peak_gflops"]) and pd.isna(row["peak_source"]) and pd.isna(row["share_of_peak"])


def test_the_command_writes_the_table_and_names_what_is_wrong(tmp_path):
    write_table(measured(of("pytorch", 1, 10, 40)), tmp_path / "measurements.csv")
    options = ["--measurements", str(tmp_path / "measurements.csv"), "--output", str(tmp_path / "limits.csv")]
    command.main(["limits", *options])
    assert pd.read_csv(tmp_path / "limits.csv")["share_of_peak"].tolist() == [0.25]
    (tmp_path / "measurements.csv").write_text("a,b\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="is no table"):
        command.main(["limits", *options])


def test_every_peak_has_a_source_and_no_card_has_two_for_a_precision():
    assert PUBLISHED.notna().all(axis=None)
    assert not PUBLISHED.duplicated(["gpu", "precision"]).any()
    assert (PUBLISHED[["gflops", "gb_per_s"]] > 0).all(axis=None)
    assert set(PUBLISHED["precision"]) == {"float32", "tf32", "bfloat16", "float16"}
    wide = PUBLISHED.pivot_table(index="gpu", columns="precision", values="gflops")
    # A lower precision is never slower, and tensor cores do twice as much in half as many bits.
    assert (wide["float16"].fillna(wide["float32"]) >= wide["float32"]).all()
    assert (wide["bfloat16"].dropna() / wide["tf32"].dropna()).between(1.9, 2.1).all()
