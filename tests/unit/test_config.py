"""A configuration that cannot be measured is refused in one line: where, which value, the allowed values."""

import copy
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from framebench.measure.protocol import MIN_ROUNDS
from framebench.plan import catalogue, config, feasible, schema
from framebench.plan.config import ConfigError, Part, Rounds

pytestmark = pytest.mark.check

ORIGIN = "config.yaml"
CORES = len(os.sched_getaffinity(0))


@pytest.fixture
def written() -> dict[str, Any]:
    """The content of config.yaml, for a test to change."""
    return config.readable(catalogue.ROOT / "config.yaml")


def refusal(written: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        config.load(written, ORIGIN)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{ORIGIN}: ")
    return message.removeprefix(f"{ORIGIN}: ")


def put(written: dict[str, Any], path: str, value: object) -> None:
    """Set the value at a path in the notation of messages (`matrix[0].rounds`)."""
    *parents, last = (int(key) if key.isdigit() else key for key in path.replace("[", ".").replace("]", "").split("."))
    place: Any = written
    for key in parents:
        place = place[key]
    place[last] = value


def test_the_configuration_of_the_repository_is_taken(written):
    loaded = config.load(written, ORIGIN)
    assert loaded.results == "results"
    assert loaded.frameworks == ("tensorflow", "keras-tensorflow", "pytorch")
    assert loaded.matrix[0].batch_sizes == (32, 128, 512)
    assert loaded.protocol.threads == CORES
    assert loaded.protocol.warmup.max_s == written["protocol"]["warmup"]["max_s"]
    assert loaded.protocol.blocks.count == 8
    assert (loaded.protocol.interleave, loaded.protocol.diagnosed_rounds) == ("auto", 1)
    assert loaded.data.archive is None


@pytest.mark.parametrize("preset", sorted((catalogue.ROOT / "presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_preset_over_the_configuration_is_taken_and_keeps_its_results_apart(written, preset):
    def merge(into: dict[str, Any], over: dict[str, Any]) -> None:
        """Mappings are merged and everything else replaced, like Snakemake's --configfile."""
        for key, value in over.items():
            if isinstance(value, dict) and isinstance(into.get(key), dict):
                merge(into[key], value)
            else:
                into[key] = value

    merge(written, config.readable(preset))
    assert config.load(written, ORIGIN).results == f"results/{preset.stem}"


@pytest.mark.parametrize("path", schema.texts(), ids=lambda path: path.name)
def test_the_schema_for_editors_is_that_of_the_classes(path):
    assert path.read_text(encoding="utf-8") == schema.texts()[path], "make schema"


def test_every_key_stands_in_the_file_in_the_order_of_the_classes(written):
    def check(of_part: dict[str, Any], part: dict[str, Any]) -> None:
        assert list(part) == list(of_part["properties"]) == of_part["required"]
        for key, of_value in of_part["properties"].items():
            if "properties" in of_value:
                check(of_value, part[key])

    of_config = schema.of_config()
    check(of_config, written)
    for entry in written["matrix"]:
        check(of_config["properties"]["matrix"]["items"], entry)


def test_every_key_of_the_schema_is_described_and_no_other_is_taken():
    def check(of_part: dict[str, Any]) -> None:
        if "properties" in of_part:
            assert of_part["additionalProperties"] is False
        for key, of_value in of_part.get("properties", {}).items():
            assert of_value["description"], key
            check(of_value)
        for one in (of_part.get("items"), of_part.get("additionalProperties"), *of_part.get("anyOf", [])):
            check(one) if one else None

    check(schema.of_config())


@pytest.mark.parametrize(
    "file", [catalogue.ROOT / "config.yaml", *(catalogue.ROOT / "presets").glob("*.yaml")], ids=lambda file: file.stem
)
def test_a_file_names_its_schema_and_keeps_to_it(file):
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    named = (file.parent / first.removeprefix("# yaml-language-server: $schema=")).resolve()
    assert named.name == ("config.schema.json" if file.stem == "config" else "preset.schema.json")
    validator = jsonschema.Draft202012Validator(json.loads(named.read_text(encoding="utf-8")))
    validator.check_schema(validator.schema)
    validator.validate(config.readable(file))


def test_the_path_of_an_interpreter_is_relative_to_the_project_and_need_not_exist_here(written):
    written["interpreters"] = {"keras-torch": "bin/none"}
    assert config.load(written, ORIGIN).interpreters == {"keras-torch": f"{Path.cwd()}/bin/none"}


def test_a_single_framework_is_enough(written):
    written |= {"frameworks": ["pytorch"], "baseline": "pytorch", "question": None}
    assert config.load(written, ORIGIN).frameworks == ("pytorch",)


def test_the_question_and_the_margins_are_those_of_the_file_and_nothing_is_asked_of_frameworks_against_themselves(
    written,
):
    loaded = config.load(written, ORIGIN)
    assert loaded.question == ("pytorch", "keras-tensorflow")
    assert loaded.same_within == {"cpu": 0.1, "gpu": 0.03}
    assert config.against_itself(loaded).question is None


def test_every_key_is_required(written):
    def paths(value: object, path: str = "") -> list[str]:
        if isinstance(value, dict):
            return [p for key, v in value.items() for p in (f"{path}.{key}", *paths(v, f"{path}.{key}"))]
        return paths(value[0], f"{path}[0]") if path == ".matrix" else []  # type: ignore[index]

    for path in paths(written):
        without = copy.deepcopy(written)
        place: Any = without
        *parents, last = path.replace("[0]", ".0").split(".")[1:]
        for key in parents:
            place = place[int(key) if key.isdigit() else key]
        del place[last]
        # A rule for rounds has one key of two.
        missing = "matrix[0].rounds: has no rule" if last == "until" else f"{path[1:]}: is missing; "
        assert refusal(without).startswith(missing), path


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "framework",
            "framework: unknown key; did you mean 'frameworks'? allowed: results, devices, packages, ",
        ),
        (
            "matrix[1].batch_size",
            "matrix[1].batch_size: unknown key; did you mean 'batch_sizes'? allowed: workload",
        ),
        (
            "data.sample",
            "data.sample: unknown key; did you mean 'samples'? allowed: source, samples, archive, md5",
        ),
        ("protocol.sed", "protocol.sed: unknown key; did you mean 'seed'? allowed: seed, cores, threads"),
        (
            "protocol.warmup.min",
            "protocol.warmup.min: unknown key; did you mean 'min_s'? allowed: min_s, min_steps",
        ),
        (
            "protocol.blocks.counts",
            "protocol.blocks.counts: unknown key; did you mean 'count'? allowed: count",
        ),
        ("zzz", "zzz: unknown key; allowed: results"),
        # By `--config threads=1`.
        ("threads", "threads: unknown key; it is a key of protocol; allowed: results"),
        ("rounds", "rounds: unknown key; it is a key of matrix or aa; allowed: results"),
        ("a\nb", r"'a\nb': unknown key; allowed: results"),
    ],
)
def test_a_key_that_does_not_exist_is_refused_at_every_level(written, path, message):
    put(written, path, 1)
    assert refusal(written).startswith(message)


RULE = {"at_least": 5, "at_most": 20, "ci_half_width": 0.02}
COUNT, ROUNDS = (f"a whole number from 1 to {most}" for most in (10**9, 1000))
SECONDS = "a number of seconds of at least 0"
SEARCH = {"start": 1024, "at_most": 32768, "host_memory_mib": None}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("matrix[0].batch_sizes[1]", 0, f"0 is not allowed; {COUNT}"),
        ("matrix[0].batch_sizes[1]", -32, f"-32 is not allowed; {COUNT}"),
        ("matrix[0].batch_sizes[1]", "128", f"'128' is text, which is not allowed; {COUNT}"),
        (
            "matrix[0].batch_sizes[1]",
            True,
            f"true (in YAML also yes, on without quotes) is not allowed; {COUNT}",
        ),
        ("matrix[0].batch_sizes[1]", 128.0, f"128.0 is not allowed; {COUNT}"),
        ("matrix[0].batch_sizes[1]", None, f"nothing is not allowed; {COUNT}"),
        ("matrix[0].batch_sizes[1]", [128], f"a list is not allowed; {COUNT}"),
        ("matrix[0].batch_sizes", 128, "128 is not allowed; a list of at least one batch size"),
        ("matrix[0].batch_sizes", [], "an empty list is not allowed; a list of at least one batch size"),
        ("matrix[0].batch_sizes[2]", 32, "32 occurs twice"),
        ("matrix[0].rounds", 0, f"0 is not allowed; {ROUNDS}"),
        (
            "matrix[0].rounds",
            2.5,
            f"2.5 is not allowed; {ROUNDS}, or the keys at_least, at_most, ci_half_width and until",
        ),
        ("matrix[0].rounds", "5", f"'5' is text, which is not allowed; {ROUNDS}, or the keys at_least"),
        ("matrix[0].rounds", [5, 20], f"a list is not allowed; {ROUNDS}, or the keys at_least"),
        ("matrix[0].precisions[0]", "fp32", "'fp32' is not allowed; float32, tf32, bfloat16 or float16"),
        ("matrix[0].precisions[0]", "tf32", "'tf32' is not offered by tensorflow on cpu; allowed: float32, bfloat16"),
        (
            "matrix[0].precisions[0]",
            "float16",
            "'float16' is not offered by tensorflow on cpu; did you mean 'bfloat16'?",
        ),
        ("matrix[1].precisions[0]", "bfloat16", "'bfloat16' is not offered with track 'tuned'; allowed: float32"),
        ("matrix[0].inputs[0]", "disk", "'disk' is not allowed; device or host"),
        ("matrix[0].tracks[0]", "tund", "'tund' is not offered by tensorflow; did you mean 'tuned'? allowed: default"),
        (
            "matrix[0].workload",
            "vgg-cn",
            "'vgg-cn' does not exist; did you mean 'vgg-cnn'? allowed: article-cnn",
        ),
        (
            "matrix[0]",
            "vgg-cnn",
            "'vgg-cnn' is text, which is not allowed; an entry with the keys workload, tracks",
        ),
        ("matrix", [], "an empty list is not allowed; a list of at least one entry"),
        ("matrix", {}, "a group of keys is not allowed; a list of at least one entry"),
        ("frameworks", [], "an empty list is not allowed; a list of at least one framework"),
        (
            "frameworks[2]",
            "pytorhc",
            "'pytorhc' does not exist; did you mean 'pytorch'? allowed: jax, keras-jax",
        ),
        ("frameworks[2]", "tensorflow", "'tensorflow' occurs twice"),
        ("baseline", "jax", "'jax' is not among frameworks; allowed: tensorflow, keras-tensorflow, pytorch"),
        (
            "question",
            "pytorch",
            "'pytorch' is text, which is not allowed; a list of two different frameworks, such as [",
        ),
        ("question", ["pytorch"], "a list is not allowed; a list of two different frameworks, such as [pytorch, "),
        ("question", [], "an empty list is not allowed; a list of two different frameworks, such as [pytorch, "),
        ("question", ["pytorch", "jax", "tensorflow"], "a list is not allowed; a list of two different frameworks"),
        ("question[1]", "pytorch", "'pytorch' occurs twice"),
        (
            "question[1]",
            "jax",
            "'jax' is not among frameworks; allowed: tensorflow, keras-tensorflow, pytorch, or question: null",
        ),
        ("same_within", 0.1, "0.1 is not allowed; the keys cpu and gpu"),
        ("same_within", None, "nothing is not allowed; the keys cpu and gpu"),
        ("same_within.cpu", 0, "0 is not allowed; a number between 0 and 1, such as 0.10"),
        ("same_within.gpu", 1, "1 is not allowed; a number between 0 and 1, such as 0.10"),
        ("same_within.gpu", 3, "3 is not allowed; a number between 0 and 1, such as 0.10"),
        ("same_within.cpu", "10 %", "'10 %' is text, which is not allowed; a number between 0 and 1, such as 0.10"),
        ("devices", "cpu", "'cpu' is not allowed; auto, a list such as [cpu, h200], or names such as {cpu: {}, "),
        ("devices", [], "an empty list is not allowed; auto, a list such as"),
        ("devices", {}, "a group of keys is not allowed; auto, a list such as"),
        ("devices", {"..": {}}, "'..' is not allowed; a name that begins with a letter or digit and holds"),
        ("packages", "rocm", "'rocm' is not allowed; auto, cpu or cuda"),
        (
            "languages[1]",
            False,
            "false (in YAML also no, off without quotes) is not allowed; a name, in quotes where",
        ),
        ("languages[1]", "kor", "'kor' does not exist; did you mean 'ko'? allowed: en, ko"),
        ("confidence", 95, "95 is not allowed; a number between 0 and 1, such as 0.95"),
        ("confidence", 1, "1 is not allowed; a number between 0 and 1, such as 0.95"),
        ("confidence", 0, "0 is not allowed; a number between 0 and 1, such as 0.95"),
        ("confidence", float("nan"), "nan is not allowed; a number between 0 and 1, such as 0.95"),
        ("protocol.seed", 1.5, "1.5 is not allowed; a whole number from 0 to 2^63 - 1"),
        ("protocol.seed", -1, "-1 is not allowed; a whole number from 0 to 2^63 - 1"),
        ("protocol.seed", "2018", "'2018' is text, which is not allowed; a whole number from 0 to 2^63 - 1"),
        ("protocol.seed", None, "nothing is not allowed; a whole number from 0 to 2^63 - 1"),
        ("protocol.cores", "all", "'all' is not allowed; any or a list of at least one core number"),
        ("protocol.cores", 2, "2 is not allowed; any or a list of at least one core number"),
        ("protocol.cores", [], "an empty list is not allowed; any or a list of at least one core number"),
        ("protocol.threads", 0, "0 is not allowed; auto or a whole number from 1 to 1000000000"),
        ("protocol.threads", "all", "'all' is not allowed; auto or a whole number from 1 to 1000000000"),
        (
            "protocol.threads",
            True,
            "true (in YAML also yes, on without quotes) is not allowed; auto or a whole",
        ),
        (
            "protocol.threads",
            CORES + 1,
            f"{CORES + 1} is more than the {CORES} cores that this process may use; ",
        ),
        ("protocol.warmup.min_s", -1.0, f"-1.0 is not allowed; {SECONDS}"),
        ("protocol.warmup.min_s", "1e3", f"'1e3' is text, which is not allowed; {SECONDS}"),
        ("protocol.warmup.max_s", float("inf"), f"inf is not allowed; {SECONDS}"),
        ("protocol.warmup.max_s", 0.5, "0.5 is less than min_s, 0.8"),
        ("protocol.warmup.tolerance", 0, "0 is not allowed; a number above 0 and at most 1"),
        ("protocol.blocks.count", 0, f"0 is not allowed; {COUNT}"),
        ("protocol.blocks.lead_in_s", -0.1, f"-0.1 is not allowed; {SECONDS}"),
        ("protocol.blocks.lead_in_s", "0.1", f"'0.1' is text, which is not allowed; {SECONDS}"),
        ("protocol.blocks.lead_in_s", None, f"nothing is not allowed; {SECONDS}"),
        ("protocol.interleave", "always", "'always' is not allowed; auto or true or false"),
        ("protocol.interleave", 1, "1 is not allowed; auto or true or false"),
        ("protocol.interleave", None, "nothing is not allowed; auto or true or false"),
        ("protocol.diagnosed_rounds", -1, "-1 is not allowed; a whole number from 0 to 1000000000"),
        ("protocol.diagnosed_rounds", 1.5, "1.5 is not allowed; a whole number from 0 to 1000000000"),
        (
            "protocol.diagnosed_rounds",
            True,
            "true (in YAML also yes, on without quotes) is not allowed; a whole number from 0 to 1000000000",
        ),
        ("protocol.sampler_hz", 0, "0 is not allowed; a whole number from 1 to 100"),
        ("protocol.sampler_hz", 10_000, "10000 is not allowed; a whole number from 1 to 100"),
        ("interpreters.torch", "/bin/sh", "'torch' does not exist; did you mean 'pytorch'?"),
        ("interpreters.pytorch", "/bin/sh; rm", "'/bin/sh; rm' is not allowed; the path of an interpreter, with"),
        ("interpreters.pytorch", "python3", "'python3' is not allowed; the path of an interpreter, with its folder"),
        ("models.net", "/nowhere", "/nowhere: is no folder; MODEL must be one with problem.yaml"),
        (
            "models.net",
            3,
            "3 is a number, which is not allowed without quotes; the path of a folder, such as ../my-net",
        ),
        ("models", {"my net": "examples/lstm"}, "'my net' is not allowed; a name of letters, digits"),
        ("models.vgg-cnn", "examples/lstm", "is a workload of framebench; allowed: any other name"),
        ("protocol.other_processes", "kill", "'kill' is not allowed; flag or wait"),
        ("protocol.sampler_hz", 2.5, "2.5 is not allowed; a whole number from 1 to 100"),
        ("protocol.timeout_s", 2, "2 is less than the 4 s of warmup.min_s + blocks.count × blocks.min_s"),
        ("protocol.timeout_s", 0, "0 is not allowed; a number of seconds above 0"),
        ("protocol", None, "nothing is not allowed; the keys seed, cores, threads"),
        ("order", "frameworks", "'frameworks' is not allowed; rounds or blocks"),
        (
            "largest_batch",
            "null",
            "'null' is text, which is not allowed; the keys start, at_most and host_memory_mib, or",
        ),
        ("largest_batch.start", 0, f"0 is not allowed; {COUNT}"),
        ("largest_batch.start", 32769, "32769 is more than at_most, 32768"),
        ("largest_batch.at_most", "64k", f"'64k' is text, which is not allowed; {COUNT}"),
        ("largest_batch.host_memory_mib", 0, "0 is not allowed; a whole number of MiB, or null"),
        ("largest_batch.host_memory_mib", "8 GiB", "'8 GiB' is text, which is not allowed; a whole number of MiB, or"),
        ("largest_batch.host_memory_mib", 10**9, "1000000000 is more than the "),
        ("largest_batch.end", 1, "unknown key; allowed: start, at_most, host_memory_mib"),
        ("data.samples", 100, "100 do not fill one batch of matrix[0].batch_sizes[1], 128"),
        ("data.source", "cifar-100", "'cifar-100' is not allowed; synthetic or cifar-10"),
        ("data.md5", "c32a", "'c32a' is not allowed; 32 hexadecimal digits in quotes"),
        (
            "data.md5",
            "a" * 32 + "\n",
            r"'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n' is not allowed; 32 hexadecimal digits",
        ),
        ("data.md5", 10**31, f"{10**31} is a number, which is not allowed without quotes; 32 hexadecimal digits"),
        ("data.archive", "", "'' is not allowed; the path of a file in quotes, or null"),
        ("results", "", "'' is not allowed; a folder other than / and ."),
        ("results", "/", "'/' is not allowed; a folder other than / and ."),
        ("results", ".", "'.' is not allowed; a folder other than / and ."),
        ("results", "results/{run}", "'results/{run}' is not allowed; a folder"),
        ("results", "<results>", "'<results>' is not allowed; a folder"),
        ("results", "-rf", "'-rf' is not allowed; a folder"),
        ("results", 2018, "2018 is a number, which is not allowed without quotes; a folder"),
        ("results", "config.yaml/x", "'config.yaml/x' cannot be a folder, because '"),
        ("results", "workflow/results", "'workflow/results' is a folder of the project; allowed: results, or a folder"),
        ("results", ".venvs", "'.venvs' is a folder of the project"),
        ("results", str(catalogue.ROOT), f"'{catalogue.ROOT}' is a folder of all of this project"),
        ("results", "/usr/local/results", "'/usr/local/results' is a folder of the system"),
        ("results", "/home", "'/home' is a folder of the system"),
        ("results", "a/" * 60 + "b", "the path has "),
        ("results", "a" * 1000, "the path has "),
        ("results", "a" * 300, "the path has "),
        ("results", "é" * 200, "the path has "),
        ("results", "ab" * 40, "'ab' stands many times in a row, which Snakemake takes for a fault of the rules"),
        ("results", "default", "'default' is a folder of the project; allowed: results, or"),
        ("protocol.seed", 2**63, f"{2**63} is not allowed; a whole number from 0 to 2^63 - 1"),
        ("data.samples", 10**7 + 1, "10000001 is not allowed; a whole number from 1 to 10000000"),
        ("matrix[0].rounds", 1001, "1001 is not allowed; a whole number from 1 to 1000"),
        ("protocol.blocks.count", 10**9 + 1, "1000000001 is not allowed; a whole number from 1 to 1000000000"),
    ],
)
def test_a_value_that_cannot_be_measured_is_refused(written, path, value, message, monkeypatch):
    monkeypatch.chdir(catalogue.ROOT)
    written["largest_batch"] = dict(SEARCH)
    put(written, path, value)
    assert refusal(written).startswith(f"{path}: {message}")


