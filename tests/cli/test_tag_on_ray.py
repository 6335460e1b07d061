"""`grammask tag --corpus` on a local Ray: a command that is killed loses and doubles nothing."""

import json
import signal
import subprocess
import sys
import time

import psutil
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow
MAIN = "from grammask.cli import main; main()"


@pytest.fixture
def corpus(tmp_path):
    lines = [json.dumps({"text": f"Cats sleep on {number} mats."}) for number in range(4_000)]
    lines[1_234] = "{broken"
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "in.jsonl"


def start(corpus, out):
    command = ["tag", "--corpus", str(corpus), "--out", str(out), "--part-rows", "50", "--workers", "1"]
    return subprocess.Popen([sys.executable, "-c", MAIN, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def parts(out):
    return len(list(out.glob("*.parquet")))


def wait_for_parts(running, out, more):
    deadline = time.monotonic() + 240
    while parts(out) < more and running.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_command_loses_and_doubles_nothing(corpus, tmp_path):
    out = tmp_path / "out"
    running = start(corpus, out)
    wait_for_parts(running, out, 3)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert 3 <= parts(out) < 80
    running = start(corpus, out)
    said, errors = running.communicate(timeout=400)
    assert running.returncode == 0, errors
    assert errors == b""
    assert b"3,999 rows" in said
    assert b"1 bad rows" in said
    rows = [row for file in out.glob("*.parquet") for row in pq.read_table(file, columns=["row"])["row"].to_pylist()]
    assert sorted(rows) == [number for number in range(4_000) if number != 1_234]
    assert not list(out.rglob("*.tmp"))


def test_killed_workers_lose_and_double_nothing(corpus, tmp_path):
    out = tmp_path / "out"
    running = start(corpus, out)
    killed = 0
    for moment in range(1, 74, 8):
        wait_for_parts(running, out, moment)
        for worker in workers_of(running):
            worker.kill()
            killed += 1
    said, errors = running.communicate(timeout=400)
    assert killed >= 10
    assert running.returncode == 0, errors
    assert b"3,999 rows" in said
    rows = [row for file in out.glob("*.parquet") for row in pq.read_table(file, columns=["row"])["row"].to_pylist()]
    assert sorted(rows) == [number for number in range(4_000) if number != 1_234]


def workers_of(running):
    """Return the processes of Ray that tag for a command."""
    below = psutil.Process(running.pid).children(recursive=True)
    return [process for process in below if "ray::" in " ".join(process.cmdline()) and "Map" in process.cmdline()[0]]
