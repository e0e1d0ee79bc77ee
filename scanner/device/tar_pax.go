package device

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// paxRecords are the keys and values of one extended header.
type paxRecords [][2]string

func (p paxRecords) get(key string) string {
	for _, kv := range p {
		if kv[0] == key {
			return kv[1]
		}
	}
	return ""
}

// parsePAX reads the records of an extended header: "LENGTH KEY=VALUE\n".
func parsePAX(b []byte) (paxRecords, error) {
	var p paxRecords
	for len(b) > 0 {
		if b[0] == 0 {
			break // some writers pad
		}
		digits, _, ok := bytes.Cut(b, []byte(" "))
		n, err := strconv.Atoi(string(digits))
		if !ok || err != nil || n <= len(digits)+2 || n > len(b) || b[n-1] != '\n' {
			return p, errors.New("an extended header is garbled")
		}
		key, value, ok := strings.Cut(string(b[len(digits)+1:n-1]), "=")
		if !ok || key == "" {
			return p, errors.New("an extended header is garbled")
		}
		p = append(p, [2]string{key, value})
		b = b[n:]
	}
	return p, nil
}

// apply lets an extended header's records override a header's fields. Global ones say
// nothing of one file's name and size.
func (h *tarHeader) apply(p paxRecords, global bool) error {
	for _, kv := range p {
		key, value := kv[0], kv[1]
		var err error
		switch key {
		case "path", "linkpath", "size":
			if global || value == "" {
				break
			}
			switch key {
			case "path":
				h.name = value
			case "linkpath":
				h.link = value
			default:
				if h.size, err = strconv.ParseInt(value, 10, 64); h.size < 0 {
					err = strconv.ErrRange
				}
			}
		case "uid":
			h.uid, err = strconv.ParseInt(value, 10, 64)
		case "gid":
			h.gid, err = strconv.ParseInt(value, 10, 64)
		case "mtime":
			h.mtime, err = paxTime(value)
		case "RHT.security.selinux":
			h.xattrs = append(h.xattrs, xattr{"security.selinux", value})
		default:
			err = h.xattr(key, value)
		}
		if err != nil {
			return fmt.Errorf("extended header says %s=%.60q: %w", key, value, err)
		}
	}
	return nil
}

// xattr keeps a record that holds an extended attribute, as GNU tar and star or as
// libarchive writes it.
func (h *tarHeader) xattr(key, value string) error {
	if name, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
		h.xattrs = append(h.xattrs, xattr{name, value})
		return nil
	}
	name, ok := strings.CutPrefix(key, "LIBARCHIVE.xattr.")
	if !ok {
		return nil
	}
	name, err := url.PathUnescape(name)
	if err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		if b, err = base64.RawStdEncoding.DecodeString(value); err != nil {
			return err
		}
	}
	for _, x := range h.xattrs { // libarchive writes both forms
		if x.name == name {
			return nil
		}
	}
	h.xattrs = append(h.xattrs, xattr{name, string(b)})
	return nil
}

// paxTime reads seconds since 1970 with a fraction.
func paxTime(s string) (time.Time, error) {
	whole, frac, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	frac = (frac + "000000000")[:9]
	ns, err := strconv.ParseUint(frac, 10, 32)
	if err != nil {
		return time.Time{}, err
	}
	if strings.HasPrefix(whole, "-") {
		ns = -ns
	}
	return time.Unix(sec, int64(ns)), nil
}
