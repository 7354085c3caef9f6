#!/bin/sh
# SPDX-License-Identifier: MIT
# One case of the package's scripts, CASE, which dpkg runs on a copy of this
# machine (tools/xtask/src/package/copy.sh). There is no Xen and no systemd: both
# daemons are stand-ins that wait, and /etc/init.d/xen starts and stops them as
# Debian's does. What is real: dpkg, the scripts, and vconsoled --check-config.
set -eu

CASE=$1 PACKAGE=$2

# What stands in for Xen's packages

PID=/run/xenconsoled.pid
WAITS=/usr/local/lib/rehearsal

version() {
    mkdir -p "/usr/lib/xen-$1/bin"
    cp /bin/sleep "/usr/lib/xen-$1/bin/xenconsoled"
    echo "the stock client of $1" >"/usr/lib/xen-$1/bin/xenconsole"
}

prepare() {
    rm -f /usr/sbin/policy-rc.d /etc/vconsoled.toml /etc/default/xen
    version 4.17
    mkdir -p "$WAITS"
    cp /bin/sleep "$WAITS/xenconsoled"
    cat >/etc/init.d/xen <<'END'
#!/bin/sh
### BEGIN INIT INFO
# Provides: xen
# Required-Start: $local_fs
# Required-Stop: $local_fs
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
pid=/run/xenconsoled.pid
case $1 in
stop | restart)
    start-stop-daemon --stop --quiet --oknodo --retry=TERM/2/KILL/2 --pidfile $pid --name xenconsoled
    ;;
esac
case $1 in
start | restart)
    /usr/lib/xen-4.17/bin/xenconsoled 600 </dev/null >/dev/null 2>&1 &
    echo $! >$pid
    ;;
esac
END
    chmod 755 /etc/init.d/xen
    update-rc.d xen defaults >/dev/null 2>&1
    # Without it invoke-rc.d takes this for a machine that is being installed.
    rm -f /sbin/runlevel
    printf '#!/bin/sh\necho N 2\n' >/sbin/runlevel
    chmod 755 /sbin/runlevel
    # The daemon's place: options and configuration are checked by the real one.
    dpkg-divert --quiet --local --no-rename --add --divert /usr/sbin/vconsoled.real /usr/sbin/vconsoled
    cat >/usr/sbin/vconsoled <<END
#!/bin/sh
case \$1 in
--check-config) exec /usr/sbin/vconsoled.real "\$@" ;;
esac
exec $WAITS/xenconsoled 600
END
    chmod 755 /usr/sbin/vconsoled
    # Seconds for what does not end by itself.
    mv /sbin/start-stop-daemon /sbin/start-stop-daemon.real
    cat >/sbin/start-stop-daemon <<'END'
#!/bin/sh
[ ! -e /run/unkillable ] || exit 2
for word; do
    shift
    case $word in
    --retry=TERM/30/KILL/5) word=--retry=TERM/1/KILL/1 ;;
    esac
    set -- "$@" "$word"
done
exec /sbin/start-stop-daemon.real "$@"
END
    chmod 755 /sbin/start-stop-daemon
    /etc/init.d/xen start
    STOCK=$(cat $PID)
}

# What is done and looked at

fail() {
    echo "$CASE: $*" >&2
    cat /run/said >&2
    exit 1
}

package() {
    dpkg --force-confold --force-unsafe-io --force-depends "$@" >/run/said 2>&1
}

installs() {
    package --install "$PACKAGE" || fail "it is not installed"
}

# It is not configured, and says why.
refuses() {
    package --install "$PACKAGE" && fail "it is installed"
    grep -q "$1" /run/said || fail "it does not say \"$1\""
}

recovers() {
    package --configure vconsoled || fail "it cannot be configured afterwards"
    ours_serves
}

# The daemon that has the rings, by its program.
serves() {
    pid=$(cat $PID 2>/dev/null) && [ -d "/proc/$pid" ] || fail "nobody serves"
    # It was started just now.
    for try in $(seq 100); do
        [ "$(readlink "/proc/$pid/exe")" != "$1" ] || return 0
        sleep 0.2
    done
    fail "$(readlink "/proc/$pid/exe") serves, not $1"
}

stock_serves() {
    [ -d "/proc/$STOCK" ] || fail "the stock daemon was ended"
    [ "$(cat $PID)" = "$STOCK" ] || fail "another one was started"
}

