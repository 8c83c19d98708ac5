"""The log's locks: one sequencer and one publisher at a time, in however many processes.

Any fixed number serves as a lock's name. They end with their transaction, so a killed process
leaves none behind.
"""

from django.db import connection

SEQUENCER_LOCK = 0x5BE11
PUBLISHER_LOCK = 0x5BE12
EXPORT_LOCK = 0x5BE13


def locked(lock: int) -> bool:
    """Whether this transaction has the lock now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [lock])
        found: bool = cursor.fetchone()[0]
        return found
