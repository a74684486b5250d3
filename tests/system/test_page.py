"""The page in a real browser, from a file and without a network: a reader's actions, in every language."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

import pages
import simulated
from framebench import languages
from framebench.plan import catalogue

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.test,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt install chromium"),
]

PUBLISHED = catalogue.ROOT / "results" / "published"
MOST_BYTES = 5 * 2**20
HOSTILE = "<img src=x onerror=document.title='taken'></script><script>document.title='taken'</script>"


@dataclass
class Opened:
    """A page in the browser, with its complaints and its requests for other files."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Root, as in a container, has no sandbox.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield started
        started.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Pages of a campaign with both tracks, a failed cell and no certificate for one framework."""
    tables = simulated.campaign(
        tracks=["default", "tuned"], failed=[("pytorch", "article-cnn", 32)], noise=0.02, busy_rounds=[2]
    )
    left = pages.left(tmp_path_factory.mktemp("left"), tables, uncertified=["keras-tensorflow"])
    return pages.write_pages(left, left)


@pytest.fixture
def context(browser) -> Iterator[BrowserContext]:
    made = browser.new_context(offline=True)
    yield made
    made.close()


def opened(context: BrowserContext, file: Path) -> Opened:
    found = Opened(context.new_page())
    found.page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.on(
        "request", lambda request: found.requests.append(request.url) if not request.url.startswith("data:") else None
    )
    found.page.goto(file.as_uri())
    found.page.locator("#at-size svg").wait_for()
    return found


@pytest.mark.parametrize("name", pages.EVERY)
def test_it_opens_from_its_file_and_asks_for_nothing_else(context, folder, name):
    file = folder / f"report.{name}.html"
    found = opened(context, file)
    assert all(words in found.page.locator("h1").inner_text() for words in ("PyTorch", "Keras", "A CPU"))
    assert found.page.locator("#over-sizes svg").count() == 1
    assert found.complaints == []
    assert found.requests == [file.as_uri()]


def test_a_reader_switches_the_language_and_keeps_the_choice(context, folder):
    page = opened(context, folder / "report.en.html").page
    page.get_by_role("combobox", name="Settings").select_option("tuned settings")
    page.get_by_role("combobox", name="Batch size").select_option("32")
    page.locator("#quantity").select_option(index=2)
    chosen = [select.input_value() for select in page.locator("select").all()]
    page.get_by_role("link", name="한국어").click()
    assert page.locator("html").get_attribute("lang") == "ko"
    assert "어느 쪽이 빠른가?" in page.locator("h1").inner_text()
    assert [select.input_value() for select in page.locator("select").all()] == chosen
    page.get_by_role("link", name="English").click()
    assert page.locator("html").get_attribute("lang") == "en"


def test_a_reader_chooses_and_sees_another_answer_and_other_charts(context, folder):
    found = opened(context, folder / "report.en.html")
    page = found.page
    assert page.get_by_role("combobox", name="Batch size").input_value() == "128"
    before = page.locator("#answers").inner_text()
    page.get_by_role("combobox", name="Settings").select_option("tuned settings")
    page.get_by_role("combobox", name="Batch size").select_option("32")
    assert page.locator("#answers").inner_text() != before
    assert "track=tuned" in page.url and "batch_size=32" in page.url
    assert "out of memory: std::bad_alloc" in page.locator("#chosen").inner_text()
    # From host memory only one size was measured: another stays chosen, and is said not to have been.
    page.get_by_role("combobox", name="Input").select_option("batches from host memory")
    assert page.get_by_role("combobox", name="Batch size").input_value() == "32"
    assert page.locator("#chosen").is_hidden()
    page.locator("#unmeasured-choice").get_by_role("button", name="128").click()
    assert page.get_by_role("combobox", name="Batch size").input_value() == "128"
    assert page.locator("#chosen").is_visible() and page.locator("#unmeasured-choice").is_hidden()
    assert page.locator("#over-sizes").is_hidden()
    page.get_by_role("combobox", name="Quantity").select_option("Samples per joule")
    assert page.locator("#at-size").is_hidden()
    assert "not measured on a CPU" in page.locator("#nothing").inner_text()
    assert found.complaints == []


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (360, 740)])
def test_the_answer_is_on_the_first_screen(browser, folder, width, height):
    context = browser.new_context(offline=True, viewport={"width": width, "height": height})
    page = opened(context, folder / "report.en.html").page
    expect(page.locator(".headline").first).to_be_in_viewport(ratio=1)
    expect(page.locator("table.answer tbody tr").nth(1)).to_be_in_viewport(ratio=1)
    context.close()


def test_no_column_of_the_cells_is_out_of_sight_on_a_desktop(browser, folder):
    context = browser.new_context(offline=True, viewport={"width": 1440, "height": 900})
    page = opened(context, folder / "report.en.html").page
    table = page.locator("#cells .wide")
    assert table.evaluate("one => one.scrollWidth <= one.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == 1440
    context.close()


def test_a_row_of_the_answer_tells_how_it_is_measured_again(context, folder):
    page = opened(context, folder / "report.en.html").page
    row = page.locator("table.answer tr", has_text="batch 128").first
    assert row.locator("svg rect").count() == 3
    row.locator("summary").click()
    assert row.locator("code").inner_text() == "make rerun BLOCK=cpu/article-cnn/float32/device/128"


def test_a_reader_filters_and_sees_the_gaps(context, folder):
    page = opened(context, folder / "report.en.html").page
    lines = page.locator("#cell-table tbody tr:visible")
    assert (lines.count(), page.locator("#shown").inner_text()) == (18, "18 of 18 cells")
    page.get_by_label("Filter by words").fill("pytorch tuned")
    assert (lines.count(), page.locator("#shown").inner_text()) == (3, "3 of 18 cells")
    page.get_by_label("Only cells with gaps").check()
    assert "std::bad_alloc" in lines.first.inner_text()
    assert lines.count() == 1


def test_a_reader_sorts_by_the_keyboard_and_gaps_come_last(context, folder):
    page = opened(context, folder / "report.en.html").page
    header = page.locator("#cell-table thead th").filter(has_text="Throughput")
    place = header.evaluate("header => header.cellIndex")
    header.get_by_role("button").focus()
    for direction, least_first in (("ascending", True), ("descending", False)):
        page.keyboard.press("Enter")
        assert header.get_attribute("aria-sort") == direction
        rows = page.locator("#cell-table tbody tr").all()
        sorted_by = [row.locator("th, td").nth(place).get_attribute("data-sort") for row in rows]
        assert sorted_by[-2:] == [None, None]
        numbers = [float(number) for number in sorted_by[:-2]]
        assert numbers == sorted(numbers, reverse=not least_first)


def test_a_reader_opens_a_certificate_by_the_keyboard(context, folder):
    page = opened(context, folder / "report.en.html").page
    certificate = page.locator("details.certificate").first
    assert certificate.locator("table").is_hidden()
    certificate.locator("summary").focus()
    page.keyboard.press("Enter")
    assert "gradients" in certificate.locator("table").inner_text()


def test_a_number_leads_to_its_rows(context, folder):
    page = opened(context, folder / "report.en.html").page
    assert page.locator("#table-measurements table").is_hidden()
    link = page.locator("#cell-table td.number a").first
    link.click()
    rows = page.locator(link.get_attribute("href"))
    assert rows.locator("tr").count() == 5
    assert rows.is_visible()
    expect(rows).to_be_in_viewport()


@pytest.mark.parametrize("name", pages.EVERY)
def test_nothing_sticks_out_of_a_narrow_phone(browser, folder, name):
    context = browser.new_context(offline=True, viewport={"width": 360, "height": 740})
    page = opened(context, folder / f"report.{name}.html").page
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    context.close()


@pytest.mark.parametrize(
    ("name", "scheme", "rules"),
    [*((name, "light", None) for name in pages.EVERY), ("en", "dark", ["color-contrast"])],
)
def test_an_accessibility_engine_finds_nothing(browser, folder, name, scheme, rules):
    context = browser.new_context(offline=True, color_scheme=scheme)
    page = opened(context, folder / f"report.{name}.html").page
    # Only the shortest table of rows, as the engine takes long and they are alike.
    page.evaluate(
        "for (const one of document.querySelectorAll('details:not([id^=table]), #table-order')) one.open = true"
    )
    found = Axe().run(page, options={"runOnly": rules} if rules else None).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    context.close()


def test_without_scripts_figures_stand_in_for_charts_and_every_table_is_there(browser, folder):
    context = browser.new_context(offline=True, java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "report.en.html").as_uri())
    assert page.locator("#explorer").is_hidden()
    assert page.locator("#filters").is_hidden()
    assert page.locator("#static img").first.is_visible()
    assert page.locator("#cell-table tbody tr").count() == 18
    context.close()


def test_it_prints(context, folder):
    page = opened(context, folder / "report.en.html").page
    page.emulate_media(media="print")
    assert page.locator("nav").first.is_hidden()
    assert page.locator("#filters").is_hidden()
    assert page.locator("#cell-table").is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.certificate table").first.is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.fixture(scope="module")
def merged(tmp_path_factory) -> Path:
    """Pages of two sets of one machine's results, with two versions of the frameworks."""
    folder = pages.merged(
        tmp_path_factory.mktemp("merged"), newest="2.10.0", left_out=f"lab,runs/x.json,{HOSTILE.replace(',', ';')}"
    )
    return pages.write_pages(folder, folder)


