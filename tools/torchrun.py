"""torchrun without its own stack trace: its processes have said what is wrong."""
import logging
import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

if __name__ == '__main__':
    for part in ('multiprocessing.api', 'agent.server.api'):
        logging.getLogger(f'torch.distributed.elastic.{part}').setLevel(logging.CRITICAL)
    try:
        run.main()
    except SignalException as error:    # Ctrl-C, or an end by Slurm; the processes were ended
        sys.exit(128 + error.sigval)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:  # killed, so it could not say anything
            print(f'error: process {rank} was ended by signal {-failure.exitcode}',
                  file=sys.stderr)
        # one that SIGTERM or Ctrl-C ended itself has said so
        sys.exit(failure.exitcode if failure.exitcode > 128 else 1)
