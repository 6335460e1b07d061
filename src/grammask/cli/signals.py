"""Signals that ask a command to stop: each ends it in order, with what it was doing cleaned up and one line said."""

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_NAMES: Final[tuple[str, ...]] = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_AGAIN: Final[float] = 0.05  # seconds
_DEAF: Final[float] = 1.0


class Stopped(BaseException):
    """A signal came. It isn't `KeyboardInterrupt`, which libraries catch and answer in their own ways."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number
        self.code = 128 + number  # what a shell says of a process that this signal ended


class Listener:
    """Raises `Stopped` in the main thread when a signal comes; `stopped` is the first that came, None before.

    Libraries may swallow what is raised in their midst, or raise something else instead: `stopped` tells. Signals
    that follow at once, as when a terminal is closed, don't disturb what is being cleaned up.
    """

    def __init__(self) -> None:
        self.stopped: Stopped | None = None
        self._process = os.getpid()
        self._deaf_until = -math.inf

    def listen(self) -> None:
        """Answer the signals from now on, but for those that this process was started to ignore, as by nohup."""
        for number in _numbers():
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._stop)
        sys.unraisablehook = self._raise_again

    def leave(self) -> None:
        """Let signals end the process at once: there is nothing left to be cleaned up."""
        for number in _numbers():
            if signal.getsignal(number) == self._stop:
                signal.signal(number, signal.SIG_DFL)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a child that was forked for a part of the work
            self.leave()
            signal.raise_signal(number)
        if time.monotonic() < self._deaf_until:
            return
        self._deaf_until = time.monotonic() + _DEAF
        self.stopped = self.stopped or Stopped(number)
        raise self.stopped

    def _raise_again(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """Stop a little later where a signal came while Python could raise nothing, as in a destructor."""
        if isinstance(unraisable.exc_value, Stopped):
            self._deaf_until = -math.inf
            threading.Timer(_AGAIN, signal.raise_signal, (unraisable.exc_value.number,)).start()
        else:
            sys.__unraisablehook__(unraisable)


@contextmanager
def advising(advice: Callable[[], str]) -> Iterator[None]:
    """Tell what helps where the block is interrupted."""
    try:
        yield
    except (Stopped, KeyboardInterrupt) as stopped:
        stopped.add_note(advice())
        raise


def _numbers() -> list[signal.Signals]:
    return [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
