"""The views of a Django site whose sessions and pages are in the cache."""

from django.http import HttpResponse
from django.urls import path
from django.views.decorators.cache import cache_page

calls = []


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]))


@cache_page(100, cache="builtin")
def expensive(request, number):
    calls.append(number)
    return HttpResponse(f"made {len(calls)}")


urlpatterns = [path("visits", visits), path("expensive/<int:number>", expensive)]