def test_the_search_for_the_largest_batch_is_asked_for(written):
    assert config.load(written, ORIGIN).largest_batch is None
    written["largest_batch"] = dict(SEARCH)
    assert vars(config.load(written, ORIGIN).largest_batch) == SEARCH
    del written["largest_batch"]["start"]
    assert refusal(written) == "largest_batch.start: is missing; first batch size of the search"


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (["cpu", "cpu"], "devices[1]: 'cpu' occurs twice"),
        (["a" * 65], f"devices[0]: '{'a' * 65}' is not allowed; a name that begins with a letter or digit and holds"),
        (["h200/0"], "devices[0]: 'h200/0' is not allowed; a name that begins with a letter or digit and holds"),
        ({"big": {"index": 0}}, "devices.big.index: unknown key; did you mean"),
        ({"big": {"uuid": "0"}}, "devices.big.uuid: '0' is not allowed; a UUID as `nvidia-smi -L` prints it, such as"),
        ({"big": {"model": "H200", "uuid": "GPU-1"}}, "devices.big: uuid names one GPU of this machine, and nothing"),
        ({"big": None}, "devices.big: nothing is not allowed; {}, one of the keys uuid and model, or keys that ask"),
    ],
)
def test_a_device_that_is_not_said_as_it_must_be_is_refused(written, devices, message):
    written["devices"] = devices
    assert refusal(written).startswith(message)


