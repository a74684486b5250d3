"""Generated sections: a page keeps everything around them."""

import pytest

from framebench.analyse.markdown import table, write_section

pytestmark = pytest.mark.check


def test_a_table_has_a_row_for_each_row():
    assert table(["name", "n"], [["a", 1], ["b", 2.5]]) == "| name | n |\n| --- | --: |\n| a | 1 |\n| b | 2.5 |\n"


def test_a_section_is_replaced_and_the_rest_of_the_page_kept(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "above\n<!-- one: begin -->\nold\n<!-- one: end -->\nbelow\n<!-- two: begin -->\n<!-- two: end -->\n",
        encoding="utf-8",
    )
    write_section(page, "one", "new\n")
    written = page.read_text(encoding="utf-8")
    assert written == (
        "above\n<!-- one: begin -->\n\nnew\n\n<!-- one: end -->\nbelow\n<!-- two: begin -->\n<!-- two: end -->\n"
    )
    write_section(page, "one", "new\n")
    assert page.read_text(encoding="utf-8") == written


def test_a_page_that_is_not_there_is_made_of_its_section(tmp_path):
    write_section(tmp_path / "page.md", "one", "new\n")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == "<!-- one: begin -->\n\nnew\n\n<!-- one: end -->\n"


@pytest.mark.parametrize("text", ["", "<!-- one: begin -->\n", "<!-- one: end -->\n<!-- one: begin -->\n"])
def test_a_page_without_the_section_is_refused_and_kept(tmp_path, text):
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md: has no section to replace: it needs the lines <!-- one: begin"):
        write_section(tmp_path / "page.md", "one", "new\n")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == text
