"""RQ: jobs through real worker processes, with dependencies, retries, schedules and failures."""

import datetime
import pathlib
import subprocess
import sys
import time

import pytest
from redis import Redis
from rq import Queue, Repeat, Retry, Worker, Callback
from rq.command import send_stop_job_command
from rq.exceptions import DuplicateJobError
from rq.group import Group
from rq.job import Job, JobStatus

from applications import rq_jobs

HERE = pathlib.Path(__file__).parent
PATIENCE_S = 60


@pytest.fixture
def connection(port):
    with Redis(port=port) as client:
        yield client


def worker_command(port, *options):
    return [sys.executable, "-m", "rq.cli", "worker", "--url", f"redis://127.0.0.1:{port}/0",
            "--path", str(HERE), *options]


def work_off(port, *options):
    """Runs a worker until the queues are empty; its log."""
    done = subprocess.run(
        worker_command(port, "--burst", *options), cwd=HERE, capture_output=True, text=True,
        timeout=2 * PATIENCE_S)
    assert done.returncode == 0, done.stderr
    return done.stderr


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < end, "it never happens"
        time.sleep(0.05)
    return value


def test_a_worker_in_burst_empties_its_queues(port, connection):
    high, low = Queue("high", connection=connection), Queue("low", connection=connection)
    last = low.enqueue(rq_jobs.note, "low")
    jobs = [high.enqueue(rq_jobs.note, f"high {i}") for i in range(5)]
    first = high.enqueue(rq_jobs.note, "at the front", at_front=True)
    assert high.job_ids == [first.id, *(job.id for job in jobs)]
    assert (len(high), len(low), last.get_status()) == (6, 1, JobStatus.QUEUED)
    work_off(port, "high", "low")
    expected = ["at the front", *(f"high {i}" for i in range(5)), "low"]
    assert [name.decode() for name in connection.lrange("trace", 0, -1)] == expected
    assert [job.return_value() for job in (first, *jobs, last)] == list(range(1, 8))
    assert all(job.get_status(refresh=True) == JobStatus.FINISHED for job in jobs)
    assert len(high) == len(low) == 0
    assert set(high.finished_job_registry.get_job_ids()) == {first.id, *(j.id for j in jobs)}
    # The result and the job live for a while only.
    assert 0 < connection.ttl(f"rq:job:{last.id}") <= 500
    assert Worker.all(connection=connection) == []


def test_many_jobs_at_once_and_a_group(port, connection):
    queue = Queue(connection=connection)
    group = Group.create(connection=connection)
    group.enqueue_many(
        queue, [Queue.prepare_data(rq_jobs.add, (i, i), job_id=f"double-{i}") for i in range(20)])
    assert queue.count == 20
    work_off(port)
    results = {job.id: job.return_value() for job in group.get_jobs()}
    assert results == {f"double-{i}": 2 * i for i in range(20)}


def test_jobs_wait_for_the_jobs_that_they_depend_on(port, connection):
    queue = Queue(connection=connection)
    total = queue.create_job(rq_jobs.sum_of_dependencies)
    parts = [queue.enqueue(rq_jobs.add, i, 10) for i in range(3)]
    total = queue.enqueue(rq_jobs.sum_of_dependencies, depends_on=parts)
    assert total.get_status() == JobStatus.DEFERRED
    assert total.id in queue.deferred_job_registry
    work_off(port)
    assert total.return_value() == 33
    assert total.id not in queue.deferred_job_registry


def test_failures_are_kept_and_may_be_sent_again(port, connection):
    queue = Queue(connection=connection)
    job = queue.enqueue(rq_jobs.fail, on_failure=Callback(rq_jobs.publish_failure))
    good = queue.enqueue(rq_jobs.add, 1, 2, on_success=Callback(rq_jobs.publish_success))
    work_off(port)
    assert job.get_status(refresh=True) == JobStatus.FAILED
    assert "this job always fails" in job.latest_result().exc_string
    assert connection.get(f"failure:{job.id}") == b"ValueError: this job always fails"
    assert connection.get(f"success:{good.id}") == b"3"
    registry = queue.failed_job_registry
    assert registry.get_job_ids() == [job.id]
    registry.requeue(job.id)
    assert (registry.get_job_ids(), queue.job_ids) == ([], [job.id])
    work_off(port)
    assert registry.get_job_ids() == [job.id]
    registry.remove(job.id, delete_job=True)
    assert len(registry) == 0 and not Job.exists(job.id, connection)


