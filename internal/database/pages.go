package database

import (
	"encoding/binary"

	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// pagesVFS is the file system through which SQLite reads and writes its files. It writes
// the pages of a database without what lies in their unallocated space, and creates files
// that only their owner can read; see createFiles.
//
// PRAGMA secure_delete clears what is deleted at its place. But when SQLite moves rows from
// one page to others, it leaves their former bytes in the space that it calls unallocated,
// and no later deletion clears those.
const pagesVFS = "rollcall"

func init() { vfs.Register(pagesVFS, pageFiles{vfs.Find("os")}) }

type pageFiles struct{ vfs.VFS }

// OpenFilename opens a file; that of a database as a pageFile. All other files are
// temporary, or hold pages of the database only until a checkpoint; see Scrub.
func (fs pageFiles) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if err := createFiles(name, flags); err != nil {
		return nil, flags, err
	}
	file, flags, err := vfsutil.WrapOpenFilename(fs.VFS, name, flags)
	if err == nil && flags&vfs.OPEN_MAIN_DB != 0 {
		file = &pageFile{File: file}
	}
	return file, flags, err
}

// Numbers of SQLite's file format (sqlite.org/fileformat2.html), in bytes.
const (
	headerLength    = 100 // of the database's header, which begins the first page
	pageCountAt     = 28  // in that header: the number of pages
	autoVacuumAt    = 52  // in that header: 0 unless pages of pointers are among the pages
	pointerLength   = 2   // of a pointer to a cell
	interiorIndex   = 2   // the kinds of b-tree pages
	interiorTable   = 5
	leafIndex       = 10
	leafTable       = 13
	leafHeader      = 8 // of a b-tree page
	interiorHeader  = 12
	freeblockAt     = 1 // in that header
	cellCountAt     = 3
	contentAt       = 5
	smallestPage    = 512
	ambiguousNumber = 1 << 25 // see unallocated
)

// pageFile is a database's file.
type pageFile struct {
	vfs.File
	page []byte
}

// WriteAt writes p at off, which is a page or a part of one, without what lies in its
// unallocated space.
func (f *pageFile) WriteAt(p []byte, off int64) (int, error) {
	start, end := f.unallocated(p, off)
	if start == end {
		return f.File.WriteAt(p, off)
	}
	f.page = append(f.page[:0], p...)
	clear(f.page[start:end])
	return f.File.WriteAt(f.page, off)
}

// unallocated returns where the page p at off has unallocated space, if it is certain that
// it is a page of a b-tree. Other pages begin with the number of a page, which looks like
// the kind of a b-tree page only in a file of 128 GiB and more, or, with auto-vacuum, with
// pointers.
func (f *pageFile) unallocated(p []byte, off int64) (start, end int) {
	if len(p) < smallestPage || off%int64(len(p)) != 0 {
		return 0, 0
	}
	if off == 0 {
		start, end = unallocated(p, headerLength)
	} else {
		start, end = unallocated(p, 0)
	}
	if start == end {
		return 0, 0
	}
	header := p
	if off != 0 {
		header = make([]byte, autoVacuumAt+4)
		if _, err := f.File.ReadAt(header, 0); err != nil {
			return 0, 0 // the first page is written first
		}
	}
	if binary.BigEndian.Uint32(header[pageCountAt:]) >= ambiguousNumber || binary.BigEndian.Uint32(header[autoVacuumAt:]) != 0 {
		return 0, 0
	}
	return start, end
}

// unallocated returns the bounds of the unallocated space of the page p, whose b-tree
// header is at h: from the last pointer to the first cell. They are equal if there is none
// or if the page does not fit the format.
func unallocated(p []byte, h int) (start, end int) {
	header := leafHeader
	switch p[h] {
	case interiorIndex, interiorTable:
		header = interiorHeader
	case leafIndex, leafTable:
	default:
		return 0, 0
	}
	number := func(at int) int { return int(binary.BigEndian.Uint16(p[at:])) }
	start = h + header + pointerLength*number(h+cellCountAt)
	if end = number(h + contentAt); end == 0 {
		end = 1 << 16
	}
	if start > end || end > len(p) {
		return 0, 0
	}
	if first := number(h + freeblockAt); first != 0 && first < end {
		return 0, 0
	}
	for at := h + header; at < start; at += pointerLength {
		if cell := number(at); cell < end || cell >= len(p) {
			return 0, 0
		}
	}
	return start, end
}

// The optional methods of the file underneath.

// Unwrap returns the file underneath.
func (f *pageFile) Unwrap() vfs.File { return f.File }

// SharedMemory returns that of the index of the write-ahead log.
func (f *pageFile) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(f.File) }

// LockState returns which lock the connection has on the file.
func (f *pageFile) LockState() vfs.LockLevel { return vfsutil.WrapLockState(f.File) }

// PersistWAL reports whether the write-ahead log is kept when the last connection ends.
func (f *pageFile) PersistWAL() bool { return vfsutil.WrapPersistWAL(f.File) }

// SetPersistWAL sets that.
func (f *pageFile) SetPersistWAL(keep bool) { vfsutil.WrapSetPersistWAL(f.File, keep) }

// PowersafeOverwrite reports whether a power cut leaves the bytes beside a write alone.
func (f *pageFile) PowersafeOverwrite() bool { return vfsutil.WrapPowersafeOverwrite(f.File) }

// SetPowersafeOverwrite sets that.
func (f *pageFile) SetPowersafeOverwrite(safe bool) { vfsutil.WrapSetPowersafeOverwrite(f.File, safe) }

// SizeHint allocates space for a file that is about to grow.
func (f *pageFile) SizeHint(size int64) error { return vfsutil.WrapSizeHint(f.File, size) }

// HasMoved reports whether the file has another path by now.
func (f *pageFile) HasMoved() (bool, error) { return vfsutil.WrapHasMoved(f.File) }

// BeginAtomicWrite begins a group of writes, on a file system that can group them.
func (f *pageFile) BeginAtomicWrite() error { return vfsutil.WrapBeginAtomicWrite(f.File) }

// CommitAtomicWrite commits what was written since BeginAtomicWrite.
func (f *pageFile) CommitAtomicWrite() error { return vfsutil.WrapCommitAtomicWrite(f.File) }

// RollbackAtomicWrite undoes what was written since BeginAtomicWrite.
func (f *pageFile) RollbackAtomicWrite() error { return vfsutil.WrapRollbackAtomicWrite(f.File) }
