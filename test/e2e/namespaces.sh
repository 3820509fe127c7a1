#!/bin/bash
# usage: namespaces.sh STATE COMMAND [ARGUMENT…]
# The first process of a node, in new network, mount and PID namespaces, which it sets up like a host. Writes to /etc,
# /run and /var/lib go to STATE or to memory. When this process ends, all processes of the namespaces end.
set -eu
state=$1
shift

mount --make-rshared /
mkdir -p "$state"
# An overlay cannot be the upper layer of another overlay.
if [ "$(stat -f -c %T "$state")" = overlayfs ]; then mount -t tmpfs node-state "$state"; fi
mkdir -p "$state"/etc "$state"/etc-work "$state"/var-lib "$state"/var-log
mount -t overlay node-etc -o "lowerdir=/etc,upperdir=$state/etc,workdir=$state/etc-work" /etc
mount --bind "$state/var-lib" /var/lib
mount --bind "$state/var-log" /var/log
mount -t tmpfs node-run /run

# A kubelet refuses a loopback address and uses the address of the default route. Nothing outside can be reached.
ip link set lo up
ip link add node0 type veth peer name node0-peer
ip address add 10.254.0.1/24 dev node0
ip link set node0 up
ip link set node0-peer up
ip route add default via 10.254.0.2
echo 1 > /proc/sys/net/ipv4/ip_forward

# Without exec, since the first process has to reap orphaned processes.
"$@"
