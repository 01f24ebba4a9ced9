"""Django's cache on the server: its own backend and django-redis; sessions and views on top."""

import threading

import django
import pytest
from django.conf import settings
from django.core.cache import caches
from django.test import Client

PATIENCE_S = 60


@pytest.fixture(scope="module", autouse=True)
def django_with_caches(port):
    url = f"redis://127.0.0.1:{port}"
    settings.configure(
        ALLOWED_HOSTS=["testserver"],
        CACHES={
            "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache",
                        "LOCATION": f"{url}/1"},
            "builtin": {"BACKEND": "django.core.cache.backends.redis.RedisCache",
                        "LOCATION": f"{url}/1", "KEY_PREFIX": "builtin"},
            "package": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"{url}/2",
                        "OPTIONS": {"COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor"}},
            "json": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"{url}/3",
                     "OPTIONS": {"SERIALIZER": "django_redis.serializers.json.JSONSerializer"}},
        },
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        ROOT_URLCONF="applications.django_site",
        SECRET_KEY="for tests",
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
        USE_TZ=True,
    )
    django.setup()


@pytest.mark.parametrize("name", ["builtin", "package", "json"])
def test_what_every_cache_does(name):
    cache = caches[name]
    cache.set("k", {"a": [1, 2, "three"]}, timeout=100)
    assert cache.get("k") == {"a": [1, 2, "three"]}
    assert cache.add("k", "other") is False and cache.add("new", "x") is True
    assert cache.get("missing", "default") == "default"
    assert "k" in cache and "missing" not in cache
    cache.set("n", 5)
    assert (cache.incr("n"), cache.incr("n", 10), cache.decr("n", 3)) == (6, 16, 13)
    with pytest.raises(ValueError):
        cache.incr("missing")
    assert cache.set_many({f"m{i}": i for i in range(100)}, timeout=100) in ([], None)
    assert cache.get_many([f"m{i}" for i in range(98, 103)]) == {"m98": 98, "m99": 99}
    cache.delete_many([f"m{i}" for i in range(50)])
    assert cache.get("m49") is None and cache.get("m50") == 50
    assert cache.touch("k", 200) is True and cache.touch("missing") is False
    assert cache.get_or_set("computed", lambda: "once") == "once"
    assert cache.get_or_set("computed", lambda: "twice") == "once"
    cache.set("versioned", 1)
    assert cache.incr_version("versioned") == 2
    assert (cache.get("versioned"), cache.get("versioned", version=2)) == (None, 1)
    cache.set("gone", 1, timeout=0)
    assert cache.get("gone") is None
    assert cache.delete("k") is True and cache.delete("k") is False
    cache.clear()
    assert cache.get("m50") is None


def test_clear_leaves_other_databases_alone():
    for name in ("builtin", "package", "json"):
        caches[name].set("k", name)
    caches["package"].clear()
    assert [caches[name].get("k") for name in ("builtin", "package", "json")] == [
        "builtin", None, "json"]


def test_what_django_redis_adds():
    cache = caches["package"]
    cache.set("big", "x" * 100_000)
    assert cache.client.get_client().strlen(cache.make_key("big")) < 1000
    assert cache.get("big") == "x" * 100_000
    cache.set("k", 1, timeout=100)
    assert 0 < cache.ttl("k") <= 100
    assert 0 < cache.pttl("k") <= 100_000
    assert cache.persist("k") is True and cache.ttl("k") is None
    assert cache.expire("k", 50) is True and 0 < cache.ttl("k") <= 50
    assert cache.set("k", 2, nx=True) is False
    cache.set_many({f"item:{i}": i for i in range(250)})
    assert len(cache.keys("item:*")) == 250
    assert set(cache.iter_keys("item:24?")) == {f"item:24{i}" for i in range(10)}
    assert cache.delete_pattern("item:1*") == 111
    assert len(cache.keys("item:*")) == 139
    assert cache.sadd("s", 1, 2, "three") == 3
    assert cache.smembers("s") == {1, 2, "three"}
    assert cache.zadd("z", {"a": 1, "b": 2}) == 2
    assert cache.zrange("z", 0, -1, withscores=True) == [("a", 1.0), ("b", 2.0)]
    with cache.lock("lock", timeout=100):
        assert cache.lock("lock").acquire(blocking=False) is False
    assert cache.lock("lock", timeout=1).acquire(blocking=False) is True


def test_threads_count_together():
    cache = caches["package"]
    cache.set("hits", 0, timeout=None)
    threads = [
        threading.Thread(target=lambda: [caches["package"].incr("hits") for _ in range(100)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert cache.get("hits") == 400


def test_sessions_and_cached_pages():
    ann, bob = Client(), Client()
    assert [ann.get("/visits").content for _ in range(3)] == [b"1", b"2", b"3"]
    assert bob.get("/visits").content == b"1"
    assert ann.get("/visits").content == b"4"
    caches["default"].clear()
    assert ann.get("/visits").content == b"1"
    pages = [bob.get(f"/expensive/{n}").content for n in (1, 1, 2, 1, 2)]
    assert pages == [b"made 1", b"made 1", b"made 2", b"made 1", b"made 2"]
