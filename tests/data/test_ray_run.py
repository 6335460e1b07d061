"""A Ray cluster that isn't there, or isn't one: told before Ray connects to it."""

import os
import socket
import sys

import pytest
import ray

from grammask.data.corpus import ray_cluster
from grammask.data.corpus.ray_cluster import find_cluster
from grammask.data.corpus.ray_run import RayRun
from grammask.errors import ExperimentError, TaggingError

ADVICE = "start one, name another, or leave --address out to work on this machine alone"


@pytest.fixture(autouse=True)
def no_other_address(monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.setenv(name, "")  # so that it is as before at the end, whatever a test leaves
        monkeypatch.delenv(name)


def unused_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def refusal(address):
    with pytest.raises(ExperimentError, match="no cluster that can be used there") as raised:
        next(RayRun(address)(None, []))
    told = str(raised.value)
    assert told.startswith("--address ")
    assert told.endswith(ADVICE)
    assert "\n" not in told
    return told


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "no-such-machine.invalid:{}", "[::1", "x:y", "local", "machine"])
def test_where_nobody_answers_is_one_line(address):
    refusal(address.format(unused_port()))


@pytest.mark.parametrize("where", ["asked for", "in the environment"])
def test_an_address_of_rays_client_is_refused_though_it_answers(monkeypatch, where):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"ray://127.0.0.1:{server.getsockname()[1]}"
        if where == "in the environment":
            monkeypatch.setenv("RAY_ADDRESS", address)
        told = refusal("auto" if where == "in the environment" else address)
    assert f"'{address}': " in told
    assert "Ray Data doesn't run over Ray's client; call on a machine that is a node" in told


def test_what_listens_but_is_no_cluster_is_given_up(monkeypatch):
    monkeypatch.setattr(ray_cluster, "_STATUS_PATIENCE", 2.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        told = refusal(f"127.0.0.1:{server.getsockname()[1]}")
    assert "what listens doesn't answer as a cluster does within 2.5 seconds" in told


def test_auto_is_the_cluster_that_the_environment_names(monkeypatch):
    named = f"127.0.0.1:{unused_port()}"
    monkeypatch.setenv("RAY_ADDRESS", named)
    assert refusal("auto").startswith(f"--address 'auto', by RAY_ADDRESS '{named}': ")


def command_that(code):
    return (sys.executable, "-c", code)


def test_what_ray_finds_is_told(monkeypatch):
    """As where `auto` finds none, or a cluster of another version."""
    raised = "raise ConnectionError('Could not find any.\\n  Please specify one.')"
    monkeypatch.setattr(ray_cluster, "_STATUS", command_that(raised))
    assert f"--address 'auto': no cluster that can be used there: Could not find any. Please specify one; {ADVICE}" == (
        refusal("auto")
    )
    monkeypatch.setattr(ray_cluster, "_STATUS", command_that("import os; os.write(2, b'lost\\xff'); os._exit(1)"))
    assert "there: lost" in refusal("auto")
    monkeypatch.setattr(ray_cluster, "_STATUS", command_that("import sys; assert sys.argv[1] == 'auto'"))
    assert find_cluster("auto") == "auto"


@pytest.mark.parametrize(("code", "left"), [("!= 'disabled'", "disabled"), ("is not None", None)])
def test_a_cluster_of_this_machine_is_asked_without_tokens_and_with(monkeypatch, code, left):
    monkeypatch.setattr(ray_cluster, "_STATUS", command_that(f"import os; exit(os.getenv('RAY_AUTH_MODE') {code})"))
    assert find_cluster("auto") == "auto"
    assert os.environ.get("RAY_AUTH_MODE") == left


def test_a_mode_that_was_asked_for_stays(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setattr(ray_cluster, "_STATUS", command_that("import os; exit(os.environ['RAY_AUTH_MODE'] != 'token')"))
    assert find_cluster("auto") == "auto"
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_a_machine_outside_of_the_cluster_is_told_how_to_call(monkeypatch):
    def refuse(**_):
        raise ConnectionError("no raylet here")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(RayRun, "_place", lambda _: {})
    with pytest.raises(
        ExperimentError, match="call on a machine that is a node of it, or send the command there with ray job submit$"
    ):
        next(RayRun("machine:6379")(None, []))


def test_what_ray_or_a_worker_raises_is_told_as_it_is(monkeypatch):
    def refuse(**_):
        raise RuntimeError("Version mismatch")

    def fail(*_):
        raise TaggingError("another pipeline")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ExperimentError, match="^Ray cannot be started: Version mismatch$"):
        next(RayRun()(None, []))
    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(RayRun, "_run", fail)
    with pytest.raises(TaggingError, match="^another pipeline$"):
        next(RayRun()(None, []))


@pytest.mark.parametrize(
    ("inside", "says"),
    [("boom", "^Ray: the task failed; call again to go on$"), ("No module named 'spacy'", "has no module 'spacy'")],
)
def test_errors_in_a_circle_are_told_too(inside, says, monkeypatch):
    def fail(*_):
        task, cause = RuntimeError("the task failed"), RuntimeError(inside)
        task.cause, cause.__cause__ = cause, task
        raise task

    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(RayRun, "_run", fail)
    with pytest.raises(ExperimentError, match=says):
        next(RayRun()(None, []))
