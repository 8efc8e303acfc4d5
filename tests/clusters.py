"""A Dask cluster of two worker processes on this machine, as on any two of a university's."""

from contextlib import contextmanager

import pytest


@contextmanager
def two_workers():
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options, silence_logs="CRITICAL") as cluster:
        yield cluster


def pids(cluster):
    return [worker.pid for worker in cluster.workers.values()]
