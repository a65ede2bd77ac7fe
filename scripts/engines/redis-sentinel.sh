#!/usr/bin/env bash
# A Redis server that three sentinels watch over, on the loopback, for tests.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: redis-sentinel.sh start DIR REDIS_PORT SENTINEL_PORT [SERVICE]
       redis-sentinel.sh stop DIR

start  makes DIR for the configurations, the logs and the pid files, starts Redis on REDIS_PORT and
       the sentinels on SENTINEL_PORT and the two ports after it, and returns when the three agree
       on the master (2 s).  SERVICE is the name to ask them for (lmcache-master).  Redis keeps
       its data in memory only.  Where something fails, nothing is left running.
stop   ends the four and returns when they are gone.  Again is no error.
TEXT
}

fail() { echo "redis-sentinel.sh: $*" >&2; exit 1; }

# pids DIR: of those of the four that are running.  They all run in DIR, which tells them from a
# later process that got the number of a dead one.
pids() {
    local file pid
    for file in "$1"/*.pid; do
        [[ -s $file ]] || continue
        pid=$(<"$file")
        [[ $(readlink "/proc/$pid/cwd") != "$1" ]] || echo "$pid"
    done 2>/dev/null
}

# within TENTHS COMMAND...: waits until COMMAND succeeds.
within() {
    local left=$1
    shift
    until "$@"; do
        ((left-- > 0)) || return 1
        sleep 0.1
    done
}

gone() { [[ -z $(pids "$1") ]]; }
# Redis detaches before it listens, and another one may have the port: so ask for the process.
answers() { redis-cli -h 127.0.0.1 -p "$1" info server 2>/dev/null | tr -d '\r' | grep -qx "process_id:$(cat "$2" 2>/dev/null)"; }
agreed() { [[ $(redis-cli -h 127.0.0.1 -p "$1" sentinel ckquorum "$2" 2>/dev/null) == "OK 3 "* ]]; }

stop() {
    [[ -d $1 ]] || return 0
    local dir pid
    dir=$(cd "$1" && pwd -P)
    for pid in $(pids "$dir"); do kill "$pid" 2>/dev/null || true; done
    if ! within 50 gone "$dir"; then
        for pid in $(pids "$dir"); do kill -KILL "$pid" 2>/dev/null || true; done
        within 20 gone "$dir" || fail "these do not end: $(pids "$dir" | xargs)"
    fi
    rm -f "$dir"/*.pid
}

# daemon DIR NAME PORT [OPTION...] <CONFIGURATION
daemon() {
    local dir=$1 name=$2 port=$3
    shift 3
    {
        printf '%s\n' "port $port" "bind 127.0.0.1" "daemonize yes" "dir \"$dir\"" \
            "pidfile \"$dir/$name.pid\"" "logfile \"$dir/$name.log\""
        cat
    } >"$dir/$name.conf"
    redis-server "$dir/$name.conf" "$@" >/dev/null || fail "$name did not start: see $dir/$name.log"
    within 50 answers "$port" "$dir/$name.pid" ||
        fail "$name did not come up on port $port: $(tail -n 1 "$dir/$name.log" 2>/dev/null)"
}

start() {
    local redis_port=$2 first=$3 service=${4:-lmcache-master} number
    local program
    for program in redis-server redis-cli; do
        command -v "$program" >/dev/null || fail "no $program here: install.sh redis"
    done
    mkdir -p "$1"
    dir=$(cd "$1" && pwd -P)
    gone "$dir" || fail "running in $dir already"
    trap 'stop "$dir"' EXIT
    daemon "$dir" redis "$redis_port" <<<'save ""'
    for number in 0 1 2; do
        daemon "$dir" "sentinel$number" $((first + number)) --sentinel <<CONF
sentinel monitor $service 127.0.0.1 $redis_port 2
sentinel down-after-milliseconds $service 1000
sentinel failover-timeout $service 5000
CONF
    done
    within 100 agreed "$first" "$service" || fail "the sentinels do not agree: see $dir"
    trap - EXIT
}

case "${1:-} $#" in
'start 4' | 'start 5') start "${@:2}" ;;
'stop 2') stop "$2" ;;
'--help '* | '-h '*) usage ;;
*) usage >&2; exit 2 ;;
esac
