package agent

import (
	"errors"
	"fmt"

	"picket/scanner"
	"picket/scanner/report"
	"picket/store"
)

// patchNote is the name of the note of how far the system's updates were when that was last told.
const patchNote = "patch"

// seePatches keeps how far the system's updates are, as a scan saw it.
func (d *daemon) seePatches(f *scanner.Facts) {
	if p, ok := report.PatchStateOf(f); ok {
		d.patches.Store(&p)
	}
}

// tellPatches tells how far the system's updates are: with each whole snapshot, and in between when it is not as it
// was told. It is called inside change.
func (d *daemon) tellPatches(st *store.Store, r *scanner.Report, whole bool) error {
	p := d.patches.Load()
	if p == nil || d.set.Load().criteria.policy.send() == sendLevelOnly {
		return nil
	}
	digest := fmt.Appendf(nil, "%x", patchDigest(r, p))
	if before, err := st.Recall(notesTable, patchNote); err != nil || !whole && string(before) == string(digest) {
		return err
	}
	m, err := d.maker(st)
	if err != nil {
		return err
	}
	_, err = st.Queue("patch", uint8(scanner.Low), func(c store.Change) ([]byte, error) {
		said := *p
		said.Unread = m.send.scrub(p.Unread)
		body, err := bodyOf(report.PatchEvent(m.of(c.ID, c.At), said))
		if errors.Is(err, report.ErrNoOSVersion) {
			return nil, nil
		}
		if err == nil {
			m.made = append(m.made, body)
		}
		return body, err
	})
	if err != nil {
		return fmt.Errorf("telling how far the updates are: %w", err)
	}
	d.publish(m)
	return st.Remember(notesTable, patchNote, digest, keepNotes)
}

// patchDigest is of what is worth telling anew: not of days, which go on by themselves.
func patchDigest(r *scanner.Report, p *report.PatchState) []byte {
	steady := []any{r.Device.OS, p.Unread}
	if a := p.Android; a != nil {
		steady = append(steady, a.Release, a.Patch, a.VendorPatch, a.Mainline, a.Exploited, a.Unread)
	}
	for i := range p.Updates {
		u := &p.Updates[i]
		steady = append(steady, u.Manager, u.Pending, u.PendingNames, u.Automatic, u.RebootRequired, u.Held, u.Unread)
	}
	return digestOf(steady)
}
