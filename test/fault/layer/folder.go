package layer

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// The names: what the kernel asks of folders.

func (s *surface) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	n, _, err := s.d.enter(Op{Kind: Create}, in.NodeId, name)
	if err != 0 {
		return fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	child := n.entries[name]
	if child == nil {
		child = s.make(n, name, false, in.Mode, in.Owner)
	} else if in.Flags&syscall.O_EXCL != 0 {
		return fuse.Status(syscall.EEXIST)
	}
	s.entry(child, &out.EntryOut)
	out.OpenFlags = s.flags(name)
	return fuse.OK
}

func (s *surface) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	n, _, err := s.d.enter(Op{Kind: Create}, in.NodeId, name)
	if err != 0 {
		return fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	if n.entries[name] != nil {
		return fuse.Status(syscall.EEXIST)
	}
	s.entry(s.make(n, name, true, in.Mode, in.Owner), out)
	return fuse.OK
}

// Mknod makes sockets; files are made by Create.
func (s *surface) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if in.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
		return fuse.Status(syscall.EPERM)
	}
	n, _, err := s.d.enter(Op{Kind: Create}, in.NodeId, name)
	if err != 0 {
		return fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	if n.entries[name] != nil {
		return fuse.Status(syscall.EEXIST)
	}
	child := s.make(n, name, false, in.Mode, in.Owner)
	child.socket = true
	s.entry(child, out)
	return fuse.OK
}

func (s *surface) make(n *node, name string, folder bool, mode uint32, owner fuse.Owner) *node {
	child := s.d.add(folder, mode&0o7777)
	child.uid, child.gid = owner.Uid, owner.Gid
	n.enter(entry{name: child})
	return child
}

func (s *surface) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	n, _, err := s.d.enter(Op{Kind: Create}, in.NodeId, name)
	if err != 0 {
		return fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	child := s.d.nodes[in.Oldnodeid]
	switch {
	case child == nil:
		return fuse.Status(syscall.ESTALE)
	case n.entries[name] != nil:
		return fuse.Status(syscall.EEXIST)
	}
	n.enter(entry{name: child})
	s.entry(child, out)
	return fuse.OK
}

// Rename moves within one folder only: across two, that nobody needs yet, it
// would have to be durable in both at once.
func (s *surface) Rename(_ <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	n, _, err := s.d.enter(Op{Kind: Rename}, in.NodeId, from)
	if err != 0 {
		return fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	child := n.entries[from]
	switch {
	case in.Newdir != in.NodeId:
		return fuse.Status(syscall.EXDEV)
	case child == nil:
		return fuse.ENOENT
	case in.Flags&^unix.RENAME_NOREPLACE != 0:
		return fuse.Status(syscall.EINVAL)
	case in.Flags != 0 && n.entries[to] != nil:
		return fuse.Status(syscall.EEXIST)
	case from == to:
		return fuse.OK
	}
	old := n.entries[to]
	n.enter(entry{from: nil, to: child})
	child.parent, child.name = n, to
	s.d.release(old)
	return fuse.OK
}

func (s *surface) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return s.remove(h, name, false)
}

func (s *surface) Rmdir(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return s.remove(h, name, true)
}

func (s *surface) remove(h *fuse.InHeader, name string, folder bool) fuse.Status {
	n, _, err := s.d.enter(Op{Kind: Remove}, h.NodeId, name)
	if err != 0 {
		return fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	child := n.entries[name]
	switch {
	case child == nil:
		return fuse.ENOENT
	case child.folder && !folder:
		return fuse.Status(syscall.EISDIR)
	case !child.folder && folder:
		return fuse.ENOTDIR
	case len(child.entries) > 0:
		return fuse.Status(syscall.ENOTEMPTY)
	}
	n.enter(entry{name: nil})
	s.d.release(child)
	return fuse.OK
}

// release gives a nameless file's room back, before its last reader closed it.
func (d *Disk) release(n *node) {
	if n != nil && n.links == 0 && !n.folder {
		d.used -= int64(len(n.data))
	}
}

func (s *surface) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	_, _, err := s.d.enter(Op{Kind: Open}, in.NodeId, "")
	if err != 0 {
		return fuse.Status(err)
	}
	s.d.mu.Unlock()
	return fuse.OK
}

// ReadDir gives names in order; the offset counts them. Whoever removes what
// he lists may miss some, as on other file systems.
func (s *surface) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	n, _, err := s.d.enter(Op{Kind: Look}, in.NodeId, "")
	if err != 0 {
		return fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	list := names(n.entries)
	for i := in.Offset; i < uint64(len(list)); i++ {
		child := n.entries[list[i]]
		mode := uint32(syscall.S_IFREG)
		switch {
		case child.folder:
			mode = syscall.S_IFDIR
		case child.socket:
			mode = syscall.S_IFSOCK
		}
		if !out.AddDirEntry(fuse.DirEntry{Name: list[i], Ino: child.id, Mode: mode, Off: i + 1}) {
			break
		}
	}
	return fuse.OK
}
