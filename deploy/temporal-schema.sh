#!/bin/sh
# Makes or upgrades Temporal's own tables. Runs before each start of the server; a schema that is current stays.
set -eu

export SQL_PASSWORD="$POSTGRES_TEMPORAL_PASSWORD"

for pair in temporal:temporal temporal_visibility:visibility; do
    sql() {
        temporal-sql-tool --plugin postgres12 --ep postgres -p 5432 -u temporal --db "${pair%%:*}" "$@"
    }
    sql setup-schema -v 0.0
    sql update-schema -d "/etc/temporal/schema/postgresql/v12/${pair##*:}/versioned"
done
