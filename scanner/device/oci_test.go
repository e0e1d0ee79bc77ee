package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"picket/scanner"
)

func etc(names ...string) []sample {
	var list []sample
	for _, n := range names {
		list = append(list, sample{name: "etc/" + n, mode: typeReg | 0o644, content: n})
	}
	return list
}

// eachForm opens an image archive as a directory, a tar and a compressed tar.
func eachForm(t *testing.T, b blobs, opt OpenOptions, check func(t *testing.T, d scanner.Device, err error)) {
	t.Helper()
	for form, path := range map[string]string{"directory": b.dir(t), "tar": inFile(t, b.tar(t)), "tar.zst": inFile(t, zstOf(b.tar(t)))} {
		t.Run(form, func(t *testing.T) {
			d, err := openFor(t, path, opt)
			check(t, d, err)
		})
	}
}

func TestLayersLieOverEachOther(t *testing.T) {
	t.Parallel()
	file := func(name string) sample { return sample{name: name, mode: typeReg | 0o644, content: name} }
	dir := func(name string) sample { return sample{name: name, mode: typeDir | 0o755} }
	link := func(name, to string) sample { return sample{name: name, mode: typeLink | 0o777, link: to} }
	base := []sample{dir("etc"), file("etc/passwd"), dir("a"), file("a/1"), dir("a/b"), file("a/b/2"), link("lib", "usr/lib"), dir("usr/lib")}
	for name, c := range map[string]struct {
		layers [][]sample
		want   string
	}{
		"a file taken away":             {[][]sample{base, {file("a/.wh.1")}}, "a/ a/b/ a/b/2 etc/ etc/passwd lib@ usr/ usr/lib/"},
		"a directory taken away":        {[][]sample{base, {file(".wh.a")}}, "etc/ etc/passwd lib@ usr/ usr/lib/"},
		"and come back":                 {[][]sample{base, {file(".wh.a")}, {file("a/3")}}, "a/ a/3 etc/ etc/passwd lib@ usr/ usr/lib/"},
		"made anew in the same layer":   {[][]sample{base, {dir("a"), file("a/3"), file(".wh.a")}}, "a/ a/3 etc/ etc/passwd lib@ usr/ usr/lib/"},
		"opaque, mark first":            {[][]sample{base, {file("a/.wh..wh..opq"), dir("a/b"), file("a/b/3")}}, "a/ a/b/ a/b/3 etc/ etc/passwd lib@ usr/ usr/lib/"},
		"opaque, mark last":             {[][]sample{base, {dir("a/b"), file("a/b/3"), file("a/.wh..wh..opq")}}, "a/ a/b/ a/b/3 etc/ etc/passwd lib@ usr/ usr/lib/"},
		"a mark of nothing":             {[][]sample{base, {file("x/.wh.y"), file("a/b/.wh.none")}}, "a/ a/1 a/b/ a/b/2 etc/ etc/passwd lib@ usr/ usr/lib/"},
		"a mark for its own layer":      {[][]sample{base, {file("a/3"), file("a/.wh.3")}}, "a/ a/1 a/3 a/b/ a/b/2 etc/ etc/passwd lib@ usr/ usr/lib/"},
		"a file where a directory was":  {[][]sample{base, {file("a")}}, "a etc/ etc/passwd lib@ usr/ usr/lib/"},
		"a directory where a file was":  {[][]sample{base, {dir("a/1"), file("a/1/x")}}, "a/ a/1/ a/1/x a/b/ a/b/2 etc/ etc/passwd lib@ usr/ usr/lib/"},
		"through a link of lower layer": {[][]sample{base, {file("lib/x")}}, "a/ a/1 a/b/ a/b/2 etc/ etc/passwd lib@ usr/ usr/lib/ usr/lib/x"},
		"other marks of aufs":           {[][]sample{base, {file(".wh..wh.plnk"), file(".wh..wh.aufs")}}, "a/ a/1 a/b/ a/b/2 etc/ etc/passwd lib@ usr/ usr/lib/"},
	} {
		t.Run(name, func(t *testing.T) {
			var layers [][]byte
			for _, l := range c.layers {
				layers = append(layers, tarOf(t, l))
			}
			for kind, b := range map[string]blobs{"oci": ociOf(layers...), "docker-archive": dockerOf(layers...)} {
				eachForm(t, b, OpenOptions{}, func(t *testing.T, d scanner.Device, err error) {
					if err != nil {
						t.Fatal(err)
					}
					if got := strings.Join(listAll(d.FS()), " "); got != c.want {
						t.Errorf("%s:\n got %s\nwant %s", kind, got, c.want)
					}
				})
			}
		})
	}
}

