#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a case of a package's scripts on a copy of this machine:
#
#   copy.sh SCRIPT CASE PACKAGE FOLDER [FILE]...
#
# as root, in new mount, PID and network namespaces. FOLDER is empty; all writes go
# there, into memory. Each FILE is copied to /run/others. The case `copy` tests whether
# a copy can be made here.
set -eu

SCRIPT=$1 CASE=$2 PACKAGE=$3 FOLDER=$4
shift 4

mount -t tmpfs -o size=512m tmpfs "$FOLDER"
mkdir "$FOLDER/upper" "$FOLDER/work" "$FOLDER/root"
mount -t overlay overlay "$FOLDER/root" \
    -o "lowerdir=/,upperdir=$FOLDER/upper,workdir=$FOLDER/work"
mount -t proc proc "$FOLDER/root/proc"
mount --rbind /dev "$FOLDER/root/dev"
mount -t tmpfs tmpfs "$FOLDER/root/run"
cp "$SCRIPT" "$FOLDER/root/run/rehearsal.sh"
cp "$PACKAGE" "$FOLDER/root/run/package.deb"
mkdir "$FOLDER/root/run/others"
[ $# = 0 ] || cp "$@" "$FOLDER/root/run/others"
# dpkg reads the lists of all packages several times: here few are installed.
INSTALLED=$FOLDER/root/var/lib/dpkg
mkdir "$FOLDER/dpkg" "$FOLDER/dpkg/info" "$FOLDER/dpkg/updates" "$FOLDER/dpkg/triggers"
for package in dpkg init-system-helpers; do
    dpkg-query --status "$package"
    echo
done >"$FOLDER/dpkg/status"
cp "$INSTALLED"/info/dpkg.* "$INSTALLED"/info/init-system-helpers.* "$FOLDER/dpkg/info"
mount --bind "$FOLDER/dpkg" "$INSTALLED"
[ "$CASE" != copy ] || exit 0
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    chroot "$FOLDER/root" sh /run/rehearsal.sh "$CASE" /run/package.deb
