package device

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"picket/scanner"
)

const (
	maxImageJSON = 4 << 20 // bytes of one manifest, index or configuration
	maxImages    = 256     // images of one archive
	maxIndexes   = 4       // indexes in indexes
	maxLayers    = 1024    // of one image; the tools stop at 127
)

// image is one container image of a layout or archive.
type image struct {
	kind     string // oci or docker-archive
	ref      string // as repo:tag, "" when it has none
	platform string // as linux/arm64/v8, "" when it does not say
	digest   string // of the manifest, "" in docker archives
	layers   []layer
}

// layer is one layer of an image, the lowest first.
type layer struct {
	name   string // in the outer tree
	digest string // sha256 of the layer as it is stored, in hex
	diffID string // sha256 of the layer unpacked, in hex
}

// label names an image in notes and for OpenOptions.Root.
func (i *image) label() string {
	for _, s := range []string{i.ref, i.digest} {
		if s != "" {
			return strings.TrimSpace(s + " " + i.platform)
		}
	}
	return i.platform
}

func (i *image) is(root string) bool {
	return root == i.label() || root == i.ref || root == i.platform || i.digest != "" && root == i.digest
}

// descriptor is what the OCI image format refers to content with.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations"`
	Platform    *struct {
		OS, Architecture, Variant string
	} `json:"platform"`
}

// ociDocument is an image index or an image manifest.
type ociDocument struct {
	Manifests []descriptor `json:"manifests"`
	Config    descriptor   `json:"config"`
	Layers    []descriptor `json:"layers"`
}

// imageConfig is what an image's configuration says of its platform and layers.
type imageConfig struct {
	OS, Architecture, Variant string
	RootFS                    struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// isImageArchive tells whether a tree is an OCI image layout or the content of `docker save`.
func isImageArchive(fsys scanner.FS) bool {
	_, layout := fsys.Lstat("/oci-layout")
	_, index := fsys.Lstat("/index.json")
	_, manifest := fsys.Lstat("/manifest.json")
	return layout == nil && index == nil || manifest == nil && !hasRootMark(fsys)
}

// findImages lists the images of an OCI layout or a docker archive.
func findImages(fsys scanner.FS, notes *noteList) ([]image, error) {
	var images []image
	if _, err := fsys.Lstat("/oci-layout"); err == nil {
		var top ociDocument
		if err := readJSON(fsys, "/index.json", "", &top); err != nil {
			return nil, err
		}
		err := ociImages(fsys, top, "", maxIndexes, notes, &images)
		if err != nil || len(images) > 0 {
			return images, err
		}
	}
	if _, err := fsys.Lstat("/manifest.json"); errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("the image layout lists no image")
	}
	err := dockerImages(fsys, &images)
	return images, err
}

// ociImages lists the images of an image index and of the indexes in it.
func ociImages(fsys scanner.FS, index ociDocument, ref string, depth int, notes *noteList, images *[]image) error {
	if depth == 0 {
		return errors.New("too many image indexes in each other")
	}
	for _, d := range index.Manifests {
		if len(*images) >= maxImages {
			return fmt.Errorf("more than %d images", maxImages)
		}
		img := image{kind: "oci", ref: ref, digest: d.Digest}
		for _, key := range []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"} {
			if v := d.Annotations[key]; v != "" {
				img.ref = v
				break
			}
		}
		if p := d.Platform; p != nil {
			img.platform = platformName(p.OS, p.Architecture, p.Variant)
		}
		if strings.HasPrefix(img.platform, "unknown") || d.Annotations["vnd.docker.reference.type"] != "" {
			continue // an attestation about another image
		}
		name, err := blobName(d.Digest)
		if err != nil {
			return err
		}
		var doc ociDocument
		err = readJSON(fsys, name, d.Digest, &doc)
		if errors.Is(err, fs.ErrNotExist) {
			notes.add("an image of another platform is listed but not there", img.label())
			continue
		}
		if err != nil {
			return err
		}
		if doc.Manifests != nil {
			if err := ociImages(fsys, doc, img.ref, depth-1, notes, images); err != nil {
				return err
			}
			continue
		}
		if err := img.manifest(fsys, doc); err != nil {
			return err
		}
		*images = append(*images, img)
	}
	return nil
}

