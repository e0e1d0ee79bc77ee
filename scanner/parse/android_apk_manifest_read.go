package parse

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Resource ids of the manifest's attributes (frameworks/base/core/res/res/values/public.xml).
const (
	attrLabel            = 0x01010001
	attrIcon             = 0x01010002
	attrName             = 0x01010003
	attrPermission       = 0x01010006
	attrReadPermission   = 0x01010007
	attrWritePermission  = 0x01010008
	attrProtectionLevel  = 0x01010009
	attrSharedUserID     = 0x0101000b
	attrHasCode          = 0x0101000c
	attrEnabled          = 0x0101000e
	attrDebuggable       = 0x0101000f
	attrExported         = 0x01010010
	attrScheme           = 0x01010027
	attrTargetActivity   = 0x01010202
	attrMinSDK           = 0x0101020c
	attrVersionCode      = 0x0101021b
	attrVersionName      = 0x0101021c
	attrTargetSDK        = 0x01010270
	attrMaxSDK           = 0x01010271
	attrTestOnly         = 0x01010272
	attrAllowBackup      = 0x01010280
	attrRequired         = 0x0101028e
	attrCleartext        = 0x010104ec
	attrNetworkSecurity  = 0x01010527
	attrFeatureSplit     = 0x0101055b
	attrCompileSDK       = 0x01010572
	attrVersionCodeMajor = 0x01010576
)

const (
	maxManifestReferences = 1000   // that are looked up
	maxManifestItems      = 20_000 // components, filters, actions, permissions together
	maxManifestText       = 8 << 20
)

// ParseAndroidManifest reads a binary AndroidManifest.xml as the framework's package parser
// does. resources gives the app's resource table when a reference is met; it may be nil.
func ParseAndroidManifest(axml []byte, resources func() (*ResourceTable, error)) (*AndroidManifest, error) {
	r := manifestReader{m: &AndroidManifest{}, load: resources}
	problems, err := readAXML(axml, r.element)
	if err == nil {
		err = r.err
	}
	r.m.Problems = append(problems, r.problems.texts()...)
	if err != nil {
		return r.m, fmt.Errorf("AndroidManifest.xml: %w", err)
	}
	return r.m, nil
}

type manifestReader struct {
	m             *AndroidManifest
	load          func() (*ResourceTable, error)
	table         *ResourceTable
	loaded        bool
	references    int
	items, kept   int  // components and so on; bytes of their texts
	inApplication bool // the elements seen belong to the first <application>
	problems      apkProblems
	err           error
}

func (r *manifestReader) element(around []string, e axmlElement) bool {
	if len(around) == 0 {
		if r.m.Package != "" {
			r.problems.add("a second root element, which Android does not read")
			return false
		}
		if e.name != "manifest" {
			r.err = fmt.Errorf("element <%s> where <manifest> belongs", quotable(e.name))
			return false
		}
		r.manifest(e)
		return r.err == nil
	}
	switch len(around) {
	case 1:
		r.inApplication = false
		r.top(e)
	case 2:
		if r.inApplication && around[1] == "application" {
			r.component(e)
		}
	case 3, 4:
		if r.inApplication && around[1] == "application" {
			r.filter(around[2:], e)
		}
	}
	if r.items > maxManifestItems || r.kept > maxManifestText {
		r.err = fmt.Errorf("more than %d components, filters and permissions, or than %d bytes of text", maxManifestItems, maxManifestText)
	}
	return r.err == nil
}

func (r *manifestReader) manifest(e axmlElement) {
	m := r.m
	m.Package, _ = e.plain("package")
	if m.Package == "" {
		r.err = errors.New("<manifest> without a package name")
		return
	}
	m.Split, _ = e.plain("split")
	m.ConfigFor, _ = e.plain("configForSplit")
	m.PlatformBuildVersion, _ = e.plain("platformBuildVersionCode")
	m.FeatureSplit = r.flag(e, attrFeatureSplit).Or(false)
	low, _ := r.number(e, attrVersionCode)
	high, _ := r.number(e, attrVersionCodeMajor)
	m.VersionCode = int64(high)<<32 | int64(uint32(low))
	m.VersionName = r.text(e, attrVersionName)
	m.SharedUserID = r.text(e, attrSharedUserID)
	compile, _ := r.number(e, attrCompileSDK)
	m.CompileSDK = int(compile)
}

// top takes an element directly under <manifest>.
func (r *manifestReader) top(e axmlElement) {
	m := r.m
	switch e.name {
	case "uses-sdk":
		m.MinSDK, m.MinCodename = r.sdk(e, attrMinSDK)
		m.TargetSDK, m.TargetCodename = r.sdk(e, attrTargetSDK)
		m.MaxSDK, _ = r.sdk(e, attrMaxSDK)
	case "uses-permission", "uses-permission-sdk-23", "uses-permission-sdk-m":
		r.items++
		limit, _ := r.number(e, attrMaxSDK)
		m.UsesPermissions = append(m.UsesPermissions, UsesPermission{Name: r.text(e, attrName), MaxSDK: int(limit), SDK23: e.name != "uses-permission"})
	case "permission":
		r.items++
		level, _ := r.number(e, attrProtectionLevel)
		m.Permissions = append(m.Permissions, DeclaredPermission{Name: r.text(e, attrName), ProtectionLevel: uint32(level)})
	case "uses-feature":
		r.items++
		m.Features = append(m.Features, UsesFeature{Name: r.text(e, attrName), Required: r.flag(e, attrRequired).Or(true)})
	case "application":
		if m.HasApplication {
			r.problems.add("a second <application>, which Android skips")
			return
		}
		m.HasApplication, r.inApplication = true, true
		r.application(e)
	}
}

