#!/bin/sh
# Runs once, when the data volume is empty: roles and databases of Muster and of Temporal.
#
# Muster's owner runs migrations. What api and workers log in as owns nothing and is held by row-level security.
# PostgreSQL's image sources this file when it is not executable, hence no `set -u`.
set -e

psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set owner_password="${POSTGRES_OWNER_PASSWORD:?}" \
    --set app_password="${POSTGRES_APP_PASSWORD:?}" \
    --set temporal_password="${POSTGRES_TEMPORAL_PASSWORD:?}" <<'SQL'
CREATE ROLE muster_owner LOGIN CREATEROLE PASSWORD :'owner_password';
CREATE ROLE muster_app NOLOGIN;
CREATE ROLE muster_chores NOLOGIN;
GRANT muster_app, muster_chores TO muster_owner WITH ADMIN OPTION;
CREATE ROLE muster LOGIN PASSWORD :'app_password' IN ROLE muster_app;
CREATE DATABASE muster OWNER muster_owner;
REVOKE ALL ON DATABASE muster FROM PUBLIC;
GRANT CONNECT ON DATABASE muster TO muster_app;

CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
REVOKE ALL ON DATABASE temporal, temporal_visibility FROM PUBLIC;

\connect muster
-- Needs a superuser, which the owner is not.
CREATE EXTENSION vector;
SQL
