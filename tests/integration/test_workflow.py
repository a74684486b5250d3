"""The whole line with real Snakemake and the real frameworks, on the smallest matrix."""

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import zipfile
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path, PurePath

import pytest

from conftest import TINY, Workspace, append, copy_of, made_once, processes, wait_for
from framebench.exchange.export import exported
from framebench.figures import registry
from framebench.plan import catalogue, environments, installation
from framebench.plan.matrix import Cell

FRAMEWORKS = {"tensorflow", "keras-tensorflow", "pytorch"}
CELLS = [
    Cell("cpu", "article-cnn", framework, "default", "float32", input, 32)
    for framework in sorted(FRAMEWORKS)
    for input in ("device", "host")
]
FIGURES = registry.names(registry.Scope(CELLS))
ROUNDS = 3
PRINTED = "printed.txt"
RUNS = ROUNDS + 1  # of each framework: one more from host memory
EVERY_RUN = dict.fromkeys(FRAMEWORKS, RUNS)
EVERY_JOB = {"measure_article_cnn_default_float32_device": ROUNDS, "measure_article_cnn_default_float32_host": 1}
pytestmark = [pytest.mark.test, pytest.mark.usefixtures("installed")]


@pytest.fixture(scope="module")
def campaign(certified, tmp_path_factory) -> tuple[Workspace, str]:
    """A finished campaign and its output. Tests may change its folder only if they change it back."""

    def make(folder: Path) -> None:
        workspace = copy_of(certified, folder)
        (entry,) = TINY["matrix"]
        matrix = [entry | {"rounds": ROUNDS}, entry | {"inputs": ["host"], "rounds": 1}]
        workspace.configure(matrix=matrix, languages=["en", "ko"], protocol={"profiled_steps": 2})
        result = workspace.snakemake()
        assert result.returncode == 0, result.stdout + result.stderr
        (folder / PRINTED).write_text(result.stdout + result.stderr, encoding="utf-8")

    made = Workspace(made_once("campaign", make, tmp_path_factory))
    workspace = copy_of(made, tmp_path_factory.mktemp("campaign"))
    return workspace, (workspace.folder / PRINTED).read_text(encoding="utf-8")


def rows(workspace, table):
    with (workspace.folder / "results" / table).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_run_is_recorded_and_trained(campaign):
    workspace, _ = campaign
    measurements = rows(workspace, "measurements.csv")
    assert len(measurements) == len(workspace.records()) == len(FRAMEWORKS) * RUNS
    assert {row["framework"] for row in measurements} == FRAMEWORKS
    for row in measurements:
        assert row["status"] == "ok", row["reason"]
        assert float(row["loss_last"]) != float(row["loss_first"])
        assert int(row["parameters"]) == 11290
        assert float(row["images_per_s"]) > 0
        # The diagnosis is of the first round, in which processes are started alone, too.
        of_first = ("ceiling_gflops", "ceiling_copy_gb_per_s", "step_synced_p50_ms", "import_s", "build_s", "data_s")
        for name in of_first:
            assert float(row[name]) > 0 if row["round"] == "1" else row[name] == "", name


def test_all_frameworks_start_from_the_same_loss_on_the_same_images(campaign):
    workspace, _ = campaign
    losses = [float(row["loss_first"]) for row in rows(workspace, "measurements.csv")]
    # float32 logits agree to about 5e-7 relative; the loss of 32 images cannot differ by more than a few of these.
    assert max(losses) - min(losses) < 1e-5


def test_jobs_and_runs_follow_the_seeded_order_and_one_process_computes_at_a_time(campaign):
    workspace, printed = campaign
    records = [json.loads(path.read_text(encoding="utf-8")) for path in workspace.records()]
    records.sort(key=lambda record: record["started_unix_s"])
    assert [record["order"] for record in records] == list(range(1, len(records) + 1))
    assert [record["round"] for record in records] == sorted(record["round"] for record in records)
    jobs = [list(of_job) for _, of_job in groupby(records, key=itemgetter("round", "input"))]
    assert len(jobs) == RUNS
    for before, after in pairwise(jobs):
        ends = [record["started_unix_s"] + record["process_s"] for record in before]
        assert max(ends) <= after[0]["started_unix_s"]
    for of_job in jobs:
        assert {record["framework"] for record in of_job} == FRAMEWORKS
        assert {record["interleaved_with"] for record in of_job} == {len(FRAMEWORKS) - 1}
        blocks = sorted((block for record in of_job for block in record["blocks"]), key=itemgetter("place"))
        assert [block["place"] for block in blocks] == list(range(1, len(blocks) + 1))
        assert all(before["t1_ns"] <= after["t0_ns"] for before, after in pairwise(blocks))
    assert re.search(rf"\[measuring {RUNS} of {RUNS}\] article-cnn · .* · round {ROUNDS}", printed)


