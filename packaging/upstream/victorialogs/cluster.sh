#!/bin/sh
# VictoriaLogs as a cluster: one program in three roles. Storage nodes hold the data (each its part; a
# node that is lost is its part lost, so pair two clusters with collector/pair.yaml where that matters); insert and
# select nodes hold nothing and can be as many as are wanted. Here all run on one machine; on several,
# give each its own line and address.
#
#   VICTORIALOGS=/usr/bin/victoria-logs DATA=/var/lib/victorialogs cluster.sh
set -eu
: "${VICTORIALOGS:=victoria-logs}" "${DATA:=/var/lib/victorialogs}"
: "${ONE:=127.0.0.1:9491}" "${TWO:=127.0.0.1:9492}" "${INSERT:=127.0.0.1:9428}" "${SELECT:=127.0.0.1:9471}"
keep="-retentionPeriod=2y -futureRetention=1y -inmemoryDataFlushInterval=1s"
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT INT TERM
# shellcheck disable=SC2086
"$VICTORIALOGS" -storageDataPath="$DATA/one" -httpListenAddr="$ONE" $keep &
# shellcheck disable=SC2086
"$VICTORIALOGS" -storageDataPath="$DATA/two" -httpListenAddr="$TWO" $keep &
"$VICTORIALOGS" -storageNode="$ONE,$TWO" -httpListenAddr="$INSERT" -select.disable &
"$VICTORIALOGS" -storageNode="$ONE,$TWO" -httpListenAddr="$SELECT" -insert.disable &
wait