func TestALayerThatCannotBeReadLeavesTheRestUnknown(t *testing.T) {
	t.Parallel()
	one, two, three := tarOf(t, etc("passwd", "one")), tarOf(t, etc("two")), tarOf(t, etc("three"))
	change := func(do func(b blobs)) blobs {
		b := ociOf(one, gzOf(two), three)
		do(b)
		return b
	}
	second := func(b blobs) string { // the name of the second layer's blob
		for name, content := range b {
			if bytes.Equal(content, gzOf(two)) {
				return name
			}
		}
		return ""
	}
	docker := dockerOf(one, two, three)
	docker["0000000000000000000000000000000000000000000000000000000000000002/layer.tar"] = tarOf(t, etc("evil"))
	for name, c := range map[string]struct {
		b    blobs
		note string
	}{
		"another content":           {change(func(b blobs) { b[second(b)] = gzOf(tarOf(t, etc("evil"))) }), "layer 2: does not match its digest, left out"},
		"another content of docker": {docker, "layer 2: does not match its digest, left out"},
		"not there":                 {change(func(b blobs) { delete(b, second(b)) }), "layer 2: "},
		"noise":                     {ociOf(one, []byte("noise, not a layer at all"), three), "layer 2: tar: at byte "},
		"cut off":                   {ociOf(one, gzOf(two)[:100], three), "layer 2: "},
	} {
		eachForm(t, c.b, OpenOptions{}, func(t *testing.T, d scanner.Device, err error) {
			if err != nil {
				t.Fatal(name, err)
			}
			if notes := strings.Join(d.Identity().Notes, "\n"); !strings.Contains(notes, c.note) {
				t.Errorf("%s: notes %q", name, notes)
			}
			for _, file := range []string{"/etc/one", "/etc/three"} {
				if _, err := d.FS().Lstat(file); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			for _, file := range []string{"/etc/two", "/etc/evil", "/etc/none"} {
				if name == "cut off" && file == "/etc/two" {
					continue // what there is of it counts
				}
				if _, err := d.FS().Lstat(file); !errors.Is(err, scanner.ErrUnavailable) || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %s: %v", name, file, err)
				}
			}
		})
	}
}

// twoPlatforms is a layout with an index of images in the top one.
func twoPlatforms(t *testing.T) blobs {
	b := blobs{"oci-layout": []byte(`{}`)}
	image := func(arch string) string {
		layer := b.put(tarOf(t, etc("passwd", arch)))
		config := b.put(fmt.Appendf(nil, `{"os":"linux","architecture":%q}`, arch))
		return b.put(fmt.Appendf(nil, `{"config":{"digest":"sha256:%s"},"layers":[{"digest":"sha256:%s"}]}`, config, layer))
	}
	index := b.put(fmt.Appendf(nil, `{"manifests":[
		{"digest":"sha256:%s","platform":{"os":"windows","architecture":"amd64"}},
		{"digest":"sha256:%s","platform":{"os":"linux","architecture":"arm64","variant":"v8"}},
		{"digest":"sha256:%s","platform":{"os":"linux","architecture":"s390x"}},
		{"digest":"sha256:%064d","platform":{"os":"linux","architecture":"absent"}},
		{"digest":"sha256:%s","platform":{"os":"unknown","architecture":"unknown"}}]}`,
		image("windows"), image("arm64"), image("s390x"), 1, image("attestation")))
	b["index.json"] = fmt.Appendf(nil, `{"manifests":[{"digest":"sha256:%s","annotations":{"org.opencontainers.image.ref.name":"app:3"}}]}`, index)
	return b
}

func TestOneImageOfSeveralIsChosen(t *testing.T) {
	t.Parallel()
	for root, want := range map[string]string{"": "arm64", "linux/s390x": "s390x", "app:3 linux/s390x": "s390x", "windows/amd64": "windows", "app:3": "windows"} {
		eachForm(t, twoPlatforms(t), OpenOptions{Root: root}, func(t *testing.T, d scanner.Device, err error) {
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(listAll(d.FS()), " "); !strings.Contains(got, "etc/"+want) {
				t.Errorf("root %q: %s", root, got)
			}
			if root != "" {
				return
			}
			notes := strings.Join(d.Identity().Notes, "\n")
			for _, n := range []string{`also holds the image "app:3 linux/s390x"`, `also holds the image "app:3 windows/amd64"`, "an image of another platform is listed but not there"} {
				if !strings.Contains(notes, n) {
					t.Errorf("notes %q", notes)
				}
			}
			if id := d.Identity(); !strings.HasSuffix(id.Origin, "(app:3 linux/arm64/v8)") || id.Profile != "container-image" {
				t.Errorf("identity %+v", id)
			}
		})
	}
	if _, err := openFor(t, twoPlatforms(t).dir(t), OpenOptions{Root: "plan9"}); err == nil || !strings.Contains(err.Error(), `holds no image "plan9"; it has "app:3 windows/amd64"`) {
		t.Errorf("%v", err)
	}
}