def test_records_name_their_environment_and_threads(campaign):
    workspace, _ = campaign
    for path in workspace.records():
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["lock_digest"] in record["environment_prefix"]
        assert record["threads"] == 1
        assert '"threads": 1' in record["settings"]


def test_every_pair_is_compared_in_every_block(campaign):
    workspace, _ = campaign
    comparisons = rows(workspace, "comparisons.csv")
    assert len(comparisons) == 2 * 6
    for row in comparisons:
        if row["input"] == "device":
            assert float(row["ci_low"]) <= float(row["ratio"]) <= float(row["ci_high"])
            assert row["rounds"] == str(ROUNDS)
            assert row["verdict"] in ("faster", "slower", "same", "undecided")
        else:
            assert (row["rounds"], row["ci_low"]) == ("1", "")


def test_every_pair_has_its_device_and_host_times(campaign):
    workspace, _ = campaign
    told = [row for row in rows(workspace, "why.csv") if row["input"] == "device"]
    assert len(told) == 3
    for row in told:
        # One round has the diagnosis: no interval, and nothing is claimed.
        assert (row["rounds"], row["longer_device_ms_low"], row["finding"]) == ("1", "", "not told apart")
        assert float(row["device_ms"]) + float(row["host_ms"]) == pytest.approx(float(row["step_ms"]))
        assert float(row["device_ms"]) > 0 and float(row["host_ms"]) > 0


def test_every_figure_is_drawn_in_both_languages(campaign):
    workspace, _ = campaign
    figures = workspace.folder / "results" / "figures"
    names = sorted(FIGURES)
    for language in ("en", "ko"):
        for kind in ("svg", "png", "txt"):
            assert sorted(path.stem for path in (figures / language).glob(f"*.{kind}")) == names
    for name in names:
        assert (figures / "en" / f"{name}.svg").read_bytes() != (figures / "ko" / f"{name}.svg").read_bytes()


def test_snakemakes_own_report_has_figures_tables_and_certificates(campaign, tmp_path):
    workspace, _ = campaign
    result = workspace.snakemake("--report", str(tmp_path / "report.zip"))
    assert result.returncode == 0, result.stdout + result.stderr
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        names = [PurePath(name).name for name in archive.namelist()]
        page = archive.read("report/report.html").decode()
    for name in (*(f"{figure}.svg" for figure in FIGURES), "measurements.csv", "comparisons.csv", "pytorch.md"):
        assert name in names
    for category in ("Figures", "Tables", "Certificates"):
        assert category in page
    caption = (workspace.folder / "results/figures/en/campaign.txt").read_text(encoding="utf-8").splitlines()[0]
    assert caption.partition("(")[0] in page


def test_a_page_in_each_language_has_the_figures_and_says_how_to_make_it_anew(campaign):
    workspace, _ = campaign
    for language in ("en", "ko"):
        page = (workspace.folder / "results" / f"report.{language}.html").read_text(encoding="utf-8")
        assert f'<html lang="{language}">' in page
        of_page = [name for name in FIGURES if registry.find(name)[0].section]
        assert page.count('<img src="data:image/svg+xml,') == len(of_page)
        assert "snakemake --cores all report" in page
        assert "warmup:" in page  # of the configuration


def test_it_ends_with_the_verdict_and_where_things_are(campaign):
    workspace, printed = campaign
    verdict = (workspace.folder / "results" / "verdict.en.txt").read_text(encoding="utf-8")
    assert "PyTorch" in verdict and "article-cnn at batch 32" in " ".join(verdict.split())
    headline = verdict.splitlines()[:2]
    # After the last words of Snakemake itself.
    assert all(line in printed.rpartition("Complete log")[2] for line in headline)
    last = printed.rstrip().splitlines()[-1]
    assert last.startswith("Page: results/report.en.html   Details: results/verdict.en.txt")
    assert "article-cnn" in (workspace.folder / "results" / "verdict.ko.txt").read_text(encoding="utf-8")


