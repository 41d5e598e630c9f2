package testenv_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

// ownerVariable makes the test binary a process that starts a server, prints its address and waits;
// see TestServerEndsWithItsOwner.
const ownerVariable = "ROLLCALL_TESTENV_OWNER"

func TestMain(m *testing.M) {
	if os.Getenv(ownerVariable) != "" {
		server, err := testenv.StartMariaDB()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(server.URL())
		select {}
	}
	testenv.Main(m)
}

func TestEachGivesBothDialects(t *testing.T) {
	testenv.NeedServer(t)
	var dialects []database.Dialect
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		dialects = append(dialects, db.Dialect())
		version, err := db.Version(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if version.Current != version.Latest {
			t.Errorf("schema is at version %d, want %d", version.Current, version.Latest)
		}
	})
	if len(dialects) != 2 || dialects[0] != database.SQLite || dialects[1] != database.MySQL {
		t.Errorf("ran on %v, want on sqlite and mysql", dialects)
	}
}

func TestDatabasesAreEmptyAndApart(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, first string) {
		testenv.Open(t, first)
		second := testenv.SQLiteURL(t)
		if strings.HasPrefix(first, "mysql:") {
			second = testenv.MySQLURL(t)
		}
		db, err := database.Open(context.Background(), second)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		version, err := db.Version(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if version.Current != 0 {
			t.Errorf("a new database has the schema's version %d already", version.Current)
		}
	})
}

func TestDatabaseGoesWithItsTest(t *testing.T) {
	testenv.NeedServer(t)
	var url string
	t.Run("user", func(t *testing.T) {
		url = testenv.MySQLURL(t)
		testenv.Open(t, url)
	})
	db, err := database.Open(context.Background(), url)
	if err == nil {
		db.Close()
		t.Fatal("the database outlived its test")
	}
	if !strings.Contains(err.Error(), "Unknown database") {
		t.Errorf("opening a dropped database: %v", err)
	}
}

func TestStopRemovesEverything(t *testing.T) {
	testenv.NeedServer(t)
	server, err := testenv.StartMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	socket := socketOf(t, server.URL())
	server.Stop()
	server.Stop()
	requireGone(t, socket)
}

// A test binary can end without running another line of Go: by a panic in a goroutine, go test's
// time-out or kill -9.
func TestServerEndsWithItsOwner(t *testing.T) {
	testenv.NeedServer(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	owner := exec.Command(exe)
	owner.Env = append(os.Environ(), ownerVariable+"=1")
	owner.Stderr = os.Stderr
	stdout, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	url, readErr := bufio.NewReader(stdout).ReadString('\n')
	if err := owner.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait() // killed, as intended
	if readErr != nil {
		t.Fatalf("the owner started no server: %v", readErr)
	}
	requireGone(t, socketOf(t, strings.TrimSpace(url)))
}

func socketOf(t *testing.T, url string) string {
	t.Helper()
	_, rest, _ := strings.Cut(url, "unix(")
	socket, _, ok := strings.Cut(rest, ")")
	if !ok || len(socket) > 100 {
		t.Fatalf("%q has no socket with a short path", url)
	}
	return socket
}

// requireGone waits until nothing listens on the socket and its folder is removed.
func requireGone(t *testing.T, socket string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		conn, dialErr := net.Dial("unix", socket)
		if dialErr == nil {
			conn.Close()
		}
		_, statErr := os.Stat(filepath.Dir(socket))
		if dialErr != nil && os.IsNotExist(statErr) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server or its folder is still there: %v, %v (want %v)", dialErr, statErr, fs.ErrNotExist)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestProxyDelaysPausesAndCuts(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn) }()
		}
	}()
	p := testenv.NewProxy(t, echo.Addr().String())
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", p.Address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	conn := dial()
	// comes sends a byte and reports whether it comes back within the time.
	comes := func(within time.Duration) bool {
		t.Helper()
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		_, err := conn.Read(make([]byte, 1))
		return err == nil
	}
	const long = 30 * time.Second
	p.Delay(20 * time.Millisecond)
	if start := time.Now(); !comes(long) || time.Since(start) < 40*time.Millisecond {
		t.Errorf("an answer came after %s, want at least 40ms", time.Since(start))
	}
	p.Pause()
	if comes(100 * time.Millisecond) {
		t.Error("an answer came over a paused link")
	}
	p.Resume()
	if err := conn.SetReadDeadline(time.Now().Add(long)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Errorf("what was sent over the paused link: %v", err)
	}
	p.Cut()
	if comes(100 * time.Millisecond) {
		t.Error("an answer came over a cut link")
	}
	p.Heal()
	if err := conn.SetReadDeadline(time.Now().Add(long)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("an earlier connection: %v", err)
	}
	if conn = dial(); !comes(long) {
		t.Error("nothing comes over the healed link")
	}
}

func TestRedisPausesAndKeepsItsData(t *testing.T) {
	dir := t.TempDir()
	testenv.NeedServer(t)
	server, err := testenv.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	port := server.Port()
	server.Stop()
	start := func() {
		t.Helper()
		if server, err = testenv.StartRedisOn(port, "--dir", dir, "--appendonly", "yes"); err != nil {
			t.Fatal(err)
		}
	}
	start()
	defer func() { server.Stop() }()
	client := testenv.OpenRedis(t, server.URL(), testenv.Service())
	if err := client.Do(context.Background(), client.B().Set().Key("k").Value("v").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	err = client.Writable(ctx)
	cancel()
	if err == nil {
		t.Error("a paused Redis responded")
	}
	server.Stop() // even while it is paused
	start()
	other := testenv.OpenRedis(t, server.URL(), testenv.Service())
	if got, err := other.Do(context.Background(), other.B().Get().Key("k").Build()).ToString(); err != nil || got != "v" {
		t.Errorf("after a restart the value is %q, %v", got, err)
	}
}
