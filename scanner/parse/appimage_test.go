package parse

import "testing"

func TestIsAppImage(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]bool{
		"\x7fELF\x02\x01\x01\x00AI\x02\x00\x00\x00\x00\x00": true,
		"\x7fELF\x02\x01\x01\x00AI\x01\x00":                 true,
		"\x7fELF\x02\x01\x01\x00AI\x03\x00":                 false,
		"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00":           false,
		"\x7fELF": false,
		"":        false,
	} {
		if IsAppImage([]byte(head)) != want {
			t.Errorf("%q: %v", head, !want)
		}
	}
}

func TestAppImageName(t *testing.T) {
	t.Parallel()
	for base, want := range map[string][3]string{
		"Krita-5.2.2-x86_64.AppImage": {"Krita", "5.2.2", "x86_64"},
		"nvim.appimage":               {"nvim", "", ""},
		"My_App-v1.0.appimage":        {"My_App", "1.0", ""},
		"tool_2.1_arm64.AppImage":     {"tool", "2.1", "arm64"},
		"aarch64.AppImage":            {"aarch64", "", ""},
		".AppImage":                   {".AppImage", "", ""},
		"7zip":                        {"7zip", "", ""},
		"a-":                          {"a-", "", ""},
	} {
		name, version, arch := AppImageName(base)
		if got := [3]string{name, version, arch}; got != want {
			t.Errorf("%s: got %q, want %q", base, got, want)
		}
	}
}

func FuzzAppImageName(f *testing.F) {
	f.Add("Krita-5.2.2-x86_64.AppImage")
	f.Add("-v")
	f.Fuzz(func(t *testing.T, base string) {
		name, version, arch := AppImageName(base)
		if base != "" && name == "" || len(name)+len(version)+len(arch) > len(base) {
			t.Fatalf("%q: %q %q %q", base, name, version, arch)
		}
	})
}
