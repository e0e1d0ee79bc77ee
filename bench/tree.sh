#!/bin/sh
# Makes the tree that the measurements in the documentation were taken on: Debian with a desktop,
# web and database servers and compilers, about 1,400 packages. Needs root, debootstrap, 6 GB of
# disk and a Debian mirror.
#
#   bench/tree.sh DIR [MIRROR]
set -eu
tree=${1:?usage: bench/tree.sh DIR [MIRROR]}
mirror=${2:-}
debootstrap --variant=minbase bookworm "$tree" $mirror
cp /etc/resolv.conf "$tree/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' > "$tree/usr/sbin/policy-rc.d" # start no services
chmod 755 "$tree/usr/sbin/policy-rc.d"
mount -t proc proc "$tree/proc"
trap 'umount "$tree/proc"' EXIT
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
chroot "$tree" apt-get update
chroot "$tree" apt-get install -y --no-install-recommends \
	xfce4 lightdm firefox-esr libreoffice-writer libreoffice-calc evolution gimp inkscape vlc ffmpeg \
	network-manager wpasupplicant bluez avahi-daemon pulseaudio cups cups-filters \
	apache2 nginx php-fpm postgresql mariadb-server samba nfs-common exim4-daemon-light openssh-server \
	docker.io qemu-utils flatpak snapd nodejs npm golang-go default-jdk-headless build-essential clang gdb \
	cmake git python3-dev ruby perl texlive-base vim emacs-nox tmux \
	sudo systemd-sysv dbus polkitd rsyslog cron at ufw apparmor man-db xfsprogs btrfs-progs lvm2 cryptsetup
rm "$tree/usr/sbin/policy-rc.d"
rm -f "$tree"/var/cache/apt/archives/*.deb
chroot "$tree" dpkg-query -W | wc -l
