"""A start of Snakemake that cannot succeed ends in one line, and a user without a home or a name has one that can."""

import os
import pwd
import re
import shlex
import subprocess
import sys
import venv
from importlib.metadata import version

import pytest

from framebench.plan import installation, start

pytestmark = pytest.mark.check


def refusal(call, *arguments) -> str:
    with pytest.raises(SystemExit) as caught:
        call(*arguments)
    message = str(caught.value.code)
    assert "\n" not in message
    return message


def test_the_packages_of_the_lock_are_accepted():
    start.refuse_other_packages()


@pytest.mark.parametrize(
    ("pins", "told"),
    [
        ("PyYAML==6.0.4\n", "(PyYAML==6.0.4 is asked for, and {PyYAML} is there)"),
        (
            "no_such.package==1\nPyYAML==6.0.4\n",
            "(no_such.package==1 is asked for, and nothing of it is there, and 1 m",
        ),
    ],
)
def test_another_package_than_the_locks_is_named_with_the_remedy(tmp_path, pins, told, monkeypatch):
    """A user's own Snakemake, with packages of other versions or without them."""
    lock = tmp_path / "envs" / "workflow.txt"
    lock.parent.mkdir()
    lock.write_text(f"{pins}pywin32==1 ; sys_platform == 'win32'\n", encoding="utf-8")
    monkeypatch.setattr(sys, "prefix", "/usr")
    message = refusal(start.refuse_other_packages, lock)
    assert told.format(PyYAML=version("PyYAML")) in message
    assert message.startswith(f"{sys.executable} has other packages than envs/workflow.txt")
    assert message.endswith('put the project\'s own Snakemake first, PATH="$(make --silent path):$PATH"')


def test_an_environment_of_the_project_that_was_changed_is_to_be_deleted(tmp_path, monkeypatch):
    lock = tmp_path / "lock.txt"
    lock.write_text("PyYAML==6.0.4\n", encoding="utf-8")
    monkeypatch.setattr(sys, "prefix", str(start.ROOT / ".venvs" / "workflow-0123"))
    assert f"delete {start.ROOT}/.venvs/workflow-0123 and then put" in refusal(start.refuse_other_packages, lock)


def test_another_working_folder_than_the_projects_is_refused_with_both(tmp_path, monkeypatch):
    """https://github.com/Wytamma/snk/issues/97, https://github.com/EngreitzLab/scE2G/issues/105."""
    monkeypatch.chdir(tmp_path)
    message = refusal(start.refuse_other_place, start.ROOT)
    assert message.startswith(f"{tmp_path} is not the project's folder: start Snakemake in {start.ROOT}, ")
    link = tmp_path / "link"
    link.symlink_to(start.ROOT)
    monkeypatch.chdir(link)
    start.refuse_other_place(start.ROOT)


@pytest.mark.parametrize("cores", [0, -1])
def test_a_start_in_which_no_job_could_begin_is_refused(cores):
    assert refusal(start.refuse_no_cores, cores).startswith(f"--cores {cores}: no job can begin; allowed: all, or")
    start.refuse_no_cores(1)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read: No such file or directory; a target comes before --configfile, or after --"),
        (b"", "holds nothing; it must hold keys, each with a value"),
        ("results: x\n".encode("utf-16"), "cannot be read: 'utf-8' codec can't decode byte"),
        (b"protocol:\n\tseed: 1\n", "line 2, column 1: found character '\\t' that cannot start any token"),
        (b"results: !!python/object/apply:os.getcwd []\n", "line 1, column 10: could not determine a constructor"),
        (b"merge: " + b"[" * 3000 + b"]" * 3000, "is nested too deeply to be read"),
    ],
)
def test_a_file_that_is_no_configuration_is_told_before_snakemake_reads_it(tmp_path, content, told):
    file = tmp_path / "mine.yaml"
    if content is not None:
        file.write_bytes(content)
    arguments = ["--cores", "1", "--configfile", str(start.ROOT / "presets/quick.yaml"), str(file), "--", "tables"]
    assert refusal(start.refuse_unreadable, arguments).startswith(f"{file}: {told}")


def test_a_pipe_is_no_configuration(tmp_path):
    """`--configfile <(…)` ended in a traceback: it was read once, and then empty."""
    os.mkfifo(tmp_path / "pipe")
    message = refusal(start.refuse_unreadable, ["--configfile", str(tmp_path / "pipe")])
    assert message == f"{tmp_path}/pipe: is a pipe, and a configuration is read several times: write it to a file"


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("protocol.threads=1", "'protocol.threads' is no key; write --config 'protocol={threads: 1}'"),
        (
            "protocol.warmup.min_s=2",
            "'protocol.warmup.min_s' is no key; write --config 'protocol={warmup: {min_s: 2}}'",
        ),
        ("matrix[0].rounds=3", "'matrix[0].rounds' is no key; allowed: a key of config.yaml; anything inside it"),
        ("a=1", "'a' is no key; allowed: a key of config.yaml"),
        ("=1", "'' is no key; allowed: a key of config.yaml"),
        ("article-2018", "is no KEY=VALUE; a target comes before --config, or after --"),
    ],
)
def test_an_entry_of_config_that_snakemake_cannot_read_is_told_with_the_right_form(entry, told):
    """https://github.com/snakemake/snakemake/issues/963."""
    message = refusal(start.refuse_unreadable, ["-n", "--config", "results=x", entry])
    assert message.removeprefix("--config ").partition(": ")[2].startswith(told)


