#!/bin/sh
# Runs once, when the database is made: the role that web and workers use.
set -eu
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set=password="$RUNTIME_PASSWORD" <<'SQL'
CREATE ROLE spellmark_app LOGIN PASSWORD :'password';
SQL
