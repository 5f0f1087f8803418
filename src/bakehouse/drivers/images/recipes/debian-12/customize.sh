# Run by mmdebstrap in its user namespace with the folder of the installed system as $1, after the files of
# `rootfs` have been put there. mmdebstrap's own cleaning would come too late for the file system.
set -eu
root=$1

chroot "$root" systemctl --quiet enable systemd-networkd.service systemd-resolved.service ssh.service serial-getty@ttyS0.service
# Ready to be enabled by user data, not listening on every machine.
chroot "$root" systemctl --quiet disable nginx.service
# cloud-init-local: see the drop-in of cloud-init.service. The rest: nothing on a machine of a few minutes or hours
# gains by it, and under emulation each costs a noticeable part of the boot.
chroot "$root" systemctl --quiet mask \
  cloud-init-local.service cloud-init-hotplugd.socket \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
  e2scrub_reap.service getty@tty1.service systemd-pstore.service

ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
echo debian > "$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' > "$root/etc/hosts"

# Identity: each instance gets its own.
: > "$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_*

rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old "$root"/var/log/*.log \
  "$root"/var/log/apt/* "$root"/var/lib/dpkg/*-old "$root"/tmp/* "$root"/etc/apt/apt.conf.d/99mmdebstrap \
  "$root"/etc/apt/apt.conf.d/00mmdebstrap "$root"/etc/dpkg/dpkg.cfg.d/99mmdebstrap \
  "$root"/var/lib/systemd/random-seed
mkdir -p "$root/var/lib/apt/lists/partial" "$root/var/cache/apt/archives/partial"
