package parse

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func mainFilter(category string) xmlNode {
	return node("intent-filter", nil,
		node("action", []xmlAttr{textAttr(attrName, "android.intent.action.MAIN")}),
		node("category", []xmlAttr{textAttr(attrName, category)}))
}

func sampleManifest() xmlNode {
	return node("manifest", []xmlAttr{
		plainAttr("package", "org.example.app"), plainAttr("platformBuildVersionCode", "34"),
		intAttr(attrVersionCode, 7), intAttr(attrVersionCodeMajor, 2), refAttr(attrVersionName, 0x7f010001),
		textAttr(attrSharedUserID, "org.example.shared"), intAttr(attrCompileSDK, 34),
	},
		node("uses-sdk", []xmlAttr{intAttr(attrMinSDK, 21), textAttr(attrTargetSDK, "VanillaIceCream")}),
		node("uses-permission", []xmlAttr{textAttr(attrName, "android.permission.READ_SMS"), intAttr(attrMaxSDK, 28)}),
		node("uses-permission-sdk-23", []xmlAttr{textAttr(attrName, "android.permission.CAMERA")}),
		node("permission", []xmlAttr{textAttr(attrName, "org.example.P"), {id: attrProtectionLevel, kind: 0x11, data: 2}}),
		node("uses-feature", []xmlAttr{textAttr(attrName, "android.hardware.camera"), boolAttr(attrRequired, 0)}),
		node("application", []xmlAttr{
			refAttr(attrLabel, 0x7f010000), refAttr(attrIcon, 0x7f020000), textAttr(attrName, "App"),
			refAttr(attrDebuggable, 0x7f030000), boolAttr(attrTestOnly, 1<<32-1), boolAttr(attrAllowBackup, 0),
			boolAttr(attrCleartext, 1), refAttr(attrNetworkSecurity, 0x7f020001), refAttr(attrHasCode, 0x7f090000),
		},
			node("activity", []xmlAttr{textAttr(attrName, ".Main"), boolAttr(attrEnabled, 0)}, mainFilter("android.intent.category.LAUNCHER")),
			node("activity-alias", []xmlAttr{textAttr(attrName, "org.other.Alias"), textAttr(attrTargetActivity, ".Main"), boolAttr(attrExported, 1)}),
			node("service", []xmlAttr{textAttr(attrName, ".Watch"), textAttr(attrPermission, "android.permission.BIND_ACCESSIBILITY_SERVICE")},
				node("intent-filter", nil, node("action", []xmlAttr{textAttr(attrName, "android.accessibilityservice.AccessibilityService")}))),
			node("receiver", []xmlAttr{textAttr(attrName, ".Admin")},
				node("intent-filter", nil, node("action", []xmlAttr{textAttr(attrName, "android.app.action.DEVICE_ADMIN_ENABLED")}),
					node("data", []xmlAttr{textAttr(attrScheme, "content")}))),
			node("provider", []xmlAttr{textAttr(attrName, ".Files"), textAttr(attrReadPermission, "r"), textAttr(attrWritePermission, "w")}),
		),
		node("application", []xmlAttr{textAttr(attrLabel, "decoy")}, node("service", []xmlAttr{textAttr(attrName, ".Decoy")})),
	)
}

func sampleResources() []byte {
	return buildARSC([]string{"Sample", "1.2.3", "Exemple", "res/icon.png", "res/net.xml"},
		arscType{id: 1, config: language("fr"), values: []arscValue{{index: 0, kind: resString, data: 2}}},
		arscType{id: 1, values: []arscValue{{index: 0, kind: resString, data: 0}, {index: 1, kind: resReference, data: 0x7f010002}, {index: 2, kind: resString, data: 1}}},
		arscType{id: 2, values: []arscValue{{index: 0, kind: resString, data: 3}, {index: 1, kind: resString, data: 4}}},
		arscType{id: 3, values: []arscValue{{index: 0, kind: resBoolean, data: 1<<32 - 1}}},
	)
}