def test_a_second_invocation_has_nothing_to_do(campaign):
    workspace, _ = campaign
    before = {path: path.stat().st_mtime_ns for path in workspace.records()}
    result = workspace.snakemake()
    assert result.returncode == 0
    assert {path: path.stat().st_mtime_ns for path in workspace.records()} == before


@pytest.mark.all
def test_when_a_job_fails_the_answer_is_of_the_runs_that_there_are_and_says_so(campaign, tmp_path):
    workspace = copy_of(campaign[0], tmp_path)
    config = workspace.folder / "config.yaml"
    whole = config.read_text(encoding="utf-8")
    config.write_text(whole.replace(f"rounds: {ROUNDS}", f"rounds: {ROUNDS + 1}", 1), encoding="utf-8")
    answer = workspace.folder / "results/verdict.en.txt"
    process = workspace.start_snakemake("results/verdict.en.txt")
    # By another hand, as of the kernel where memory is short: no run can then write its record.
    os.kill(wait_for(lambda: processes(workspace.folder, "framebench.measure"))[0], signal.SIGKILL)
    printed, _ = process.communicate()
    assert process.returncode != 0
    end = printed.rpartition("Drawing what there is.")[2]
    there, planned = len(workspace.records()), len(FRAMEWORKS) * (RUNS + 1)
    assert there == planned - len(FRAMEWORKS)
    assert f"{there} of {planned} runs are there. Missing: cpu · article-cnn · " in end
    assert f"{len(FRAMEWORKS)} of {planned} runs are not measured yet" in " ".join(end.split())
    assert "an earlier invocation" not in end
    assert f"{len(FRAMEWORKS)} of {planned} runs are not measured yet" in " ".join(
        answer.read_text(encoding="utf-8").split()
    )
    statuses = [row["status"] for row in rows(workspace, "measurements.csv")]
    assert (statuses.count("ok"), statuses.count("not_measured")) == (there, len(FRAMEWORKS))
    # Nothing of it counts as finished, even where nothing is left to measure.
    config.write_text(whole, encoding="utf-8")
    plan = workspace.plan("results/verdict.en.txt")
    assert plan.runs == {}
    assert {"results/plan.txt", "results/measurements.csv", "results/verdict.en.txt"} <= plan.outputs


@pytest.mark.all
def test_a_part_of_a_campaign_is_drawn_on_another_machine_which_measures_nothing(campaign, workspace, tmp_path):
    there = tmp_path / "there"
    shutil.copytree(campaign[0].folder / "results", there)
    for record in there.glob("runs/**/round-3.json"):
        record.unlink()
    config = json.loads((there / "config.json").read_text(encoding="utf-8"))
    (there / "config.json").write_text(json.dumps(config | {"languages": ["en"]}), encoding="utf-8")
    archive = exported(there)
    (workspace.folder / "far.zip").write_bytes(archive)
    step = ("env", "PYTHONPATH=workflow", sys.executable, "-P", "-m", "framebench.exchange.imported", "far.zip")
    written = workspace.run(*step)
    assert written.stdout == "results/imported/far/config.json\n", written.stderr
    drawn = workspace.snakemake("--configfile", written.stdout.strip())
    assert drawn.returncode == 0, drawn.stderr
    assert "[measuring" not in drawn.stderr and "[proving" not in drawn.stderr
    left, planned = len(FRAMEWORKS) * (RUNS - 1), len(FRAMEWORKS) * RUNS
    said = drawn.stderr.partition("Page: results/imported/far/report.en.html")[0]
    assert f"{left} of {planned} runs are there. Missing: cpu · article-cnn · " in said
    assert "Nothing is measured here." in said
    assert "PyTorch ÷ Keras" in said
    page = (workspace.folder / "results/imported/far/report.en.html").read_text(encoding="utf-8")
    assert f"{len(FRAMEWORKS)} of {planned} runs are not measured yet" in " ".join(page.split())
    assert len(workspace.plan("--configfile", written.stdout.strip()).outputs) == 0, "all of it is there"
    published = workspace.run(*(word.replace("imported", "publish") for word in step[:-1]), "results/imported/far")
    assert published.returncode == 0, published.stderr
    made = workspace.folder / "results/published/far"
    assert (made / "framebench-results.zip").read_bytes() == archive
    assert {"comparisons.csv", "report.en.html", "verdict.en.txt"} <= {path.name for path in made.iterdir()}
    assert (made / "figures/en/article-cpu.svg").exists()


