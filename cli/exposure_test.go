package cli

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"rollcall/internal/testenv"
)

func TestPublicAddress(t *testing.T) {
	network := func(text string) net.Addr {
		ip, ipNet, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		ipNet.IP = ip
		return ipNet
	}
	private := []net.Addr{network("127.0.0.1/8"), network("10.1.2.3/8"), network("fe80::1/64")}
	both := append(private[:len(private):len(private)], network("2606:2800::1/64"), network("93.184.216.34/24"))
	for _, c := range []struct {
		listening  string
		interfaces []net.Addr
		want       string // "" if not public
	}{
		{"127.0.0.1", both, ""},
		{"::1", both, ""},
		{"10.1.2.3", both, ""},
		{"172.31.255.255", both, ""},
		{"192.168.1.1", both, ""},
		{"169.254.1.1", both, ""},
		{"100.64.0.1", both, ""},
		{"fe80::1", both, ""},
		{"fd00::1", both, ""},
		{"172.32.0.1", both, "172.32.0.1"},
		{"93.184.216.34", private, "93.184.216.34"},
		{"::ffff:93.184.216.34", private, "93.184.216.34"},
		{"2606:2800::1", private, "2606:2800::1"},
		{"0.0.0.0", private, ""},
		{"::", private, ""},
		{"0.0.0.0", both, "93.184.216.34"},
		{"::", both, "2606:2800::1"},
		{"::", both[len(both)-1:], "93.184.216.34"},
		{"::", nil, ""},
	} {
		interfaces := func() ([]net.Addr, error) {
			if c.interfaces == nil {
				return nil, errors.New("not allowed")
			}
			return c.interfaces, nil
		}
		ip, public := publicAddress(&net.TCPAddr{IP: net.ParseIP(c.listening), Port: 80}, interfaces)
		if public != (c.want != "") || public && ip.String() != c.want {
			t.Errorf("%s: %s %v, want %q", c.listening, ip, public, c.want)
		}
	}
	if _, public := publicAddress(&net.UnixAddr{Name: "/run/rollcall.sock"}, net.InterfaceAddrs); public {
		t.Error("a socket file is public")
	}
}

// listening is a listener with an address that is not one of this machine.
type listening struct {
	net.Listener
	ip string
}

func (l listening) Addr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(l.ip), Port: 80} }

func TestPublicAddresses_AreWarnedOf(t *testing.T) {
	for ip, want := range map[string]int{"93.184.216.34": 1, "127.0.0.1": 0} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		warnOfPlainHTTP(log, "ROLLCALL_LISTEN", listening{ip: ip})
		plain := out.String()
		out.Reset()
		warnOfPublicOps(log, listening{ip: ip})
		for text, words := range map[string][]string{
			plain:        {"level=WARN", "plain HTTP", "setting=ROLLCALL_LISTEN", "address=93.184.216.34"},
			out.String(): {"level=WARN", "profiles", "setting=ROLLCALL_OPS_LISTEN", "address=93.184.216.34"},
		} {
			for _, word := range words {
				if strings.Count(text, word) != want {
					t.Errorf("%s: %q does not contain %q exactly once", ip, text, word)
				}
			}
		}
	}
}

// TestUndeclaredProxy_IsWarnedOfOnce sends the headers of an undeclared proxy several times.
func TestUndeclaredProxy_IsWarnedOfOnce(t *testing.T) {
	forwarded := func(n *server, header string) {
		req, err := http.NewRequest(http.MethodGet, n.base+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			req.Header.Set(header, "https")
		}
		if status, _ := do(t, req); status != 200 {
			t.Errorf("status %d", status)
		}
	}
	n := start(t, testenv.SQLiteURL(t))
	for _, header := range []string{"", "X-Real-Ip", "Forwarded"} { // Rollcall does not read these
		forwarded(n, header)
	}
	if got := n.warnings(); len(got) != 0 {
		t.Errorf("warned without a reason: %q", got)
	}
	for _, header := range []string{"X-Forwarded-For", "X-Forwarded-For", "X-Forwarded-Proto"} {
		forwarded(n, header)
	}
	want := `"header":"X-Forwarded-For","address":"127.0.0.1","setting":"ROLLCALL_TRUSTED_PROXIES"`
	if got := n.warnings(); len(got) != 1 || !strings.Contains(got[0], want) {
		t.Errorf("warnings %q", got)
	}
	n.end()
	declared := start(t, testenv.SQLiteURL(t), "--trusted-proxies", "127.0.0.1")
	forwarded(declared, "X-Forwarded-For")
	if got := declared.warnings(); len(got) != 0 {
		t.Errorf("warned of a declared proxy: %q", got)
	}
}