// manifest reads an image's manifest and configuration.
func (i *image) manifest(fsys scanner.FS, doc ociDocument) error {
	if len(doc.Layers) > maxLayers {
		return fmt.Errorf("image %s: more than %d layers", i.label(), maxLayers)
	}
	for _, d := range doc.Layers {
		name, err := blobName(d.Digest)
		if err != nil {
			return err
		}
		i.layers = append(i.layers, layer{name: name, digest: strings.TrimPrefix(d.Digest, "sha256:")})
	}
	if i.platform != "" {
		return nil
	}
	name, err := blobName(doc.Config.Digest)
	if err != nil {
		return err
	}
	var c imageConfig
	if err := readJSON(fsys, name, doc.Config.Digest, &c); err != nil {
		return err
	}
	i.platform = platformName(c.OS, c.Architecture, c.Variant)
	return nil
}

// dockerImages lists the images of a docker archive's manifest.json.
func dockerImages(fsys scanner.FS, images *[]image) error {
	var list []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := readJSON(fsys, "/manifest.json", "", &list); err != nil {
		return err
	}
	if len(list) > maxImages {
		return fmt.Errorf("more than %d images", maxImages)
	}
	for _, m := range list {
		img := image{kind: "docker-archive"}
		if len(m.RepoTags) > 0 {
			img.ref = m.RepoTags[0]
		}
		var c imageConfig
		if err := readJSON(fsys, "/"+m.Config, "", &c); err != nil {
			return err
		}
		img.platform = platformName(c.OS, c.Architecture, c.Variant)
		if len(m.Layers) > maxLayers {
			return fmt.Errorf("image %s: more than %d layers", img.label(), maxLayers)
		}
		for n, name := range m.Layers {
			l := layer{name: "/" + name}
			if n < len(c.RootFS.DiffIDs) {
				l.diffID = strings.TrimPrefix(c.RootFS.DiffIDs[n], "sha256:")
			}
			img.layers = append(img.layers, l)
		}
		*images = append(*images, img)
	}
	if len(list) == 0 {
		return errors.New("/manifest.json lists no image")
	}
	return nil
}

func platformName(os, arch, variant string) string {
	return strings.TrimRight(os+"/"+arch+"/"+variant, "/")
}

// blobName is where an OCI layout has the content of a digest.
func blobName(digest string) (string, error) {
	algo, sum, _ := strings.Cut(digest, ":")
	if b, err := hex.DecodeString(sum); algo != "sha256" || err != nil || len(b) != sha256.Size {
		return "", fmt.Errorf("digest %.80q is no sha256", digest)
	}
	return "/blobs/sha256/" + sum, nil
}

// readJSON reads a document of an image, which must have the digest when one is given.
func readJSON(fsys scanner.FS, name, digest string, v any) error {
	b, err := scanner.ReadFile(fsys, name, maxImageJSON)
	if err != nil {
		return err
	}
	if got := fmt.Sprintf("sha256:%x", sha256.Sum256(b)); digest != "" && got != digest {
		return fmt.Errorf("%s: does not match its digest", name)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// chooseImage picks the image that root names, or the first for Linux. The others go into
// the notes.
func chooseImage(images []image, root string, notes *noteList) (*image, error) {
	chosen := -1
	for n := range images {
		if root != "" && images[n].is(root) || root == "" && strings.HasPrefix(images[n].platform, "linux") {
			chosen = n
			break
		}
	}
	labels := make([]string, len(images))
	for n := range images {
		labels[n] = fmt.Sprintf("%q", images[n].label())
	}
	if chosen < 0 {
		if root == "" {
			root = "linux"
		}
		return nil, fmt.Errorf("holds no image %q; it has %s", root, strings.Join(labels, ", "))
	}
	for n := range images {
		if n != chosen {
			notes.add("also holds the image "+labels[n], "")
		}
	}
	return &images[chosen], nil
}
