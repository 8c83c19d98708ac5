"""All addresses: the REST face under /api/v1/, the dashboard everywhere else."""

from django.urls import include, path

from config.health import healthz

urlpatterns = [
    path("healthz", healthz),
    path("api/v1/", include("api.urls")),
    path("", include("web.urls")),
]
