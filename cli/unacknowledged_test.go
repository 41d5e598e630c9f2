//go:build linux

package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rollcall/internal/testenv"
)

// TestServe_EndsStreamsToLostNetworks checks that a device whose network is gone does not stay online
// by its event stream, although neither of the two ends closes the connection.
func TestServe_EndsStreamsToLostNetworks(t *testing.T) {
	n := start(t, testenv.SQLiteURL(t), "--heartbeat-timeout", "1s")
	bearer := regexp.MustCompile(`Authorization: Bearer ([^']+)'`).FindStringSubmatch(n.banner())[1]
	send := func(query string) string {
		body, err := json.Marshal(map[string]string{"query": query})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(http.MethodPost, n.base+"/graphql", strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+bearer)
		_, answer := do(t, req)
		return answer
	}
	registered := regexp.MustCompile(`"token":"([^"]+)"`).FindStringSubmatch(send(`mutation { registerUser(input: {id: "ann", name: "Ann"}) { token } }`))
	if registered == nil {
		t.Fatal("no token")
	}

	address := strings.TrimPrefix(n.base, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const subscription = `{"query":"subscription { statusChanged { userId } }"}`
	fmt.Fprintf(conn, "POST /graphql HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
		address, registered[1], len(subscription), subscription)
	if status, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(status, " 200 ") {
		t.Fatalf("%q, %v", status, err)
	}
	wait := func(presence string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			answer := send(`{ user(id: "ann") { status { presence } } }`)
			if strings.Contains(answer, `"`+presence+`"`) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("not %s: %s", presence, answer)
			}
		}
	}
	wait("ONLINE")
	dropReceived(t, conn.(*net.TCPConn))
	wait("OFFLINE")
}

// dropReceived makes the kernel drop all that arrives for the connection, which it then does not
// acknowledge either.
func dropReceived(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0} // the length to accept
	if failed := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop})
	}); failed != nil || err != nil {
		t.Fatal(failed, err)
	}
}
