"""The page shows the tables' values, with gaps and their reasons, and links to the rows."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

import pages
import simulated
from framebench import languages
from framebench.analyse.table import write_table
from framebench.analyse.tables import tables as every_table
from framebench.answer import flips
from framebench.figures import registry
from framebench.report import command, gaps, illustrations, rows, surroundings
from framebench.report.page import page
from framebench.report.quantities import cells
from framebench.report.results import ResultsError, read

pytestmark = pytest.mark.check

ENGLISH = languages.load("en")
FAILED = ("pytorch", "article-cnn", 32)
HOSTILE = "</script><script>document.title = 'taken'</script><img src=x onerror=alert(1)> {{ 7 * 7 }} &amp; \u2028"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tables = simulated.campaign(tracks=["default", "tuned"], failed=[FAILED], noise=0.02, busy_rounds=[2])
    return pages.left(tmp_path_factory.mktemp("left"), tables, uncertified=["keras-tensorflow"])


@pytest.fixture(scope="module")
def document(folder):
    return pages.document_of(folder)


def leads_to(document, href):
    """The group of rows that a link leads to."""
    groups = {group["id"]: group for table in document["tables"] for group in table["groups"]}
    return groups[href.removeprefix("#")]


def blocks(document, **where):
    wanted = {key: str(value) for key, value in where.items()}
    return [block for block in document["explorer"]["blocks"] if wanted.items() <= block["where"].items()]


def test_every_number_of_a_cell_is_that_of_its_rows(folder, document):
    measurements = pd.read_csv(folder / "measurements.csv")
    (block,) = blocks(document, track="default", input="device", batch_size=128)
    for cell in block["cells"]:
        value = cell["values"]["throughput"]
        group = leads_to(document, value["href"])
        runs = measurements[(measurements[list(group["where"])].astype(str) == group["where"]).all(axis=1)]
        assert len(runs) == len(group["rows"]) == 5
        assert value["number"] == pytest.approx(np.exp(np.log(runs["images_per_s"]).mean()))
        assert value["low"] < value["number"] < value["high"]
        start = runs["import_s"] + runs["build_s"] + runs["time_to_first_step_s"]
        assert cell["values"]["first_step"]["number"] == start.median()
        waited_ms = runs["profiled_step_ms"] - runs["device_busy_ms"]
        assert cell["values"]["host_wait"]["number"] == pytest.approx(waited_ms.median())
        assert cell["values"]["memory"]["number"] == runs["host_rss_training_peak_mib"].median()
        assert cell["values"]["energy"]["text"] == "not measured on a CPU"


def test_a_row_of_the_answer_has_its_bar_its_rows_and_the_command_that_measures_it_again(document):
    (first, *others), *_ = (group["rows"] for group in document["screen"]["groups"])
    assert first["name"] == "small CNN, batch 32" and first["numbers"] == ("", "")
    assert [bar["bar"] is None for bar in document["bars"][0]] == [True] + [False] * len(others)
    drawn = document["bars"][0][1]
    assert 50 < drawn["bar"]["low"] < drawn["bar"]["ratio"] < drawn["bar"]["low"] + drawn["bar"]["width"] <= 100
    assert drawn["again"] == "make rerun BLOCK=cpu/article-cnn/float32/device/128"
    assert leads_to(document, drawn["href"])["where"]["batch_size"] == "128"


def test_a_profiler_without_a_result_is_quoted_with_its_reason(tmp_path):
    found = pages.document_of(pages.left(tmp_path, simulated.campaign(frameworks=["pytorch", "jax"], rounds=3)))
    values = {cell["framework"]: cell["values"] for cell in blocks(found)[0]["cells"]}
    assert values["JAX"]["host_wait"]["text"] == "ValueError: it does not tell"
    assert values["PyTorch"]["host_wait"]["number"] > 0


def test_a_ratio_is_that_of_the_comparisons_and_leads_to_them(folder, document):
    comparisons = pd.read_csv(folder / "comparisons.csv")
    (block,) = blocks(document, track="tuned", input="host", batch_size=128)
    value = next(cell for cell in block["cells"] if cell["framework"] == "PyTorch")["values"]["ratio"]
    group = leads_to(document, value["href"])
    of_block = comparisons[(comparisons[list(group["where"])].astype(str) == group["where"]).all(axis=1)]
    row = of_block[(of_block["framework"] == "pytorch") & (of_block["reference"] == "tensorflow")].iloc[0]
    assert (value["number"], value["low"], value["high"]) == tuple(row[["ratio", "ci_low", "ci_high"]])
    assert value["remark"] == row["verdict"]


def test_a_cell_that_failed_is_shown_with_its_reason_and_has_no_number(document):
    (block,) = blocks(document, track="default", batch_size=32)
    failed = next(cell for cell in block["cells"] if cell["framework"] == "PyTorch")
    assert {value["number"] for value in failed["values"].values()} == {None}
    assert failed["values"]["throughput"]["text"] == "out of memory: std::bad_alloc"
    lines = [line for line in document["cells"]["lines"] if line["state"] == "out of memory"]
    assert [line["reasons"] for line in lines] == [["std::bad_alloc"]] * 2
    assert all(line["gap"] for line in lines)
    assert document["failed"] == 2


def test_a_framework_that_was_not_measured_in_a_block_stands_there_as_a_gap(tmp_path):
    tables = simulated.campaign()
    of_host = (tables.measurements["framework"] == "pytorch") & (tables.measurements["input"] == "host")
    tables = dataclasses.replace(tables, measurements=tables.measurements[~of_host])
    found = cells(read(pages.left(tmp_path, tables), "en"), "tensorflow", ENGLISH)
    assert len(found) == 9
    (missing,) = [cell for cell in found if cell.runs == 0]
    assert (missing.where["framework"], missing.where["input"]) == ("pytorch", "host")
    assert missing.values["throughput"].remark == "not measured"


def test_a_quantity_that_no_cell_has_is_said_with_its_reason_instead_of_a_column(document):
    untold = {one["title"]: one["why"] for one in document["cells"]["untold"]}
    assert "not measured on a CPU" in untold["Samples per joule"]


def test_energy_and_memory_of_a_gpu_are_shown(tmp_path):
    folder = pages.left(tmp_path, simulated.campaign(gpus={"h200": "NVIDIA H200"}))
    (block,) = blocks(pages.document_of(folder), input="host")
    values = block["cells"][0]["values"]
    assert values["memory"]["number"] == 600 + 3.2 * 128
    assert values["energy"]["number"] == pytest.approx(values["throughput"]["number"] / 300)


def test_each_sentence_of_the_verdict_leads_to_the_rows_of_its_block(document):
    first = document["answers"][0]
    assert "at batch 128" in first["text"]
    assert leads_to(document, first["href"])["where"]["batch_size"] == "128"
    ids = {f"table-{table['name']}" for table in document["tables"]}
    ids |= {group["id"] for table in document["tables"] for group in table["groups"]}
    assert {one["href"].removeprefix("#") for one in document["answers"]} <= ids


def test_the_rows_are_the_text_of_their_file():
    text = pd.DataFrame({"device": ["cpu", "b", "cpu"], "drift_p": ["0.10", "NaN", "1e-5"], "hours": [""] * 3})
    table = rows.grouped("order", text)
    assert table.columns == ["device", "drift_p"]
    assert table.empty == ["hours"]
    assert [group.rows for group in table.groups] == [[["cpu", "0.10"], ["cpu", "1e-5"]], [["b", "NaN"]]]
    assert rows.link({"order": table}, "order", {"device": "b"}) == "#order-2"
    assert rows.link({"order": table}, "order", {"device": "no such"}) == "#table-order"
    assert rows.link({"order": table}, "warmup", {}) == "warmup.csv"


def test_a_table_that_is_too_long_stays_beside_the_page_and_links_lead_there(folder, monkeypatch):
    monkeypatch.setattr(rows, "MOST_CHARACTERS", 5000)
    found = pages.document_of(folder)
    assert "measurements" in found["beside"]
    assert found["explorer"]["blocks"][0]["cells"][0]["values"]["throughput"]["href"] == "measurements.csv"
    assert '<a class="source" href="measurements.csv">' in page(found, ENGLISH)


@pytest.mark.parametrize(
    "situation",
    [
        {"frameworks": ["tensorflow"]},
        {"rounds": 1},
        {"failed": [(name, "article-cnn", size) for name in simulated.THREE for size in (32, 128)]},
        {"frameworks": ["pytorch", "jax"]},
    ],
    ids=["one framework", "one round", "nothing but failures", "no baseline"],
)
def test_there_is_a_page_of_whatever_was_measured(tmp_path, situation):
    found = pages.document_of(pages.left(tmp_path, simulated.campaign(**situation)))
    assert len(found["cells"]["lines"]) == 3 * len(situation.get("frameworks", simulated.THREE))
    assert "<h1 " in page(found, ENGLISH)


def turned(*verdicts):
    block = {"device": "cpu", "workload": "article-cnn", "track": "default", "precision": "float32", "input": "device"}
    pair = {"framework": "pytorch", "reference": "keras-tensorflow"}
    compared = [
        block | pair | {"batch_size": 2**place, "verdict": verdict} for place, verdict in enumerate(verdicts, start=5)
    ]
    (found,) = flips.pairs(pd.DataFrame(compared), ["pytorch", "keras-tensorflow"], "keras-tensorflow")
    return found


def test_the_answer_turns_between_the_neighbouring_sizes_that_show_a_difference():
    found = turned("slower", "undecided", "faster", "same", "not comparable: no certificate", "slower")
    assert found.turns == [flips.Turn(32, 128, "pytorch"), flips.Turn(128, 1024, "keras-tensorflow")]


@pytest.mark.parametrize(
    ("verdicts", "winners"),
    [
        (["slower", "undecided"], ["keras-tensorflow"]),
        (["faster", "faster"], ["pytorch"]),
        (["undecided", "same"], []),
    ],
)
def test_an_answer_that_does_not_turn_is_not_said_to(verdicts, winners):
    found = turned(*verdicts)
    assert (found.turns, found.winners) == ([], winners)


def test_gaps_are_everything_in_the_catalogue_without_a_run():
    found = gaps.gaps(simulated.campaign().measurements)
    assert gaps.Gap("framework", ["jax", "keras-jax", "keras-torch"]) in found
    assert gaps.Gap("device", ["gpu"]) in found
    assert gaps.Gap("track", ["tuned"], "article-cnn") in found
    assert gaps.Gap("precision", ["bfloat16"], "article-cnn") in found
    assert not [gap for gap in found if gap.key == "input"]


def test_tables_and_columns_that_the_results_lack_are_named(folder, document, tmp_path):
    assert document["missing_tables"] == ["noise", "power"]
    tables = simulated.campaign()
    pages.left(tmp_path, tables)
    write_table(tables.measurements.drop(columns=["energy_j", "device_uuid"]), tmp_path / "measurements.csv")
    found = pages.document_of(tmp_path)
    assert found["missing_columns"] == ["device_uuid", "energy_j"]


def test_a_framework_without_a_certificate_is_said_to_have_none(document):
    assert document["uncertified"] == ["Keras (TensorFlow), article-cnn"]
    assert [one["framework"] for one in document["certificates"]] == ["PyTorch", "TensorFlow"]
    (check,) = document["certificates"][0]["checks"]
    assert (check["layers"], check["difference"], check["place"]) == (2, 1e-12, "dense1")


@pytest.mark.parametrize(
    ("changes", "judged", "shown"),
    [
        ({}, "passed", "passed"),
        ({"tuned_reason": "update differs"}, "passed_by_default", "passed, but not for tuned settings"),
        ({"passed": False, "reason": "gradient differs"}, "refused", "refused"),
    ],
)
def test_a_certificate_says_what_it_holds_for(tmp_path, changes, judged, shown):
    folder = pages.left(tmp_path, simulated.campaign(frameworks=["tensorflow"]))
    path = folder / "certificates" / "article-cnn" / "tensorflow.json"
    path.write_text(json.dumps(pages.certificate("article-cnn", "tensorflow", **changes)), encoding="utf-8")
    found = pages.document_of(folder)
    assert found["certificates"][0]["judged"] == judged
    html = page(found, ENGLISH)
    assert f">{shown}</b>" in html
    assert all(reason in html for reason in found["certificates"][0]["reasons"])


@pytest.fixture(scope="module")
def merged(tmp_path_factory):
    return pages.merged(tmp_path_factory.mktemp("merged"))


def test_one_of_many_machines_is_chosen_and_none_is_compared_with_another(merged):
    found = pages.document_of(merged)
    facets = {facet["name"]: facet["options"] for facet in found["explorer"]["facets"]}
    assert next(iter(facets)) == "machine"
    assert [option["value"] for option in facets["machine"]] == ["home", "lab"]
    assert [option["label"] for option in facets["device"]] == ["p100"]
    for machine in ("home", "lab"):
        of_machine = blocks(found, machine=machine)
        assert of_machine == blocks(found, machine=machine, device="p100") and len(of_machine) == 3
        assert all(f"({machine})" in answer["text"] for block in of_machine for answer in block["answers"])


def test_a_certificate_is_that_of_its_machine(merged):
    found = pages.document_of(merged)
    assert {one["framework"] for one in found["certificates"]} >= {"PyTorch (home)", "TensorFlow (home)"}
    assert {one.partition(" (lab)")[1] for one in found["uncertified"]} == {" (lab)"} and len(found["uncertified"]) == 3
    assert all((merged / one["file"]).exists() for one in found["certificates"])


@pytest.mark.parametrize("name", pages.EVERY)
def test_equal_cards_that_are_apart_are_shown_and_so_is_what_was_left_out(merged, name):
    language = languages.load(name)
    found = pages.document_of(merged, name)
    assert len(found["agreement"]) == 9 and all(one["apart"] for one in found["agreement"])
    for one in found["agreement"]:
        assert (one["machine"], one["reference"]) == ("home", "lab") and one["ratio"].startswith("0.")
        assert leads_to(found, one["href"])["where"]["framework"] in simulated.THREE
    html = page(found, language)
    assert f">{language['page_agreement_apart']}</b>" in html
    assert "lab: runs/x.json: is not JSON" in html
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(re.findall(r' id="([^"]+)"', html))


@pytest.mark.parametrize("name", pages.EVERY)
def test_a_version_that_made_a_framework_faster_is_named_with_its_rows(tmp_path, name):
    found = pages.document_of(pages.merged(tmp_path, newest="2.10.0"), name)
    assert {(one["machine"], one["reference"]) for one in found["agreement"]} == {("lab", "home")}
    language = languages.load(name)
    assert f">{language['page_agreement_faster_since'].format(since='2.10.0')}</b>" in page(found, language)
    said = [answer for answer in found["answers"] if "2.10.0" in answer["text"] and "1.0" in answer["text"]]
    assert len(said) == 9
    for answer in said:
        assert leads_to(found, answer["href"])["where"]["framework"] in simulated.THREE


def test_a_page_of_one_machine_says_nothing_of_machines(document):
    assert "machine" not in {facet["name"] for facet in document["explorer"]["facets"]}
    assert 'id="machines"' not in page(document, ENGLISH) and "#machines" not in page(document, ENGLISH)


def test_results_of_a_stand_in_say_so_across_the_top(tmp_path, document):
    assert document["warning"] == ""
    tables = simulated.campaign()
    tables.measurements.loc[0, "flags"] = "stand_in"
    found = pages.document_of(pages.left(tmp_path, tables))
    assert found["warning"] == ENGLISH["stand_in"]
    assert ENGLISH["stand_in"] not in [one["text"] for one in found["answers"]] + found["screen"]["warnings"]
    assert f'role="alert">{ENGLISH["stand_in"]}' in page(found, ENGLISH)


def test_a_page_without_its_configuration_says_so(folder):
    assert ENGLISH["page_no_config"] in page(pages.document_of(folder, config=None), ENGLISH)
    assert ENGLISH["page_no_config"] not in page(pages.document_of(folder), ENGLISH)


@pytest.mark.parametrize("name", pages.EVERY)
def test_the_page_of_every_language_links_only_to_places_that_it_has_and_to_files_beside_it(folder, name):
    html = re.sub(
        "<script>.*?</script>", "", page(pages.document_of(folder, name), languages.load(name)), flags=re.DOTALL
    )
    ids = set(re.findall(r' id="([^"]+)"', html))
    links = set(re.findall(r'href="([^"]+)"', html))
    assert {link[1:] for link in links if link.startswith("#")} <= ids
    beside = {link for link in links if not link.startswith("#")}
    assert "certificates/article-cnn/pytorch.json" in beside
    assert not [link for link in beside if ":" in link or link.startswith("/")]


def test_where_an_archive_has_the_certificates_links_lead_to_it(folder):
    html = page(pages.document_of(folder, archive="results.zip"), ENGLISH)
    assert 'href="results.zip"' in html
    assert 'href="certificates/' not in html


def test_the_page_names_no_address_on_a_network_and_allows_itself_none(folder):
    html = page(pages.document_of(folder), ENGLISH)
    assert not re.findall(r'(?:src|href)="(?!data:image/svg|#)[^"]*//', html)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy.startswith("default-src &#39;none&#39;")
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", pages.EVERY)
def test_page_names_every_version_of_framebench_that_measured(tmp_path, name):
    tables = simulated.campaign()
    rounds = tables.measurements["round"]
    tables.measurements["framebench_version"] = rounds.map({1: "0.1.0", 2: None}).where(rounds < 3, "0.2.0")
    found = pages.document_of(pages.left(tmp_path, tables), name)
    assert found["of_campaign"]["framebench"] == {"": ["0.1.0", "0.2.0"]}
    html = page(found, languages.load(name))
    assert "<dt>framebench</dt><dd>0.1.0, 0.2.0</dd>" in html
    cited = html.partition("<cite>")[2].partition("</p>")[0]
    assert "0.1.0, 0.2.0" in cited


def test_page_of_records_without_a_version_says_that_it_is_unknown(tmp_path):
    tables = simulated.campaign()
    pages.left(tmp_path, tables)
    write_table(tables.measurements.drop(columns="framebench_version"), tmp_path / "measurements.csv")
    found = pages.document_of(tmp_path)
    assert "framebench_version" not in found["of_campaign"]
    assert found["missing_columns"] == ["framebench_version"]
    assert "framebench ?, commit" in page(found, ENGLISH)


def test_hostile_text_is_text_everywhere(tmp_path):
    tables = simulated.campaign(device_name=HOSTILE, failed=[FAILED])
    tables.measurements.loc[tables.measurements["status"] != "ok", "reason"] = HOSTILE
    folder = pages.left(tmp_path, tables)
    html = page(pages.document_of(folder, config={"results": HOSTILE}, command=HOSTILE), ENGLISH)
    assert "<img src=x" not in html
    assert "<script>document" not in html
    assert "49 &amp;amp;" not in html
    explorer = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1]
    assert "<img src=x onerror" in json.dumps(json.loads(explorer))


def test_a_figure_is_made_smaller_and_stays_a_picture():
    scope = registry.scope_of(simulated.campaign(rounds=1).measurements.to_dict("records"))
    figures = {"ratio": pages.FIGURE, "other": ""}
    captions = {"ratio": "Lines: an interval.\nHollow: undecided.\n"}
    sections = illustrations.illustrations(scope, figures, captions, languages.load("en"), {})
    (one,) = sections.pop("static")
    assert not any(sections.values())
    assert one.sources == ("measurements", "comparisons")
    assert one.url.startswith("data:image/svg+xml,<svg")
    assert "%230072b2" in one.url
    assert "#" not in one.url
    assert "1.234567" not in one.url
    assert (one.width, one.height) == ("70", "40")
    assert one.caption == ("Lines: an interval.", "Hollow: undecided.")


def test_the_caption_of_a_figure_is_text_in_the_page(folder):
    beside = folder / "figures/en/ratio.txt"
    assert "figcaption><p>" not in page(pages.document_of(folder), ENGLISH)
    beside.write_text("Lines: <b>an interval</b>.\nHollow: undecided.\n", encoding="utf-8")
    try:
        html = page(pages.document_of(folder), ENGLISH)
    finally:
        beside.unlink()
    assert "<figcaption><p>Lines: &lt;b&gt;an interval&lt;/b&gt;.</p><p>Hollow: undecided.</p>" in html


def test_numbers_that_are_none_never_reach_the_page(document):
    json.dumps(document["explorer"], allow_nan=False)


def test_the_command_writes_a_page_from_a_folder_alone(folder, tmp_path):
    root = pages.catalogue.ROOT
    output = tmp_path / "report.ko.html"
    arguments = ["--results", folder, "--language", "ko", "--command", "snakemake report", "--output", output]
    arguments += ["--published", root / "workflow/resources/rosetta-2018.csv", "--citation", root / "CITATION.cff"]
    command.main([str(argument) for argument in arguments])
    assert '<html lang="ko">' in output.read_text(encoding="utf-8")


def test_names_of_tables_fields_and_flags_are_words_of_the_language(folder):
    html = page(pages.document_of(folder, "ko"), languages.load("ko"))
    shown = re.sub(r"<script.*?</script>|<details id=.table.*?</details>|<pre.*?</pre>", "", html, flags=re.DOTALL)
    texts = set(re.findall(r">([^<>]+)<", shown))
    assert {"비교 결과", "측정값", "CPU 스레드 수", "프레임워크"} <= texts
    names = {*every_table(), *surroundings.OF_DEVICE, *surroundings.OF_FRAMEWORK, *surroundings.OF_CAMPAIGN}
    assert not texts & names
    words = json.loads(re.search(r'id="data">(.*?)</script>', html).group(1))["words"]
    assert words["comparisons"] == "비교 결과"


def test_a_page_runs_from_right_to_left_where_its_language_does(folder):
    korean = languages.load("ko")
    right_to_left = dataclasses.replace(korean, texts={**korean.texts, "direction": "rtl"})
    html = [page(pages.document_of(folder, "ko"), language) for language in (korean, right_to_left)]
    assert ['<html lang="ko" dir="rtl">' in one for one in html] == [False, True]


def test_a_folder_without_the_tables_is_refused_by_name(tmp_path):
    with pytest.raises(ResultsError, match=r"measurements\.csv: does not exist; a page needs measurements\.csv"):
        read(tmp_path, "en")
    (tmp_path / "measurements.csv").write_text("", encoding="utf-8")
    with pytest.raises(ResultsError, match=r"measurements\.csv: is no table"):
        read(tmp_path, "en")


@pytest.mark.parametrize(
    ("name", "change", "cause"),
    [
        ("comparisons", lambda text: re.sub(r",0\.(\d+)", r',"0,\1"', text), r"'0,\d+' in \w+ is no number with a dec"),
        (
            "measurements",
            lambda text: f"{text}{',' * text.splitlines()[0].count(',')}1.5\n",
            "a row has nothing but numbers",
        ),
    ],
    ids=["decimal commas", "a sum"],
)
def test_a_page_of_a_table_that_a_spreadsheet_changed_is_refused_with_its_file(folder, tmp_path, name, change, cause):
    """joelpt/quickfort#29: it ended in a traceback, or in a number that no file was named for."""
    shutil.copytree(folder, tmp_path / "results")
    table = tmp_path / "results" / f"{name}.csv"
    table.write_text(change(table.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ResultsError, match=rf"{name}\.csv: is no table: {cause}"):
        read(tmp_path / "results", "en")
