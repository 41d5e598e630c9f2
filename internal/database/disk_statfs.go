//go:build linux || darwin || freebsd

package database

import "syscall"

// freeDisk returns how many bytes this process may still write to the file system of a folder.
func freeDisk(folder string) (bytes uint64, known bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil || s.Blocks == 0 {
		return 0, false
	}
	return uint64(max(int64(s.Bavail), 0)) * uint64(s.Bsize), true // FreeBSD's may be negative
}
