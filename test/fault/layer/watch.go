package layer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// watchEnv tells a process that it is to put itself under watch, and by which
// descriptor it answers.
const watchEnv = "FAULT_LAYER_WATCH"

// Exec is to be called first thing in the program that uses Watch: in the
// child that Watch starts it installs the filter and becomes the program to be
// watched; otherwise it returns at once.
func Exec() error {
	at := os.Getenv(watchEnv)
	if at == "" {
		return nil
	}
	if err := os.Unsetenv(watchEnv); err != nil {
		return err
	}
	fd, err := strconv.Atoi(at)
	if err != nil {
		return fmt.Errorf("%s: %w", watchEnv, err)
	}
	runtime.LockOSThread() // the filter is the thread's, and the thread becomes the program
	listener, err := install()
	if err != nil {
		return fmt.Errorf("watch system calls: %w", err)
	}
	if err := unix.Sendmsg(fd, []byte{0}, unix.UnixRights(listener), nil, 0); err != nil {
		return fmt.Errorf("hand over the watch: %w", err)
	}
	unix.CloseOnExec(fd)
	unix.CloseOnExec(listener)
	return syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
}

// install makes the kernel ask before syncfs and sync.
func install() (listener int, err error) {
	load := unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS} // the call's number
	ask := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF}
	allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	program := []unix.SockFilter{
		load,
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SYNCFS, Jt: 2},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SYNC, Jt: 1},
		allow,
		ask,
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return 0, errno
	}
	return int(fd), nil
}

// Watch starts a command, and makes its syncfs reach the disk. The command
// must name the program by its path; this program must call Exec. The caller
// waits for the command.
func (d *Disk) Watch(cmd *exec.Cmd) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	mine, theirs := os.NewFile(uintptr(pair[0]), "watch"), os.NewFile(uintptr(pair[1]), "watched")
	defer mine.Close()   //nolint:errcheck // what came over it is held by itself
	defer theirs.Close() //nolint:errcheck // the child has its own
	cmd.Args = append([]string{self, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = self
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	cmd.Env = append(cmd.Env, watchEnv+"="+strconv.Itoa(2+len(cmd.ExtraFiles)))
	if err := cmd.Start(); err != nil {
		return err
	}
	_ = theirs.Close() // so that the child's end is noticed
	listener, err := receive(mine)
	if err != nil {
		_ = cmd.Process.Kill()
		return errors.Join(fmt.Errorf("watch: %w", err), cmd.Wait())
	}
	go d.answer(listener)
	return nil
}

func receive(from *os.File) (int, error) {
	conn, err := net.FileConn(from)
	if err != nil {
		return 0, err
	}
	defer conn.Close() //nolint:errcheck // only read from
	stream, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, errors.New("the socket is of another kind")
	}
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := stream.ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return 0, errors.Join(errors.New("the child ended before it was watched"), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return 0, err
	}
	return fds[0], nil
}

// The kernel's structures, see seccomp_unotify(2).
type notification struct {
	id    uint64
	pid   uint32
	flags uint32
	call  struct {
		number int32
		arch   uint32
		at     uint64
		args   [6]uint64
	}
}

type reply struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

const (
	notifyReceive  = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	notifySend     = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND
	notifyContinue = 1          // SECCOMP_USER_NOTIF_FLAG_CONTINUE
)

// answer serves the listener until the program has ended.
func (d *Disk) answer(listener int) {
	defer unix.Close(listener) //nolint:errcheck // nobody is at its other end
	for {
		ready := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, -1); errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil || ready[0].Revents&unix.POLLIN == 0 {
			return
		}
		var n notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), notifyReceive, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue // it was killed meanwhile
		}
		r := reply{id: n.id, flags: notifyContinue}
		if errno := d.SyncAll(); errno != 0 {
			r = reply{id: n.id, err: -int32(errno)}
		}
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), notifySend, uintptr(unsafe.Pointer(&r)))
	}
}