func TestManifestIsReadByResourceIDs(t *testing.T) {
	t.Parallel()
	want := AndroidManifest{
		Package: "org.example.app", VersionCode: 2<<32 + 7, VersionName: "1.2.3", SharedUserID: "org.example.shared",
		MinSDK: 21, TargetCodename: "VanillaIceCream", CompileSDK: 34, PlatformBuildVersion: "34",
		UsesPermissions: []UsesPermission{{Name: "android.permission.READ_SMS", MaxSDK: 28}, {Name: "android.permission.CAMERA", SDK23: true}},
		Permissions:     []DeclaredPermission{{"org.example.P", 2}},
		Features:        []UsesFeature{{"android.hardware.camera", false}},
		HasApplication:  true, Label: "Sample", Icon: "res/icon.png", NetworkSecurityConfig: "res/net.xml", ApplicationClass: "org.example.app.App",
		Debuggable: FlagTrue, TestOnly: FlagTrue, AllowBackup: FlagFalse, UsesCleartext: FlagTrue, HasCode: FlagUnknown,
		Components: []ManifestComponent{
			{Kind: "activity", Name: "org.example.app.Main", Enabled: FlagFalse,
				Filters: []ManifestFilter{{Actions: []string{"android.intent.action.MAIN"}, Categories: []string{"android.intent.category.LAUNCHER"}}}},
			{Kind: "activity-alias", Name: "org.other.Alias", Target: "org.example.app.Main", Exported: FlagTrue},
			{Kind: "service", Name: "org.example.app.Watch", Permission: "android.permission.BIND_ACCESSIBILITY_SERVICE",
				Filters: []ManifestFilter{{Actions: []string{"android.accessibilityservice.AccessibilityService"}}}},
			{Kind: "receiver", Name: "org.example.app.Admin",
				Filters: []ManifestFilter{{Actions: []string{"android.app.action.DEVICE_ADMIN_ENABLED"}, Schemes: []string{"content"}}}},
			{Kind: "provider", Name: "org.example.app.Files", ReadPermission: "r", WritePermission: "w"},
		},
		Problems: []string{"a second <application>, which Android skips"},
	}
	for _, wide := range []bool{false, true} {
		a := openTestAPK(t, buildZIP(t, []zipFile{
			{name: "AndroidManifest.xml", content: buildAXML(sampleManifest(), wide), deflate: true},
			{name: "resources.arsc", content: sampleResources()},
		}, nil, ""))
		m, err := a.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*m, want) {
			t.Errorf("wide %v:\n got %+v\nwant %+v", wide, *m, want)
		}
		if m.Launcher() {
			t.Error("a disabled activity counts as one that the home screen shows")
		}
		if r := m.Components[2].Role() + " " + m.Components[3].Role() + m.Components[4].Role(); r != "accessibility device-admin" {
			t.Errorf("roles %q", r)
		}
	}
}

func TestManifestWithoutItsResourcesKeepsReferences(t *testing.T) {
	t.Parallel()
	for what, table := range map[string][]zipFile{
		"none":    nil,
		"damaged": {{name: "resources.arsc", content: []byte("no table")}},
	} {
		files := append([]zipFile{{name: "AndroidManifest.xml", content: buildAXML(sampleManifest(), true)}}, table...)
		m, err := openTestAPK(t, buildZIP(t, files, nil, "")).Manifest()
		if err != nil {
			t.Fatal(err)
		}
		if m.Label != "@0x7f010000" || m.VersionName != "@0x7f010001" || m.Debuggable != FlagUnknown {
			t.Errorf("%s: label %q, version %q, debuggable %v", what, m.Label, m.VersionName, m.Debuggable)
		}
		if said := strings.Contains(strings.Join(m.Problems, "\n"), "unresolved"); said != (table != nil) {
			t.Errorf("%s: problems %q", what, m.Problems)
		}
	}
}