def test_retries_end_with_success_or_failure(port, connection):
    queue = Queue(connection=connection)
    good = queue.enqueue(rq_jobs.fail_at_first, 2, retry=Retry(max=3))
    bad = queue.enqueue(rq_jobs.fail_at_first, 9, retry=Retry(max=2))
    work_off(port)
    assert good.return_value() == 3
    assert bad.get_status(refresh=True) == JobStatus.FAILED
    assert connection.get(f"attempts:{bad.id}") == b"3"
    assert queue.failed_job_registry.get_job_ids() == [bad.id]


def test_a_worker_process_that_dies_leaves_a_failed_job(port, connection):
    queue = Queue(connection=connection)
    dead, alive = queue.enqueue(rq_jobs.die), queue.enqueue(rq_jobs.add, 2, 2)
    work_off(port)
    assert alive.return_value() == 4
    assert queue.failed_job_registry.get_job_ids() == [dead.id]
    assert "terminated unexpectedly" in dead.latest_result().exc_string


def test_the_scheduler_runs_delayed_and_repeated_jobs(port, connection):
    queue = Queue(connection=connection)
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
    at = queue.enqueue_at(soon, rq_jobs.note, "at")
    later = queue.enqueue_in(datetime.timedelta(days=1), rq_jobs.note, "never")
    repeated = queue.enqueue(rq_jobs.note, "again", repeat=Repeat(times=2, interval=1))
    retried = queue.enqueue(rq_jobs.fail_at_first, 1, retry=Retry(max=1, interval=1))
    assert at.get_status() == JobStatus.SCHEDULED
    assert set(queue.scheduled_job_registry.get_job_ids()) == {at.id, later.id}
    assert queue.scheduled_job_registry.get_scheduled_time(at) == soon.replace(microsecond=0)
    worker = subprocess.Popen(worker_command(port, "--with-scheduler"), cwd=HERE,
                              stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: connection.llen("trace") == 4 and
                 retried.get_status(refresh=True) == JobStatus.FINISHED)
    finally:
        worker.terminate()
        worker.wait(PATIENCE_S)
    assert sorted(connection.lrange("trace", 0, -1)) == [b"again", b"again", b"again", b"at"]
    wait_for(lambda: repeated.get_status(refresh=True) == JobStatus.FINISHED)
    assert queue.scheduled_job_registry.get_job_ids() == [later.id]


def test_a_running_job_is_stopped_by_a_message(port, connection):
    queue = Queue(connection=connection)
    job = queue.enqueue("time.sleep", 1000)
    worker = subprocess.Popen(worker_command(port), cwd=HERE, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: job.get_status(refresh=True) == JobStatus.STARTED)
        assert queue.started_job_registry.get_job_ids() == [job.id]
        [known] = wait_for(lambda: Worker.all(connection=connection))
        wait_for(lambda: known.get_current_job_id() == job.id)
        send_stop_job_command(connection, job.id)
        wait_for(lambda: job.get_status(refresh=True) == JobStatus.STOPPED)
    finally:
        worker.terminate()
        assert worker.wait(PATIENCE_S) == 0
    assert queue.failed_job_registry.get_job_ids() == [job.id]
    assert Worker.all(connection=connection) == []


def test_meta_cancellation_and_unique_jobs(port, connection):
    queue = Queue(connection=connection)
    job = queue.enqueue(rq_jobs.with_progress, 5, job_id="only-once", unique=True)
    with pytest.raises(DuplicateJobError):
        queue.enqueue(rq_jobs.with_progress, 5, job_id="only-once", unique=True)
    cancelled = queue.enqueue(rq_jobs.note, "cancelled")
    cancelled.cancel()
    assert queue.job_ids == [job.id]
    assert cancelled.id in queue.canceled_job_registry
    work_off(port)
    job.refresh()
    assert (job.meta["progress"], job.return_value()) == (5, 5)
    assert not connection.exists("trace")
