#!/bin/sh
# SPDX-License-Identifier: MIT
# One case of the RPM's scripts, CASE, which rpm runs on a copy of this machine
# (tools/xtask/src/package/copy.sh). systemctl is a stand-in that records its calls; in
# /run/others is the same package as a later revision. What is real: rpm, its scripts,
# systemd-sysusers and vconsoled --check-config.
set -eu

CASE=$1 PACKAGE=$2

fail() {
    echo "$CASE: $*" >&2
    cat /run/said /run/calls >&2
    exit 1
}

package() {
    rpm --nodeps "$@" >/run/said 2>&1 || fail "rpm $* fails"
}

said() {
    grep -q "$1" /run/said || fail "it does not say \"$1\""
}

called() {
    grep -qx "systemctl $1" /run/calls || fail "systemctl $1 is not called"
}

not_called() {
    ! grep -q "systemctl $1" /run/calls || fail "systemctl $1 is called"
}

prepare() {
    touch /run/said /run/calls
    rm -f /etc/vconsoled.toml /etc/default/xen
    mv /bin/systemctl /bin/systemctl.real
    printf '#!/bin/sh\necho "systemctl $*" >>/run/calls\n' >/bin/systemctl
    chmod 755 /bin/systemctl
}

upgrade() {
    : >/run/calls
    package --upgrade /run/others/*.rpm
    [ "$(rpm --query vconsoled | wc -l)" = 1 ] || fail "both revisions are installed"
}

prepare
package --install "$PACKAGE"

# The cases

case $CASE in
installed)
    said "systemctl enable --now vconsoled"
    # It starts only if the administrator says so.
    not_called "enable"
    not_called "start"
    not_called "restart"
    getent passwd vconsoled | grep -q nologin || fail "there is no user for it"
    rpm --verify --nodeps vconsoled >/run/said || fail "files are not as packed"
    rpm --query --queryformat '[%{FILENAMES} %{FILEFLAGS:fflags}\n]' vconsoled |
        grep -qx '/etc/vconsoled.toml cn' || fail "its configuration would be replaced"
    vconsoled --check-config >/run/said 2>&1 || fail "its own configuration cannot be used"
    vconsole --version >/run/said 2>&1 || fail "its client does not run"
    ;;
upgraded)
    echo "# the administrator's" >>/etc/vconsoled.toml
    upgrade
    called "try-restart vconsoled.service"
    not_called "disable"
    grep -q "the administrator's" /etc/vconsoled.toml || fail "its configuration was replaced"
    ;;
bad-configuration)
    echo 'input-rate = "fast"' >/etc/vconsoled.toml
    upgrade
    said "the running daemon continues"
    not_called "try-restart"
    ;;
bad-options)
    mkdir -p /etc/sysconfig
    echo 'XENCONSOLED_ARGS="--log=everything"' >/etc/sysconfig/xencommons
    upgrade
    said "the running daemon continues"
    not_called "try-restart"
    ;;
removed)
    : >/run/calls
    mkdir /run/vconsoled
    package --erase vconsoled
    called "disable --now vconsoled.service"
    called "start xenconsoled.service"
    left=$(find /etc /usr /run /var -xdev -name '*vconsole*' ! -path '/run/*.rpm')
    [ -z "$left" ] || fail "left: $left"
    ;;
*)
    fail "no such case"
    ;;
esac