def test_a_reader_of_merged_results_chooses_a_machine_and_sees_what_was_left_out(context, merged):
    found = opened(context, merged / "report.en.html")
    page = found.page
    page.get_by_role("combobox", name="Machine").select_option("home")
    assert "(home)" in page.locator("#answers").inner_text() and "(lab)" not in page.locator("#answers").inner_text()
    page.get_by_role("combobox", name="Machine").select_option("lab")
    assert "(lab)" in page.locator("#answers").inner_text() and "(home)" not in page.locator("#answers").inner_text()
    assert HOSTILE in page.locator("#machines").inner_text()
    assert found.complaints == []


@pytest.mark.parametrize("name", pages.EVERY)
def test_a_reader_of_merged_results_sees_which_version_is_faster(browser, merged, name):
    context = browser.new_context(offline=True, viewport={"width": 360, "height": 740})
    found = opened(context, merged / f"report.{name}.html")
    page, words = found.page, languages.load(name)["page_agreement_faster_since"].format(since="2.10.0")
    lines = page.locator("#machines table.sortable tbody tr")
    assert lines.count() == 9
    assert all(words in line.inner_text() for line in lines.all())
    assert "2.10.0" in page.locator("#sentences").inner_text()
    link = lines.first.get_by_role("link")
    link.click()
    rows = page.locator(link.get_attribute("href"))
    assert rows.is_visible() and "faster since" in rows.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert found.complaints == []
    context.close()