@pytest.mark.parametrize(
    ("name", "values"),
    [("configfile", ["presets/quick.yaml", "presets/gpu.yaml"]), ("config", ["results=my results", "question=null"])],
)
def test_an_option_of_which_snakemake_would_read_the_last_alone_is_told(name, values):
    """https://github.com/snakemake/snakemake/issues/1269: the first file or value had no say, without a word."""
    first, last = values
    message = refusal(start.refuse_unreadable, ["-n", f"--{name}", first, f"--{name}", last, "--cores", "1"])
    assert message.startswith(f"--{name}: is given 2 times, and Snakemake reads the last alone: write --{name} ")
    assert message.endswith(shlex.join(values))


def test_a_command_line_that_snakemake_can_read_passes():
    arguments = ["-n", "all", "--configfile", str(start.ROOT / "presets/quick.yaml"), "-C", "protocol={threads: 1}"]
    start.refuse_unreadable([*arguments, "results=", "--cores", "2", "-p", "--rerun-triggers", "mtime"])


@pytest.mark.parametrize("home", ["/proc/none", "/dev/null", None])
def test_without_a_place_for_caches_the_projects_is_taken(monkeypatch, home):
    """https://github.com/cov-lineages/pangolin/issues/533, https://github.com/snakemake/snakemake/issues/1593."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if home:
        monkeypatch.setenv("HOME", home)
    else:
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # a user id without a name
    start.keep_caches()
    assert os.environ["XDG_CACHE_HOME"] == str(start.ROOT / ".snakemake" / "cache")


def test_a_users_own_cache_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    start.keep_caches()
    assert "XDG_CACHE_HOME" not in os.environ
    assert (tmp_path / ".cache" / "snakemake").is_dir()


def test_a_user_without_a_name_gets_the_number(monkeypatch):
    """https://github.com/pytorch/pytorch/issues/140765."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    start.name_user()
    assert os.environ["LOGNAME"] == str(os.getuid())
    monkeypatch.setenv("LOGNAME", "ada")
    start.name_user()
    assert os.environ["LOGNAME"] == "ada"


def test_no_file_option_or_function_of_a_users_bash_reaches_a_command(tmp_path, monkeypatch):
    """ExaWorks/psij-python#268: functions are exported. One named python, or a cd at the start, ended each rule."""
    (tmp_path / "bashrc").write_text("cd /; echo hello\n", encoding="utf-8")
    monkeypatch.setenv("BASH_ENV", str(tmp_path / "bashrc"))
    monkeypatch.setenv("SHELLOPTS", "noclobber")
    monkeypatch.setenv("BASH_FUNC_python%%", "() { echo mine; }")
    start.forget_variables()
    command = ["bash", "-c", "pwd; type -t python; echo $-"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, encoding="utf-8").stdout
    folder, *kind, options = told.splitlines()
    assert folder == str(tmp_path)
    assert "function" not in kind
    assert "C" not in options


def test_an_empty_date_for_builds_ends_no_import(monkeypatch):
    """`export SOURCE_DATE_EPOCH=$(git log …)` outside a repository: NumPy, which SciPy imports whole, ended at it."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    start.forget_variables()
    command = [sys.executable, "-c", "import framebench.analyse.statistics"]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": "workflow"}, check=True)


def test_modules_in_pythonpath_hide_none_of_an_environments_own(tmp_path):
    """https://github.com/ros2/ros2/issues/112, https://github.com/mcgill-robotics/compsys/issues/112."""
    venv.create(tmp_path / "env", symlinks=True)
    installation.put_own_first(tmp_path / "env")
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (packages / "yaml.py").touch()
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("yaml", "json", "only_here"):
        (foreign / f"{name}.py").touch()
    code = "import json, only_here, yaml; print(yaml.__file__, hasattr(json, 'dumps'), only_here.__file__)"
    told = subprocess.run(
        [tmp_path / "env" / "bin" / "python", "-c", code],
        env={"PYTHONPATH": str(foreign)},
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    ).stdout
    assert told == f"{packages}/yaml.py True {foreign}/only_here.py\n"


def test_make_leaves_a_users_profile_for_every_workflow_out():
    """https://github.com/snakemake/snakemake/issues/2663, https://github.com/snakemake/snakemake/issues/3994."""
    told = subprocess.run(
        ["make", "--silent", "--eval", "told: ; @env", "told"],
        cwd=start.ROOT,
        env=os.environ
        | {"SNAKEMAKE_PROFILE": "generic", "SNAKEMAKE_CONDA_PREFIX": "/x", "SOURCE_DATE_EPOCH": "", "OTHER": "stays"},
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    ).stdout
    assert "OTHER=stays\n" in told
    assert "SNAKEMAKE_" not in told and "SOURCE_DATE_EPOCH" not in told


@pytest.mark.parametrize("rules", sorted((start.ROOT / "workflow/rules").glob("*.smk")), ids=lambda path: path.stem)
def test_every_path_in_a_command_is_quoted(rules):
    """https://github.com/ylab-hi/ScanNeo2/issues/80: a folder of results with a space in its name."""
    commands = re.findall(r"^ +shell:\n((?: +[\"'#].*\n)+)", rules.read_text(encoding="utf-8"), re.MULTILINE)
    bare = r"\{(?:input|output|log)[\w.]*\}|\{(?:params|resources)\.planned\}"
    assert [found for command in commands for found in re.findall(bare, command)] == []
