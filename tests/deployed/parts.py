"""What all steps use: a step that fails, free ports, and processes that end with the test."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "deployed"


class Wrong(Exception):
    """What a step found wrong."""


def check(right, wrong):
    if not right:
        raise Wrong(wrong)


def wait_for(what, look, seconds=30):
    """The first answer of `look` that is not None or False."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if seen := look():
            return seen
        time.sleep(0.1)
    raise Wrong(f"timed out after {seconds} s waiting for {what}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(command, **env):
    """Runs a tool to its end; its output is only shown if it fails."""
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **env}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    check(done.returncode == 0, f"{' '.join(command[:3])} failed:\n{done.stdout[-4000:]}")
    return done.stdout


class Process:
    """A server in a process group of its own, with its output in a file."""

    def __init__(self, name, command, **env):
        self.log = WORK / f"{name}.log"
        self.child = subprocess.Popen(
            command, cwd=WORK, env={**os.environ, **env}, stdin=subprocess.DEVNULL,
            stdout=self.log.open("w"), stderr=subprocess.STDOUT, start_new_session=True)

    def said(self, what):
        """The first line of its output with `what` in it; waits for it."""
        def look():
            check(self.child.poll() is None, f"{self.log.stem} ended:\n{self.log.read_text()[-4000:]}")
            lines = self.log.read_text(errors="replace").splitlines()
            return next((line for line in lines if what in line), None)
        return wait_for(f"{self.log.stem} to say {what!r}", look)

    def end(self):
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.child.pid, how)
                self.child.wait(5)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                pass
        self.child.wait()


def adopt_orphans():
    """From now on, processes that a server leaves behind become children of this process (Linux)."""
    set_child_subreaper = 36
    ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def end_orphans():
    """Ends every child that is left."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while left := children.read_text().split():
        for child in map(int, left):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
