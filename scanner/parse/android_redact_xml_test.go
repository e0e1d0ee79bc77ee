package parse

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

const (
	personalUser = xmlHead + `<user id="10" serialNumber="12" flags="4112" type="android.os.usertype.profile.CLONE" created="1685570400000" lastLoggedIn="1685570400001" profileGroupId="0" seedAccountName="a@example.org" partial="true">
<name>Anna Private</name><restrictions no_sms="true" no_camera="false" /><device_policy_restrictions no_wallpaper="true" /></user>
`
	personalSettingsFile = xmlHead + `<settings version="200"><setting id="1" name="android_id" value="deadbeef" package="android" /><setting id="2" name="a" value="b &lt;c" defaultValue="d" package="p.q" defaultSysSet="true" />` +
		`<setting id="3" name="unset" package="p.q" /><setting id="4" name="wide" valueBase64="AOQACg==" package="p.q" /></settings>
`
)

// forms gives a file as text and as Android's binary XML.
func forms(t *testing.T, text string) [][]byte {
	return [][]byte{[]byte(text), toABX(t, []byte(text), rand.New(rand.NewPCG(1, 3)))}
}

func TestRedactedFilesReadTheSame(t *testing.T) {
	t.Parallel()
	for _, b := range forms(t, personalUser) {
		want, err := UserXML(b)
		got, err2 := UserXML(RedactUserXML(b))
		if err != nil || err2 != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v %v\n got %+v\nwant %+v", err, err2, got, want)
		}
		if text := string(RedactUserXML(b)); strings.Contains(text, "Anna") || strings.Contains(text, "example.org") {
			t.Errorf("kept %s", text)
		}
	}
	for _, b := range forms(t, personalSettingsFile) {
		want, err := SettingsXML(b)
		got, err2 := SettingsXML(RedactSettingsXML(b))
		if len(want) == 4 {
			want[0].Value = "x"
		}
		if err != nil || err2 != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v %v\n got %+v\nwant %+v", err, err2, got, want)
		}
		if strings.Contains(string(RedactSettingsXML(b)), "deadbeef") {
			t.Error("kept the android_id")
		}
	}
	if _, err := UserXML(RedactUserXML([]byte("<user id='1'><name>Anna"))); err == nil {
		t.Error("a damaged file became whole")
	}
}

func FuzzRedactXML(f *testing.F) {
	f.Add([]byte(personalUser))
	f.Add([]byte(personalSettingsFile))
	f.Fuzz(func(t *testing.T, b []byte) {
		if list, err := SettingsXML(b); err == nil {
			again, err := SettingsXML(RedactSettingsXML(b))
			if err != nil || len(again) != len(list) {
				t.Errorf("%d settings became %d: %v", len(list), len(again), err)
			}
		}
		if _, err := UserXML(b); err == nil {
			if _, err := UserXML(RedactUserXML(b)); err != nil {
				t.Error(err)
			}
		}
	})
}
