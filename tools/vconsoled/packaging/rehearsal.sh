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

# The stock daemon serves in the background, and writes its number into the file that
# its option names.
version() {
    mkdir -p "/usr/lib/xen-$1/bin" "$WAITS/$1"
    cp /bin/sleep "$WAITS/$1/xenconsoled"
    cat >"/usr/lib/xen-$1/bin/xenconsoled" <<END
#!/bin/sh
$WAITS/$1/xenconsoled 600 </dev/null >/dev/null 2>&1 &
echo \$! >"\$2"
END
    chmod 755 "/usr/lib/xen-$1/bin/xenconsoled"
    echo "the stock client of $1" >"/usr/lib/xen-$1/bin/xenconsole"
}

prepare() {
    rm -f /usr/sbin/policy-rc.d /etc/vconsoled.toml /etc/default/xen
    touch /run/said
    version 4.17
    cp /bin/sleep "$WAITS/vconsoled"
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
    rm -f $pid
    ;;
esac
case $1 in
start | restart)
    start-stop-daemon --start --quiet --pidfile $pid \
        --exec /usr/lib/xen-4.17/bin/xenconsoled -- --pid-file $pid
    ;;
esac
END
    chmod 755 /etc/init.d/xen
    update-rc.d xen defaults >/dev/null 2>&1
    # Without it invoke-rc.d takes this for a machine that is being installed.
    rm -f /sbin/runlevel
    printf '#!/bin/sh\necho N 2\n' >/sbin/runlevel
    chmod 755 /sbin/runlevel
    # The daemon's place: options and configuration are checked by the real one. Like
    # it, this one writes a letter when it serves, and leaves the terminal.
    dpkg-divert --quiet --local --no-rename --add --divert /usr/sbin/vconsoled.real /usr/sbin/vconsoled
    cat >/usr/sbin/vconsoled <<END
#!/bin/sh
case \$1 in
--check-config) exec /usr/sbin/vconsoled.real "\$@" ;;
esac
if [ -e /run/broken ]; then
    echo "it cannot serve" >&2
    exit 1
fi
printf R
exec $WAITS/vconsoled 600 </dev/null >/dev/null 2>&1
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

said() {
    grep -q "$1" /run/said || fail "it does not say \"$1\""
}

# It is not configured, and says why.
refuses() {
    package --install "$PACKAGE" && fail "it is installed"
    said "$1"
}

recovers() {
    package --configure vconsoled || fail "it cannot be configured afterwards"
    ours_serves
}

# Waits until a condition holds: a daemon was started just now.
soon() {
    for try in $(seq 100); do
        ! "$@" || return 0
        sleep 0.2
    done
    return 1
}

runs() {
    [ "$(readlink "/proc/$1/exe")" = "$2" ]
}

# The supervisor that xenconsoled-start leaves has one daemon.
supervises() {
    DAEMON=$(cat "/proc/$1/task/$1/children") && DAEMON=${DAEMON% } &&
        runs "$DAEMON" "$WAITS/vconsoled"
}

# The stock daemon that ran at the beginning.
stock_serves() {
    [ -d "/proc/$STOCK" ] || fail "the stock daemon was ended"
    [ "$(cat $PID)" = "$STOCK" ] || fail "another one was started"
    ours_is_gone
}

# Another one, as before ours was installed.
stock_serves_again() {
    soon test -s $PID && soon runs "$(cat $PID)" "$WAITS/4.17/xenconsoled" ||
        fail "the stock daemon does not serve"
    ours_is_gone
}

ours_serves() {
    soon test -s $PID && soon supervises "$(cat $PID)" || fail "ours does not serve"
    [ ! -d "/proc/$STOCK" ] || fail "the daemon before it runs beside it"
}

ours_still_serves() {
    [ "$(cat $PID)" = "$STOCK" ] && supervises "$STOCK" && [ "$DAEMON" = "$1" ] ||
        fail "ours was ended"
}

number_of_ours() {
    readlink /proc/[0-9]*/exe | grep -cx "$WAITS/vconsoled" || true
}

