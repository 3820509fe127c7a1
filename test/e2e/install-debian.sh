#!/bin/sh
# Installs what the node of `npm run test:e2e` needs besides the programs that the project builds: a container runtime,
# network plugins, an image builder. Needs root on Debian 12 or later. Starts nothing.
set -eu
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
  buildah busybox-static ca-certificates conntrack containerd containernetworking-plugins ethtool iproute2 iptables \
  nftables runc socat util-linux >/dev/null
