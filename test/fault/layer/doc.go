// Package layer is a disk that loses its power, under a real program.
//
// A Disk is a file system in memory that knows, of every file and folder, what
// the program sees and what would be there after a power cut: the durable
// state, and a log of what came since. An fsync of a file makes its bytes,
// size and mode durable; an fsync of a folder makes the names in it durable;
// syncfs makes all durable. Nothing else does. That is what POSIX promises and
// less than what ext4 does, which also saves the name of a file it syncs:
// Options.NameOnSync is a disk like that.
//
// Mount serves a Disk through FUSE, so that the kernel's page cache, mmap and
// locks are the real ones. The kernel does not pass syncfs on to FUSE; Watch
// sees it with a filter on the program's system calls.
//
// Freeze, or FreezeAt some event, stops the disk: whoever touches it waits.
// The program is then killed, Fail lets go of those that wait, and Cut decides
// by a seed what survived of each write that was not synced (page by page, and
// sector by sector in a torn page), of each change of size (its tail zeros or
// rubbish), of each name. It returns the disk that the next start finds.
//
// A Hook sees every operation and may make it fail, or take a part of what is
// written only.
package layer
