"""How much more memory a program comes to hold, in a process of its own: peaks never go down."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
BEGIN = """
import resource, sys, torch
torch.set_num_threads(1)
held = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
"""


def grown(prepare: str, small: str, large: str) -> float:
    """MiB by which `large` holds more at its peak than anything before it, `small` included."""
    code = f"{BEGIN}{prepare}\n{small}\nbefore = held()\n{large}\nprint(held() - before)"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)
