"""The request of a run is the same for the worker as for the command, whichever command it is."""

import json
import sys
from dataclasses import asdict

import pytest

from framebench.measure import command
from framebench.measure.protocol import Protocol
from framebench.measure.request import Request
from framebench.record import Cell
from requested import PROTOCOL, REQUEST, request

pytestmark = pytest.mark.check

OPTIONS = {"device": "device-of-the-test", "workload": "article-cnn", "framework": "pytorch", "precision": "float32"}
OPTIONS |= {"protocol": json.dumps(asdict(PROTOCOL)), "data": "none.npz"}
OPTIONS |= {"python": sys.executable, "environment": sys.prefix}
OPTIONS |= {"lock-digest": "0", "log": "log", "output": "found.json"}
DECIDED = {"track": "default", "input": "host", "batch_size": 64}


def words(**options: str) -> list[str]:
    return [word for name, value in (OPTIONS | options).items() for word in (f"--{name}", value)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cores": (3, 5), "uuid": "GPU-1", "site": True, "certificate": "abc"},
        {"tuning": {"allocator": "tcmalloc", "layout": True, "steps": 10}, "track": "tuned", "diagnosis": True},
        {"batches": 1, "host_memory_mib": 2048, "weights_only": True, "batch_size": 1024},
    ],
)
def test_a_request_survives_its_way_to_the_worker(changes):
    assert Request.from_json(request(**changes).to_json()) == request(**changes)
    assert Protocol.of(json.loads(json.dumps(asdict(PROTOCOL)))) == PROTOCOL


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """The request of a command with these arguments and with DECIDED."""
    monkeypatch.setattr(command, "die_with", lambda parent: None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def begin(*given: str, **decided: object) -> Request:
        parser = command.parser("a.command", None, decided=tuple(DECIDED))
        command.add_interpreter(parser)
        with command.leased(parser.parse_args([*words(), *given])) as told:
            return command.request(told, **DECIDED | decided)

    return begin


def test_a_command_is_told_the_fields_of_a_cell_that_it_does_not_decide(begun, capsys):
    asked = begun("--site", batches=1)
    assert asked.cell == Cell("device-of-the-test", "article-cnn", "pytorch", "default", "float32", "host", 64)
    assert (asked.protocol, asked.site, asked.uuid, asked.refused, asked.batches) == (PROTOCOL, True, None, None, 1)
    assert asked.data == REQUEST.data
    assert (asked.python, asked.environment) == (sys.executable, sys.prefix)
    parser = command.parser("a.command", None, decided=("track", "input"))
    command.add_interpreter(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(words())
    assert "the following arguments are required: --batch-size" in capsys.readouterr().err


def test_slurms_allocation_overrides_a_uuid_and_is_refused_without_one(begun, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert begun("--uuid", "GPU-1").uuid == "GPU-1"
    refused = begun("--uuid", "GPU-1", "--allocated", "h200")
    assert refused.uuid is None
    assert "this is no Slurm job" in str(refused.refused)