def test_the_page_of_gpus_says_devices_as_they_must_be(written, monkeypatch):
    monkeypatch.setattr(config, "resolve", lambda asked, results: dict.fromkeys(asked))
    snippets = re.findall(
        r"```yaml\n(devices:.*?)```", (catalogue.ROOT / "docs/gpu.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert len(snippets) == 2
    for snippet in snippets:
        written |= yaml.safe_load(snippet)
        assert config.load(written, ORIGIN).devices[0] == "cpu"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ci_half_width": 0}, "ci_half_width: 0 is not allowed; a number between 0 and 1, such as 0.02"),
        ({"ci_half_width": 1}, "ci_half_width: 1 is not allowed; a number between 0 and 1, such as 0.02"),
        ({"ci_half_width": 2}, "ci_half_width: 2 is not allowed; a number between 0 and 1, such as 0.02"),
        ({"ci_half_width": "2 %"}, "ci_half_width: '2 %' is text, which is not allowed; a number between 0 and 1"),
        ({"at_least": 0}, f"at_least: 0 is not allowed; {ROUNDS}"),
        (
            {"at_least": MIN_ROUNDS - 1},
            f"at_least: {MIN_ROUNDS - 1} is less than the {MIN_ROUNDS} rounds that an interval needs",
        ),
        ({"at_most": 4}, "at_most: 4 is less than at_least, 5"),
        ({"at_most": 7.5}, f"at_most: 7.5 is not allowed; {ROUNDS}"),
        ({"until": "decided"}, "until: cannot be used with ci_half_width; allowed: one of the two"),
        ({"until": "sure"}, "until: 'sure' is not allowed; decided"),
        ({"until": None}, "until: nothing is not allowed; decided"),
        ({"at_mots": 20}, "at_mots: unknown key; did you mean 'at_most'? allowed: at_least, at_most, ci_half_width"),
    ],
)
def test_a_rule_for_the_rounds_that_cannot_be_kept_is_refused(written, changes, message):
    written["matrix"][1]["rounds"] = RULE | changes
    assert refusal(written).startswith(f"matrix[1].rounds.{message}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"at_least": 2}, f".at_least: 2 is less than the {MIN_ROUNDS} rounds that an interval needs"),
        ({"at_most": 2}, ".at_most: 2 is less than at_least, 3"),
        ({"until": "certain"}, ".until: 'certain' is not allowed; decided"),
    ],
)
def test_rounds_until_decided_that_cannot_be_kept_are_refused(written, changes, message):
    written["matrix"][1]["rounds"] = {"at_least": 3, "at_most": 12, "until": "decided"} | changes
    assert refusal(written) == f"matrix[1].rounds{message}"


