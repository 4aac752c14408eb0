#!/usr/bin/env bash
# A real Slurm of two nodes on this machine, for `make test-slurm`: tests/slurm/cluster.sh start|stop|install
#
# One slurmctld and two slurmd, each with its own port, as the user who starts them. Everything they write is in
# $ZEPHYR_SLURM (default /tmp/zephyr-slurm), slurm.conf included; the machine's own /etc/slurm is not touched.
# `start` prints what to export so that sbatch finds it: eval "$(tests/slurm/cluster.sh start)"
set -euo pipefail
home=${ZEPHYR_SLURM:-/tmp/zephyr-slurm}
here=$(cd "$(dirname "$0")" && pwd)
export PATH=$PATH:/usr/sbin:/sbin SLURM_CONF=$home/slurm.conf

install() {
  command -v slurmctld slurmd munged sbatch >/dev/null && return
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "no Slurm here: as root, apt-get install slurm-wlm munge" >&2
    exit 1
  fi
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends slurm-wlm munge >/dev/null
}

configure() {
  mkdir -p "$home"/{state,log} "$home"/spool/{node1,node2}
  chmod 755 "$home"
  sed -e "s|@HOME@|$home|g" -e "s|@HOST@|$(hostname)|g" -e "s|@USER@|$(id -un)|g" \
    "$here/slurm.conf" >"$SLURM_CONF"
  echo "CgroupMountpoint=/sys/fs/cgroup" >"$home/cgroup.conf"  # not used, yet read
}

# munged wants its own user as the owner of all above its files, so it gets a key and a socket here
start_munge() {
  mkdir -p "$home/munge"
  chmod 700 "$home/munge"
  [ -s "$home/munge/key" ] || head -c 1024 /dev/urandom >"$home/munge/key"
  chmod 600 "$home/munge/key"
  chmod 755 "$home/munge"
  munged --force --key-file="$home/munge/key" --socket="$home/munge/socket" --pid-file="$home/munge/pid" \
    --log-file="$home/munge/log" --seed-file="$home/munge/seed" --num-threads=2 >&2
}

start() {
  install
  stop
  configure
  start_munge
  slurmctld -c -f "$SLURM_CONF" >&2
  for node in node1 node2; do slurmd -c -N $node -f "$SLURM_CONF" >&2; done
  for _ in $(seq 60); do
    [ "$(sinfo --noheader --format=%T,%D --partition=debug 2>/dev/null)" = idle,2 ] && break
    sleep 0.5
  done
  if [ "$(sinfo --noheader --format=%T,%D --partition=debug)" != idle,2 ]; then
    echo "the nodes did not come up:" >&2
    tail -n 20 "$home"/log/* >&2
    stop
    exit 1
  fi
  echo "export SLURM_CONF=$SLURM_CONF ZEPHYR_SLURM=$home"
}

# Only what `start` started: by the process ids that the daemons wrote
stop() {
  for file in "$home"/node1.pid "$home"/node2.pid "$home"/slurmctld.pid "$home"/munge/pid; do
    if [ -s "$file" ]; then
      process=$(cat "$file")
      kill "$process" 2>/dev/null || true
      for _ in $(seq 40); do kill -0 "$process" 2>/dev/null || break; sleep 0.25; done
      rm -f "$file"
    fi
  done
}

case ${1:-} in
  install | start | stop) "$1" ;;
  *) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
