package database_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

func nodeLock(t *testing.T, url string) database.NodeLock {
	t.Helper()
	lock, err := testenv.Open(t, url).NodeLock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	return lock
}

func taken(t *testing.T, lock database.NodeLock) bool {
	t.Helper()
	held, err := lock.Take(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return held
}

func TestNodeLock_OnlyOneProcessHasIt(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		first, second := nodeLock(t, url), nodeLock(t, url)
		for range 2 { // the process that has it keeps it
			if !taken(t, first) {
				t.Fatal("the free lock cannot be taken")
			}
		}
		if taken(t, second) {
			t.Error("two have it")
		}
		first.Close()
		if !taken(t, second) {
			t.Error("it is not free although its holder closed it")
		}
	})
	t.Run("another database", func(t *testing.T) {
		testenv.EachURL(t, func(t *testing.T, url string) {
			taken(t, nodeLock(t, url))
			other := testenv.SQLiteURL(t)
			if strings.HasPrefix(url, "mysql:") {
				other = testenv.MySQLURL(t)
			}
			if !taken(t, nodeLock(t, other)) {
				t.Error("it is another database's lock")
			}
		})
	})
	t.Run("by a symbolic link", func(t *testing.T) {
		url := testenv.SQLiteURL(t)
		taken(t, nodeLock(t, url))
		link := filepath.Join(t.TempDir(), "link.db")
		if err := os.Symlink(strings.TrimPrefix(url, "sqlite:"), link); err != nil {
			t.Skip(err)
		}
		if taken(t, nodeLock(t, "sqlite:"+link)) {
			t.Error("two have it")
		}
	})
}

// TestNodeLock_EndsWithItsProcess kills a process that has the lock. The process runs this test,
// with an environment variable that makes it take the lock.
func TestNodeLock_EndsWithItsProcess(t *testing.T) {
	const holds = "HOLD_NODE_LOCK_OF"
	if url := os.Getenv(holds); url != "" {
		if taken(t, nodeLock(t, url)) {
			os.Stdout.WriteString("held\n")
		}
		time.Sleep(time.Minute)
		return
	}
	testenv.EachURL(t, func(t *testing.T, url string) {
		lock := nodeLock(t, url)
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()[:strings.Index(t.Name(), "/")]+"$")
		cmd.Env = append(os.Environ(), holds+"="+url)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		defer cmd.Process.Kill()
		if _, err := out.Read(make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		if taken(t, lock) {
			t.Error("two have it")
		}
		cmd.Process.Kill()
		cmd.Wait()
		for deadline := time.Now().Add(30 * time.Second); !taken(t, lock); {
			if time.Now().After(deadline) {
				t.Fatal("it is not free although its process is dead")
			}
			time.Sleep(time.Millisecond)
		}
	})
}

// TestNodeLock_AfterALostSession: the former holder takes the lock again, unless another process was
// faster.
func TestNodeLock_AfterALostSession(t *testing.T) {
	testenv.NeedMariaDB(t) // TiDB does not report which session has a lock
	url := testenv.MySQLURL(t)
	db := testenv.Open(t, url)
	first, second := nodeLock(t, url), nodeLock(t, url)
	taken(t, first)
	lose := func() {
		t.Helper()
		var session int64
		err := db.Read(context.Background()).Raw("SELECT IS_USED_LOCK(CONCAT('rollcall.node.', MD5(DATABASE())))").Scan(&session).Error
		if err == nil {
			err = db.Read(context.Background()).Exec("KILL ?", session).Error
		}
		if err != nil {
			t.Fatal(err)
		}
		// KILL returns before the session has ended, and until then the session has the lock.
		var held bool
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			err := db.Read(context.Background()).
				Raw("SELECT IS_USED_LOCK(CONCAT('rollcall.node.', MD5(DATABASE()))) IS NOT NULL").Scan(&held).Error
			if err != nil {
				t.Fatal(err)
			}
			if !held {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("a killed session still has the lock")
			}
		}
		if _, err := first.Take(context.Background()); err == nil {
			t.Error("a lost session is not told")
		}
	}
	lose()
	if !taken(t, first) {
		t.Error("it is not taken again")
	}
	lose()
	if !taken(t, second) || taken(t, first) {
		t.Error("the slower one has it")
	}
	second.Close()
	if !taken(t, first) {
		t.Error("it is not taken when it is free")
	}
}
