#!/usr/bin/env bash
# The dependency rule of docs/ARCHITECTURE.md: which room may include which, and which library's header belongs to which room.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0

# room: the rooms whose headers it may include, beside its own and base's
declare -A may=(
    [base]="" [config]="" [text]="" [dataset]="text" [prompt]="text dataset" [client]="" [store]=""
    [metrics]="text" [score]="text dataset metrics" [generate]="text dataset prompt client store score cluster"
    [report]="text dataset score" [mock]="" [batch]="client" [stats]="" [expr]="text" [embed]="text" [doctor]="" [tune]="stats"
    [cluster]="client" [mpi]="client store generate cluster" [cli]="mpi cluster config text dataset prompt client batch store generate metrics score report mock stats expr embed doctor tune"
)
# public header: the room it belongs to
declare -A room_of=(
    [error]=base [buf]=base [json]=base [base]=base [trace]=base [utf8]=base [metric_list]=base [text]=text [wordpiece]=text [dataset]=dataset [suite]=dataset [scan]=dataset [prompt]=prompt
    [client]=client [pace]=client [store]=store [generate]=generate [metrics]=metrics [score]=score [score_shard]=score [speed]=score [report]=report [config]=config [mock]=mock [expr]=expr [embed]=embed
    [cluster]=cluster [team]=mpi [doctor]=doctor [tune]=tune [probe]=client [batch]=batch [files]=client [cache]=store [ledger]=store [price]=store [stats]=stats [compare]=report
)
# library header: the rooms that may use it
declare -A library=(
    [curl/curl.h]="client" [sqlite3.h]="store" [cjson/cJSON.h]="base" [cblas.h]="base"
    [utf8proc.h]="text report" [zlib.h]="dataset mock client" [zstd.h]="dataset" [lz4frame.h]="dataset" [openssl/evp.h]="base"
    [mpi.h]="mpi" [oneapi/dnnl/dnnl.h]="embed" [openssl/ssl.h]="client" [openssl/err.h]="client" [openssl/x509v3.h]="client"
)

complain() { echo "$1: $2"; bad=$((bad + 1)); }
in_list() { case " $2 " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

while IFS=: read -r file line include; do
    room=${file#src/} room=${room%%/*}
    name=${include#*[<\"]} name=${name%[>\"]*}
    if [ -z "${may[$room]+set}" ]; then complain "$file" "room '$room' is not in $0"; continue; fi
    case $name in
        cfbench/*)
            header=${name#cfbench/} to=${room_of[${header%.h}]-}
            [ -n "$to" ] || complain "$file:$line" "$name is not in $0"
            ;;
        */*.h) to=${name%%/*}; [ -d "src/$to" ] || to= ;;
        *) to= ;;
    esac
    if [ -n "$to" ] && [ "$to" != "$room" ] && [ "$to" != base ] && ! in_list "$to" "${may[$room]}"; then
        complain "$file:$line" "room '$room' may not include '$name' of room '$to'"
    fi
    if [ -n "${library[$name]+set}" ] && ! in_list "$room" "${library[$name]}"; then
        complain "$file:$line" "$name is for: ${library[$name]}"
    fi
done < <(grep -nE '^ *# *include' -r src --include='*.c' --include='*.h')

if [ "$bad" -eq 0 ]; then echo "ok layers"; else echo "not ok layers: $bad includes break the rule"; exit 1; fi
