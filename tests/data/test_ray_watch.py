"""What a cluster loses while it works, told in seconds; what its nodes must have; and what a worker raises."""

import json
import socket
import subprocess
import sys
from threading import Event

import pytest
import ray

from grammask.data.corpus import ray_nodes, ray_watch
from grammask.data.corpus.corpus_parts import Part
from grammask.data.corpus.ray_nodes import alike, find_missing
from grammask.data.corpus.ray_run import _cause
from grammask.data.corpus.ray_watch import Cluster, HeadLostError, watched
from grammask.data.corpus.ray_worker import Worker, outcome
from grammask.data.corpus.write_part import Done
from grammask.errors import ExperimentError, TaggingError

PART = Part("a.jsonl-00000", "/corpus/a.jsonl", 0, 1, 0, 10, 0)


def node(number, *, alive=True, cpus=1.0):
    place = f"10.0.0.{number}"
    return {"NodeID": str(number), "NodeManagerAddress": place, "Alive": alive, "Resources": {"CPU": cpus}}


@pytest.fixture
def said(monkeypatch):
    monkeypatch.setattr(ray_watch, "_find_head", lambda: "a head")
    monkeypatch.setattr(ray_watch, "_answers", lambda _: True)
    return []


def test_each_node_that_leaves_is_told_once_and_that_none_is_left(said, monkeypatch):
    cluster = Cluster(said.append)
    for there, told in (
        ([node(1), node(2), node(3, cpus=0)], 0),
        ([node(1), node(2, alive=False)], 1),
        ([node(1), node(2, alive=False)], 1),
        ([node(1, alive=False)], 3),
        ([], 3),
        ([node(4)], 3),
        ([], 5),
    ):
        monkeypatch.setattr(ray, "nodes", lambda there=there: there)
        cluster.look()
        assert len(said) == told
    left = "node 10.0.0.{} left the cluster; others make the parts that it was at"
    none = "no node of the cluster has a CPU; waiting for one to join"
    assert said == [left.format(2), left.format(1), none, left.format(4), none]


def test_a_cluster_without_any_cpu_is_told_at_once(said, monkeypatch):
    monkeypatch.setattr(ray, "nodes", lambda: [node(1, cpus=0)])
    Cluster(said.append).look()
    assert said == ["no node of the cluster has a CPU; waiting for one to join"]


def test_a_head_that_answers_no_more_ends_the_run_and_one_that_does_later_does_not(monkeypatch):
    monkeypatch.setattr(ray, "nodes", lambda: [node(1)])
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        monkeypatch.setattr(ray_watch, "_find_head", lambda: address)
        cluster = Cluster(pytest.fail)
        monkeypatch.setattr(ray_watch, "_PATIENCE", 0.0)
        cluster.look()
    monkeypatch.setattr(ray_watch, "_PATIENCE", 1e9)
    cluster.look()
    monkeypatch.setattr(ray_watch, "_PATIENCE", 0.0)
    with pytest.raises(HeadLostError, match=f"the head of the Ray cluster, {address}, doesn't answer any more"):
        cluster.look()


def test_what_is_waited_for_comes_in_order_and_its_error_too(monkeypatch):
    def failing():
        yield 1
        raise TaggingError("another pipeline")

    assert list(watched(iter(range(5)), pytest.fail)) == list(range(5))
    found = watched(failing(), pytest.fail)
    assert next(found) == 1
    with pytest.raises(TaggingError, match="another pipeline"):
        next(found)


def test_one_looks_while_nothing_comes_and_while_much_does(monkeypatch):
    monkeypatch.setattr(ray_watch, "_PULSE", 0.0)
    looked, ended = [], Event()

    def hanging():
        yield from range(3)
        ended.wait()

    def look():
        looked.append(1)
        if len(looked) > 20:
            raise HeadLostError("lost")

    found = watched(hanging(), look)
    with pytest.raises(HeadLostError):
        list(found)
    ended.set()


def test_a_node_of_its_own_folder_corpus_or_version_is_refused(tmp_path, monkeypatch):
    (tmp_path / "in.jsonl").touch()
    corpus = str(tmp_path / "in.jsonl")
    with alike(tmp_path) as nodes:
        nodes.check(corpus)
        with pytest.raises(ExperimentError, match=r"other.jsonl, a file of --corpus, is missing there; name a corpus"):
            nodes.check(str(tmp_path / "other.jsonl"))
        with monkeypatch.context() as other:
            other.setattr(ray_nodes, "version", lambda _: "0.0.1")
            with pytest.raises(ExperimentError, match=r"version '0\.0\.1' there, '.+' here; install the same"):
                nodes.check(corpus)
        (tmp_path / nodes.token).rename(tmp_path / "elsewhere")
        with pytest.raises(ExperimentError, match=f"--out {tmp_path} is another folder there; name one that all"):
            nodes.check(corpus)
        (tmp_path / "elsewhere").rename(tmp_path / nodes.token)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


class Writer:
    """Stands for what makes a part: gives `answer`, or raises it."""

    def __init__(self, answer):
        self.answer = answer

    def attempt(self, part):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Fitting:
    def check(self, file):
        assert file == PART.file


def told(answer, nodes, monkeypatch):
    from grammask.data.corpus import ray_worker

    monkeypatch.setattr(ray_worker, "node", lambda: "10.0.0.2")
    [row] = Worker(Writer(answer), nodes)({"part": [json.dumps(vars(PART))]})["outcome"]
    return outcome(row)


@pytest.mark.parametrize(("nodes", "place"), [(None, ""), (Fitting(), "node 10.0.0.2: ")])
def test_what_came_of_a_part_travels_as_a_row_with_its_node(nodes, place, monkeypatch):
    assert told(Done("a", 3, 1), nodes, monkeypatch) == Done("a", 3, 1)
    assert told(Done("a", failed="torn"), nodes, monkeypatch) == Done("a", failed=f"{place}torn")
    with pytest.raises(ExperimentError) as raised:
        told(TaggingError("another pipeline"), nodes, monkeypatch)
    assert str(raised.value) == f"{place}another pipeline"


def test_a_module_that_a_node_lacks_is_told_with_the_node():
    said = "__init__() (pid=91, ip=10.0.0.2, actor_id=9)\n System error: No module named 'grammask'\ntraceback"
    told = "node 10.0.0.2 has no module 'grammask'; install grammask, and what it runs with, on each node"
    assert find_missing(said) == told
    outer = RuntimeError("UDF failed")
    outer.__cause__ = RuntimeError(said)
    assert str(_cause(outer)) == told
    assert find_missing("memory") is None
    assert str(_cause(RuntimeError("no\nmemory"))) == "Ray: no memory; call again to go on"


@pytest.mark.parametrize(("end", "said"), [("os._exit(1)", b"ended\n"), ("pass", b""), ("sys.exit()", b"")])
def test_a_process_that_is_ended_has_a_last_word(end, said):
    code = f"import os, sys\nfrom grammask.data.corpus.ray_watch import last_word\nwith last_word('ended'):\n    {end}"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).stderr == said
