#!/bin/sh
# Makes the images of this folder. Needs root (owners, devices, attributes), squashfs-tools,
# e2fsprogs, erofs-utils and libcap2-bin. README.md says what each is for.
set -eu
out=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
src=$tmp/src

mkdir -p "$src/etc" "$src/bin" "$src/many" "$src/empty"
printf 'ID=fixture\nVERSION_ID=1\n' >"$src/etc/os-release"
printf 'root:x:0:0::/root:/bin/sh\n' >"$src/etc/passwd"
i=0
while [ $i -lt 700 ]; do echo "line $i of a file that packs well"; i=$((i + 1)); done >"$src/text"
head -c 6000 "$src/text" | sha256sum >"$src/noise"
i=0
while [ $i -lt 60 ]; do
	echo $i >"$src/many/a-name-of-some-length-$i"
	i=$((i + 1))
done
truncate -s 100000 "$src/sparse"
printf tail >>"$src/sparse"
printf su >"$src/bin/su"
chmod 4755 "$src/bin/su"
printf ping >"$src/bin/ping"
chmod 755 "$src/bin/ping"
setcap cap_net_raw+ep "$src/bin/ping"
setfattr -n security.selinux -v u:object_r:system_file:s0 "$src/bin/ping" "$src/bin/su"
setfattr -n user.long -v "$(head -c 300 "$src/text" | tr -d '\n')" "$src/text"
ln -s /etc/os-release "$src/absolute"
ln -s "$(printf '/%080d' 1 2 3)" "$src/long-link"
ln -s loop "$src/loop"
ln "$src/etc/passwd" "$src/hard"
mkfifo -m 600 "$src/fifo"
mknod -m 640 "$src/char" c 5 1
mknod -m 0 "$src/whiteout" c 0 0
chown 100000:70000 "$src/noise"
find "$src" -exec touch -h -d @1700000000 {} +

for c in gzip xz zstd lzo lz4; do
	mksquashfs "$src" "$tmp/squashfs-$c" -comp $c -noappend -quiet -no-progress -mkfs-time 1700000000
done
ext() {
	name=$1
	shift
	truncate -s 512K "$tmp/$name"
	mke2fs -q -F -N 128 -b 1024 -d "$src" -E lazy_itable_init=0 "$@" "$tmp/$name"
}
ext ext4 -t ext4 -O '^has_journal'
ext ext4-inline -t ext4 -O '^has_journal,inline_data' -I 512
ext ext2 -t ext2
mkfs.erofs -T1700000000 --quiet "$tmp/erofs" "$src"
mkfs.erofs -T1700000000 --quiet -zlz4 "$tmp/erofs-lz4" "$src"
mkfs.erofs -T1700000000 --quiet -zlz4hc -C65536 -Efragments,dedupe,ztailpacking "$tmp/erofs-fragments" "$src"
mkfs.erofs -T1700000000 --quiet -zlz4 -Elegacy-compress "$tmp/erofs-legacy" "$src"
mkfs.erofs -T1700000000 --quiet --chunksize=4096 "$tmp/erofs-chunks" "$src"
rm -f "$out"/*.gz
for img in squashfs-gzip squashfs-xz squashfs-zstd squashfs-lzo squashfs-lz4 ext4 ext4-inline ext2 \
	erofs erofs-lz4 erofs-fragments erofs-legacy erofs-chunks; do
	gzip -9nc "$tmp/$img" >"$out/$img.gz"
done
