"""All addresses: the REST face under /api/v1/, the log's tiles under /log/, else the dashboard."""

from django.urls import include, path

from api import log
from config.health import healthz

urlpatterns = [
    path("healthz", healthz),
    path("api/v1/", include("api.urls")),
    path("log/checkpoint", log.checkpoint, name="log-checkpoint"),
    path("log/tile/<path:path>", log.tile, name="log-tile"),
    path("log/policy", log.policy_file, name="log-policy"),
    path("log/keys", log.keys, name="log-keys"),
    path("log/successions/<str:keyid>", log.succession, name="log-succession"),
    path("", include("web.urls")),
]