ours_serves() {
    serves "$WAITS/xenconsoled"
    [ ! -d "/proc/$STOCK" ] || fail "the stock daemon runs beside it"
}

stock_in_place() {
    for version in "$@"; do
        folder=/usr/lib/xen-$version/bin
        [ -f "$folder/xenconsoled" ] && [ ! -L "$folder/xenconsoled" ] &&
            grep -q "the stock client of $version" "$folder/xenconsole" ||
            fail "Xen's programs of $version are not in their place"
        ! ls "$folder"/*.stock >/dev/null 2>&1 || fail "something is left in $folder"
    done
    ! dpkg-divert --list | grep -q "by vconsoled" || fail "there are diversions"
}

ours_in_place() {
    for version in "$@"; do
        folder=/usr/lib/xen-$version/bin
        [ "$(readlink "$folder/xenconsole")" = /usr/bin/vconsole ] &&
            [ -f "$folder/xenconsoled.stock" ] ||
            fail "our programs are not in place of those of $version"
    done
}

bad_configuration() {
    echo 'input-rate = "fast"' >/etc/vconsoled.toml
}

# The cases

prepare
case $CASE in
first)
    installs
    ours_serves
    ours_in_place 4.17
    ;;
held)
    # It does not end when it is asked to.
    /etc/init.d/xen stop
    mkdir "$WAITS/deaf"
    cat >"$WAITS/deaf/xenconsoled" <<'END'
#!/bin/sh
trap '' TERM
touch /run/deaf
while :; do sleep 1; done
END
    chmod 755 "$WAITS/deaf/xenconsoled"
    ("$WAITS/deaf/xenconsoled" & echo $! >$PID)
    while [ ! -e /run/deaf ]; do sleep 0.1; done
    STOCK=$(cat $PID)
    installs
    ours_serves
    ;;
unkillable)
    touch /run/unkillable
    refuses "cannot be stopped"
    stock_serves
    stock_in_place 4.17
    rm /run/unkillable
    recovers
    ;;
no-room)
    # For one link more, and not for the second.
    cp -a /usr/lib/xen-4.17/bin /run/programs
    mount -t tmpfs -o nr_inodes=4 tmpfs /usr/lib/xen-4.17/bin
    cp -a /run/programs/. /usr/lib/xen-4.17/bin
    refuses "cannot be put in place"
    stock_serves
    stock_in_place 4.17
    mount -o remount,nr_inodes=16 /usr/lib/xen-4.17/bin
    recovers
    ;;
bad-configuration-first)
    bad_configuration
    refuses "input-rate"
    stock_serves
    stock_in_place 4.17
    rm /etc/vconsoled.toml
    recovers
    ;;
bad-configuration-upgrade)
    installs
    STOCK=$(cat $PID)
    bad_configuration
    refuses "input-rate"
    stock_serves
    ours_in_place 4.17
    rm /etc/vconsoled.toml
    recovers
    ;;
bad-options)
    echo 'XENCONSOLED_ARGS="--log=everything"' >/etc/default/xen
    refuses "XENCONSOLED_ARGS"
    stock_serves
    stock_in_place 4.17
    echo 'XENCONSOLED_ARGS="--log=all"' >/etc/default/xen
    recovers
    ;;
policy)
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    installs
    grep -q "policy-rc.d forbids" /run/said || fail "it does not say why nothing changed"
    stock_serves
    rm /usr/sbin/policy-rc.d
    # Configured anew, as dpkg-reconfigure would.
    package --unpack "$PACKAGE" && recovers
    ;;
two-versions)
    version 4.20
    installs
    ours_in_place 4.17 4.20
    version 4.21
    /var/lib/dpkg/info/vconsoled.postinst triggered /usr/lib/xen-4.21/bin
    ours_in_place 4.17 4.20 4.21
    package --remove vconsoled || fail "it is not removed"
    stock_in_place 4.17 4.20 4.21
    serves /usr/lib/xen-4.17/bin/xenconsoled
    ;;
again)
    installs
    package --remove vconsoled || fail "it is not removed"
    stock_in_place 4.17
    serves /usr/lib/xen-4.17/bin/xenconsoled
    STOCK=$(cat $PID)
    installs
    ours_serves
    package --purge vconsoled || fail "it is not purged"
    stock_in_place 4.17
    [ ! -e /etc/vconsoled.toml ] || fail "its configuration is left"
    ;;
*)
    fail "no such case"
    ;;
esac
