package device

import "strings"

// beginLayer says that what is added from now on is of the next layer of an image.
func (x *index) beginLayer() {
	x.layer, x.touched = x.count, map[uint32]struct{}{}
	x.lastNode = 0
}

// touch notes that the layer being added has a directory of a lower layer too, so that a
// whiteout in this layer does not take it away.
func (x *index) touch(id uint32) {
	if id < x.layer {
		x.touched[id] = struct{}{}
	}
}

// whiteoutPrefix marks names in a layer that take away what lower layers have.
const whiteoutPrefix = ".wh."

// whiteout is a marker file of a layer: .wh.NAME, or .wh..wh..opq for a whole directory.
type whiteout struct{ dir, base string }

// applyWhiteout takes away what lower layers have and w names.
func (x *index) applyWhiteout(w whiteout) error {
	dir, err := x.dir(w.dir, false)
	if err != nil || dir == 0 {
		return err
	}
	hidden := strings.TrimPrefix(w.base, whiteoutPrefix)
	if hidden == ".wh..opq" {
		x.hideIn(dir)
	} else if !strings.HasPrefix(hidden, whiteoutPrefix) { // else aufs's own files
		if id := x.child(dir, hidden); id != 0 {
			x.hide(id)
		}
	}
	return nil
}

func (x *index) hide(id uint32) {
	if _, ok := x.touched[id]; ok {
		x.hideIn(id)
	} else if id < x.layer {
		x.node(id).flags |= flagDead
		x.lastNode = 0
	}
}

// hideIn hides what lower layers have in a directory, and in those of its directories that
// this layer has too.
func (x *index) hideIn(dir uint32) {
	for todo := []uint32{dir}; len(todo) > 0; {
		dir, todo = todo[len(todo)-1], todo[:len(todo)-1]
		for id := uint32(x.node(dir).where); id != 0; id = x.node(id).next {
			if _, ok := x.touched[id]; ok {
				todo = append(todo, id)
			} else {
				x.hide(id)
			}
		}
	}
}
