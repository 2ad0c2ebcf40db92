package layer

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Kind of an operation.
type Kind string

// The operations. Those from Write to SyncAll change the disk or what is
// durable on it; they are events.
const (
	Look       Kind = "look" // lookup, stat, list, statfs
	Open       Kind = "open"
	Read       Kind = "read"
	Write      Kind = "write"
	Change     Kind = "change" // size, mode, owner, time
	Create     Kind = "create" // of a file, folder or second name
	Rename     Kind = "rename"
	Remove     Kind = "remove"
	Sync       Kind = "sync"       // fsync, fdatasync of a file
	SyncFolder Kind = "syncfolder" // fsync of a folder
	SyncAll    Kind = "syncall"    // syncfs, sync
)

// event tells whether the operation can matter to a power cut.
func (k Kind) event() bool { return k != Look && k != Open && k != Read }

// Op is an operation on the way.
type Op struct {
	Kind   Kind
	Path   string // from the disk's root, without a slash at its beginning
	Offset int64  // of Read and Write, bytes
	Size   int    // of Read and Write, bytes
}

// Fault is what a Hook makes of an operation; the zero value lets it pass.
type Fault struct {
	Err syscall.Errno
	// Short, if above 0, is how many bytes of a Write are taken at most.
	Short int
	// Delay is how long the operation takes; others go on meanwhile.
	Delay time.Duration
	// Freeze the disk before the operation.
	Freeze bool
}

// Options of a Disk; the zero value is the pessimist's.
type Options struct {
	// NameOnSync makes an fsync of a file make its name durable too, and
	// those of the folders above it.
	NameOnSync bool
	// Capacity in bytes; 0 is 1 TiB.
	Capacity int64
}

// Disk is a file system in memory. Its methods are safe for concurrent use.
type Disk struct {
	opts Options

	mu     sync.Mutex
	nodes  map[uint64]*node
	root   *node
	used   int64
	hook   func(Op) Fault
	events int
	freeze int // the event to freeze at, 0 is none
	frozen chan struct{}
	dead   chan struct{}
}

// New makes an empty disk.
func New(opts Options) *Disk {
	if opts.Capacity == 0 {
		opts.Capacity = 1 << 40
	}
	d := &Disk{opts: opts, nodes: map[uint64]*node{}, frozen: make(chan struct{}), dead: make(chan struct{})}
	d.root = d.add(true, 0o700)
	return d
}

// Hook sets what sees every operation, from now on; nil is none. It is called
// under the disk's lock: it must be quick and must not use the disk.
func (d *Disk) Hook(hook func(Op) Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = hook
}

// Do runs fn while no operation runs: it may look at what a Hook writes.
func (d *Disk) Do(fn func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fn()
}

// Grow changes the capacity, bytes.
func (d *Disk) Grow(capacity int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opts.Capacity = capacity
}

// Events counts the operations so far that changed the disk or made something
// durable.
func (d *Disk) Events() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.events
}

// FreezeAt freezes the disk n events from now, before the last of them.
func (d *Disk) FreezeAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.freeze = d.events + max(n, 1)
}

// Freeze freezes the disk now.
func (d *Disk) Freeze() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop()
}

func (d *Disk) stop() {
	select {
	case <-d.frozen:
	default:
		close(d.frozen)
	}
}

// Frozen is closed when the disk is frozen.
func (d *Disk) Frozen() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.frozen
}

// Fail makes a frozen disk refuse everything, also to those who wait. Call it
// when nobody is left who could answer for what he asked: after kill -9.
func (d *Disk) Fail() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop()
	select {
	case <-d.dead:
	default:
		close(d.dead)
	}
}

// Thaw makes a disk that Fail ended go on as if only the program had been
// killed: everything it had written is there, and as little durable as before.
func (d *Disk) Thaw() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.freeze, d.frozen, d.dead = 0, make(chan struct{}), make(chan struct{})
}

// enter begins an operation on a node and returns with the lock held, unless
// it returns an error. name is that of the entry, for those on folders.
func (d *Disk) enter(op Op, id uint64, name string) (*node, Fault, syscall.Errno) {
	d.mu.Lock()
	n := d.nodes[id]
	if n == nil {
		d.mu.Unlock()
		return nil, Fault{}, syscall.ESTALE
	}
	if op.Kind.event() {
		if d.events++; d.events == d.freeze {
			d.stop()
		}
	}
	frozen, dead := d.frozen, d.dead
	select {
	case <-frozen:
		d.mu.Unlock()
		<-dead
		return nil, Fault{}, syscall.EIO
	default:
	}
	var f Fault
	if d.hook != nil {
		op.Path = path.Join(n.path(), name)
		f = d.hook(op)
	}
	if f.Freeze {
		d.stop()
		d.mu.Unlock()
		<-dead
		return nil, f, syscall.EIO
	}
	if f.Delay > 0 {
		d.mu.Unlock()
		select {
		case <-frozen:
			<-dead
			return nil, f, syscall.EIO
		case <-time.After(f.Delay):
		}
		d.mu.Lock()
	}
	if f.Err == 0 {
		return n, f, 0
	}
	if op.Kind == Sync {
		n.forget() // a kernel that could not write pages out does not try again
	}
	d.mu.Unlock()
	return nil, f, f.Err
}

// add makes a node without a name.
func (d *Disk) add(folder bool, mode uint32) *node {
	n := &node{id: uint64(len(d.nodes)) + 1, folder: folder, mode: mode, durableMode: mode, changed: time.Now()}
	if folder {
		n.entries, n.durableEntries = map[string]*node{}, map[string]*node{}
	}
	d.nodes[n.id] = n
	return n
}

// ReadFile gives a file as the program sees it now. Error: ENOENT, EISDIR.
func (d *Disk) ReadFile(name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.find(name)
	switch {
	case n == nil:
		return nil, fmt.Errorf("read %s: %w", name, syscall.ENOENT)
	case n.folder:
		return nil, fmt.Errorf("read %s: %w", name, syscall.EISDIR)
	}
	return slices.Clone(n.data), nil
}

// Files lists the paths of all files, with their sizes, in order.
func (d *Disk) Files() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []string
	var walk func(at string, n *node)
	walk = func(at string, n *node) {
		if !n.folder {
			list = append(list, fmt.Sprintf("%s %d", at, len(n.data)))
			return
		}
		for _, name := range names(n.entries) {
			walk(path.Join(at, name), n.entries[name])
		}
	}
	walk("", d.root)
	return list
}

func (d *Disk) find(name string) *node {
	n := d.root
	for part := range strings.SplitSeq(path.Clean(name), "/") {
		if n = n.entries[part]; n == nil {
			return nil
		}
	}
	return n
}

// names of a folder, in order.
func names[V any](m map[string]V) []string {
	list := make([]string, 0, len(m))
	for name := range m {
		list = append(list, name)
	}
	slices.SortFunc(list, cmp.Compare[string])
	return list
}