func TestAGarbledImageArchiveIsAnErrorThatSaysWhere(t *testing.T) {
	t.Parallel()
	good := func() blobs { return ociOf(tarOf(t, etc("passwd"))) }
	with := func(name, content string) blobs { b := good(); b[name] = []byte(content); return b }
	loop := blobs{"oci-layout": []byte(`{}`)}
	inner := []byte(`{"manifests":[]}`)
	for range maxIndexes + 1 {
		inner = fmt.Appendf(nil, `{"manifests":[{"digest":"sha256:%s"}]}`, loop.put(inner))
	}
	loop["index.json"] = inner
	badManifest := good()
	for name, content := range badManifest {
		if bytes.Contains(content, []byte("layers")) {
			badManifest[name] = append(content, ' ')
		}
	}
	many := strings.Repeat(`{"digest":"sha256:`+strings.Repeat("0", 64)+`"},`, maxLayers+1)
	tooMany := good()
	tooMany["index.json"] = fmt.Appendf(nil, `{"manifests":[{"digest":"sha256:%s"}]}`, tooMany.put(fmt.Appendf(nil, `{"layers":[%s{}]}`, many)))
	for name, c := range map[string]struct {
		b    blobs
		want string
	}{
		"index is no JSON":              {with("index.json", "{"), "/index.json: unexpected end of JSON input"},
		"index of no image":             {with("index.json", `{"manifests":[]}`), "lists no image"},
		"another hash":                  {with("index.json", `{"manifests":[{"digest":"md5:00"}]}`), `digest "md5:00" is no sha256`},
		"a path for a digest":           {with("index.json", `{"manifests":[{"digest":"sha256:../../../etc/passwd"}]}`), "is no sha256"},
		"a manifest is missing":         {with("index.json", `{"manifests":[{"digest":"sha256:`+strings.Repeat("a", 64)+`"}]}`), "no image"},
		"a changed manifest":            {badManifest, "does not match its digest"},
		"indexes in indexes":            {loop, "too many image indexes in each other"},
		"too many layers":               {tooMany, "more than 1024 layers"},
		"a huge index":                  {with("index.json", strings.Repeat(" ", maxImageJSON+1)), "over the limit"},
		"a list of images that is none": {blobs{"manifest.json": []byte(`{"a":1}`)}, "/manifest.json: json: cannot unmarshal object"},
		"an empty list of images":       {blobs{"manifest.json": []byte(`[]`)}, "lists no image"},
		"a configuration outside":       {blobs{"manifest.json": []byte(`[{"Config":"../../../../etc/hostname","Layers":[]}]`)}, "/etc/hostname"},
	} {
		eachForm(t, c.b, OpenOptions{}, func(t *testing.T, d scanner.Device, err error) {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		})
	}
}

func TestLinksInAnImageLayoutDoNotLeaveIt(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret.tar")
	if err := os.WriteFile(secret, tarOf(t, etc("passwd", "secret")), 0o644); err != nil {
		t.Fatal(err)
	}
	b := dockerOf(tarOf(t, etc("passwd")), nil)
	delete(b, fmt.Sprintf("%064x/layer.tar", 2))
	b["config.json"] = []byte(`{"os":"linux"}`)
	dir := b.dir(t)
	if err := os.MkdirAll(filepath.Join(dir, fmt.Sprintf("%064x", 2)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, fmt.Sprintf("%064x/layer.tar", 2))); err != nil {
		t.Fatal(err)
	}
	d, err := openFor(t, dir, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.FS().Lstat("/etc/secret"); err == nil {
		t.Error("a layer outside of the layout was read")
	}
}

func FuzzOCI(f *testing.F) {
	layer := tarOf(f, fewSamples()[:8])
	f.Add(ociOf(layer, gzOf(layer)).tar(f))
	f.Add(dockerOf(layer, tarOf(f, []sample{{name: "etc/.wh.passwd", mode: typeReg}})).tar(f))
	undigested := dockerOf(layer, tarOf(f, []sample{{name: "etc/.wh..wh..opq", mode: typeReg}}))
	undigested["config.json"] = []byte(`{"os":"linux"}`)
	f.Add(undigested.tar(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = repaired(b)
		if !isTar(b) {
			return
		}
		plain, err := openArchive(b, OpenOptions{})
		if err != nil {
			return
		}
		checkTree(t, plain.FS())
		// As a stream the layers come before their manifest: the tree is the same.
		stream, err := openTar(context.Background(), &archiveFile{f: nopCloser{bytes.NewReader(b)}, name: "archive", size: int64(len(b)), packed: "none"}, OpenOptions{})
		if err != nil {
			t.Fatalf("stream: %v", err)
		}
		if a, b := strings.Join(listAll(plain.FS()), "\n"), strings.Join(listAll(stream.FS()), "\n"); a != b && len(plain.Identity().Notes) == 0 {
			t.Errorf("plain\n%s\nstream\n%s", a, b)
		}
	})
}
