"""Jobs of RQ's workers."""

import os
import signal

from rq import get_current_job


def add(a, b):
    return a + b


def note(name):
    """Leaves a trace of every run, in order."""
    connection = get_current_job().connection
    connection.rpush("trace", name)
    return connection.llen("trace")


def fail():
    raise ValueError("this job always fails")


def fail_at_first(times):
    connection = get_current_job().connection
    attempt = connection.incr(f"attempts:{get_current_job().id}")
    if attempt <= times:
        raise ValueError(f"attempt {attempt}")
    return attempt


def sum_of_dependencies():
    return sum(job.return_value() for job in get_current_job().fetch_dependencies())


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def publish_success(job, connection, result):
    connection.set(f"success:{job.id}", result)


def publish_failure(job, connection, kind, value, traceback):
    connection.set(f"failure:{job.id}", f"{kind.__name__}: {value}")


def with_progress(steps):
    job = get_current_job()
    for step in range(steps):
        job.meta["progress"] = step + 1
        job.save_meta()
    return steps


