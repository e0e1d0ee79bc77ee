package facts_test

import (
	"testing"

	"picket/scanner/device"
)

// What people keep is not opened: the table tells programs by names and first bytes that it
// declares, and looks into app packages alone.
func TestDroppedFilesReadsWhatItDeclares(t *testing.T) {
	t.Parallel()
	d, err := device.Txtar([]byte(`platform: android
-- system/build.prop --
ro.build.version.sdk=33
-- data/local/tmp/d/run mode=0755 --
#!/system/bin/sh
-- data/local/tmp/d/x.apk --
PK
-- data/local/x/y --
text
-- dev/x/y elf --
-- data/media/0/Download/a/b.txt --
text
-- data/media/0/Download/a/b.apk --
text
-- data/media/0/Documents/a/diary.txt --
text
-- data/media/0/Documents/a/b.sh --
#!/bin/sh
-- data/media/0/note.txt --
text
-- data/media/0/x.apk --
text
-- data/media/0/DCIM/a.jpg --
text
-- data/media/0/Android/media/com.chat/Images/a.jpg --
text
-- data/media/0/Android/media/com.chat/a.dex --
text
`))
	if err != nil {
		t.Fatal(err)
	}
	if bad := observe(t, d)["dropped_files"]; len(bad) > 0 {
		t.Errorf("reads what it does not declare: %q", bad)
	}
}
