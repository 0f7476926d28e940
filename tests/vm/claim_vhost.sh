#!/usr/bin/env bash
# The kernel's share of a VFIO-bound port, by virtio-user and the kernel's vhost-net.
# shellcheck source=tests/vm/lib_kernel.sh
. "$(dirname "$0")/lib_kernel.sh"
guest "modprobe vhost_net && test -c /dev/vhost-net"
kernel_claim vhost vhost-net