@pytest.fixture
def restored(campaign):
    """The campaign's workspace; files changed through `edit` get their content back afterwards.

    Without a replacement, a comment is added.
    """
    workspace, _ = campaign
    originals = {}

    def edit(name, old="", new=""):
        path = workspace.folder / name
        originals.setdefault(path, path.read_text(encoding="utf-8"))
        if not old:
            append(path, "# changed")
            return
        assert old in path.read_text(encoding="utf-8")
        path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")

    yield workspace, edit
    for path, text in originals.items():
        path.write_text(text, encoding="utf-8")


@pytest.mark.all
def test_a_fresh_checkout_measures_nothing_again(restored):
    workspace, _ = restored
    for path in workspace.folder.rglob("*"):
        if not {"results", ".snakemake", ".venvs"} & set(path.relative_to(workspace.folder).parts):
            path.touch()
    assert workspace.plan().runs == {}


@pytest.mark.all
def test_a_comment_in_a_lock_measures_nothing_again(restored):
    workspace, edit = restored
    edit("envs/pytorch-cpu.txt", "torch==", "# a comment\ntorch==")
    assert workspace.plan().runs == {}


def test_new_pins_measure_every_block_with_a_framework_of_that_environment(restored):
    workspace, edit = restored
    edit("envs/tensorflow-cpu.txt", "psutil==", "psutil==1")
    plan = workspace.plan()
    assert plan.measuring == EVERY_JOB and plan.runs == EVERY_RUN
    assert plan.jobs["environment"] == 1


@pytest.mark.parametrize(
    "source",
    ["workflow/framebench/frameworks/pytorch/adapter.py", "workflow/framebench/workloads/article_cnn/pytorch.py"],
)
@pytest.mark.all
def test_a_changed_adapter_or_model_measures_its_whole_blocks(restored, source):
    workspace, edit = restored
    edit(source)
    plan = workspace.plan()
    assert plan.measuring == EVERY_JOB and plan.runs == EVERY_RUN


@pytest.mark.all
def test_changed_shared_code_measures_everything(restored):
    workspace, edit = restored
    edit("workflow/framebench/measure/pace.py")
    assert workspace.plan().runs == EVERY_RUN


@pytest.mark.all
def test_a_changed_protocol_measures_everything(restored):
    workspace, edit = restored
    edit("config.yaml", "synced_steps: 3", "synced_steps: 4")
    assert workspace.plan().runs == EVERY_RUN


@pytest.mark.all
def test_more_rounds_measure_only_the_new_ones(restored):
    workspace, edit = restored
    edit("config.yaml", f"rounds: {ROUNDS}", f"rounds: {ROUNDS + 1}")
    plan = workspace.plan()
    assert plan.measuring == {"measure_article_cnn_default_float32_device": 1}
    assert plan.runs == dict.fromkeys(FRAMEWORKS, 1)


@pytest.mark.all
def test_a_framework_that_is_taken_out_measures_every_block_anew(restored):
    workspace, edit = restored
    edit("config.yaml", "- tensorflow\n", "")
    edit("config.yaml", "baseline: tensorflow", "baseline: pytorch")
    plan = workspace.plan()
    assert plan.measuring == EVERY_JOB
    assert plan.runs == {"keras-tensorflow": RUNS, "pytorch": RUNS}


@pytest.mark.all
def test_a_new_word_in_a_language_draws_only_that_language_again(restored):
    workspace, edit = restored
    edit("workflow/framebench/languages/ko.yaml", "배치 크기", "배치의 크기")
    plan = workspace.plan()
    assert plan.runs == {}
    assert plan.jobs["figure"] == len(FIGURES)


@pytest.mark.all
def test_changed_analysis_measures_nothing_and_computes_the_tables_again(restored):
    workspace, edit = restored
    edit("workflow/framebench/analyse/statistics.py")
    plan = workspace.plan()
    assert plan.runs == {}
    assert {"results/comparisons.csv", "results/power.csv"} <= plan.outputs
    # No table of records is made of the changed code.
    assert "results/measurements.csv" not in plan.outputs


