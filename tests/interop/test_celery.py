"""Celery with the server as broker and result backend, and real worker processes."""

import importlib
import os
import pathlib
import subprocess
import sys
import time

import pytest
from celery import chain, chord, group
from celery.exceptions import ChordError, TaskRevokedError
from celery.result import AsyncResult
from redis import Redis

from conftest import running_server

HERE = pathlib.Path(__file__).parent
PATIENCE_S = 90


def start_worker(name, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "applications.celery_tasks", "worker",
         "--concurrency", "3", "--queues", "celery,other", "--hostname", f"{name}@here",
         "--loglevel", "WARNING", *options],
        cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < end, "it never happens"
        time.sleep(0.1)
    return value


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """The application's module, with a worker at its server."""
    with running_server(tmp_path_factory.mktemp("celery")) as number:
        os.environ["CELERY_REDIS"] = f"redis://127.0.0.1:{number}"
        module = importlib.import_module("applications.celery_tasks")
        worker = start_worker("first")
        try:
            wait_for(lambda: module.app.control.ping(timeout=1))
            yield module
        finally:
            worker.terminate()
            worker.wait(PATIENCE_S)
            module.app.close()


def test_results_come_back(tasks):
    result = tasks.add.delay(2, 40)
    assert result.get(timeout=PATIENCE_S) == 42
    assert (result.state, result.successful()) == ("SUCCESS", True)
    again = AsyncResult(result.id, app=tasks.app)
    assert (again.result, again.name, again.args) == (42, "interop.add", [2, 40])
    with Redis.from_url(f"{tasks.URL}/1") as backend:
        assert 0 < backend.ttl(f"celery-task-meta-{result.id}") <= 600
    result.forget()
    assert AsyncResult(result.id, app=tasks.app).state == "PENDING"


def test_a_failure_comes_back_as_an_exception(tasks):
    result = tasks.fail.delay()
    with pytest.raises(ValueError, match="always"):
        result.get(timeout=PATIENCE_S)
    assert result.state == "FAILURE"
    assert "ValueError: always" in result.traceback


def test_chains_groups_and_chords(tasks):
    add, total = tasks.add, tasks.total
    assert chain(add.s(1, 2), add.s(3), add.s(4))().get(timeout=PATIENCE_S) == 10
    many = group(add.s(i, i) for i in range(25))()
    assert many.get(timeout=PATIENCE_S) == [2 * i for i in range(25)]
    assert chord((add.s(i, 1) for i in range(10)), total.s())().get(timeout=PATIENCE_S) == 55
    nested = chain(add.s(1, 1), group(add.s(10), add.s(20)), total.s(), add.s(100))
    assert nested().get(timeout=PATIENCE_S) == 134
    chords = group(chord([add.s(i, j) for j in range(3)], total.s()) for i in range(4))()
    assert chords.get(timeout=PATIENCE_S) == [3 * i + 3 for i in range(4)]
    broken = chord([add.s(1, 1), tasks.fail.s()], total.s())()
    error = broken.get(timeout=PATIENCE_S, propagate=False)
    assert isinstance(error, ChordError) and "always" in str(error)


def test_retries_with_a_countdown(tasks):
    assert tasks.flaky.delay(3).get(timeout=PATIENCE_S) == 3
    with pytest.raises(ValueError, match="not yet"):
        tasks.flaky.apply_async((9,), retries=4).get(timeout=PATIENCE_S)


def test_tasks_with_an_eta_do_not_run_early_nor_when_expired(tasks):
    start = time.time()
    delayed = [tasks.moment.apply_async(countdown=countdown) for countdown in (2, 1)]
    expired = tasks.moment.apply_async(countdown=1, expires=0.5)
    moments = [result.get(timeout=PATIENCE_S) for result in delayed]
    assert moments[0] >= start + 2 and moments[1] >= start + 1
    with pytest.raises(TaskRevokedError):
        expired.get(timeout=PATIENCE_S)


def test_routing_by_the_name_of_the_task_and_by_priority(tasks):
    assert tasks.elsewhere.delay().get(timeout=PATIENCE_S) == "other"
    results = [tasks.add.apply_async((i, 0), priority=i % 10) for i in range(30)]
    assert [r.get(timeout=PATIENCE_S) for r in results] == list(range(30))


def test_workers_answer_broadcasts_and_take_orders(tasks):
    inspect = tasks.app.control.inspect(timeout=PATIENCE_S, limit=1)
    assert inspect.ping() == {"first@here": {"ok": "pong"}}
    assert "interop.add" in inspect.registered()["first@here"]
    queues = {queue["name"] for queue in inspect.active_queues()["first@here"]}
    assert queues == {"celery", "other"}
    held = tasks.hold.delay(1000)
    wait_for(lambda: held.state == "STARTED")
    active = inspect.active()["first@here"]
    assert [task["id"] for task in active] == [held.id]
    waiting = tasks.add.apply_async((1, 1), countdown=3)
    waiting.revoke()
    held.revoke(terminate=True)
    for result in (held, waiting):
        with pytest.raises(TaskRevokedError):
            result.get(timeout=PATIENCE_S)


def test_a_burst_of_tasks_is_done_once_each(tasks):
    tasks.notes.delete("trace")
    results = [tasks.note.delay(str(i)) for i in range(200)]
    for result in results:
        result.get(timeout=PATIENCE_S)
    trace = sorted(int(name) for name in tasks.notes.lrange("trace", 0, -1))
    assert trace == list(range(200))
    with Redis.from_url(f"{tasks.URL}/0") as broker:
        assert broker.llen("celery") == 0
        wait_for(lambda: broker.hlen("unacked") == 0)
        assert broker.zcard("unacked_index") == 0


def test_what_a_killed_worker_had_is_delivered_again(tasks):
    doomed = start_worker("doomed", "--queues", "late", "--pool", "solo")
    result = tasks.late.apply_async(queue="late")
    wait_for(lambda: tasks.notes.get(f"deliveries:{result.id}"))
    doomed.kill()
    doomed.wait()
    with Redis.from_url(f"{tasks.URL}/0") as broker:
        assert broker.hlen("unacked") == 1
    heir = start_worker("heir", "--queues", "late", "--pool", "solo")
    try:
        # Every consumer does this now and then; the workers' turn may be a minute away.
        with tasks.app.connection_for_write() as link:
            consumer = link.default_channel.qos
            wait_for(lambda: consumer.restore_visible(interval=1) or
                     tasks.notes.get(f"deliveries:{result.id}") == b"2")
        assert result.get(timeout=PATIENCE_S) is True
    finally:
        heir.terminate()
        heir.wait(PATIENCE_S)
