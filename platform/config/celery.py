"""The Celery application. Tasks live in the workers' own room and are sent by name from here."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("spellmark")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_default_queue="gpu",
    # Jobs hold leases, so a message that the broker delivers twice does no harm; it must only not
    # be taken for lost while a long training still runs.
    broker_transport_options={"visibility_timeout": 24 * 3600},
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    beat_schedule={
        "sequence the ledger": {
            "task": "tasks.ledger_sequence",
            "schedule": 2.0,
            "options": {"queue": "ledger", "expires": 10},
        },
        "export tiles": {
            "task": "tasks.tiles_export",
            "schedule": 5.0,
            "options": {"queue": "ledger", "expires": 10},
        },
        "stamp certificates": {
            "task": "tasks.certificates_stamp",
            "schedule": 30.0,
            "options": {"queue": "ledger", "expires": 30},
        },
        "take up lost jobs": {
            "task": "tasks.jobs_sweep",
            "schedule": 2.0,
            "options": {"queue": "ledger", "expires": 10},
        },
    },
)