def test_rounds_beyond_the_first_need_a_rule(written):
    written["matrix"][1]["rounds"] = {"at_least": 3, "at_most": 12}
    assert refusal(written) == "matrix[1].rounds: has no rule for rounds beyond at_least; add ci_half_width or until"


@pytest.mark.parametrize("minutes", [0, -1, float("inf"), None])
def test_the_budget_is_some_minutes(written, minutes):
    written["budget_min"] = minutes
    assert refusal(written).startswith("budget_min: ")
    assert refusal(written).endswith(" is not allowed; a number of minutes above 0, such as 5")


@pytest.mark.parametrize("key", ["at_least", "at_most"])
def test_a_rule_for_the_rounds_needs_its_limits(written, key):
    written["matrix"][1]["rounds"] = {name: value for name, value in RULE.items() if name != key}
    assert refusal(written).startswith(f"matrix[1].rounds.{key}: is missing; ")


def test_a_number_of_rounds_is_a_rule_that_asks_for_nothing(written):
    written["matrix"][0]["rounds"] = 2
    written["matrix"][1]["rounds"] = RULE
    first, second, *_ = config.load(written, ORIGIN).matrix
    assert (first.rounds, second.rounds) == (Rounds(2, 2), Rounds(5, 20, 0.02))


def test_cores_are_taken_and_their_number_is_that_of_the_threads(written):
    core = min(os.sched_getaffinity(0))
    assert config.load(written, ORIGIN).protocol.cores is None
    put(written, "protocol.cores", [core])
    protocol = config.load(written, ORIGIN).protocol
    assert (protocol.cores, protocol.threads) == ((core,), 1)