def test_hostile_names_and_reasons_are_shown_as_text(context, tmp_path):
    tables = simulated.campaign(device_name=HOSTILE, failed=[("pytorch", "article-cnn", 128)])
    tables.measurements.loc[tables.measurements["status"] != "ok", "reason"] = HOSTILE
    left = pages.write_pages(pages.left(tmp_path, tables), tmp_path)
    found = opened(context, left / "report.en.html")
    page = found.page
    assert HOSTILE in page.locator("#answer").inner_text()
    assert HOSTILE in page.locator("#chosen").inner_text()
    assert page.title().endswith(HOSTILE)
    assert page.locator("img[src=x]").count() == 0
    assert found.complaints == []


@pytest.mark.parametrize("name", pages.EVERY)
@pytest.mark.parametrize("published", [path.name for path in sorted(PUBLISHED.iterdir())])
def test_a_published_page_is_small_enough_and_opens(context, published, name):
    file = PUBLISHED / published / f"report.{name}.html"
    assert file.stat().st_size < MOST_BYTES
    found = opened(context, file)
    images = found.page.locator("img").all()
    assert images
    for image in images:
        assert image.evaluate("image => { image.loading = 'eager'; return image.decode().then(() => true); }")
    assert found.complaints == []
    assert found.requests == [file.as_uri()]
