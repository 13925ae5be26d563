"""torchrun, without a stack of its own: its processes have said what is wrong."""
import logging
import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

if __name__ == '__main__':
    logging.getLogger('torch.distributed.elastic.multiprocessing.api').setLevel(logging.CRITICAL)
    try:
        run.main()
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:  # killed, so it could not say anything
            print(f'error: process {rank} was ended by signal {-failure.exitcode}',
                  file=sys.stderr)
        sys.exit(1)