@pytest.mark.parametrize(
    ("cores", "message"),
    [
        (
            [min(os.sched_getaffinity(0)), 4096],
            "protocol.cores[1]: 4096 is no core that this process may use; allowed: ",
        ),
        ([0, 0], "protocol.cores[1]: 0 occurs twice"),
        ([-1], "protocol.cores[0]: -1 is not allowed; the number of a core, from 0"),
        (["0"], "protocol.cores[0]: '0' is text, which is not allowed; the number of a core, from 0"),
    ],
)
def test_cores_that_cannot_be_used_are_refused(written, cores, message):
    put(written, "protocol.cores", cores)
    assert refusal(written).startswith(message)


def test_a_core_that_this_process_may_not_use_is_refused_although_the_machine_has_it(written):
    allowed = os.sched_getaffinity(0)
    if len(allowed) == 1:
        pytest.skip("this process may use one core only")
    kept, given_up = min(allowed), max(allowed)
    put(written, "protocol.cores", [given_up])
    os.sched_setaffinity(0, {kept})
    try:
        told = refusal(written)
    finally:
        os.sched_setaffinity(0, allowed)
    assert told == f"protocol.cores[0]: {given_up} is no core that this process may use; allowed: {kept}"


def test_more_threads_than_the_cores_that_are_pinned_are_refused(written):
    put(written, "protocol.cores", [min(os.sched_getaffinity(0))])
    put(written, "protocol.threads", 2)
    assert refusal(written) == (
        "protocol.threads: 2 is more than the 1 cores of protocol.cores; allowed: auto or 1 to 1"
    )


