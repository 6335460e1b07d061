"""A Ray cluster that isn't there: told at once, before Ray is started."""

import socket

import pytest

from grammask.data.corpus.ray_run import RayRun
from grammask.errors import ExperimentError


def unused_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "no-such-machine.invalid:{}", "[::1", "x:y"])
def test_where_nobody_answers_is_one_line(address):
    named = address.format(unused_port())
    with pytest.raises(ExperimentError, match="no cluster there") as raised:
        next(RayRun(named)(None, []))
    assert str(raised.value).startswith("--address ")
    assert "\n" not in str(raised.value)
