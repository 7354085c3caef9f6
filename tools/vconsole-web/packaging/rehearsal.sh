#!/bin/sh
# SPDX-License-Identifier: MIT
# One case of the package, CASE, which dpkg installs on a copy of this machine
# (tools/xtask/src/package/copy.sh). There is no systemd: the program is started
# here as its unit says, and the unit is looked at by systemd-analyze.
set -eu

CASE=$1 PACKAGE=$2
UNIT=/lib/systemd/system/vconsole-web.service
PORT=7433

fail() {
    echo "$CASE: $*" >&2
    cat /run/said >&2
    exit 1
}

package() {
    dpkg --force-unsafe-io --force-depends "$@" >/run/said 2>&1 </dev/null
}

# Starts what the unit starts, as its user.
start() {
    . /etc/default/vconsole-web
    eval "set -- $(sed -n 's/^ExecStart=//p' "$UNIT")"
    setpriv --reuid=vconsole-web --regid=vconsole-web --clear-groups --no-new-privs \
        "$@" >/run/said 2>&1 &
    for try in $(seq 300); do
        ! grep -q "^http" /run/said || return 0
        sleep 0.1
    done
    fail "it does not serve"
}

get() {
    printf 'GET %s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n' "$1" |
        socat STDIO,ignoreeof "TCP:127.0.0.1:$PORT"
}

# Everything but what dpkg and the users' files themselves are.
files() {
    find /etc /usr /lib /var /run -path /var/lib/dpkg -prune -o \
        -path /var/log -prune -o -path /run/said -prune -o -print | sort
}

prepare() {
    rm -f /usr/sbin/policy-rc.d
    touch /run/said /run/before /run/after
    ip link set lo up
    # Its copies are made when users are added.
    systemd-sysusers --inline 'u rehearsal -'
    files >/run/before
    package --install "$PACKAGE" || fail "it is not installed"
}

# The cases

prepare
case $CASE in
serves)
    getent passwd vconsole-web | grep -q nologin || fail "there is no user for it"
    start
    get /login | grep -q 'name="token"' || fail "nobody can log in"
    get /assets/xterm.js | grep -q '^HTTP/1.1 200' || fail "there are no terminals"
    # In the kernel's table, listening: address and port in hexadecimal.
    port=$(printf %04X "$PORT")
    listening=$(cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == "0A" { print $2 }')
    [ "$listening" = "0100007F:$port" ] || fail "it listens at $listening"
    ! setpriv --reuid=vconsole-web --clear-groups ls /etc/vconsole-web/tls 2>/run/said ||
        fail "it reads the key by itself"
    ;;
unit)
    systemd-analyze verify --man=no "$UNIT" >/run/said 2>&1 || fail "systemd finds something"
    ! grep vconsole-web /run/said || fail "systemd finds something"
    systemd-analyze security --offline=yes --threshold=20 --no-pager "$UNIT" >/run/said 2>&1 ||
        fail "it may do more than it needs"
    ;;
removed)
    echo 'VCONSOLE_WEB_ARGS="--listen 127.0.0.1:7444"' >/etc/default/vconsole-web
    echo secret >/etc/vconsole-web/tls/key.pem
    package --install "$PACKAGE" || fail "it is not installed again"
    grep -q 7444 /etc/default/vconsole-web || fail "its options are not the administrator's"
    package --remove vconsole-web || fail "it is not removed"
    [ ! -e /usr/sbin/vconsole-web ] || fail "it is still there"
    grep -q 7444 /etc/default/vconsole-web || fail "its options are gone"
    grep -q secret /etc/vconsole-web/tls/key.pem || fail "its key is gone"
    ;;
purged)
    echo secret >/etc/vconsole-web/tls/key.pem
    package --purge vconsole-web || fail "it is not purged"
    files >/run/after
    diff /run/before /run/after >/run/said || fail "something is left"
    ;;
*)
    fail "no such case"
    ;;
esac
