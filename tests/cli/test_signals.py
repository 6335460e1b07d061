"""Commands that are stopped: nothing finished is lost, nothing half made stays, and one line says what to do."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from helpers.fresh_process import run_script

from grammask.cli import signals
from grammask.cli.app import run_plainly
from grammask.cli.signals import Listener, Stopped, advising
from grammask.errors import ExperimentError

TESTS = Path(__file__).parents[1]
CODES = {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def test_a_comparison_killed_at_any_moment_goes_on_as_if_nothing_had_been(tmp_path):
    done = run_script("helpers.killed_compare", tmp_path, cwd=TESTS, module=True)
    assert done.returncode == 0, done.stderr
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    assert Counter(case["signal"] for case in cases) == {"SIGKILL": 12, "SIGTERM": 6, "SIGINT": 6}
    assert {case["records"] for case in cases} == {0, 1, 2, 3, 4}
    for case in cases:
        # A signal at the very end may find nothing left to stop.
        assert case["code"] in (CODES[case["signal"]], 0), case
        assert case["lost"] == [], case
        assert case["resumed"] == 0, case
        assert case["kept"], case
        assert case["equal"], case
        assert case["left_then"] == [], case
        if case["signal"] != "SIGKILL":
            assert case["left"] == [], case
            if case["code"]:
                assert case["told"].startswith(f"grammask: interrupted by {case['signal']}"), case
                assert len(case["told"].splitlines()) == 1, case


COMMAND = """
import os, signal, sys, time
from grammask.cli import run_command
signal.signal(signal.SIGHUP, signal.{hangup})
signal.signal(signal.SIGINT, signal.default_int_handler)  # processes in the background are started to ignore it
def load():
    {loading}
    def command():
        {running}
    return command
run_command(load)
"""


def stopped(*, loading="pass", running="pass", hangup="SIG_DFL"):
    code = COMMAND.format(loading=loading, running=running, hangup=hangup)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_command_with_one_line_also_while_it_is_loaded(name):
    told = (128 + getattr(signal, name), f"grammask: interrupted by {name}\n")
    kill = f"os.kill(os.getpid(), signal.{name}); time.sleep(5)"
    assert stopped(loading=kill) == told
    assert stopped(running=kill) == told
    # A library that makes something else of it, as of an import that failed.
    assert stopped(loading=f"exec('try: {kill}\\nexcept BaseException: raise ImportError(1)')") == told
    assert stopped(running=f"exec('try: {kill}\\nexcept BaseException: raise ValueError(1)')") == told


def test_what_a_process_was_started_to_ignore_is_ignored():
    assert stopped(running="os.kill(os.getpid(), signal.SIGHUP)", hangup="SIG_IGN") == (0, "")


def test_a_signal_in_a_destructor_is_not_lost():
    kill = "type('D', (), {'__del__': lambda self: os.kill(os.getpid(), signal.SIGTERM)})(); time.sleep(5)"
    assert stopped(running=kill) == (143, "grammask: interrupted by SIGTERM\n")


def test_signals_that_follow_at_once_disturb_no_cleaning_up():
    listener = Listener()
    before = {number: signal.getsignal(number) for number in signals._numbers()}
    hook = sys.unraisablehook
    try:
        listener.listen()
        with pytest.raises(Stopped, match="interrupted by SIGTERM"):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        assert str(listener.stopped) == "interrupted by SIGTERM"
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_helps_is_told_with_an_interruption(capsys):
    def interrupted():
        with advising(lambda: "go on with --resume"):
            raise KeyboardInterrupt

    assert run_plainly(interrupted) == 130
    assert capsys.readouterr().err == "grammask: interrupted; go on with --resume\n"


def told_of(error, capsys):
    def command():
        raise error

    code = run_plainly(command)
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"), ZeroDivisionError("division by zero"), RecursionError("too deep"), MemoryError(), ValueError(),
        RuntimeError("first line\nsecond line"), AssertionError(), UnicodeEncodeError("ascii", "é", 0, 1, "no"),
        RuntimeError("[bold]rich[/] :smile:"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_fault_is_one_line_and_its_traceback_is_kept_for_the_user_alone(error, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, told = told_of(error, capsys)
    assert code == 1
    assert len(told.splitlines()) == 1
    assert told.startswith(f"grammask: unexpected {type(error).__name__}")
    assert (str(error).splitlines() or [""])[0] in told
    (path,) = tmp_path.iterdir()
    assert str(path) in told
    assert path.stat().st_mode & 0o777 == 0o600
    kept = path.read_text(encoding="utf-8")
    assert "in told_of" not in told
    assert "in command" in kept
    assert "torch 2" in kept
    assert f"command: {sys.argv!r}" in kept


def test_a_traceback_that_cannot_be_written_is_said(capsys, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    code, told = told_of(KeyError("x"), capsys)
    assert code == 1
    assert "its traceback could not be written" in told


def test_mistakes_are_told_as_they_are(capsys):
    assert told_of(ExperimentError("no\nsuch :smile: [bold]"), capsys) == (2, "grammask: no such :smile: [bold]\n")
    assert told_of(SystemExit(2), capsys) == (2, "")
    assert told_of(SystemExit(0), capsys) == (0, "")
    needed = "grammask: this command needs spacy, which isn't installed: pip install 'grammask[all]'\n"
    assert told_of(ModuleNotFoundError("no", name="spacy"), capsys) == (2, needed)


@pytest.mark.parametrize(
    ("shell", "code", "told"),
    [
        ("{} grammar show english-long | head -1 > /dev/null; exit ${{PIPESTATUS[0]}}", 141, ""),
        ("{} grammar list > /dev/full", 2, "grammask: [Errno 28] No space left on device\n"),
        ("PYTHONIOENCODING=ascii {} grammar show paper > /dev/null", 0, ""),
    ],
)
def test_output_that_goes_nowhere_is_no_fault(shell, code, told):
    command = f"{sys.executable} -c 'from grammask.cli import main; main()'"
    done = subprocess.run(["bash", "-c", shell.format(command)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, told)


def test_a_worker_ends_with_the_process_that_started_it():
    reading, writing = os.pipe()
    code = (
        "import threading, time; from grammask.bench import memory_worker as worker\n"
        "threading.Thread(target=worker._end_with_parent, daemon=True).start(); print('up', flush=True); time.sleep(60)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdin=reading, stdout=subprocess.PIPE)
    os.close(reading)
    assert worker.stdout.readline() == b"up\n"
    assert worker.poll() is None
    os.close(writing)
    assert worker.wait(timeout=10) == 1
    worker.stdout.close()