@pytest.mark.all
def test_environments_that_were_deleted_are_made_again_and_nothing_is_measured_again(restored):
    workspace, _ = restored
    venvs = workspace.folder / ".venvs"
    shared = venvs.readlink()
    venvs.unlink()
    try:
        assert workspace.plan("environments").jobs["environment"] == 2
        assert workspace.plan().runs == {}
    finally:
        venvs.symlink_to(shared)


@pytest.mark.all
def test_an_environment_that_was_moved_is_made_again_and_nothing_is_measured_again(restored):
    workspace, _ = restored
    venvs = workspace.folder / ".venvs"
    shared = venvs.readlink()
    venvs.unlink()
    venvs.mkdir()
    prefixes = [Path(environments.prefix(environments.lock_of(name, "cpu"))) for name in ("tensorflow", "pytorch")]
    try:
        for prefix in prefixes:
            (venvs / prefix.name).symlink_to(shared / prefix.name)
        assert "environment" not in workspace.plan("environments").jobs
        moved = workspace.folder / prefixes[0]
        moved.unlink()
        (moved / "bin").mkdir(parents=True)
        (moved / "bin" / "python").touch()
        (moved / installation.MARKER).write_text("/where/it/was", encoding="utf-8")
        assert workspace.plan("environments").jobs["environment"] == 1
        assert workspace.plan().runs == {}
    finally:
        shutil.rmtree(venvs)
        venvs.symlink_to(shared)


def test_the_translators_target_needs_no_framework(workspace):
    (workspace.folder / ".venvs").unlink()
    workspace.configure(languages=["en", "ko"], interpreters={"pytorch": "/nowhere/bin/python3"})
    result = workspace.snakemake("article-2018")
    assert result.returncode == 0, result.stdout + result.stderr
    figures = workspace.folder / "results" / "figures"
    assert len(list(figures.rglob("article-2018-*.svg"))) == 6
    assert not (workspace.folder / ".venvs").exists()


@pytest.mark.all
def test_a_sites_own_interpreter_measures_and_the_records_say_so(workspace):
    prefix = catalogue.ROOT / environments.prefix(environments.lock_of("pytorch", "cpu"))
    python = workspace.folder / "site" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {prefix}/bin/python "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    workspace.configure(
        interpreters={"pytorch": "site/bin/python3"},
        frameworks=["pytorch"],
        baseline="pytorch",
        question=None,
    )
    (workspace.folder / ".venvs").unlink()  # nothing is installed for it
    result = workspace.snakemake("results/measurements.csv")
    assert result.returncode == 0, result.stdout + result.stderr
    (row,) = rows(workspace, "measurements.csv")
    assert (row["status"], row["interpreter"]) == ("ok", "site"), row["reason"]
    listed = (workspace.folder / f"results/environments/pytorch-{row['lock_digest']}.txt").read_text(encoding="utf-8")
    assert f"torch=={row['framework_version']}" in listed.splitlines()
    # At home, where the interpreter is not, results are as fresh as there, and nothing can be measured.
    python.unlink()
    assert workspace.plan("results/measurements.csv").jobs == {}
    refused = workspace.snakemake("results/measurements.csv", "--config", "protocol={seed: 2}")
    assert refused.returncode == 1
    (line,) = [one for one in refused.stderr.splitlines() if "interpreters.pytorch" in one]
    assert line.startswith(f"config.yaml: interpreters.pytorch: '{python}' is no Python that runs: ")


@pytest.mark.all
def test_real_images_through_the_line(workspace, cifar10_archive):
    workspace.configure(
        data={
            "source": "cifar-10",
            "samples": 5000,
            "archive": str(cifar10_archive),
            "md5": hashlib.md5(cifar10_archive.read_bytes()).hexdigest(),
        },
        protocol={"blocks": {"min_s": 0.5}},
    )
    result = workspace.snakemake("results/measurements.csv", "certificates")
    assert result.returncode == 0, result.stdout + result.stderr
    for row in rows(workspace, "measurements.csv"):
        assert row["status"] == "ok", row["reason"]
    for framework in FRAMEWORKS:
        certificate = json.loads(
            (workspace.folder / f"results/certificates/article-cnn/{framework}.json").read_text(encoding="utf-8")
        )
        (learned,) = [check for check in certificate["checks"] if check["quantity"] == "accuracy"]
        assert learned["passed"], learned
        # Twice the rate of chance, with 4 classes.
        assert min(certificate["accuracies"]) > 0.4
