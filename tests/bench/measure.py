"""CPU seconds and peak memory of a command with all of its descendants.

Only the standard library: the peak of a child that was started by vfork is never below its parent's, so the parent
has to stay small.
"""

import ctypes
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Cost:
    cpu_seconds: float
    peak_mib: float
    """Of the largest process; steps run one after another."""


class CommandFailed(Exception):
    pass


def adopt_orphans():
    """Supervisors outlive the process that started them: without this their time would go to init."""
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def run(command, environment=None):
    """Runs a command to the end of its last descendant. Returns what it printed, and its cost."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors, env={**os.environ, **(environment or {})})
        cpu, peak, status = 0.0, 0, None
        while True:
            try:
                pid, ended, used = os.wait4(-1, 0)
            except ChildProcessError:
                break
            cpu += used.ru_utime + used.ru_stime
            peak = max(peak, used.ru_maxrss)
            if pid == process.pid:
                status = os.waitstatus_to_exitcode(ended)
        process.returncode = status
        out.seek(0)
        printed = out.read().decode()
        if status != 0:
            errors.seek(0)
            said = (errors.read().decode().strip() or printed.strip())[-2000:]
            raise CommandFailed(f"{' '.join(map(str, command))}\nended with {status}: {said}")
    unit = 1024 if sys.platform == "linux" else 1024 * 1024
    return printed, Cost(cpu, peak / unit)
