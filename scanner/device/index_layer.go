package device

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

// whiteout takes away what lower layers have at a name.
func (x *index) whiteout(dir, base string) error {
	parent, err := x.dir(dir, false)
	if err != nil || parent == 0 {
		return err
	}
	if id := x.child(parent, base); id != 0 {
		x.hide(id)
	}
	return nil
}

// opaque takes away all that lower layers have in a directory.
func (x *index) opaque(dir string) error {
	id, err := x.dir(dir, false)
	if err != nil || id == 0 {
		return err
	}
	x.hideIn(id)
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