func (r *manifestReader) application(e axmlElement) {
	m := r.m
	m.Label = r.text(e, attrLabel)
	m.Icon = r.text(e, attrIcon)
	m.NetworkSecurityConfig = r.text(e, attrNetworkSecurity)
	m.ApplicationClass = r.class(e, attrName)
	m.ApplicationPermission = r.text(e, attrPermission)
	m.Debuggable = r.flag(e, attrDebuggable)
	m.TestOnly = r.flag(e, attrTestOnly)
	m.AllowBackup = r.flag(e, attrAllowBackup)
	m.HasCode = r.flag(e, attrHasCode)
	m.UsesCleartext = r.flag(e, attrCleartext)
	m.ApplicationEnabled = r.flag(e, attrEnabled)
}

func (r *manifestReader) component(e axmlElement) {
	switch e.name {
	case "activity", "activity-alias", "service", "receiver", "provider":
	default:
		return
	}
	r.items++
	r.m.Components = append(r.m.Components, ManifestComponent{
		Kind:            e.name,
		Name:            r.class(e, attrName),
		Target:          r.class(e, attrTargetActivity),
		Label:           r.text(e, attrLabel),
		Exported:        r.flag(e, attrExported),
		Enabled:         r.flag(e, attrEnabled),
		Permission:      r.text(e, attrPermission),
		ReadPermission:  r.text(e, attrReadPermission),
		WritePermission: r.text(e, attrWritePermission),
	})
}

// filter takes what lies inside a component: around begins with the component's kind.
func (r *manifestReader) filter(around []string, e axmlElement) {
	if len(r.m.Components) == 0 || r.m.Components[len(r.m.Components)-1].Kind != around[0] {
		return
	}
	c := &r.m.Components[len(r.m.Components)-1]
	if len(around) == 1 {
		if e.name == "intent-filter" {
			r.items++
			c.Filters = append(c.Filters, ManifestFilter{})
		}
		return
	}
	if around[1] != "intent-filter" || len(c.Filters) == 0 {
		return
	}
	f := &c.Filters[len(c.Filters)-1]
	switch e.name {
	case "action":
		r.items++
		f.Actions = append(f.Actions, r.text(e, attrName))
	case "category":
		r.items++
		f.Categories = append(f.Categories, r.text(e, attrName))
	case "data":
		r.items++
		if s := r.text(e, attrScheme); s != "" {
			f.Schemes = append(f.Schemes, s)
		}
	}
}

// value is the attribute's value, with references followed as far as they go.
func (r *manifestReader) value(e axmlElement, id uint32) (resValue, bool) {
	v, ok := e.attr(id)
	if !ok || v.kind != resReference && v.kind != resDynReference {
		return v, ok
	}
	if !r.loaded {
		r.loaded = true
		if r.load != nil {
			var err error
			if r.table, err = r.load(); err != nil {
				r.problems.add("references stay unresolved: %v", err)
			}
		}
	}
	if r.references++; r.references > maxManifestReferences {
		if r.references == maxManifestReferences+1 {
			r.problems.add("only the first %d references were looked up", maxManifestReferences)
		}
		return v, true
	}
	resolved, _ := r.table.resolve(v)
	return resolved, true
}

func (r *manifestReader) text(e axmlElement, id uint32) string {
	v, _ := r.value(e, id)
	s := v.String()
	r.kept += len(s)
	return s
}

func (r *manifestReader) number(e axmlElement, id uint32) (int32, bool) {
	v, ok := r.value(e, id)
	switch {
	case !ok:
		return 0, false
	case v.kind >= resFirstInt && v.kind <= resLastInt:
		return int32(v.data), true
	case v.kind == resString:
		n, err := strconv.ParseInt(v.text, 0, 32)
		return int32(n), err == nil
	}
	return 0, false
}

// sdk is an API level, or the codename of one that is in the making.
func (r *manifestReader) sdk(e axmlElement, id uint32) (int, string) {
	if n, ok := r.number(e, id); ok {
		return int(n), ""
	}
	return 0, r.text(e, id)
}

func (r *manifestReader) flag(e axmlElement, id uint32) ManifestFlag {
	v, ok := r.value(e, id)
	switch {
	case !ok:
		return FlagUnset
	case v.kind == resReference || v.kind == resDynReference:
		return FlagUnknown
	case v.kind >= resFirstInt && v.kind <= resLastInt && v.data != 0, v.kind == resString && v.text == "true":
		return FlagTrue
	case v.kind == resString && v.text != "false":
		return FlagUnset
	}
	return FlagFalse
}

// class completes a class name with the package, as the framework does.
func (r *manifestReader) class(e axmlElement, id uint32) string {
	name := r.text(e, id)
	switch {
	case name == "":
		return ""
	case name[0] == '.':
		return r.m.Package + name
	case strings.IndexByte(name, '.') < 0 && name[0] != '@':
		return r.m.Package + "." + name
	}
	return name
}
