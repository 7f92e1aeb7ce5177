"""How many files a test may have open: a connection is one."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def open_files(count: int) -> Iterator[None]:
    """Allow this process and those it starts `count` open files, as far as the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, count)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
