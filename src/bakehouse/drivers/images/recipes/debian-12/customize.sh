# Run by mmdebstrap in its user namespace with the folder of the installed system as $1, after the files of
# `rootfs` have been put there. mmdebstrap's own cleaning would come too late for the file system.
set -eu
root=$1

chroot "$root" systemctl --quiet enable ssh.service serial-getty@@CONSOLE@.service
# Ready to be enabled by user data, not listening on every machine.
chroot "$root" systemctl --quiet disable nginx.service
# With it, enabling the service also runs update-rc.d, which is Perl: ten seconds under emulation.
rm -f "$root/etc/init.d/nginx"

# cloud-init is wanted always (see also its drop-ins); of the generators, those for fstab, rc.local and SysV remain.
chroot "$root" systemctl --quiet add-wants multi-user.target cloud-init.target
mkdir -p "$root/etc/systemd/system-generators"
for name in cloud-init systemd-cryptsetup systemd-debug systemd-getty systemd-gpt-auto systemd-hibernate-resume \
  systemd-integritysetup systemd-run systemd-system-update systemd-veritysetup; do
  ln -s /dev/null "$root/etc/systemd/system-generators/$name-generator"
done
chroot "$root" systemctl --quiet mask cloud-init-local.service cloud-init-hotplugd.socket

# Nothing on a machine of some minutes or hours gains by these, and under emulation each costs a part of the boot.
chroot "$root" systemctl --quiet mask \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
  e2scrub_reap.service getty@tty1.service systemd-pstore.service systemd-binfmt.service \
  proc-sys-fs-binfmt_misc.automount dev-hugepages.mount sys-kernel-config.mount sys-kernel-debug.mount \
  sys-kernel-tracing.mount sys-fs-fuse-connections.mount kmod-static-nodes.service \
  modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service \
  modprobe@fuse.service modprobe@loop.service systemd-journal-flush.service systemd-random-seed.service \
  systemd-tmpfiles-setup-dev.service systemd-update-utmp.service systemd-update-utmp-runlevel.service
# Run at each ssh session, to say `uname` in it.
rm -f "$root/etc/update-motd.d/10-uname"

# Without it the disk is not found: the drivers are listed in the overlay.
chroot "$root" update-initramfs -c -k all
ln -sf "$(cd "$root" && ls boot/initrd.img-*)" "$root/initrd.img"

echo debian > "$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' > "$root/etc/hosts"

# Identity: each instance gets its own.
: > "$root/etc/machine-id"
# D-Bus has a copy of its own, from which systemd would take an id that it does not have.
ln -sf /etc/machine-id "$root/var/lib/dbus/machine-id"
rm -f "$root"/etc/ssh/ssh_host_*

rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old "$root"/var/log/*.log \
  "$root"/var/log/apt/* "$root"/var/lib/dpkg/*-old "$root"/tmp/* "$root"/etc/apt/apt.conf.d/99mmdebstrap \
  "$root"/etc/apt/apt.conf.d/00mmdebstrap "$root"/etc/dpkg/dpkg.cfg.d/99mmdebstrap \
  "$root"/var/lib/systemd/random-seed
mkdir -p "$root/var/lib/apt/lists/partial" "$root/var/cache/apt/archives/partial"

# Tells systemd that /etc and /var were made with this /usr: it need not bring them up to date at the first boot.
touch "$root/etc/.updated" "$root/var/.updated"