def test_a_precision_that_one_of_the_frameworks_lacks_is_refused_with_what_it_offers(written, monkeypatch):
    offered = catalogue.adapter

    def lacking(framework: str, *root: Path) -> catalogue.Adapter:
        adapter = offered(framework, *root)
        return replace(adapter, precisions={"cpu": ("float32",)}) if framework == "pytorch" else adapter

    monkeypatch.setattr(catalogue, "adapter", lacking)
    written["matrix"][0]["precisions"] = ["float32", "bfloat16"]
    assert refusal(written) == (
        "matrix[0].precisions[1]: 'bfloat16' is not offered by pytorch on cpu; did you mean 'float32'? allowed: float32"
    )


def test_the_lower_precision_of_a_cpu_is_taken(written):
    written["matrix"][0]["precisions"] = ["float32", "bfloat16"]
    assert config.load(written, ORIGIN).matrix[0].precisions == ("float32", "bfloat16")


def test_a_gpu_offers_more_precisions_and_the_tuned_track_in_one(written):
    def refused(kinds: dict[str, str], **changes: list[str]) -> list[str]:
        written["matrix"] = [written["matrix"][0] | changes]
        return list(feasible.precision_problems(schema.ADAPTER.validate_python(written), kinds))

    every = ["float32", "tf32", "bfloat16", "float16"]
    assert refused({"h200": "cuda"}, precisions=every) == []
    assert refused({"cpu": "cpu", "h200": "cuda"}, precisions=every)[0].startswith(
        "matrix[0].precisions[1]: 'tf32' is not offered by tensorflow on cpu; "
    )
    assert refused({"cpu": "cpu", "h200": "cuda"}, precisions=["float32"], tracks=["default", "tuned"]) == []
    assert refused({"h200": "cuda"}, precisions=["tf32"]) == [
        "matrix[0].precisions[0]: 'tf32' is not offered with track 'tuned'; allowed: float32"
    ]


