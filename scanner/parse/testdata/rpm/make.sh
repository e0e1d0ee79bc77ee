#!/bin/sh
# Makes the rpm databases in this folder anew, and what rpm itself says of them. Needs rpmbuild,
# rpmsign, gpg, sqlite3 and db_load (Debian packages rpm, gpg, sqlite3, db-util).
set -eu
out=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

cat > kiosk.spec <<'SPEC'
Name: kiosk-app
Epoch: 2
Version: 1.4
Release: 3.picket
Summary: Shows a page on a screen
License: Apache-2.0
Vendor: Picket Test
Packager: Tester <tester@example.org>
%description
A package of the tests.
%package -n kiosk-data
Epoch: 0
Version: 20260101
Summary: Bilder für die Anzeige
BuildArch: noarch
%description -n kiosk-data
A package of the tests with more files.
%package -n kiosk-meta
Version: 1.4
Summary: No file at all
%description -n kiosk-meta
A package of the tests without files.
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/etc/kiosk %{buildroot}/var/log %{buildroot}/usr/share/kiosk/pages
printf '#!/bin/sh\necho kiosk\n' > %{buildroot}/usr/bin/kiosk
printf '#!/bin/sh\necho ping\n' > %{buildroot}/usr/bin/kiosk-ping
ln -s kiosk %{buildroot}/usr/bin/kiosk-show
echo 'url = "https://example.org"' > %{buildroot}/etc/kiosk/kiosk.conf
touch %{buildroot}/var/log/kiosk.log
for i in $(seq 10 39); do echo "page $i" > %{buildroot}/usr/share/kiosk/pages/page-$i.html; done
%files
%attr(4755,root,root) /usr/bin/kiosk
%caps(cap_net_raw=p) %attr(0755,root,kiosk) /usr/bin/kiosk-ping
/usr/bin/kiosk-show
%dir %attr(0750,kiosk,kiosk) /etc/kiosk
%config(noreplace) %verify(not user group) %attr(0640,root,kiosk) /etc/kiosk/kiosk.conf
%ghost /var/log/kiosk.log
%files -n kiosk-data
%doc /usr/share/kiosk
%files -n kiosk-meta
SPEC
for arch in x86_64 i686; do
	rpmbuild --quiet --target $arch --define "_topdir $tmp/build" --define '_build_id_links none' \
		--define 'debug_package %{nil}' --define '__os_install_post %{nil}' \
		--define '_source_filedigest_algorithm 8' --define '_binary_filedigest_algorithm 8' -bb kiosk.spec
done

export GNUPGHOME="$tmp/gnupg"
mkdir -m 700 gnupg
gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key 'Picket Test <tester@example.org>' rsa2048 sign never
gpg --armor --export > key.asc
rpmsign --define "__gpg $(command -v gpg)" --define '_gpg_name tester@example.org' --addsign build/RPMS/x86_64/kiosk-app-*.rpm > /dev/null

rpm="rpm --dbpath $tmp/db"
$rpm --initdb
$rpm --import key.asc
$rpm --force-debian -i --justdb --nodeps --noscripts --nosignature --ignorearch \
	build/RPMS/x86_64/kiosk-app-*.rpm build/RPMS/noarch/kiosk-data-*.rpm \
	build/RPMS/x86_64/kiosk-meta-*.rpm build/RPMS/i686/kiosk-meta-*.rpm
$rpm -qa --qf '%{NVRA}|%{EVR}|%{ARCH}|%{SIZE}|%{INSTALLTIME}|%{VENDOR}|%{PACKAGER}|%{SOURCERPM}|%{RSAHEADER:pgpsig}|%{SUMMARY}\n' | sort > "$out/packages.want"
$rpm -qa --qf '[%{=NVRA}|%{FILENAMES}|%{FILEMODES:octal}|%{FILEUSERNAME}|%{FILEGROUPNAME}|%{FILEDIGESTS}|%{FILEFLAGS}|%{FILEVERIFYFLAGS}|%{FILESTATES}|%{FILECAPS}\n]' | grep -v '^(none)$' | sort > "$out/files.want"
sqlite3 db/rpmdb.sqlite 'pragma wal_checkpoint(truncate);' > /dev/null
gzip -9nc db/rpmdb.sqlite > "$out/rpmdb.sqlite.gz"

# The same headers in small pages, so that they spill over many.
headers=$(sqlite3 db/rpmdb.sqlite 'select hnum from Packages order by hnum')
for n in $headers; do
	sqlite3 db/rpmdb.sqlite "select writefile('$n.header', blob) from Packages where hnum=$n" > /dev/null
done
table="pragma page_size=512; create table Other(x); create table Packages(hnum integer primary key autoincrement, blob blob not null);"
insert() { echo "insert into Packages(blob) values(readfile('$1.header'));"; }
set -- $headers
# The database holds the first two headers; its log adds the others in two transactions,
# deletes the first header in a third, and ends within a fourth that adds it again.
{
	echo "$table pragma journal_mode=wal; pragma wal_autocheckpoint=0;"
	insert "$1"; insert "$2"
	echo "pragma wal_checkpoint(truncate);"
	insert "$3"
	echo "begin;"; insert "$4"; insert "$5"; echo "commit;"
	echo "delete from Packages where hnum=1;"
	insert "$1"
	echo ".shell cp small.sqlite $out/small.sqlite"
	echo ".shell cp small.sqlite-wal $out/small.sqlite-wal"
} | sqlite3 small.sqlite > /dev/null
truncate -s -100 "$out/small.sqlite-wal"

for order in 1234 4321; do
	{
		printf 'VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=512\ndb_lorder=%s\nHEADER=END\n' $order
		printf ' 00000000\n %08x\n' 5
		for n in $headers; do
			printf ' %02x000000\n ' "$n"
			od -An -v -tx1 "$n.header" | tr -d ' \n'
			echo
		done
		echo DATA=END
	} > dump
	rm -f Packages
	db_load -f dump Packages
	cp Packages "$out/Packages.$order"
done
