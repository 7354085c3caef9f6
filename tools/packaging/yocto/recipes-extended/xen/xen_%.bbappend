# SPDX-License-Identifier: MIT
# The hypervisor, with the device.
require vpl011-patches.inc

FILESEXTRAPATHS:prepend := "${THISDIR}/files:"
SRC_URI += "file://vpl011.cfg file://core.o"

# Xen's build takes the finished object in place of cargo.
do_configure:prepend() {
    install -m 0644 ${UNPACKDIR}/core.o ${S}/xen/arch/arm/vpl011/core.o_shipped
}