def test_two_entries_may_not_share_a_cell(written):
    written["matrix"][1]["tracks"] = ["tuned", "default"]
    assert refusal(written) == (
        "matrix[1]: article-cnn, default, float32, device, batch size 128 is in matrix[0] too; "
        "one entry may hold a cell"
    )


def test_a_workload_that_a_framework_has_no_model_of_is_refused(written, monkeypatch):
    monkeypatch.setattr(catalogue, "model_path", lambda *_: Path("workloads/x/jax.py"))
    assert refusal(written) == (
        "matrix[0].workload: 'article-cnn' cannot be built in tensorflow: no workloads/x/jax.py"
    )


def test_the_archive_of_cifar_10_must_be_there(written, tmp_path):
    archive = tmp_path / "cifar-10-binary.tar.gz"
    written["data"] |= {"source": "cifar-10", "archive": str(archive)}
    assert refusal(written) == f"data.archive: {str(archive)!r} is no file; give its path, or null to download it"
    archive.touch()
    assert config.load(written, ORIGIN).data.archive == str(archive)


def test_cifar_10_has_no_more_samples_than_it_holds(written):
    written["data"] |= {"source": "cifar-10", "samples": 60_000}
    assert refusal(written) == "data.samples: 60000 is more than the 50000 that cifar-10 holds"


def test_a_results_folder_that_cannot_be_written_is_refused(written, tmp_path, monkeypatch):
    # Root may write anywhere, so the system's answer is replaced.
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: real(path, os.F_OK) and (mode == os.F_OK or Path(path) != tmp_path)
    )
    written["results"] = f"{tmp_path}/new/folder"
    assert refusal(written) == (
        f"results: '{tmp_path}/new/folder' cannot be written, because '{tmp_path}' is read-only for you"
    )


def test_a_results_folder_that_is_a_link_to_nothing_is_refused(written, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nothing")
    written["results"] = f"{link}/new"
    assert refusal(written) == f"results: '{link}/new' cannot be a folder, because '{link}' is a link to nothing"
    (tmp_path / "nothing").mkdir()
    assert config.load(written, ORIGIN).results == f"{link}/new"


def test_more_runs_than_can_be_planned_while_somebody_waits_are_refused(written):
    written["matrix"][0]["rounds"] = 1000
    asked = 3 * (3 * 1000 + 2 * 12)
    assert config.load(written, ORIGIN).matrix[0].rounds == Rounds(1000, 1000)
    written["matrix"][1]["rounds"] = 1000
    assert refusal(written) == f"matrix: asks for up to {asked + 3 * 988} runs in all rounds; allowed: at most 10000"
    written["matrix"][0]["rounds"] = written["matrix"][1]["rounds"] = 3
    written["aa"]["rounds"] = 1000
    assert refusal(written) == "aa: asks for up to 36000 runs in all rounds; allowed: at most 10000"


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("protocol={threads: 1}", {"threads": 1}),
        ("across_cards=true", True),
        ("across_cards=True", True),
        ("question=null", None),
        ("question=", None),
        ("matrix=[{batch_sizes: [32], rounds: 3}]", [{"batch_sizes": [32], "rounds": 3}]),
        ("budget_min=1.5", 1.5),
        ("data={archive: 'my data/a=b.tar.gz', md5: '010'}", {"archive": "my data/a=b.tar.gz", "md5": "010"}),
        ("results=my results", "my results"),
    ],
)
def test_a_value_on_the_command_line_is_read_as_in_a_file(entry, value):
    """https://github.com/snakemake/snakemake/issues/963: Snakemake itself reads texts."""
    assert config.given([entry]) == [{entry.partition("=")[0]: value}]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("protocol={threads: 1", "--config: protocol: line 1, column 12: expected ',' or '}'"),
        ("protocol={seed: 1, seed: 2}", "--config: protocol: line 1, column 11: the key 'seed' occurs twice"),
        ("budget_min=12:30", "--config: budget_min: line 1, column 1: 12:30 is 750 in YAML"),
        ("merge=" + "[" * 3000, "--config: merge: is nested too deeply to be read"),
    ],
)
def test_a_value_on_the_command_line_that_is_no_yaml_is_refused_with_its_key(entry, message):
    with pytest.raises(ConfigError) as caught:
        config.given([entry])
    assert str(caught.value).startswith(message)


