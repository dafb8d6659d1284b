"""Several processes of one command on this machine, started and watched by torch's elastic agent.

The same as `torchrun --standalone --nproc-per-node N -m abprop -- ...`, with exit codes of our own:
what a user can mend is said once and not tried again; a process that was killed is.
"""

from __future__ import annotations

import logging
import signal
import sys
import tempfile
import uuid
from collections.abc import Sequence

from abprop.say import Say, counted

RESTARTS = 3  # after processes were killed
PATIENCE = 600  # seconds in which processes may save, once they are told to stop
EXIT_BUG, EXIT_STOPPED = 1, 3


def launched(count: int, words: Sequence[str], say: Say) -> int:
    """Run a command line as so many processes; the exit code.

    Args:
        count: how many.
        words: of the command line.
        say: told of processes that were killed.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    from abprop.distributed import Gone

    logging.disable(logging.ERROR)  # each says for itself
    for left in reversed(range(RESTARTS + 1)):
        try:
            _once(count, words)
            return 0
        except SignalException:
            return EXIT_STOPPED
        except ChildFailedError as error:
            codes = [failure.exitcode for failure in error.failures.values()]
        own = [code for code in codes if code > 0 and code != Gone.code]
        if own:
            return max(own)
        # When one has failed, the others are told to stop, or find it gone.
        killed = [-code for code in codes if code < 0 and code != -signal.SIGTERM]
        how = f"killed (signal {killed[0]})" if killed else "lost"
        again = f"tried {counted(left, 'more time', 'more times')}" if left else "given up"
        say(f"abprop: a process was {how}; {again}")
    return EXIT_BUG


def _once(count: int, words: Sequence[str]) -> None:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with tempfile.TemporaryDirectory(prefix="abprop-") as logs:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            shutdown_timeout=PATIENCE,
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )
        elastic_launch(config, sys.executable)("-m", "abprop", *words)
