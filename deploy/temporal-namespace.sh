#!/bin/sh
# Makes the namespace and Muster's search attributes, where they are missing. May be repeated.
set -eu

tries=0
until temporal operator cluster health >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -ge 60 ]; then
        echo "Temporal at $TEMPORAL_ADDRESS is not healthy" >&2
        exit 1
    fi
    sleep 1
done

tries=0
until temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -ge 60 ]; then
        echo "the namespace $TEMPORAL_NAMESPACE could not be made" >&2
        exit 1
    fi
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$TEMPORAL_RETENTION" || sleep 1
done

# A worker adds them too. Here they are known before the first task, which a server that caches them may refuse.
for pair in MusterWorkspace:Keyword MusterProject:Keyword MusterRunner:Keyword MusterTask:Keyword MusterAttempt:Int; do
    temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" \
        --name "${pair%%:*}" --type "${pair##*:}"
done