def test_the_same_folder_and_digest_are_always_written_alike(written):
    written["results"] = "results//quick/"
    written["data"]["md5"] = written["data"]["md5"].upper()
    loaded = config.load(written, ORIGIN)
    assert (loaded.results, loaded.data.md5) == ("results/quick", "c32a1d4ab5d03f1284b67883e8d87530")


def test_the_first_of_several_problems_is_told_and_it_is_always_the_same(written):
    put(written, "confidence", 2)
    put(written, "frameworks", [])
    put(written, "matrix[0].rounds", 0)
    assert refusal(written).startswith("frameworks: ")


def test_the_message_says_where_the_value_came_from(written):
    written["confidence"] = 2
    with pytest.raises(ConfigError, match=r"^config\.yaml \+ presets/quick\.yaml: confidence: 2 is not allowed; "):
        config.load(written, "config.yaml + presets/quick.yaml")


def test_an_adapter_that_does_not_say_what_it_must_is_named(written, monkeypatch):
    def adapter(*_: object) -> None:
        raise catalogue.AdapterError("workflow/framebench/frameworks/x.py: the constant TRACKS is missing")

    monkeypatch.setattr(catalogue, "adapter", adapter)
    with pytest.raises(ConfigError, match=r"^workflow/framebench/frameworks/x\.py: the constant TRACKS"):
        config.load(written, ORIGIN)


# Each line has ten times the keys of the line before.
MERGES = b"a0: &a0 {x: 1}\n" + b"".join(
    b"a%d: &a%d {<<: [%s]}\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 30)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"results: a: b\n", "line 1, column 11: mapping values are not allowed here"),
        (
            b"frameworks: [a]\nresults: b\nframeworks: [c]\n",
            "line 3, column 1: the key 'frameworks' occurs twice",
        ),
        (b"data:\n  md5: a\n  md5: b\n", "line 3, column 3: the key 'md5' occurs twice"),
        (b"results: [a\n", "line 2, column 1: expected ',' or ']', but got '<stream end>'"),
        (
            b"results: !!python/name:os.system\n",
            "line 1, column 10: could not determine a constructor for the tag",
        ),
        (b"{[a]: b}\n", "line 1, column 2: found unhashable key"),
        (b"results: \xff\n", "cannot be read: 'utf-8' codec can't decode byte 0xff"),
        (b"results: \x00\n", "is not YAML: special characters are not allowed at character 9"),
        (b"day: 2026-02-30\n", "cannot be read: day is out of range for month"),
        (b"on: 1\n", "line 1, column 1: the key 'on' is no text in YAML; put it in quotes"),
        (b"budget_min: 12:30:00\n", "line 1, column 13: 12:30:00 is 45000 in YAML; write the number itself, or a"),
        (b"budget_min: 12:30.5\n", "line 1, column 13: 12:30.5 is 750.5 in YAML; write the number itself"),
        (b"seed: 010\n", "line 1, column 7: 010 is 8 in YAML; write the number itself, or a text in quotes"),
        (b"seed: !!bool maybe\n", "cannot be read: 'maybe'"),
        (b"seed: " + b"9" * 5000, "cannot be read: Exceeds the limit"),
        (b"merge: " + b"[" * 3000 + b"]" * 3000, "is nested too deeply to be read"),
        (b"#" * 100_001, "has 100001 characters; allowed: at most 100000"),
        (MERGES, "line 6, column 5: more than 10000 keys in a group"),
        (b"", "holds nothing; it must hold keys, each with a value"),
        (b"- results\n", "holds a list; it must hold keys, each with a value"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_in_one_line(tmp_path, content, message):
    file = tmp_path / "broken.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        config.readable(file)
    assert str(caught.value).startswith(f"{file}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "reason"),
    [(lambda path: None, "No such file or directory"), (Path.mkdir, "Is a directory")],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, make: Callable[[Path], None], reason):
    file = tmp_path / "absent.yaml"
    make(file)
    with pytest.raises(ConfigError, match=rf"^{file}: cannot be read: {reason}$"):
        config.readable(file)


def test_parts_of_a_merge_are_paths_or_machines_with_paths(written):
    written["merge"] = ["results", {"lab": "lab.zip"}, {"lab": "more of it"}]
    merge = config.load(written, ORIGIN).merge
    assert merge == (Part("results"), Part("lab.zip", "lab"), Part("more of it", "lab"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("lab.zip", "merge: 'lab.zip' is text, which is not allowed; a list such as [results, lab.zip]"),
        ([""], "merge[0]: '' is not allowed; a path, or the name of a machine"),
        ([{"a": "x", "b": "y"}], "merge[0]: a group of keys is not allowed; a path, or the name of a machine"),
        ([{"a@b": "x"}], "merge[0]: 'a@b' is not allowed; a name that begins with a letter or digit"),
        ([{"a": 1}], "merge[0].a: 1 is a number, which is not allowed without quotes; the path of a results"),
        (["x", "x"], "merge[1]: 'x' occurs twice"),
    ],
)
def test_parts_that_cannot_be_merged_are_refused(written, value, message):
    written["merge"] = value
    assert refusal(written).startswith(message)
