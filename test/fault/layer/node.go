package layer

import (
	"path"
	"slices"
	"syscall"
	"time"
)

// node is a file or a folder.
type node struct {
	id      uint64
	folder  bool
	socket  bool   // a file without bytes, that the kernel knows by its name
	mode    uint32 // permission bits
	uid     uint32
	gid     uint32
	links   int
	changed time.Time

	parent *node // where it was named last
	name   string

	// A file: what is seen, what is durable, and what came between.
	data        []byte
	durable     []byte
	durableMode uint32
	log         []change

	// A folder, likewise.
	entries        map[string]*node
	durableEntries map[string]*node
	pending        []entry
}

// change is one unsynced change of a file: written bytes if data is not nil, a
// new mode if that is not nil, or else a new size.
type change struct {
	offset int64
	data   []byte
	size   int64
	mode   *uint32
}

// entry is one unsynced change of a folder: each name means another node, or
// none (nil). A rename is one entry with two names: it survives as a whole.
type entry map[string]*node

func (n *node) path() string {
	if n.parent == nil {
		return ""
	}
	return path.Join(n.parent.path(), n.name)
}

// write puts bytes and remembers that they are not durable.
func (n *node) write(p []byte, offset int64) {
	p = slices.Clone(p)
	n.data = overwrite(n.data, p, offset)
	n.log = append(n.log, change{offset: offset, data: p})
	n.changed = time.Now()
}

func (n *node) resize(size int64) {
	n.data = sized(n.data, size)
	n.log = append(n.log, change{size: size})
	n.changed = time.Now()
}

func (n *node) chmod(mode uint32) {
	n.mode = mode
	n.log = append(n.log, change{mode: &mode})
}

// sync makes all of a file durable.
func (n *node) sync() {
	for _, c := range n.log {
		n.settle(c)
	}
	n.log = nil
}

// settle makes one change durable.
func (n *node) settle(c change) {
	switch {
	case c.mode != nil:
		n.durableMode = *c.mode
	case c.data != nil:
		n.durable = overwrite(n.durable, c.data, c.offset)
	default:
		n.durable = sized(n.durable, c.size)
	}
}

// forget drops what is not durable from the log, and not from what is seen:
// no later sync will save it.
func (n *node) forget() { n.log = nil }

// enter names a node in a folder, or takes the name away.
func (n *node) enter(e entry) {
	for name, child := range e {
		if old := n.entries[name]; old != nil {
			old.links--
		}
		if child == nil {
			delete(n.entries, name)
			continue
		}
		n.entries[name] = child
		child.links++
		child.parent, child.name = n, name
	}
	n.pending = append(n.pending, e)
	n.changed = time.Now()
}

// syncFolder makes the names in a folder durable.
func (n *node) syncFolder() {
	for _, e := range n.pending {
		n.settleEntry(e)
	}
	n.pending = nil
}

func (n *node) settleEntry(e entry) {
	for name, child := range e {
		if child == nil {
			delete(n.durableEntries, name)
		} else {
			n.durableEntries[name] = child
		}
	}
}

// syncName makes a node's names durable, and those of the folders above.
func (n *node) syncName() {
	for at := n; at.parent != nil; at = at.parent {
		var rest []entry
		for _, e := range at.parent.pending {
			if slices.Contains(nodesOf(e), at) {
				at.parent.settleEntry(e)
			} else {
				rest = append(rest, e)
			}
		}
		at.parent.pending = rest
	}
}

func nodesOf(e entry) []*node {
	var list []*node
	for _, n := range e {
		list = append(list, n)
	}
	return list
}

// syncAll is what syncfs does.
func (d *Disk) syncAll() {
	for _, n := range d.nodes {
		n.sync()
		n.syncFolder()
	}
}

// SyncAll makes everything durable, as syncfs does.
func (d *Disk) SyncAll() syscall.Errno {
	_, _, err := d.enter(Op{Kind: SyncAll}, d.root.id, "")
	if err != 0 {
		return err
	}
	defer d.mu.Unlock()
	d.syncAll()
	return 0
}

// overwrite puts p at offset; a hole before it is zeros.
func overwrite(b, p []byte, offset int64) []byte {
	if end := offset + int64(len(p)); end > int64(len(b)) {
		b = sized(b, end)
	}
	copy(b[offset:], p)
	return b
}

// sized cuts b or fills it up with zeros.
func sized(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	more := int(size) - len(b)
	n := len(b)
	b = slices.Grow(b, more)[:size]
	clear(b[n:])
	return b
}
