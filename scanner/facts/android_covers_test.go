package facts

import (
	"testing"

	"picket/scanner/parse"
)

func TestWhatCoversTheSystem(t *testing.T) {
	const text = `1 0 254:3 / / ro,nodev - ext4 /dev/block/dm-3 ro,seclabel
2 1 254:10 / /data rw,nosuid - f2fs /dev/block/dm-10 rw,seclabel
3 1 254:10 /local/tmp/hosts /system/etc/hosts rw - f2fs /dev/block/dm-10 rw,seclabel
4 1 0:30 / /product/app ro - overlay overlay ro,lowerdir=/mnt/vendor/mi_ext/product/app:/product/app
5 1 0:31 / /system/lib64 ro - overlay overlay ro,lowerdir=/data/x:/system/lib64
6 1 254:10 /adb/modules/m/system/bin/x /system/bin/x ro - f2fs /dev/block/dm-10 rw,seclabel
7 1 0:32 / /apex rw - tmpfs tmpfs rw
8 1 8:5 / /vendor/nvdata rw - ext4 /dev/block/sda5 rw
`
	mounts, _ := parse.MountInfo([]byte(text))
	if len(mounts) != 8 {
		t.Fatalf("%d mounts read, want 8", len(mounts))
	}
	rows := make([]AndroidMount, 0, len(mounts))
	for _, m := range mounts {
		rows = append(rows, androidMount(m, "mountinfo"))
	}
	markCovers(rows)
	for i, want := range []struct {
		target                 string
		covers, fromData, mine bool
	}{
		{"/", false, false, false},
		{"/data", false, false, false},
		{"/system/etc/hosts", true, true, false},
		{"/product/app", true, false, true},
		{"/system/lib64", true, true, false},
		{"/system/bin/x", true, true, false},
		{"/apex", false, false, false},
		{"/vendor/nvdata", false, false, false},
	} {
		r := rows[i]
		if r.Target != want.target || r.Covers != want.covers || r.FromData != want.fromData || r.Maker != want.mine {
			t.Errorf("%s: covers %v, from data %v, maker's %v; want %+v", r.Target, r.Covers, r.FromData, r.Maker, want)
		}
	}
	if rows[5].Tool == "" {
		t.Error("a file of a root module has no tool")
	}
}
