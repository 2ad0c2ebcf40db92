package layer

import (
	"math/rand/v2"
)

const (
	page   = 4096
	sector = 512
)

// survivor decides what a power cut leaves of what was not synced.
type survivor struct {
	rand  *rand.Rand
	keep  float64 // the share that survives
	torn  float64 // the share of pages that survive in part
	nodes map[*node]*node
	into  *Disk
}

// Cut is the disk that is found after the power came back. The old one must be
// dead (Fail). Equal seeds and equal histories give equal disks.
func (d *Disk) Cut(seed uint64) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := rand.New(rand.NewPCG(seed, 0x6c6f7374))
	return d.survive(&survivor{
		rand: r,
		keep: []float64{0, 0.1, 0.5, 0.5, 0.9, 1}[r.IntN(6)],
		torn: []float64{0, 0.1, 0.5}[r.IntN(3)],
	})
}

// CutAll is Cut of a disk on which nothing survived that was not synced.
func (d *Disk) CutAll() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.survive(&survivor{rand: rand.New(rand.NewPCG(0, 0))})
}

func (d *Disk) survive(s *survivor) *Disk {
	s.nodes, s.into = map[*node]*node{}, New(d.opts)
	s.folder(d.root, s.into.root)
	return s.into
}

func (s *survivor) coin() bool { return s.rand.Float64() < s.keep }

// folder decides the names of a folder, and then what they mean.
func (s *survivor) folder(old, now *node) {
	s.nodes[old] = now
	now.mode, now.durableMode, now.uid, now.gid = old.durableMode, old.durableMode, old.uid, old.gid
	for _, e := range old.pending {
		if s.coin() {
			old.settleEntry(e)
		}
	}
	for _, name := range names(old.durableEntries) {
		was := old.durableEntries[name]
		child := s.nodes[was]
		if child == nil {
			child = s.into.add(was.folder, was.durableMode)
			child.uid, child.gid, child.socket = was.uid, was.gid, was.socket
			s.nodes[was] = child
			if was.folder {
				s.folder(was, child)
			} else {
				s.file(was, child)
			}
		}
		now.enter(entry{name: child})
	}
	now.syncFolder()
}

// file decides what is left of a file.
func (s *survivor) file(old, now *node) {
	for _, c := range old.log {
		switch {
		case c.data != nil:
			s.write(old, c)
		case s.coin():
			old.settle(c)
		}
	}
	now.data = append(now.data, old.durable...)
	now.durable = append(now.durable, old.durable...)
	now.mode, now.durableMode, now.changed = old.durableMode, old.durableMode, old.changed
	s.into.used += int64(len(now.data))
}

// write decides page by page.
func (s *survivor) write(n *node, c change) {
	for len(c.data) > 0 {
		step := min(int64(len(c.data)), page-c.offset%page)
		piece := change{offset: c.offset, data: c.data[:step]}
		switch {
		case s.rand.Float64() < s.torn:
			s.tear(n, piece)
		case s.coin():
			n.settle(piece)
		default:
			s.lose(n, piece)
		}
		c.offset, c.data = c.offset+step, c.data[step:]
	}
}

// tear decides sector by sector.
func (s *survivor) tear(n *node, c change) {
	for len(c.data) > 0 {
		step := min(int64(len(c.data)), sector-c.offset%sector)
		piece := change{offset: c.offset, data: c.data[:step]}
		if s.rand.IntN(2) == 0 {
			n.settle(piece)
		} else {
			s.lose(n, piece)
		}
		c.offset, c.data = c.offset+step, c.data[step:]
	}
}

// lose leaves what was there before. Beyond the end of the file the size may
// have survived without the bytes: zeros, or what the disk held there.
func (s *survivor) lose(n *node, c change) {
	size, end := int64(len(n.durable)), c.offset+int64(len(c.data))
	if end <= size || !s.coin() {
		return
	}
	n.durable = sized(n.durable, end)
	if s.rand.IntN(2) == 0 {
		return
	}
	for i := max(size, c.offset); i < end; i++ {
		n.durable[i] = byte(s.rand.Uint32())
	}
}
