"""Figures depend on the project alone, not on the settings, folders and locale of who draws them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from framebench import languages
from framebench.figures import translated
from framebench.plan import catalogue

pytestmark = pytest.mark.check

# Draws nothing: a setting of the user's that reaches Matplotlib is seen, or ends the import.
IMPORT = """
import os
before = dict(os.environ), os.getcwd()
import framebench.figures
import matplotlib, matplotlib.font_manager, matplotlib.style
changed = {k: v for k, v in matplotlib.rcParams.items() if k != "backend" and v != matplotlib.rcParamsDefault[k]}
assert not changed, changed
assert matplotlib.get_backend() == "agg"
assert "user" not in matplotlib.style.available
assert len(matplotlib.font_manager.fontManager.ttflist)
assert before == (dict(os.environ), os.getcwd())
"""
SETTINGS = "font.size: 30\naxes.facecolor: red\ntext.usetex: True\naxes.formatter.use_locale: True\n"


@pytest.fixture
def folder(tmp_path):
    """A folder that has every file by which a user changes Matplotlib."""
    (tmp_path / "matplotlibrc").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "stylelib").mkdir()
    (tmp_path / "stylelib" / "user.mplstyle").write_bytes(b"font.family: \xff\xfe\n")
    list_of_fonts = '{"__class__": "FontManager", "_version": "3.11.0"}'
    (tmp_path / "fontlist-v3.11.0.json").write_text(list_of_fonts, encoding="utf-8")
    (tmp_path / "config" / "matplotlib").mkdir(parents=True)
    (tmp_path / "config" / "matplotlib" / "matplotlibrc").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "undecodable").mkdir()
    (tmp_path / "undecodable" / "matplotlibrc").write_bytes(b"font.family: \xff\xfe\n")
    return tmp_path


def python(*arguments: str, folder: Path = catalogue.ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """A process as Snakemake starts it for a figure, in a folder and with more variables than this one."""
    environment = os.environ | {"PYTHONPATH": str(catalogue.ROOT / "workflow")} | variables
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


@pytest.mark.parametrize(
    ("where", "variables"),
    [
        # oobabooga/textgen#6815, deeptools/deepTools#1416, bmaltais/kohya_ss#2521
        ("", {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
        ("", {"MPLBACKEND": "inline"}),
        (".", {}),
        ("undecodable", {}),  # matplotlib/matplotlib#6387
        ("", {"MATPLOTLIBRC": "{folder}/undecodable"}),
        ("", {"MPLCONFIGDIR": "{folder}"}),  # matplotlib/matplotlib#20774
        ("", {"XDG_CONFIG_HOME": "{folder}/config"}),
        ("", {"MPLCONFIGDIR": "/proc/none", "HOME": "/proc/none", "XDG_CACHE_HOME": "", "TMPDIR": "/nonexistent"}),
    ],
    ids=str,
)
def test_no_setting_of_the_users_reaches_matplotlib(folder, where, variables):
    given = {name: value.format(folder=folder) for name, value in variables.items()}
    ended = python("-c", IMPORT, folder=folder / where if where else catalogue.ROOT, **given)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_figures_are_the_same_to_the_byte_with_every_setting_of_a_user_at_once(folder):
    """textgen#6815 and reports of locales: an ASCII terminal is Textualize/rich#212."""
    everything = {
        "MPLBACKEND": "inline",
        "MATPLOTLIBRC": str(folder / "undecodable"),
        "MPLCONFIGDIR": str(folder),
        "HOME": "/proc/none",
        "TMPDIR": "/nonexistent",
        "LC_ALL": "C",
        "LANG": "tr_TR.ISO-8859-9",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Kathmandu",
        "SOURCE_DATE_EPOCH": "0",
        "FORCE_COLOR": "1",
        "COLUMNS": "20",
        "TERM": "dumb",
    }
    ended = python("-m", "framebench", "figures", "ko", "--results", str(folder / "so"), folder=folder, **everything)
    assert (ended.returncode, ended.stderr) == (0, "")
    expected = translated.draw(languages.load("ko"), folder / "usual")
    drawn = [Path(line) for line in ended.stdout.splitlines()]
    assert [path.name for path in drawn] == [path.name for path in expected]
    for one, other in zip(drawn, expected, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "euc-kr"])
def test_a_terminal_without_the_letters_ends_no_command(folder, encoding):
    """politeauthority/docker-pretty-ps#22, Rafficer/linux-cli-community#145"""
    program = "from framebench.output import escape_unknown; escape_unknown(); print('… 그림 ÷'); print('\\udcff')"
    ended = python("-c", program, PYTHONIOENCODING=encoding)
    assert (ended.returncode, ended.stderr) == (0, "")
    for module in ("framebench", "framebench.prove"):
        assert python("-m", module, "--help", PYTHONIOENCODING=encoding).returncode == 0


def test_a_full_disk_leaves_no_half_figure(folder):
    """`make figures` left the part that fitted. The limit on the size of a file stands for the disk."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999))"
    program = f"{limit}; from framebench.__main__ import main; main()"
    ended = python("-c", program, "figures", "en", "--results", str(folder / "so"))
    assert (ended.returncode, ended.stderr) == (1, "error: [Errno 27] File too large\n")
    assert list((folder / "so" / "figures" / "en").iterdir()) == []
