package parse

import (
	"errors"
	"fmt"
	"testing"
)

const inputMethodOld = `Current Input Method Manager state:
  Input Methods: mMethodMapUpdateCount=2 mBindInstantServiceAllowed=false
  InputMethod #0:
    mId=com.example.keys/.Keys mSettingsActivityName=null
    mIsDefaultResId=0x7f0a0005
  InputMethod #1:
    mId=com.android.inputmethod.latin/.LatinIME mSettingsActivityName=x
  Clients:
  mCurMethodId=com.example.keys/.Keys
  mCurSeq=4 mCurClient=ClientState{1 uid 10001 pid 3}
`

const inputMethodNew = `Input Method Manager Service:
Current Input Method Manager state:
  concurrentMultiUserModeEnabled=false
  Input Methods:
  InputMethod #0:
    mId=com.google.android.inputmethod.latin/com.android.inputmethod.latin.LatinIME mSettingsActivityName=x
   mSelectedMethodId=com.google.android.inputmethod.latin/com.android.inputmethod.latin.LatinIME
`

func TestInputMethodDump(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		inputMethodOld: "[com.example.keys/com.example.keys.Keys com.android.inputmethod.latin/com.android.inputmethod.latin.LatinIME] com.example.keys/com.example.keys.Keys 9",
		inputMethodNew: "[com.google.android.inputmethod.latin/com.android.inputmethod.latin.LatinIME] com.google.android.inputmethod.latin/com.android.inputmethod.latin.LatinIME 7",
	} {
		m, err := InputMethodDump([]byte(in))
		if got := fmt.Sprint(m.Installed, " ", m.Current, " ", m.Line); err != nil || got != want {
			t.Errorf("got %s (%v), want %s", got, err, want)
		}
	}
	for _, in := range []string{"", "Can't find service: input_method\n", "something else\n"} {
		if _, err := InputMethodDump([]byte(in)); err == nil {
			t.Errorf("%q is taken for a dump", in)
		}
	}
}

const displays = `DISPLAY MANAGER (dumpsys display)
  mOnlyCode=false
Display Devices: size=3
  DisplayDeviceInfo{"Built-in Screen": uniqueId="local:0", 1080 x 1920, type BUILT_IN, FLAG_DEFAULT_DISPLAY}
  DisplayDeviceInfo{"scrcpy": uniqueId="virtual:com.android.shell,2000,scrcpy,0", 720 x 1280, type VIRTUAL, owner com.android.shell (uid 2000), FLAG_PRESENTATION}
  DisplayDeviceInfo{"rec": uniqueId="virtual:com.example.rec,10123,rec", 720 x 1280, type VIRTUAL, FLAG_PRIVATE, FLAG_OWN_CONTENT_ONLY}
  mUniqueId=virtual:com.example.rec,10123,rec
`

func TestVirtualDisplays(t *testing.T) {
	t.Parallel()
	got, err := VirtualDisplays([]byte(displays))
	want := []VirtualDisplay{{"com.android.shell", 2000, "scrcpy", false, 5}, {"com.example.rec", 10123, "rec", true, 6}}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
	if got, err := VirtualDisplays([]byte("DISPLAY MANAGER (dumpsys display)\n")); err != nil || len(got) != 0 {
		t.Errorf("none: %v %v", got, err)
	}
	if _, err := VirtualDisplays([]byte("mUniqueId=virtual:a.b,1,c\n")); !errors.Is(err, ErrOtherFormat) {
		t.Errorf("text of another kind: %v", err)
	}
}

func FuzzScreenServices(f *testing.F) {
	for _, s := range []string{inputMethodOld, inputMethodNew, displays} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, _ := InputMethodDump(b)
		for _, c := range m.Installed {
			if _, ok := flatComponent(c); !ok {
				t.Errorf("%q is no component", c)
			}
		}
		all, _ := VirtualDisplays(b)
		for _, d := range all {
			if !isPackage(d.Package) || d.UID < 0 {
				t.Errorf("%v", d)
			}
		}
	})
}