func TestNamesWithoutResourceIDsMeanNothing(t *testing.T) {
	t.Parallel()
	m, err := ParseAndroidManifest(buildAXML(node("manifest", []xmlAttr{plainAttr("package", "a.b"), plainAttr("versionName", "9")},
		node("application", []xmlAttr{plainAttr("debuggable", "true")})), false), nil)
	if err != nil || m.VersionName != "" || m.Debuggable != FlagUnset {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestDamagedManifests(t *testing.T) {
	t.Parallel()
	good := buildAXML(sampleManifest(), true)
	poolAt := resHeaderLen
	mapAt := poolAt + int(le.Uint32(good[poolAt+4:]))
	rootAt := mapAt + int(le.Uint32(good[mapAt+4:]))
	deep := node("x", nil)
	for range maxAXMLDepth {
		deep = node("x", nil, deep)
	}
	for _, c := range []struct {
		name string
		b    []byte
		msg  string
	}{
		{"empty", nil, "offset 0: binary XML of 0 bytes"},
		{"text", []byte("<manifest/> in plain text"), "claims a header"},
		{"claims more than there is", edit(good, 4, 0xff, 0xff, 0xff), "claims a header"},
		{"pool of a size beyond the file", edit(good, poolAt+4, 0xfc, 0xff, 0xff, 0xff), "offset 8: chunk 0x0001 claims"},
		{"pool of no size", edit(good, poolAt+4, 0, 0, 0, 0), "offset 8: chunk"},
		{"pool of odd size", edit(good, poolAt+4, good[poolAt+4]+1), "offset 8: chunk"},
		{"texts beyond the pool", edit(good, poolAt+8, 0xff, 0xff, 0xff, 0x7f), "claims 2147483647 texts"},
		{"texts elsewhere", edit(good, poolAt+20, 0xff, 0xff, 0xff, 0xff), "texts at 4294967295"},
		{"attributes beyond the element", edit(good, rootAt+28, 0xff, 0xff), "attributes of 20 bytes"},
		{"attributes of no size", edit(good, rootAt+26, 0, 0), "attributes of 0 bytes"},
		{"attributes elsewhere", edit(good, rootAt+24, 0xff, 0xff), "at 65535"},
		{"cut off", edit(good[:len(good)-24], 4, le.AppendUint32(nil, uint32(len(good)-24))...), "ends inside <manifest>"},
		{"another root", buildAXML(node("resources", nil), true), "element <resources> where <manifest> belongs"},
		{"no package", buildAXML(node("manifest", nil), true), "without a package name"},
		{"depth", buildAXML(node("manifest", []xmlAttr{plainAttr("package", "a")}, deep), true), "depth than any manifest"},
		{"no element", chunk(resXML, nil, pool(true, "x")), "without an element"},
	} {
		_, err := ParseAndroidManifest(c.b, nil)
		if err == nil || !strings.Contains(err.Error(), c.msg) {
			t.Errorf("%s: %v, want %q", c.name, err, c.msg)
		}
	}
}

func TestManifestsThatAndroidReadsThoughTheyAreOdd(t *testing.T) {
	t.Parallel()
	good := buildAXML(sampleManifest(), true)
	unknown := chunk(0x0777, nil, []byte("12345678"))
	padded := append(append(append([]byte(nil), good[:resHeaderLen]...), unknown...), good[resHeaderLen:]...)
	le.PutUint32(padded[4:], uint32(len(padded)))
	for name, b := range map[string][]byte{
		"type of the file": edit(good, 0, 0),
		"trailing bytes":   append(append([]byte(nil), good...), "tail"...),
		"unknown chunk":    padded,
	} {
		if m, err := ParseAndroidManifest(b, nil); err != nil || m.Package != "org.example.app" || len(m.Components) != 5 {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func TestResourceForms(t *testing.T) {
	t.Parallel()
	texts := []string{"default", "english", "deutsch", "lang " + strings.Repeat("ä", 300)}
	table, err := ParseResourceTable(buildARSC(texts,
		arscType{id: 1, flags: typeSparse, values: []arscValue{{index: 3, kind: resString, data: 0}, {index: 900, kind: resString, data: 1}}},
		arscType{id: 2, flags: typeOffset16, values: []arscValue{{index: 0, compact: true, kind: resString, data: 0}, {index: 2, compact: true, kind: resReference, data: 0x7f0103e7}, {index: 3, compact: true, kind: resReference, data: 0x7f010384}}},
		arscType{id: 3, config: language("de"), values: []arscValue{{index: 0, kind: resString, data: 2}, {index: 1, kind: resString, data: 2}, {index: 2, kind: resString, data: 2}}},
		arscType{id: 3, config: language("en"), values: []arscValue{{index: 0, kind: resString, data: 1}, {index: 1, kind: resString, data: 1}}},
		arscType{id: 3, values: []arscValue{{index: 0, kind: resString, data: 0}}},
		arscType{id: 4, values: []arscValue{{index: 0, kind: resReference, data: 0x7f040001}, {index: 1, kind: resReference, data: 0x7f040000}, {index: 2, kind: resString, data: 3}, {index: 3, kind: resString, data: 77}, {index: 4, kind: resFirstInt, data: 1<<32 - 5}}},
	))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id   uint32
		text string
		ok   bool
	}{
		{0x7f010003, "default", true}, {0x7f010384, "english", true}, {0x7f010004, "", false},
		{0x7f020000, "default", true}, {0x7f020001, "", false}, {0x7f020002, "", false}, {0x7f020003, "english", true},
		{0x7f030000, "default", true}, {0x7f030001, "english", true}, {0x7f030002, "deutsch", true},
		{0x7f040000, "", false}, {0x7f040002, texts[3], true}, {0x7f040003, "", false}, {0x7f040004, "-5", true},
		{0x01040000, "", false}, {0x7f050000, "", false}, {0, "", false}, {1<<32 - 1, "", false},
	} {
		if text, ok := table.Text(c.id); ok != c.ok || ok && text != c.text {
			t.Errorf("%#x: %q, %v; want %q, %v", c.id, text, ok, c.text, c.ok)
		}
	}
}

func TestDamagedResourceTables(t *testing.T) {
	t.Parallel()
	good := sampleResources()
	packageAt := 12 + int(le.Uint32(good[16:]))
	typeAt := packageAt + resPackageLen
	for range 2 { // past the two pools
		typeAt += int(le.Uint32(good[typeAt+4:]))
	}
	for _, c := range []struct {
		name string
		b    []byte
		msg  string
	}{
		{"empty", nil, "chunk is cut off"},
		{"manifest", buildAXML(sampleManifest(), true), "instead of a resource table"},
		{"size", edit(good, 4, 0xfc, 0xff, 0xff, 0xff), "claims a header"},
		{"package's head", edit(good, packageAt+2, 12), "package with a header of"},
		{"package's size", edit(good, packageAt+4, 0xfc, 0xff, 0xff, 0x7f), "claims a header"},
		{"type 0", edit(good, typeAt+8, 0), "type 0"},
		{"entries", edit(good, typeAt+12, 0xff, 0xff, 0xff, 0xff), "claims 4294967295 entries"},
		{"start of entries", edit(good, typeAt+16, 0xff, 0xff, 0xff, 0xff), "at 4294967295"},
		{"configuration", edit(good, typeAt+20, 0xff), "configuration of 255 bytes"},
		{"many configurations of one type", buildARSC([]string{"x"}, slices.Repeat([]arscType{{id: 1}}, maxResConfigs+1)...), "more than 2048 configurations"},
		{"many chunks", chunk(resTable, make([]byte, 4), repeatedChunks(maxResChunks+1)), "more than 16384 chunks"},
	} {
		_, err := ParseResourceTable(c.b)
		if err == nil || !strings.Contains(err.Error(), c.msg) {
			t.Errorf("%s: %v, want %q", c.name, err, c.msg)
		}
	}
}

func repeatedChunks(n int) []byte {
	var b []byte
	for range n {
		b = append(b, chunk(0x0777, nil)...)
	}
	return b
}

func FuzzAndroidManifest(f *testing.F) {
	f.Add(buildAXML(sampleManifest(), true), sampleResources())
	f.Add(buildAXML(sampleManifest(), false), []byte{})
	f.Fuzz(func(t *testing.T, axml, arsc []byte) {
		m, err := ParseAndroidManifest(axml, func() (*ResourceTable, error) { return ParseResourceTable(arsc) })
		if err == nil && m.Package == "" {
			t.Error("a manifest without a package name and without an error")
		}
	})
}

func FuzzResourceTable(f *testing.F) {
	f.Add(sampleResources(), uint32(0x7f010001))
	f.Add(buildARSC([]string{"x"}, arscType{id: 1, flags: typeSparse, values: []arscValue{{index: 3, kind: resString}}}), uint32(0x7f010003))
	f.Add(buildARSC([]string{"x"}, arscType{id: 1, flags: typeOffset16, values: []arscValue{{compact: true, kind: resReference, data: 0x7f010000}}}), uint32(0x7f010000))
	f.Fuzz(func(t *testing.T, b []byte, id uint32) {
		table, err := ParseResourceTable(b)
		if err != nil {
			return
		}
		if text, ok := table.Text(id); !ok && text != "" && text[0] != '@' {
			t.Errorf("%#x is %q without being resolved", id, text)
		}
	})
}
