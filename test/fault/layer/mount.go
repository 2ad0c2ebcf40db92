package layer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// forever is how long the kernel may trust what it was told: nobody but the
// kernel changes a mounted disk.
const forever = 24 * time.Hour

// maxWrite is the kernel's and the layer's step, bytes.
const maxWrite = 128 << 10

// Usable tells why this machine can not mount a Disk; nil if it can.
func Usable() error {
	if os.Geteuid() != 0 {
		return errors.New("mounting a file system needs root")
	}
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("this machine has no FUSE: %w", err)
	}
	return f.Close()
}

// source is the name of a mount: whose it is.
const source = "fault-"

// Tidy ends the mounts of processes that have died. Call it before the first
// Mount of a process; errors do not matter to it.
func Tidy() {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[2] != "fuse.fault" {
			continue
		}
		// No look at the folder itself: it may wait forever.
		if _, err := os.Stat("/proc/" + strings.TrimPrefix(fields[0], source)); errors.Is(err, fs.ErrNotExist) {
			_ = unix.Unmount(fields[1], unix.MNT_DETACH)
		}
	}
}

// Mount serves the disk on a folder that exists. Touch the folder from other
// processes only. A file whose name begins with one of cached stays in the
// kernel's page cache when it is opened again, the others are read again. The
// function returned ends it: call it when no process uses the folder any more.
func (d *Disk) Mount(dir string, cached ...string) (unmount func() error, err error) {
	// Opened here, and not by the library, so that no child gets hold of it: a
	// mount must die with this process, and let go of those who wait for it.
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", dir, err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,max_read=%d", fd, maxWrite)
	if err := unix.Mount(source+strconv.Itoa(os.Getpid()), dir, "fuse.fault", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return nil, errors.Join(fmt.Errorf("mount %s: %w", dir, err), unix.Close(fd))
	}
	server, err := fuse.NewServer(&surface{RawFileSystem: fuse.NewDefaultRawFileSystem(), d: d, cached: cached}, fmt.Sprintf("/dev/fd/%d", fd), &fuse.MountOptions{
		MaxWrite:             maxWrite,
		DisableXAttrs:        true,
		DisableReadDirPlus:   true,
		DisabledCapabilities: fuse.CAP_AUTO_INVAL_DATA,
		MaxBackground:        256,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("serve %s: %w", dir, err), unix.Unmount(dir, unix.MNT_DETACH))
	}
	go server.Serve()
	return func() error {
		if err := detach(dir); err != nil {
			return err
		}
		server.Wait()
		return nil
	}, nil
}

// detach unmounts; the kernel may need a moment to close what a process that
// was killed had open.
func detach(dir string) (err error) {
	for pause := time.Millisecond; pause < 2*time.Second; pause *= 2 {
		if err = unix.Unmount(dir, 0); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(pause)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("unmount %s: %w", dir, err), unix.Unmount(dir, unix.MNT_DETACH))
	}
	return nil
}

// surface is the disk as the kernel asks for it.
type surface struct {
	fuse.RawFileSystem
	d      *Disk
	cached []string
}

func (s *surface) String() string { return "fault" }

func (s *surface) attr(n *node, out *fuse.Attr) {
	*out = fuse.Attr{Ino: n.id, Mode: n.mode | syscall.S_IFREG, Nlink: uint32(n.links), Blksize: page}
	out.Owner = fuse.Owner{Uid: n.uid, Gid: n.gid}
	out.Size = uint64(len(n.data))
	out.Blocks = (out.Size + sector - 1) / sector
	switch {
	case n.folder:
		out.Mode, out.Nlink = n.mode|syscall.S_IFDIR, 2
	case n.socket:
		out.Mode = n.mode | syscall.S_IFSOCK
	}
	at := n.changed
	out.SetTimes(&at, &at, &at)
}

func (s *surface) entry(n *node, out *fuse.EntryOut) {
	out.NodeId = n.id
	out.SetEntryTimeout(forever)
	out.SetAttrTimeout(forever)
	s.attr(n, &out.Attr)
}

func (s *surface) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	n, _, err := s.d.enter(Op{Kind: Look}, h.NodeId, name)
	if err != 0 {
		return fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	child := n.entries[name]
	if child == nil {
		return fuse.ENOENT
	}
	s.entry(child, out)
	return fuse.OK
}

