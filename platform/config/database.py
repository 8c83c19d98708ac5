"""The runtime role: what the web process and the workers may do in the database."""

from django.db import connection
from psycopg import sql

# The log: what stands in it never changes.
APPEND_ONLY = [
    "ledger_entry", "ledger_node", "ledger_checkpoint", "ledger_certificate", "ledger_subject",
    "ledger_revocation", "ledger_timestamp",
]  # fmt: skip
# A commitment holds for good, too.
INSERT_ONLY = [*APPEND_ONLY, "registry_commitment"]
# Whom verifiers are told to trust: made by `manage.py setup`, which the database's owner runs.
READ_ONLY = ["ledger_signingkey"]


def grant_runtime_role(role: str) -> None:
    """Give the role its rights, as the database's owner: everything, but the log only to add to.

    Run after every migration. The role is made where it is missing, without a password.
    """
    name = sql.Identifier(role)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
        if not cursor.fetchone():
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
        for right in (
            "GRANT USAGE ON SCHEMA public TO {}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}",
            "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}",
        ):
            cursor.execute(sql.SQL(right).format(name))
        for rights, tables in (
            ("UPDATE, DELETE, TRUNCATE", INSERT_ONLY),
            ("INSERT, UPDATE, DELETE, TRUNCATE", READ_ONLY),
        ):
            for table in tables:
                cursor.execute(
                    sql.SQL("REVOKE {} ON {} FROM {}").format(
                        sql.SQL(rights), sql.Identifier(table), name
                    )
                )
