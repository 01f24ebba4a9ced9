"""A Celery application whose broker and result backend are at $CELERY_REDIS."""

import os
import time

from celery import Celery
from redis import Redis

URL = os.environ["CELERY_REDIS"]
app = Celery("interop", broker=f"{URL}/0", backend=f"{URL}/1")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 3, "priority_steps": [0, 3, 6, 9]},
    result_expires=600,
    result_extended=True,
    task_track_started=True,
    task_routes={"interop.elsewhere": {"queue": "other"}},
    worker_prefetch_multiplier=1,
)
notes = Redis.from_url(f"{URL}/2")


@app.task(name="interop.add")
def add(a, b):
    return a + b


@app.task(name="interop.total")
def total(numbers):
    return sum(numbers)


@app.task(name="interop.fail")
def fail():
    raise ValueError("always")


@app.task(name="interop.flaky", bind=True, max_retries=5)
def flaky(self, failures):
    """Fails at first; every attempt is a message that comes back later."""
    if self.request.retries < failures:
        raise self.retry(exc=ValueError("not yet"), countdown=0.2)
    return self.request.retries


@app.task(name="interop.moment")
def moment():
    return time.time()


@app.task(name="interop.elsewhere", bind=True)
def elsewhere(self):
    return self.request.delivery_info["routing_key"]


@app.task(name="interop.note")
def note(name):
    return notes.rpush("trace", name)


@app.task(name="interop.hold", bind=True)
def hold(self, seconds):
    """Waits at its first delivery only."""
    first = notes.incr(f"held:{self.request.id}") == 1
    if first:
        time.sleep(seconds)
    return "first" if first else "again"


@app.task(name="interop.late", bind=True, acks_late=True)
def late(self):
    """Is acknowledged at its end: the message outlives the worker that dies with it."""
    if notes.incr(f"deliveries:{self.request.id}") == 1:
        time.sleep(1000)
    return bool(self.request.delivery_info["redelivered"])
