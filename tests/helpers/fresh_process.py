"""Programs in processes of their own, without the seconds that torch and transformers take to import.

Each is a fork of one process that has imported those two, and nothing else: no grammask, peft or spaCy.
"""

import atexit
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

_FORKING = """
import json, os, sys
import torch
import transformers, transformers.models.auto.modeling_auto, transformers.modeling_utils
for line in sys.stdin:
    call = json.loads(line)
    if child := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    for number, (name, flags) in enumerate((("in", os.O_RDONLY), ("out", os.O_WRONLY), ("err", os.O_WRONLY))):
        os.dup2(os.open(call[name], flags), number)
    os.chdir(call["cwd"])
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.argv[1:] = call["arguments"]
    exec(compile(call["code"], "<fresh>", "exec"), {"__name__": "__main__"})
    break
"""


@cache
def _forking() -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-c", _FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(started.communicate)  # at the end of what it reads it ends
    return started


def run_fresh(
    code: str, *arguments: object, cwd: Path | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run code as `python -c` does; raises `CalledProcessError` for another exit code than 0 where `check` is set."""
    with TemporaryDirectory() as folder:
        out, err = (Path(folder, name) for name in ("out", "err"))
        out.touch(), err.touch()
        files = {"in": os.devnull, "out": str(out), "err": str(err)}
        where = {"cwd": str(cwd or Path.cwd()), "environment": {**os.environ}, **files}
        given = {"code": code, "arguments": [*map(str, arguments)], **where}
        forking = _forking()
        forking.stdin.write(f"{json.dumps(given)}\n")
        forking.stdin.flush()
        done = subprocess.CompletedProcess(
            code, int(forking.stdout.readline()), out.read_text("utf-8"), err.read_text("utf-8")
        )
    if check and done.returncode:
        raise subprocess.CalledProcessError(done.returncode, code, done.stdout, done.stderr)
    return done


def run_script(*command: object, cwd: Path | None = None, module: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a script with its arguments, or `module` as `python -m` does, whatever its exit code is."""
    way = "run_module(sys.argv[0], alter_sys=True, " if module else "run_path(sys.argv[0], "
    code = f"import runpy, sys; del sys.argv[0]; runpy.{way}run_name='__main__')"
    return run_fresh(code, *command, cwd=cwd, check=False)
