"""A user's requirements make an environment of their own, and a folder that lacks a file is refused in one line."""

import json
from pathlib import Path

import pytest

from framebench.plan import environments, installation
from framebench.plan.refusals import ConfigError
from framebench.prove import __main__ as command
from framebench.prove import place

pytestmark = pytest.mark.check

PROBLEM = (
    "input: {shape: [10]}\ntarget: {shape: [1]}\nloss: mean_squared_error\n"
    "optimizer: {name: sgd, learning_rate: 0.1}\nbatch_size: 8\n"
)
CPU = Path("envs/pytorch-cpu.txt")


def fails(*_: object, **__: object) -> None:
    raise installation.InstallationError("no version of einops==99")


def with_requirements(folder: Path, text: str) -> Path:
    (folder / "requirements.txt").write_text(text, encoding="utf-8")
    return folder


def test_name_of_the_environment_has_the_digests_of_lock_and_requirements(tmp_path):
    one = environments.prefix(CPU, with_requirements(tmp_path, "einops\n") / "requirements.txt")
    assert one.startswith(f"{environments.prefix(CPU)}-with-")
    assert one != environments.prefix(CPU, with_requirements(tmp_path, "einops==0.8.1\n") / "requirements.txt")


def test_requirements_that_cannot_be_installed_are_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(installation, "install", fails)
    monkeypatch.setattr(place, "ROOT", tmp_path)
    (tmp_path / "config.yaml").write_text("packages: cpu\n", encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"requirements\.txt: not installed: no version of einops==99 \(log: "
    ) as told:
        place.of("pytorch", with_requirements(tmp_path, "einops==99\n"), tmp_path / "log")
    assert "\n" not in str(told.value)


def test_requirements_beside_an_interpreter_of_the_site_are_refused(tmp_path, monkeypatch):
    site = environments.Environment("/site/python", "/site", "0" * 12, "ready", ("torch==2",))
    monkeypatch.setattr(environments, "of", lambda *_: site)
    with pytest.raises(ConfigError, match="cannot be installed into /site/python"):
        place.of("pytorch", with_requirements(tmp_path, "einops\n"), tmp_path / "log")
    (tmp_path / "requirements.txt").unlink()
    assert place.of("pytorch", tmp_path, tmp_path / "log").python == "/site/python"


def test_interpreter_and_packages_of_the_configuration_are_kept_to(tmp_path, monkeypatch):
    monkeypatch.setattr(place, "ROOT", tmp_path)
    (tmp_path / "config.yaml").write_text(
        "packages: cuda\ninterpreters: {pytorch: /no/such/python}\n", encoding="utf-8"
    )
    with pytest.raises(ConfigError, match=r"config\.yaml: interpreters\.pytorch: '/no/such/python' is no Python"):
        place.of("pytorch", tmp_path, tmp_path / "log")
    (tmp_path / "config.yaml").write_text("packages: cuda\n", encoding="utf-8")
    monkeypatch.setattr(installation, "install", fails)
    with pytest.raises(ConfigError, match=r"envs/pytorch-cuda\.txt: not installed: no version"):
        place.of("pytorch", tmp_path, tmp_path / "log")


def test_a_campaigns_own_interpreters_and_packages_are_those_of_its_proofs(tmp_path, monkeypatch):
    """They may be in a file of --configfile alone."""
    monkeypatch.setattr(place, "ROOT", tmp_path)
    (tmp_path / "config.yaml").write_text("packages: cpu\n", encoding="utf-8")
    told = {"packages": "cuda", "interpreters": {"pytorch": "/no/such/python"}}
    monkeypatch.setenv(place.VARIABLE, json.dumps(told))
    with pytest.raises(ConfigError, match=r"the campaign's configuration: interpreters\.pytorch: '/no/such/python' is"):
        place.of("pytorch", tmp_path, tmp_path / "log")
    monkeypatch.setattr(installation, "install", fails)
    with pytest.raises(ConfigError, match=r"envs/tensorflow-cuda\.txt: not installed: no version"):
        place.of("tensorflow", tmp_path, tmp_path / "log")


def test_packages_are_those_that_a_campaign_on_these_devices_would_have(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "packages", lambda choice: {"auto": "cuda"}.get(choice, choice))
    monkeypatch.setattr(place, "ROOT", tmp_path)
    monkeypatch.setattr(installation, "install", fails)
    for devices, kind in (("auto", "cuda"), ("[cpu, h200]", "cuda"), ("[cpu]", "cpu")):
        (tmp_path / "config.yaml").write_text(f"packages: auto\ndevices: {devices}\n", encoding="utf-8")
        with pytest.raises(ConfigError, match=rf"envs/pytorch-{kind}\.txt: not installed"):
            place.of("pytorch", tmp_path, tmp_path / "log")


def test_folder_without_a_model_is_told_what_is_needed(tmp_path):
    (tmp_path / "problem.yaml").write_text(PROBLEM, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"has neither keras\.py nor pytorch\.py; allowed: both, or one of them"):
        command.proved(tmp_path, tmp_path / "log", 1, 10.0)


def test_environment_that_is_not_there_is_made_from_the_lock_alone(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(installation, "install", lambda lock, prefix, log, on_top: asked.append((lock, prefix, on_top)))
    monkeypatch.setattr(place, "ROOT", tmp_path)
    (tmp_path / "config.yaml").write_text("packages: cpu\n", encoding="utf-8")
    found = place.of("pytorch", tmp_path, tmp_path / "log")
    there = tmp_path / environments.prefix(CPU)
    assert asked == [(CPU, there, None)]
    assert found == place.Place(str(there / "bin" / "python"), environments.digest(CPU))
