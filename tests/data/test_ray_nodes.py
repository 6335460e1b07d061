"""Two nodes of a Ray cluster: both make parts, each row is there once; one that dies loses and doubles nothing."""

import json
import subprocess
import sys
import time
from collections import Counter
from threading import Thread

import pyarrow.parquet as pq
import pytest
import ray
from ray import cloudpickle
from ray.cluster_utils import Cluster

from grammask.data.corpus.annotate_corpus import annotate_corpus
from grammask.data.corpus.ray_run import RayRun
from grammask.data.corpus.text_batches import TextBatches

pytestmark = pytest.mark.slow
ROWS, PART = 60, 5


class Node(TextBatches):
    """Says on which node a text was read: no worker reads before all have met, and one hangs that is to be killed."""

    columns = {"node": "string"}  # noqa: RUF012 - the class is an answer, not an object of many
    settings = {}  # noqa: RUF012

    def __init__(self, meeting, doomed=""):
        super().__init__("text")
        self.meeting, self.doomed, self.calls = meeting, doomed, 0

    def _answer(self, texts):
        node = ray.get_runtime_context().get_node_id()
        self.calls += 1
        (self.meeting / node).touch()
        wait_until(lambda: len(list(self.meeting.iterdir())) >= 2)
        if node == self.doomed and self.calls == 3:  # after the trial of all taggers, and a part
            (self.meeting / "held").touch()
            time.sleep(3_600)
        return [(node,)] * len(texts)


def wait_until(holds):
    deadline = time.monotonic() + 240
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers know no tests
    yield nodes
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    nodes.shutdown()


@pytest.fixture
def places(tmp_path):
    """The corpus, the folder of what is made, and the one where workers meet."""
    (tmp_path / "meeting").mkdir()
    lines = [json.dumps({"text": f"Cats sleep on {number} mats."}) for number in range(ROWS)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "in.jsonl", tmp_path / "out", tmp_path / "meeting"


def annotate(cluster, places, doomed=""):
    corpus, out, meeting = places
    told = []
    summary = annotate_corpus(
        corpus, out, Node(meeting, doomed), run=RayRun(cluster.address, say=told.append),
        progress=lambda waiting, *_: waiting, say=told.append, part_rows=PART,
    )  # fmt: skip
    assert (summary.rows, summary.parts, summary.failed) == (ROWS, ROWS // PART, ())
    found = [row for file in out.glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert sorted(row["row"] for row in found) == list(range(ROWS))
    assert not list(out.rglob("*.tmp"))
    return Counter(row["node"] for row in found)


def test_both_nodes_make_parts_and_each_row_is_there_once(cluster, places):
    nodes = {cluster.add_node(num_cpus=1).node_id for _ in range(2)}
    assert set(annotate(cluster, places)) == nodes


def test_a_node_that_dies_loses_and_doubles_nothing(cluster, places):
    stays, dies = (cluster.add_node(num_cpus=1) for _ in range(2))

    def kill():
        wait_until((places[2] / "held").exists)
        cluster.remove_node(dies, allow_graceful=False)

    killing = Thread(target=kill, daemon=True)
    killing.start()
    made = annotate(cluster, places, doomed=dies.node_id)
    killing.join(timeout=60)
    assert made == {stays.node_id: ROWS - PART, dies.node_id: PART}


def start_long(cluster, places):
    """Start the command on a corpus of many parts, and return it with some of them made."""
    corpus, out, _ = places
    texts = [json.dumps({"text": f"Cats sleep on {number} mats. " * 100}) for number in range(2_000)]
    corpus.write_text("\n".join(texts), encoding="utf-8")
    arguments = ["tag", "--corpus", str(corpus), "--out", str(out), "--part-rows", "1", "--address", cluster.address]
    command = [sys.executable, "-c", "from grammask.cli import main; main()", *arguments]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: len(list(out.glob("*.parquet"))) >= 3 or running.poll() is not None)
    return running


def test_a_head_that_dies_ends_the_command_in_one_line(cluster, places):
    cluster.add_node(num_cpus=1)
    running = start_long(cluster, places)
    cluster.head_node.kill_gcs_server(check_alive=False)
    _, errors = running.communicate(timeout=240)
    assert running.returncode == 2, errors
    assert b"doesn't answer any more; finished parts are kept: start the cluster and call again to go on" in errors
    assert len(errors.splitlines()) == 1
    assert 3 <= len(list(places[1].glob("*.parquet"))) < 2_000


def test_a_command_whose_own_node_dies_says_so_whoever_ends_it(cluster, places):
    cluster.add_node(num_cpus=1)
    running = start_long(cluster, places)
    cluster.remove_node(cluster.head_node, allow_graceful=False)
    _, errors = running.communicate(timeout=240)
    assert running.returncode in (1, 2), errors
    assert b"finished parts are kept: start" in errors
    assert len(errors.splitlines()) == 1
