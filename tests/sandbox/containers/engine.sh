#!/usr/bin/env bash
# A container engine with images of learners, for the tests in containers.
#
#   eval "$(tests/sandbox/containers/engine.sh start [FAMILY…])"   exports DOCKER_HOST; default family: sklearn
#   tests/sandbox/containers/engine.sh stop                        stops what start started, and removes its data
#
# Uses the engine that answers, if one does. Otherwise, on Debian or Ubuntu as root, it installs one, runs it on a
# separate socket and data folder, and makes a base image out of the distribution's packages: no registry is needed.
# PYTHON is the interpreter that discoenv is installed in; WHEELHOUSE a folder of wheels for the build.
set -euo pipefail
cd "$(dirname "$0")/../../.."
python=${PYTHON:-python3}
home=${DISCOENV_TEST_ENGINE:-${TMPDIR:-/tmp}/discoenv.engine}
socket=unix://$home/docker.sock
base=discoenv-base:debian

say() { echo "engine.sh: $*" >&2; }

answers() { # URL; empty for the default
  if [ -n "$1" ]; then local -x DOCKER_HOST=$1; fi
  "$python" -c 'from discoenv.sandbox.containers.engine import Engine; Engine("docker")' 2>/dev/null
}

install() {
  command -v dockerd >/dev/null && command -v debootstrap >/dev/null && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { say "no engine answers, and none can be installed"; exit 1; }
  say "installing docker.io and debootstrap"
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io debootstrap >&2
}

run_engine() {
  mkdir -p "$home"
  setsid dockerd --data-root "$home/data" --exec-root "$home/run" --pidfile "$home/pid" -H "$socket" \
    --iptables=false --ip6tables=false --bridge=none </dev/null >"$home/log" 2>&1 &
  for _ in $(seq 100); do
    answers "$socket" && return
    sleep 0.2
  done
  say "dockerd does not answer:"
  tail -20 "$home/log" >&2
  exit 1
}

import_base() {
  docker -H "$socket" image inspect "$base" >/dev/null 2>&1 && return
  . /etc/os-release
  mirror=$(apt-get indextargets --format '$(SITE)' "Created-By: Packages" | head -1)
  say "making a base image of $ID $VERSION_CODENAME from $mirror"
  debootstrap --variant=minbase --include=python3,python3-venv "$VERSION_CODENAME" "$home/base" "$mirror" >"$home/debootstrap.log" 2>&1 ||
    { tail -5 "$home/debootstrap.log" >&2; exit 1; }
  rm -rf "$home"/base/var/{cache,lib}/apt/*
  tar -C "$home/base" -c . | docker -H "$socket" import - "$base" >/dev/null
  rm -rf "$home/base"
}

start() {
  [ $# -gt 0 ] || set -- sklearn
  options=()
  [ -z "${WHEELHOUSE:-}" ] || options+=(--wheelhouse "$WHEELHOUSE")
  bundle=${PIP_CERT:-${SSL_CERT_FILE:-}}
  [ -z "$bundle" ] || options+=(--ca-bundle "$bundle")
  if [ ! -e "$home" ] && answers ""; then
    say "using the engine that answers"
  else
    install
    answers "$socket" || run_engine
    import_base
    options+=(--base "$base" --network host)
    export DOCKER_HOST=$socket
  fi
  for family in "$@"; do
    "$python" -m discoenv.cli.main image check "$family" >&2 2>/dev/null ||
      { say "building the image of $family"; "$python" -m discoenv.cli.main image build "$family" "${options[@]}" >&2; }
  done
  echo "export DOCKER_HOST=${DOCKER_HOST:-unix:///var/run/docker.sock}"
}

stop() {
  [ -e "$home" ] || return 0
  if [ -s "$home/pid" ]; then
    pid=$(cat "$home/pid")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 150); do
      [ -e "/proc/$pid" ] || break
      sleep 0.2
    done
  fi
  awk -v home="$home/" 'index($2, home) == 1 { print $2 }' /proc/self/mounts | sort -r | xargs -r umount -l
  rm -rf "$home"
}

case ${1:-} in
  start) shift; start "$@" ;;
  stop) stop ;;
  *) say "usage: $0 start [FAMILY…] | stop"; exit 2 ;;
esac