func (s *surface) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, _, err := s.d.enter(Op{Kind: Look}, in.NodeId, "")
	if err != 0 {
		return fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	out.SetTimeout(forever)
	s.attr(n, &out.Attr)
	return fuse.OK
}

func (s *surface) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, _, err := s.d.enter(Op{Kind: Change}, in.NodeId, "")
	if err != 0 {
		return fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	if size, ok := in.GetSize(); ok {
		if err := s.d.room(n, int64(size)); err != 0 {
			return fuse.Status(err)
		}
		n.resize(int64(size))
	}
	if mode, ok := in.GetMode(); ok {
		n.chmod(mode & 0o7777)
	}
	if uid, ok := in.GetUID(); ok {
		n.uid = uid
	}
	if gid, ok := in.GetGID(); ok {
		n.gid = gid
	}
	if at, ok := in.GetMTime(); ok {
		n.changed = at
	}
	out.SetTimeout(forever)
	s.attr(n, &out.Attr)
	return fuse.OK
}

// room accounts for a file's new size, or says ENOSPC.
func (d *Disk) room(n *node, size int64) syscall.Errno {
	more := size - int64(len(n.data))
	if more > 0 && d.used+more > d.opts.Capacity {
		return syscall.ENOSPC
	}
	d.used += more
	return 0
}

func (s *surface) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, _, err := s.d.enter(Op{Kind: Open}, in.NodeId, "")
	if err != 0 {
		return fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	out.OpenFlags = s.flags(n.name)
	return fuse.OK
}

func (s *surface) flags(name string) uint32 {
	for _, prefix := range s.cached {
		if strings.HasPrefix(filepath.Base(name), prefix) {
			return fuse.FOPEN_KEEP_CACHE
		}
	}
	return 0
}

func (s *surface) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	n, _, err := s.d.enter(Op{Kind: Read, Offset: int64(in.Offset), Size: len(buf)}, in.NodeId, "")
	if err != 0 {
		return nil, fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	if in.Offset >= uint64(len(n.data)) {
		return fuse.ReadResultData(nil), fuse.OK
	}
	return fuse.ReadResultData(buf[:copy(buf, n.data[in.Offset:])]), fuse.OK
}

func (s *surface) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	n, fault, err := s.d.enter(Op{Kind: Write, Offset: int64(in.Offset), Size: len(data)}, in.NodeId, "")
	if err != 0 {
		return 0, fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	if fault.Short > 0 && fault.Short < len(data) {
		data = data[:fault.Short]
	}
	end := int64(in.Offset) + int64(len(data))
	if more := end - int64(len(n.data)); more > 0 {
		// As a real disk does: what there is room for is taken.
		if lack := s.d.used + more - s.d.opts.Capacity; lack > 0 {
			if lack >= int64(len(data)) {
				return 0, fuse.Status(syscall.ENOSPC)
			}
			data = data[:int64(len(data))-lack]
			end -= lack
		}
		if err := s.d.room(n, max(end, int64(len(n.data)))); err != 0 {
			return 0, fuse.Status(err)
		}
	}
	n.write(data, int64(in.Offset))
	return uint32(len(data)), fuse.OK
}

func (s *surface) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	n, _, err := s.d.enter(Op{Kind: Sync}, in.NodeId, "")
	if err != 0 {
		return fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	n.sync()
	if s.d.opts.NameOnSync {
		n.syncName()
	}
	return fuse.OK
}

func (s *surface) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	n, _, err := s.d.enter(Op{Kind: SyncFolder}, in.NodeId, "")
	if err != 0 {
		return fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	n.sync()
	n.syncFolder()
	if s.d.opts.NameOnSync {
		n.syncName()
	}
	return fuse.OK
}

func (s *surface) StatFs(_ <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	_, _, err := s.d.enter(Op{Kind: Look}, in.NodeId, "")
	if err != 0 {
		return fuse.Status(err)
	}
	defer s.d.mu.Unlock()
	free := uint64(max(0, s.d.opts.Capacity-s.d.used))
	*out = fuse.StatfsOut{
		Bsize: page, Frsize: page, NameLen: 255, Files: 1 << 20, Ffree: 1 << 20,
		Blocks: uint64(s.d.opts.Capacity) / page, Bfree: free / page, Bavail: free / page,
	}
	return fuse.OK
}

func (s *surface) Access(<-chan struct{}, *fuse.AccessIn) fuse.Status { return fuse.OK }
func (s *surface) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status   { return fuse.OK }