ours_is_gone() {
    [ "$(number_of_ours)" = 0 ] || fail "ours serves"
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

# No room for one file more in the package's folder.
little_room() {
    folder=/usr/lib/vconsoled
    mkdir -p $folder
    cp -a $folder /run/files
    mount -t tmpfs -o nr_inodes="$(($(ls $folder | wc -l) + 1))" tmpfs $folder
    cp -a /run/files/. $folder
}

# OpenRC of this machine's Debian release, as it would be with its services started.
with_openrc() {
    for deb in /run/others/*; do
        dpkg-deb --fsys-tarfile "$deb" | tar -C / --keep-directory-symlink -x
    done
    mkdir -p /etc/runlevels/default /etc/insserv.conf.d /run/openrc
    touch /etc/insserv.conf /run/openrc/softlevel
    for folder in daemons exclusive failed hotplugged inactive options scheduled started \
        starting stopping tmp wasinactive; do
        mkdir "/run/openrc/$folder"
    done
    for service in xenstored xenconsoled; do
        printf '#!/sbin/openrc-run\nstart() { :; }\nstop() { :; }\n' >/etc/init.d/$service
        chmod 755 /etc/init.d/$service
    done
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
dead)
    # It crashed, and its number is another program's now.
    kill -KILL "$STOCK"
    sleep 600 &
    echo $! >$PID
    installs
    ours_serves
    [ -d "/proc/$!" ] || fail "another program was ended"
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
no-room-files)
    little_room
    refuses "No space left on device"
    stock_serves
    stock_in_place 4.17
    mount -o remount,nr_inodes=64 /usr/lib/vconsoled
    installs
    ours_serves
    ;;
no-room-upgrade)
    installs
    ours_serves
    STOCK=$(cat $PID) served=$DAEMON
    files=$(cksum /usr/lib/vconsoled/*)
    little_room
    refuses "No space left on device"
    ours_still_serves "$served"
    ours_in_place 4.17
    [ "$(cksum /usr/lib/vconsoled/*)" = "$files" ] || fail "files of both versions are mixed"
    mount -o remount,nr_inodes=64 /usr/lib/vconsoled
    installs
    ours_serves
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
    ours_serves
    STOCK=$(cat $PID) served=$DAEMON
    bad_configuration
    refuses "input-rate"
    ours_still_serves "$served"
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
    said "policy-rc.d forbids"
    stock_serves
    rm /usr/sbin/policy-rc.d
    # Configured anew, as dpkg-reconfigure would.
    package --unpack "$PACKAGE" && recovers
    ;;
no-service)
    # Neither systemd nor Debian's init script: another one starts Xen's daemons.
    mv /etc/init.d/xen /etc/init.d/xencommons
    installs
    said "nothing here starts vconsoled"
    stock_serves
    ours_in_place 4.17
    /etc/init.d/xencommons restart
    ours_serves
    STOCK=$(cat $PID)
    package --remove vconsoled || fail "it is not removed"
    said "nothing here starts xenconsoled"
    stock_in_place 4.17
    ours_is_gone
    ;;
supervised)
    installs
    ours_serves
    supervisor=$(cat $PID)
    killed=$DAEMON
    kill -KILL "$killed"
    gone() { [ ! -d "/proc/$killed" ]; }
    soon gone || fail "it was not killed"
    ours_serves
    [ "$(cat $PID)" = "$supervisor" ] || fail "it has another supervisor"
    /etc/init.d/xen start || fail "a second start is an error"
    kept=$DAEMON
    ours_serves
    [ "$DAEMON" = "$kept" ] || fail "a second start ends it"
    # Xen's own script kills it right after TERM. Stopped, it cannot end before.
    kill -STOP "$supervisor"
    kill "$supervisor"
    kill -KILL "$supervisor"
    /etc/init.d/xen start
    ours_serves
    [ "$(number_of_ours)" = 1 ] || fail "$(number_of_ours) daemons serve"
    supervisor=$(cat $PID)
    # While it is not running, too.
    kill -KILL "$DAEMON"
    /etc/init.d/xen stop || fail "it cannot be stopped"
    [ ! -d "/proc/$supervisor" ] || fail "its supervisor is there"
    ours_is_gone
    touch /run/broken
    ! /etc/init.d/xen start >/run/said 2>&1 || fail "it starts, and cannot serve"
    said "it cannot serve"
    unsupervised() { ! grep -qx xenconsoled /proc/[0-9]*/comm 2>/dev/null; }
    soon unsupervised || fail "it has a supervisor and did not start"
    rm /run/broken
    /etc/init.d/xen start
    ours_serves
    /etc/init.d/xen stop
    ours_is_gone
    ;;
openrc)
    with_openrc
    # As Debian's script, which OpenRC runs as it is.
    installs
    ours_serves
    rc-service xen restart >/run/said 2>&1 || fail "OpenRC does not restart it"
    ours_serves
    /etc/init.d/xen stop
    # As a service of OpenRC's own.
    cp /usr/share/vconsoled/vconsoled.openrc /etc/init.d/vconsoled
    chmod 755 /etc/init.d/vconsoled
    rc-service vconsoled start >/run/said 2>&1 || fail "it does not start"
    PID=/run/vconsoled.pid STOCK=none
    ours_serves
    killed=$DAEMON
    kill -KILL "$killed"
    gone() { [ ! -d "/proc/$killed" ]; }
    soon gone || fail "it was not killed"
    ours_serves
    kept=$DAEMON
    bad_configuration
    ! rc-service vconsoled reload >/run/said 2>&1 || fail "a bad configuration is accepted"
    said "input-rate"
    ! rc-service vconsoled restart >/run/said 2>&1 || fail "it restarts with it"
    ours_serves
    [ "$DAEMON" = "$kept" ] || fail "it was ended"
    rm /etc/vconsoled.toml
    rc-service vconsoled stop >/run/said 2>&1 || fail "it does not stop"
    ours_is_gone
    rc-service xenconsoled start >/run/said 2>&1
    ! rc-service vconsoled start >/run/said 2>&1 || fail "it starts beside xenconsoled"
    said "rc-service xenconsoled stop"
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
    stock_serves_again
    ;;
again)
    installs
    package --remove vconsoled || fail "it is not removed"
    stock_in_place 4.17
    stock_serves_again
    STOCK=$(cat $PID)
    installs
    ours_serves
    package --purge vconsoled || fail "it is not purged"
    stock_in_place 4.17
    stock_serves_again
    [ ! -e /etc/vconsoled.toml ] || fail "its configuration is left"
    ;;
*)
    fail "no such case"
    ;;
esac
